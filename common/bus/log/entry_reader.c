/* entry_reader.c - see entry_reader.h. Read entry_reader_read, then on_reply. */
#include "common/bus/log/entry_reader.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/log.h"
#include "common/base/memory_budget.h"
#include "common/base/settings.h"
#include "common/bus/bus_send.h"
#include "common/bus/redis/link.h"
#include "common/bus/redis/paging.h"
#include "common/bus/redis/redis_settings.h"
#include "common/bus/redis/troubles.h"

enum { COUNT_FIRST = 16, BLOCK_MS = 2000, FIELDS_MAX = 16, PEEK_BYTES = 1024 };

struct entry_reader {
    struct bus *bus;
    struct link *link;
    unsigned partition;
    struct buf key;
    enum entry_reader_kind kind;
    struct message_id position;
    struct paging paging;
    bool is_wanted, is_asked;
    struct trouble unread;
    struct peeking *peeking; /* NULL: no peek is under way */
    const struct entry_reader_events *events;
    void *ctx;
};

/* --- entries --- */

struct in_entry *in_entry_ref(struct in_entry *e) {
    e->refs++;
    return e;
}

void in_entry_unref(struct in_entry *e) {
    if (e == NULL || --e->refs > 0)
        return;
    entry_free(&e->entry);
    memory_count(MEMORY_requests, &e->counted, 0);
    free(e);
}

static struct bytes field(const struct bytes *fields, size_t count, const char *name) {
    for (size_t i = 0; i + 1 < count; i += 2)
        if (bytes_equal_str(fields[i], name))
            return fields[i + 1];
    return BYTES_NONE;
}

/* The values of all fields, one after the other: [name][value][name][value]. */
static void copy_fields(struct in_entry *e, struct bytes *fields, size_t count) {
    char *to = e->bytes;
    for (size_t i = 0; i < count; i++) {
        if (fields[i].len > 0)
            memcpy(to, fields[i].ptr, fields[i].len);
        fields[i].ptr = to;
        to += fields[i].len;
    }
    e->text = bytes_of(e->bytes, (size_t)(to - e->bytes));
}

/* o: its order, h: handlers that have run (requeue.lua). */
static void read_return(struct in_entry *e, const struct bytes *fields, size_t count) {
    struct message_id order;
    uint64_t handled = 0;
    e->is_back = message_id_parse(field(fields, count, "o"), &order);
    if (e->is_back)
        e->order = order;
    if (e->is_back && bytes_to_u64(field(fields, count, "h"), &handled) && handled <= UINT_MAX)
        e->handled = (unsigned)handled;
}

/* t: C or D, n: name, i: client id, v: connection value, r: reason, x: details. */
static bool read_connection(struct in_entry *e, const struct bytes *fields, size_t count) {
    struct bytes type = field(fields, count, "t");
    e->entry = (struct entry){.ts_ms = e->id.term,
                              .name = field(fields, count, "n"),
                              .client_id = field(fields, count, "i"),
                              .conn = field(fields, count, "v"),
                              .body = field(fields, count, "r"),
                              .details = field(fields, count, "x")};
    e->entry.kind = bytes_equal_str(type, "C") ? ENTRY_CONNECT : ENTRY_DISCONNECT;
    return bytes_equal_str(type, "C") || bytes_equal_str(type, "D");
}

/* An entry of the public stream has one field, m. */
static struct bytes stray_of(const struct bytes *fields, size_t count) {
    size_t i = count > 0 && bytes_equal_str(fields[0], "m") ? 2 : 0;
    return i < count ? fields[i] : BYTES_NONE;
}

struct in_entry *in_entry_new(enum entry_reader_kind kind, struct message_id id,
                              const struct bytes *fields, size_t count) {
    struct bytes own[FIELDS_MAX];
    size_t len = 0;
    count = count > FIELDS_MAX ? FIELDS_MAX : count;
    for (size_t i = 0; i < count; i++) {
        own[i] = fields[i];
        len += fields[i].len;
    }
    struct in_entry *e = mem_alloc(sizeof(*e) + len);
    *e = (struct in_entry){.refs = 1, .id = id, .order = id};
    memory_count(MEMORY_requests, &e->counted, sizeof(*e) + len);
    message_id_format(id, e->id_text);
    copy_fields(e, own, count);
    struct bytes m = field(own, count, "m");
    if (m.ptr != NULL)
        e->text = m;
    if (kind == ENTRY_READER_ENTRIES)
        read_return(e, own, count);
    else
        e->stray = stray_of(own, count);
    if (kind == ENTRY_READER_ENTRIES && m.ptr != NULL)
        e->is_bad = entry_decode(m, &e->entry) != PARSE_OK;
    else if (kind == ENTRY_READER_ENTRIES)
        e->is_bad = !read_connection(e, own, count);
    if (e->is_bad)
        e->entry = (struct entry){0};
    return e;
}

static struct in_entry *read_entry(enum entry_reader_kind kind, struct redisReply *row) {
    struct redisReply *pairs = reply_at(row, 1);
    struct bytes fields[FIELDS_MAX];
    struct message_id id;
    size_t count = reply_count(pairs) > FIELDS_MAX ? FIELDS_MAX : reply_count(pairs);
    if (!message_id_parse(reply_bytes(reply_at(row, 0)), &id))
        return NULL;
    for (size_t i = 0; i < count; i++)
        fields[i] = reply_bytes(reply_at(pairs, i));
    return in_entry_new(kind, id, fields, count);
}

/* --- reading --- */

/* [[key, [[id, [field, value, …]], …]]] */
static void on_reply(void *ctx, struct redisReply *reply) {
    struct entry_reader *l = ctx;
    struct redisReply *rows = reply_at(reply_at(reply, 0), 1);
    struct in_entry *entries[ENTRY_READER_MAX];
    size_t count = 0, bytes = 0;
    l->is_asked = false;
    if (reply == NULL) {
        paging_broke(&l->paging);
        return; /* the link comes back and on_ready asks again */
    }
    if (reply_is_error(reply, NULL)) {
        trouble_raise(&l->unread, reply_bytes(reply));
        link_refused(l->link, "XREAD", reply);
        return;
    }
    trouble_clear(&l->unread);
    for (size_t i = 0; i < reply_count(rows) && count < ENTRY_READER_MAX; i++) {
        entries[count] = read_entry(l->kind, reply_at(rows, i));
        if (entries[count] == NULL)
            continue;
        l->position = entries[count]->id;
        bytes += entries[count++]->text.len;
    }
    paging_read(&l->paging, count, bytes);
    if (count == 0) {
        entry_reader_read(l);
        return;
    }
    l->is_wanted = false;
    l->events->on_entries(l->ctx, entries, count);
}

void entry_reader_read(struct entry_reader *l) {
    char position[MESSAGE_ID_TEXT];
    l->is_wanted = true;
    if (l->is_asked || !link_is_ready(l->link))
        return;
    struct command c = command_begin("XREAD");
    command_text(&c, "COUNT");
    command_number(&c, l->paging.count);
    if (!trouble_is_raised(&l->unread)) { /* otherwise the answer tells that it is over */
        command_text(&c, "BLOCK");
        command_number(&c, BLOCK_MS);
    }
    command_text(&c, "STREAMS");
    command_bytes(&c, buf_bytes(&l->key));
    command_text(&c, message_id_format(l->position, position));
    l->is_asked = true;
    link_send(l->link, &c, on_reply, l);
}

/* --- an entry that cannot be read --- */

/* The reader may be closed before the answer. */
struct peeking {
    struct entry_reader *reader; /* NULL: it is gone */
};

static struct in_entry *unread_entry(const struct entry_reader *l, struct message_id id,
                                     size_t bytes, struct bytes head) {
    const struct bytes fields[] = {BYTES_LIT("m"), head};
    struct in_entry *e = in_entry_new(l->kind, id, fields, ARRAY_LEN(fields));
    e->is_bad = true;
    e->unread_bytes = bytes;
    entry_free(&e->entry);
    e->entry = (struct entry){0};
    return e;
}

static void tell_unreadable(struct entry_reader *l, size_t bytes) {
    char why[TROUBLE_WHY_MAX];
    snprintf(why, sizeof(why),
             "an entry of %zu bytes: client-output-buffer-limit normal is too "
             "small for it",
             bytes);
    if (l->paging.stuck == PAGING_STUCK)
        log_error("entry_reader", "cannot_read key=%s why=\"%s\"", LOG_TEXT(buf_bytes(&l->key)),
                  why);
    trouble_raise(&l->unread, bytes_str(why));
}

/* A message of a legal size waits until Redis' limit is raised. One that would be refused for its
 * size anyway is handed on by its beginning. */
static void on_peeked(struct entry_reader *l, struct redisReply *reply) {
    struct message_id id;
    size_t bytes = (size_t)reply_number(reply_at(reply, 1), 0);
    if (!l->is_wanted || l->is_asked || !message_id_parse(reply_bytes(reply_at(reply, 0)), &id))
        return;
    if (bytes <= (size_t)redis_settings_largest(bus_settings(l->bus)->max_message_bytes)) {
        tell_unreadable(l, bytes);
        return;
    }
    struct in_entry *entry = unread_entry(l, id, bytes, reply_bytes(reply_at(reply, 2)));
    l->paging.stuck = 0;
    l->position = id;
    l->is_wanted = false;
    l->events->on_entries(l->ctx, &entry, 1);
}

static void on_peek(void *ctx, struct redisReply *reply) {
    struct peeking *p = ctx;
    if (p->reader != NULL)
        p->reader->peeking = NULL;
    if (p->reader != NULL && reply != NULL)
        on_peeked(p->reader, reply);
    free(p);
}

static void peek(struct entry_reader *l) {
    char position[MESSAGE_ID_TEXT];
    if (l->peeking != NULL || !bus_can_send(l->bus))
        return;
    l->peeking = mem_alloc(sizeof(*l->peeking));
    l->peeking->reader = l;
    struct command c = command_script(SCRIPT_peek_entry, 1);
    command_bytes(&c, buf_bytes(&l->key));
    command_text(&c, message_id_format(l->position, position));
    command_number(&c, PEEK_BYTES);
    bus_send(l->bus, l->partition, &c, on_peek, l->peeking);
}

/* A position means something only where outputs are committed. */
static void on_ready(void *ctx) {
    struct entry_reader *l = ctx;
    if (bus_can_send(l->bus) && !bus_goes_with_commands(l->bus, l->link))
        link_break(l->link, "the commands go to another server");
    else if (l->is_wanted)
        entry_reader_read(l);
}

/* A read that was under way had its NULL; on_ready asks again. */
static void on_down(void *ctx, const char *why) {
    struct entry_reader *l = ctx;
    trouble_raise(&l->unread, bytes_str(why));
    if (paging_is_stuck(&l->paging))
        peek(l);
}

struct entry_reader *entry_reader_new(struct bus *bus, const struct entry_reader_options *options,
                                      const struct entry_reader_events *events, void *ctx) {
    static const struct link_events link_events = {on_ready, on_down, NULL};
    struct entry_reader *l = mem_alloc(sizeof(*l));
    *l = (struct entry_reader){.bus = bus,
                               .partition = options->partition,
                               .kind = options->kind,
                               .position = options->cursor,
                               .events = events,
                               .ctx = ctx};
    paging_init(&l->paging, COUNT_FIRST, ENTRY_READER_MAX);
    key_of(&l->key, options->partition, KEY_IN, BYTES_NONE);
    char what[32];
    snprintf(what, sizeof(what), "in %s", options->label);
    trouble_init(&l->unread, bus_troubles(bus), TROUBLE_readers, options->label);
    trouble_raise(&l->unread, BYTES_LIT("not connected yet"));
    l->link = link_new(bus_loop(bus), bus_url(bus), LINK_BLOCKING, what, &link_events, l);
    l->unread.reason = link_trouble(l->link);
    return l;
}

/* Also in the words of the link, which ends with such an answer. */
uint64_t entry_reader_unread_ms(const struct entry_reader *l) {
    bool is_data = strstr(l->unread.why, "WRONGTYPE ") != NULL;
    return is_data ? 0 : trouble_age_ms(&l->unread);
}

void entry_reader_close(struct entry_reader *l) {
    if (l == NULL)
        return;
    trouble_clear(&l->unread);
    if (l->peeking != NULL)
        l->peeking->reader = NULL;
    link_close(l->link);
    buf_deinit(&l->key);
    free(l);
}
