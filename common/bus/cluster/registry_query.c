/*
 * registry_query.c - the questions of registry.h.
 *
 * A list is a query that collects rows page by page (SCAN over the partitions' c:* keys, HSCAN over
 * one c:<name>) and answers once, sorted and without the repetitions that SCAN may give. A big Name
 * never blocks Redis.
 */
#include "common/bus/cluster/registry.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/bus/bus_send.h"
#include "common/net/later.h"

enum { PAGE = 1000 };

struct registry_query {
    struct bus *bus;
    registry_rows_fn *fn;
    void *ctx;
    void (*on_page)(struct registry_query *q, struct redisReply *elements);
    void (*on_end)(struct registry_query *q);
    bool is_scan; /* SCAN, else HSCAN of `name` */
    char *name, *client_id;
    size_t name_len, client_id_len;
    struct buf cursor;
    struct buf texts; /* three length-prefixed texts a row: name, client id, value */
    size_t rows;
    size_t next_name, names_outstanding; /* registry_find_id: the second part */
    struct registry_row *found;
    bool is_broken; /* Redis went away in the middle */
};

/* --- rows --- */

static void add_text(struct registry_query *q, struct bytes text) {
    size_t len = text.len;
    buf_append(&q->texts, bytes_of((const char *)&len, sizeof(len)));
    buf_append(&q->texts, text);
}

static void add_row(struct registry_query *q, struct bytes name, struct bytes client_id,
                    struct bytes value) {
    add_text(q, name);
    add_text(q, client_id);
    add_text(q, value);
    q->rows++;
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

/* The rows as an array, sorted, each once; free() it. They borrow from q->texts. */
static struct registry_row *sorted_rows(struct registry_query *q, size_t *count_out) {
    struct registry_row *rows = mem_alloc((q->rows + 1) * sizeof(*rows));
    const char *at = q->texts.ptr;
    size_t count = 0;
    for (size_t i = 0; i < q->rows; i++) {
        rows[i].name = read_text(&at);
        rows[i].client_id = read_text(&at);
        rows[i].value = read_text(&at);
    }
    qsort(rows, q->rows, sizeof(*rows), by_name_and_id);
    for (size_t i = 0; i < q->rows; i++)
        if (count == 0 || by_name_and_id(&rows[count - 1], &rows[i]) != 0)
            rows[count++] = rows[i];
    *count_out = count;
    return rows;
}

static struct registry_query *query_new(struct registry *r, struct bytes name,
                                        struct bytes client_id, registry_rows_fn *fn, void *ctx) {
    struct registry_query *q = mem_zalloc(sizeof(*q));
    *q = (struct registry_query){.bus = registry_bus(r), .fn = fn, .ctx = ctx};
    q->name = bytes_dup(name);
    q->name_len = name.len;
    q->client_id = bytes_dup(client_id);
    q->client_id_len = client_id.len;
    buf_append_str(&q->cursor, "0");
    return q;
}

static void query_free(struct registry_query *q) {
    free(q->name);
    free(q->client_id);
    free(q->found);
    buf_deinit(&q->cursor);
    buf_deinit(&q->texts);
    free(q);
}

static void fail(struct registry_query *q) {
    q->fn(q->ctx, -ENOTCONN, NULL, 0);
    query_free(q);
}

static void note_refusal(struct registry_query *q, const char *command,
                         const struct redisReply *reply) {
    if (reply_is_error(reply, NULL))
        bus_refused(q->bus, command, reply);
}

/* The plain end: all rows to the caller. */
static void answer(struct registry_query *q) {
    size_t count;
    struct registry_row *rows = sorted_rows(q, &count);
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
    q->on_page(q, reply_at(reply, 1));
    buf_clear(&q->cursor);
    buf_append(&q->cursor, cursor);
    if (bytes_equal(cursor, BYTES_LIT("0")))
        q->on_end(q);
    else if (bus_can_send(q->bus))
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

static void fail_later(void *query) {
    fail(query);
}

static bool can_ask(struct registry_query *q) {
    if (bus_can_send(q->bus))
        return true;
    later(bus_loop(q->bus), fail_later, q);
    return false;
}

/* --- one Name --- */

static void add_members(struct registry_query *q, struct redisReply *elements) {
    for (size_t i = 0; i + 1 < reply_count(elements); i += 2)
        add_row(q, bytes_of(q->name, q->name_len), reply_bytes(reply_at(elements, i)),
                reply_bytes(reply_at(elements, i + 1)));
}

void registry_list(struct registry *r, struct bytes name, registry_rows_fn *fn, void *ctx) {
    struct registry_query *q = query_new(r, name, BYTES_NONE, fn, ctx);
    q->on_page = add_members;
    q->on_end = answer;
    if (can_ask(q))
        ask_page(q);
}

static void on_found(void *ctx, struct redisReply *reply) {
    struct registry_query *q = ctx;
    note_refusal(q, "HGET of a connection", reply);
    if (reply == NULL || reply_is_error(reply, NULL)) {
        fail(q);
        return;
    }
    if (!reply_is_nil(reply))
        add_row(q, bytes_of(q->name, q->name_len), bytes_of(q->client_id, q->client_id_len),
                reply_bytes(reply));
    answer(q);
}

static void ask_member(struct registry_query *q, struct bytes name, reply_fn *fn) {
    struct buf key = {0};
    unsigned partition = partition_of(name, bus_partitions(q->bus));
    struct command c = command_begin("HGET");
    command_bytes(&c, key_of(&key, partition, KEY_CONNECTIONS, name));
    command_bytes(&c, bytes_of(q->client_id, q->client_id_len));
    buf_deinit(&key);
    bus_send(q->bus, partition, &c, fn, q);
}

void registry_find(struct registry *r, struct bytes name, struct bytes client_id,
                   registry_rows_fn *fn, void *ctx) {
    struct registry_query *q = query_new(r, name, client_id, fn, ctx);
    if (can_ask(q))
        ask_member(q, name, on_found);
}

/* --- all Names --- */

static void add_names(struct registry_query *q, struct redisReply *elements) {
    for (size_t i = 0; i < reply_count(elements); i++) {
        struct bytes key = reply_bytes(reply_at(elements, i));
        ptrdiff_t tag_end = bytes_find(key, '}');
        struct bytes rest = bytes_from(key, (size_t)(tag_end + 1));
        if (tag_end > 0 && bytes_starts_with(rest, BYTES_LIT(":c:")))
            add_row(q, bytes_from(rest, 3), BYTES_NONE, BYTES_NONE);
    }
}

static struct registry_query *query_names(struct registry *r, struct bytes client_id,
                                          registry_rows_fn *fn, void *ctx) {
    struct registry_query *q = query_new(r, BYTES_NONE, client_id, fn, ctx);
    q->is_scan = true;
    q->on_page = add_names;
    q->on_end = answer;
    return q;
}

void registry_names(struct registry *r, registry_rows_fn *fn, void *ctx) {
    struct registry_query *q = query_names(r, BYTES_NONE, fn, ctx);
    if (can_ask(q))
        ask_page(q);
}

/* registry_find_id looks for the id in every Name, in PAGE of them at a time. */
static void ask_names(struct registry_query *q);

static void free_found(struct registry_query *q) {
    for (size_t i = 0; i < q->rows; i++)
        free((char *)q->found[i].value.ptr);
}

static void fail_find_id(struct registry_query *q) {
    free_found(q);
    fail(q);
}

static void end_find_id(struct registry_query *q) {
    struct registry_row *hits = mem_alloc((q->rows + 1) * sizeof(*hits));
    size_t count = 0;
    for (size_t i = 0; i < q->rows; i++)
        if (q->found[i].value.ptr != NULL)
            hits[count++] = q->found[i];
    q->fn(q->ctx, 0, hits, count);
    free_found(q);
    free(hits);
    query_free(q);
}

/* Answers come in the order of the questions. */
static void on_member(void *ctx, struct redisReply *reply) {
    struct registry_query *q = ctx;
    struct registry_row *row = &q->found[q->next_name - q->names_outstanding];
    note_refusal(q, "HGET of a connection", reply);
    if (reply == NULL || reply_is_error(reply, NULL)) {
        q->is_broken = true;
    } else if (!reply_is_nil(reply)) {
        struct bytes value = reply_bytes(reply);
        row->value = bytes_of(bytes_dup(value), value.len);
        row->client_id = bytes_of(q->client_id, q->client_id_len);
    }
    if (--q->names_outstanding > 0)
        return;
    if (q->is_broken || (q->next_name < q->rows && !bus_can_send(q->bus)))
        fail_find_id(q);
    else if (q->next_name == q->rows)
        end_find_id(q);
    else
        ask_names(q);
}

static void ask_names(struct registry_query *q) {
    while (q->next_name < q->rows && q->names_outstanding < PAGE) {
        q->names_outstanding++;
        ask_member(q, q->found[q->next_name++].name, on_member);
    }
}

static void begin_find_id(struct registry_query *q) {
    q->found = sorted_rows(q, &q->rows);
    for (size_t i = 0; i < q->rows; i++)
        q->found[i].value = BYTES_NONE; /* until the id is found there */
    if (q->rows == 0)
        end_find_id(q);
    else if (bus_can_send(q->bus))
        ask_names(q);
    else
        fail_find_id(q);
}

void registry_find_id(struct registry *r, struct bytes client_id, registry_rows_fn *fn, void *ctx) {
    struct registry_query *q = query_names(r, client_id, fn, ctx);
    q->on_end = begin_find_id;
    if (can_ask(q))
        ask_page(q);
}
