/*
 * registry_query.c - the questions of registry.h.
 *
 * A list collects rows page by page (SCAN over the partitions' c:* keys, HSCAN over one c:<name>)
 * and answers sorted and without the repetitions that SCAN may give. The details of a connection
 * are a field of their own in c:<name> (register.lua), and a row of their own until they are handed
 * out with it. A large Name blocks neither Redis nor this process: each page is merged into the
 * order when it comes, and what may be long is handed out in parts. A look-up is a few commands: an
 * id without a Name is looked up in the index of each partition (register.lua), and each connection
 * that is found there is then asked for.
 */
#include "common/bus/cluster/registry.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/bus/bus_send.h"
#include "common/bus/cluster/registry_lists.h"
#include "common/net/later.h"

enum { PAGE = 1000 };

struct registry_query {
    struct bus *bus;
    registry_rows_fn *fn;
    void *ctx;
    void (*on_page)(struct registry_query *q, struct redisReply *elements);
    bool is_scan; /* SCAN, else HSCAN of `name` */
    struct registry_lists *lists;
    struct list_place place; /* a list's, not a look-up's */
    int status;              /* negative: why it fails */
    char *name, *client_id;
    size_t name_len, client_id_len;
    struct buf cursor;
    struct buf texts; /* four length-prefixed texts a row: name, client id, value, details */
    size_t rows, most_rows;
    size_t details; /* so many of the rows are just details */
    size_t *order;  /* where each row begins in `texts`, sorted */
    size_t ordered, ordered_bytes, order_cap;
    size_t given; /* so many of them were handed out */
    bool is_in_parts;
    unsigned most, outstanding; /* registry_find_id */
    struct found *found;
};

/* --- rows --- */

static void add_text(struct registry_query *q, struct bytes text) {
    size_t len = text.len;
    buf_append(&q->texts, bytes_of((const char *)&len, sizeof(len)));
    buf_append(&q->texts, text);
}

static void add_row(struct registry_query *q, const struct registry_row *row) {
    add_text(q, row->name);
    add_text(q, row->client_id);
    add_text(q, row->value);
    add_text(q, row->details);
    q->rows++;
}

static void add_name(struct registry_query *q, struct bytes name) {
    add_row(q, &(struct registry_row){.name = name});
}

static struct bytes read_text(const char **at) {
    size_t len;
    memcpy(&len, *at, sizeof(len));
    struct bytes text = bytes_of(*at + sizeof(len), len);
    *at += sizeof(len) + len;
    return text;
}

static int by_name_and_id(const void *a, const void *b) {
    const struct registry_row *x = a, *y = b;
    int order = bytes_compare(x->name, y->name);
    return order != 0 ? order : bytes_compare(x->client_id, y->client_id);
}

static struct registry_query *query_new(struct registry *r, struct bytes name,
                                        struct bytes client_id, registry_rows_fn *fn, void *ctx) {
    struct registry_query *q = mem_zalloc(sizeof(*q));
    *q = (struct registry_query){.bus = registry_bus(r),
                                 .fn = fn,
                                 .ctx = ctx,
                                 .lists = registry_lists_ref(registry_lists_of(r))};
    q->name = bytes_dup(name);
    q->name_len = name.len;
    q->client_id = bytes_dup(client_id);
    q->client_id_len = client_id.len;
    buf_append_str(&q->cursor, "0");
    return q;
}

static void query_free(struct registry_query *q) {
    registry_lists_leave(q->lists, &q->place);
    registry_lists_unref(q->lists);
    free(q->name);
    free(q->client_id);
    free(q->found);
    free(q->order);
    buf_deinit(&q->cursor);
    buf_deinit(&q->texts);
    free(q);
}

const char *registry_failure(int status) {
    if (status == -EBUSY)
        return "too many lists of connections are asked for at once";
    if (status == -E2BIG)
        return "the Name has too many connections for one list";
    if (status == -EFBIG)
        return "there are too many Names for one list";
    if (status == -EMSGSIZE)
        return "the list of connections is too long to be read now";
    return "the registry cannot be reached: no Redis";
}

static void fail(struct registry_query *q) {
    q->fn(q->ctx, q->status < 0 ? q->status : -ENOTCONN, NULL, 0);
    query_free(q);
}

static void fail_later(void *query) {
    fail(query);
}

static bool can_ask(struct registry_query *q) {
    if (bus_can_send(q->bus))
        return true;
    later(bus_loop(q->bus), fail_later, q);
    return false;
}

static void note_refusal(struct registry_query *q, const char *command,
                         const struct redisReply *reply) {
    if (reply_is_error(reply, NULL))
        bus_refused(q->bus, command, reply);
}

/* --- the order --- */

static struct registry_row row_at(const struct registry_query *q, size_t at) {
    const char *text = q->texts.ptr + at;
    struct registry_row row;
    row.name = read_text(&text);
    row.client_id = read_text(&text);
    row.value = read_text(&text);
    row.details = read_text(&text);
    return row;
}

static int compare_at(const void *a, const void *b, void *query) {
    struct registry_row x = row_at(query, *(const size_t *)a);
    struct registry_row y = row_at(query, *(const size_t *)b);
    return by_name_and_id(&x, &y);
}

/* How many of the first `count` are not after the row. */
static size_t count_before(struct registry_query *q, size_t count, size_t row) {
    size_t from = 0;
    while (from < count) {
        size_t middle = from + (count - from) / 2;
        if (compare_at(&q->order[middle], &row, q) <= 0)
            from = middle + 1;
        else
            count = middle;
    }
    return from;
}

/* The rows that were added since the last time take their places in the order. */
static void merge(struct registry_query *q) {
    size_t count = q->rows - q->ordered, left = q->ordered, end = q->rows;
    if (count == 0)
        return;
    size_t *page = mem_alloc(count * sizeof(*page));
    const char *at = q->texts.ptr + q->ordered_bytes;
    for (size_t i = 0; i < count; i++) {
        page[i] = (size_t)(at - q->texts.ptr);
        for (int text = 0; text < 4; text++)
            (void)read_text(&at);
    }
    qsort_r(page, count, sizeof(*page), compare_at, q);
    if (q->rows > q->order_cap) {
        q->order_cap = q->rows * 2;
        q->order = mem_realloc(q->order, q->order_cap * sizeof(*q->order));
    }
    while (count > 0) {
        size_t place = count_before(q, left, page[--count]);
        end -= left - place;
        memmove(q->order + end, q->order + place, (left - place) * sizeof(*q->order));
        q->order[--end] = page[count];
        left = place;
    }
    q->ordered = q->rows;
    q->ordered_bytes = q->texts.len;
    free(page);
}

/* The next row, of all that there is of its connection. */
static struct registry_row next_row(struct registry_query *q) {
    size_t first = q->given++;
    struct registry_row row = row_at(q, q->order[first]);
    for (; q->given < q->ordered && compare_at(&q->order[first], &q->order[q->given], q) == 0;
         q->given++) {
        struct registry_row other = row_at(q, q->order[q->given]);
        row.value = row.value.len > 0 ? row.value : other.value;
        row.details = row.details.len > 0 ? row.details : other.details;
    }
    return row;
}

/* The next rows, at most so many, as an array; free() it. They borrow from q->texts. */
static struct registry_row *take_rows(struct registry_query *q, size_t most, size_t *count_out) {
    size_t left = q->ordered - q->given, count = 0;
    struct registry_row *rows = mem_alloc(((left < most ? left : most) + 1) * sizeof(*rows));
    while (q->given < q->ordered && count < most) {
        rows[count] = next_row(q);
        count += rows[count].details.len == 0 || rows[count].value.len > 0;
    }
    *count_out = count;
    return rows;
}

static void give_part(void *query) {
    struct registry_query *q = query;
    size_t count;
    struct registry_row *rows = take_rows(q, REGISTRY_PART_ROWS, &count);
    if (count > 0)
        q->fn(q->ctx, REGISTRY_PART, rows, count);
    free(rows);
    if (q->given < q->ordered) {
        later_on_next_turn(bus_loop(q->bus), give_part, q);
        return;
    }
    q->fn(q->ctx, 0, NULL, 0);
    query_free(q);
}

/* The plain end: all rows to the caller. */
static void answer(struct registry_query *q) {
    size_t count;
    merge(q);
    struct registry_row *rows = take_rows(q, SIZE_MAX, &count);
    q->fn(q->ctx, 0, rows, count);
    free(rows);
    query_free(q);
}

/* --- paging --- */

static void ask_page(struct registry_query *q);

static void on_page(void *ctx, struct redisReply *reply) {
    struct registry_query *q = ctx;
    struct bytes cursor = reply_bytes(reply_at(reply, 0));
    note_refusal(q, q->is_scan ? "SCAN" : "HSCAN of a Name", reply);
    if (reply == NULL || cursor.len == 0) {
        fail(q);
        return;
    }
    size_t held = q->texts.len;
    q->on_page(q, reply_at(reply, 1));
    merge(q);
    buf_clear(&q->cursor);
    buf_append(&q->cursor, cursor);
    if (!registry_lists_hold(q->lists, &q->place, q->texts.len - held))
        q->status = -EMSGSIZE;
    if (q->rows - q->details > q->most_rows)
        q->status = q->is_scan ? -EFBIG : -E2BIG;
    bool is_last = q->status == 0 && bytes_equal(cursor, BYTES_LIT("0"));
    if (is_last && q->is_in_parts)
        give_part(q);
    else if (is_last)
        answer(q);
    else if (q->status == 0 && bus_can_send(q->bus))
        ask_page(q);
    else
        fail(q);
}

static void ask_page(struct registry_query *q) {
    struct bytes name = bytes_of(q->name, q->name_len);
    struct buf key = {0};
    unsigned partition = partition_of(name, bus_partitions(q->bus));
    struct command c = command_begin(q->is_scan ? "SCAN" : "HSCAN");
    if (!q->is_scan)
        command_bytes(&c, key_of(&key, partition, KEY_CONNECTIONS, name));
    command_bytes(&c, buf_bytes(&q->cursor));
    if (q->is_scan) {
        command_text(&c, "MATCH");
        command_bytes(&c, key_pattern(&key, KEY_CONNECTIONS));
    }
    command_text(&c, "COUNT");
    command_number(&c, PAGE);
    buf_deinit(&key);
    bus_send(q->bus, q->is_scan ? BUS_FLEET : partition, &c, on_page, q);
}

static void on_turn(struct list_place *place) {
    struct registry_query *q = container_of(place, struct registry_query, place);
    if (can_ask(q))
        ask_page(q);
}

static void begin_list(struct registry_query *q) {
    q->place.on_turn = on_turn;
    if (registry_lists_enter(q->lists, &q->place))
        return;
    q->status = -EBUSY;
    later(bus_loop(q->bus), fail_later, q);
}

/* --- the lists --- */

/* A client id has no NUL in it; the details of its connection have one before it. */
static void add_members(struct registry_query *q, struct redisReply *elements) {
    for (size_t i = 0; i + 1 < reply_count(elements); i += 2) {
        struct bytes id = reply_bytes(reply_at(elements, i));
        struct bytes value = reply_bytes(reply_at(elements, i + 1));
        struct registry_row row = {.name = bytes_of(q->name, q->name_len)};
        bool is_details = id.len > 0 && id.ptr[0] == '\0';
        row.client_id = is_details ? bytes_from(id, 1) : id;
        *(is_details ? &row.details : &row.value) = value;
        q->details += is_details;
        add_row(q, &row);
    }
}

void registry_list(struct registry *r, struct bytes name, registry_rows_fn *fn, void *ctx) {
    struct registry_query *q = query_new(r, name, BYTES_NONE, fn, ctx);
    q->on_page = add_members;
    q->most_rows = REGISTRY_LIST_MAX;
    begin_list(q);
}

void registry_list_in_parts(struct registry *r, struct bytes name, registry_rows_fn *fn,
                            void *ctx) {
    struct registry_query *q = query_new(r, name, BYTES_NONE, fn, ctx);
    q->on_page = add_members;
    q->most_rows = SIZE_MAX;
    q->is_in_parts = true;
    begin_list(q);
}

static void add_names(struct registry_query *q, struct redisReply *elements) {
    for (size_t i = 0; i < reply_count(elements); i++) {
        struct bytes key = reply_bytes(reply_at(elements, i));
        ptrdiff_t tag_end = bytes_find(key, '}');
        struct bytes rest = bytes_from(key, (size_t)(tag_end + 1));
        if (tag_end > 0 && bytes_starts_with(rest, BYTES_LIT(":c:")))
            add_name(q, bytes_from(rest, 3));
    }
}

static struct registry_query *names_new(struct registry *r, registry_rows_fn *fn, void *ctx) {
    struct registry_query *q = query_new(r, BYTES_NONE, BYTES_NONE, fn, ctx);
    q->is_scan = true;
    q->on_page = add_names;
    return q;
}

void registry_names(struct registry *r, registry_rows_fn *fn, void *ctx) {
    struct registry_query *q = names_new(r, fn, ctx);
    q->most_rows = REGISTRY_NAMES_MAX;
    begin_list(q);
}

void registry_names_in_parts(struct registry *r, registry_rows_fn *fn, void *ctx) {
    struct registry_query *q = names_new(r, fn, ctx);
    q->most_rows = SIZE_MAX;
    q->is_in_parts = true;
    begin_list(q);
}

/* --- one Name --- */

/* [value, details], or nil for each; false: there is no such connection. */
static bool read_member(struct redisReply *reply, struct registry_row *row) {
    row->value = reply_bytes(reply_at(reply, 0));
    row->details = reply_bytes(reply_at(reply, 1));
    return row->value.len > 0;
}

static void on_found(void *ctx, struct redisReply *reply) {
    struct registry_query *q = ctx;
    struct registry_row row = {.name = bytes_of(q->name, q->name_len),
                               .client_id = bytes_of(q->client_id, q->client_id_len)};
    note_refusal(q, "HMGET of a connection", reply);
    if (reply == NULL || reply_is_error(reply, NULL)) {
        fail(q);
        return;
    }
    if (read_member(reply, &row))
        add_row(q, &row);
    answer(q);
}

static void ask_member(struct registry_query *q, struct bytes name, reply_fn *fn, void *ctx) {
    struct buf key = {0};
    unsigned partition = partition_of(name, bus_partitions(q->bus));
    struct command c = command_begin("HMGET");
    command_bytes(&c, key_of(&key, partition, KEY_CONNECTIONS, name));
    command_bytes(&c, bytes_of(q->client_id, q->client_id_len));
    buf_clear(&key);
    buf_append_char(&key, '\0');
    buf_append(&key, bytes_of(q->client_id, q->client_id_len));
    command_bytes(&c, buf_bytes(&key));
    buf_deinit(&key);
    bus_send(q->bus, partition, &c, fn, ctx);
}

void registry_find(struct registry *r, struct bytes name, struct bytes client_id,
                   registry_rows_fn *fn, void *ctx) {
    struct registry_query *q = query_new(r, name, client_id, fn, ctx);
    if (can_ask(q))
        ask_member(q, name, on_found, q);
}

static void on_name(void *ctx, struct redisReply *reply) {
    struct registry_query *q = ctx;
    note_refusal(q, "EXISTS of a Name", reply);
    if (reply == NULL || reply_is_error(reply, NULL)) {
        fail(q);
        return;
    }
    if (reply_number(reply, 0) > 0)
        add_name(q, bytes_of(q->name, q->name_len));
    answer(q);
}

void registry_find_name(struct registry *r, struct bytes name, registry_rows_fn *fn, void *ctx) {
    struct registry_query *q = query_new(r, name, BYTES_NONE, fn, ctx);
    if (!can_ask(q))
        return;
    struct buf key = {0};
    unsigned partition = partition_of(name, bus_partitions(q->bus));
    struct command c = command_begin("EXISTS");
    command_bytes(&c, key_of(&key, partition, KEY_CONNECTIONS, name));
    buf_deinit(&key);
    bus_send(q->bus, partition, &c, on_name, q);
}

/* --- an id alone --- */

/* A connection that the index names. */
struct found {
    struct registry_query *query;
    struct bytes name; /* borrowed from query->texts */
    struct buf value;  /* empty until it is found, or for good */
    struct buf details;
};

static void end_find_id(struct registry_query *q) {
    struct registry_row *hits = mem_alloc((q->rows + 1) * sizeof(*hits));
    size_t count = 0;
    for (size_t i = 0; i < q->rows; i++)
        if (q->found[i].value.len > 0)
            hits[count++] = (struct registry_row){
                q->found[i].name, bytes_of(q->client_id, q->client_id_len),
                buf_bytes(&q->found[i].value), buf_bytes(&q->found[i].details)};
    q->fn(q->ctx, q->status, hits, q->status < 0 ? 0 : count);
    for (size_t i = 0; i < q->rows; i++) {
        buf_deinit(&q->found[i].value);
        buf_deinit(&q->found[i].details);
    }
    free(hits);
    query_free(q);
}

/* Whether the answer can be used; it is one less to wait for. */
static bool is_answered(struct registry_query *q, const char *command, struct redisReply *reply) {
    note_refusal(q, command, reply);
    q->outstanding--;
    if (reply != NULL && !reply_is_error(reply, NULL))
        return true;
    q->status = -ENOTCONN;
    return false;
}

static void on_member(void *ctx, struct redisReply *reply) {
    struct found *f = ctx;
    struct registry_query *q = f->query;
    struct registry_row row;
    if (is_answered(q, "HMGET of a connection", reply) && read_member(reply, &row)) {
        buf_append(&f->value, row.value);
        buf_append(&f->details, row.details);
    }
    if (q->outstanding == 0)
        end_find_id(q);
}

static void ask_members(struct registry_query *q) {
    size_t count;
    merge(q);
    struct registry_row *rows = take_rows(q, SIZE_MAX, &count);
    q->rows = count;
    q->found = mem_zalloc((count + 1) * sizeof(*q->found));
    for (size_t i = 0; i < count; i++)
        q->found[i] = (struct found){.query = q, .name = rows[i].name};
    free(rows);
    if (count > 0 && !bus_can_send(q->bus))
        q->status = -ENOTCONN;
    for (size_t i = 0; i < count && q->status == 0; i++) {
        q->outstanding++;
        ask_member(q, q->found[i].name, on_member, &q->found[i]);
    }
    if (q->outstanding == 0)
        end_find_id(q);
}

/* Members of the index: client id NUL Name. */
static void on_indexed(void *ctx, struct redisReply *reply) {
    struct registry_query *q = ctx;
    if (is_answered(q, "ZRANGEBYLEX of client ids", reply))
        for (size_t i = 0; i < reply_count(reply); i++)
            add_name(q, bytes_from(reply_bytes(reply_at(reply, i)), q->client_id_len + 1));
    if (q->outstanding == 0)
        ask_members(q);
}

static void add_bound(struct command *c, char bracket, struct bytes client_id, char end) {
    struct buf text = {0};
    buf_append_char(&text, bracket);
    buf_append(&text, client_id);
    buf_append_char(&text, end);
    command_bytes(c, buf_bytes(&text));
    buf_deinit(&text);
}

static void ask_index(struct registry_query *q, unsigned partition) {
    struct bytes client_id = bytes_of(q->client_id, q->client_id_len);
    struct buf key = {0};
    struct command c = command_begin("ZRANGEBYLEX");
    command_bytes(&c, key_of(&key, partition, KEY_CLIENT_IDS, BYTES_NONE));
    add_bound(&c, '[', client_id, '\0');
    add_bound(&c, '(', client_id, '\1');
    command_text(&c, "LIMIT");
    command_number(&c, 0);
    command_number(&c, q->most);
    buf_deinit(&key);
    q->outstanding++;
    bus_send(q->bus, partition, &c, on_indexed, q);
}

void registry_find_id(struct registry *r, struct bytes client_id, unsigned most,
                      registry_rows_fn *fn, void *ctx) {
    struct registry_query *q = query_new(r, BYTES_NONE, client_id, fn, ctx);
    q->most = most;
    if (!can_ask(q))
        return;
    for (unsigned p = 0; p < bus_partitions(q->bus); p++)
        ask_index(q, p);
}
