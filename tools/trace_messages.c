/* trace_messages.c - see trace_messages.h. A key is a text; when there are too many, the oldest is
 * forgotten. */
#include "tools/trace_messages.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/table.h"

struct known {
    UT_hash_handle hh;
    struct trace_message message;
    uint64_t count; /* of hops, for keys that count */
    size_t len;
    char key[];
};

struct trace_messages {
    struct known *known;
    uint64_t last;
    struct buf key; /* scratch */
};

struct trace_messages *trace_messages_new(void) {
    return mem_zalloc(sizeof(struct trace_messages));
}

static void forget(struct trace_messages *m, struct known *k) {
    HASH_DEL(m->known, k);
    free(k);
}

void trace_messages_free(struct trace_messages *m) {
    if (m == NULL)
        return;
    while (m->known != NULL)
        forget(m, m->known);
    buf_deinit(&m->key);
    free(m);
}

static struct known *find(const struct trace_messages *m, struct bytes key) {
    struct known *k;
    HASH_FIND(hh, m->known, key.ptr, key.len, k);
    return k;
}

static struct known *learn(struct trace_messages *m, struct bytes key,
                           struct trace_message message) {
    struct known *k = find(m, key);
    if (k != NULL)
        return k;
    k = mem_zalloc(sizeof(*k) + key.len);
    k->message = message;
    k->len = key.len;
    memcpy(k->key, key.ptr, key.len);
    HASH_ADD_KEYPTR(hh, m->known, k->key, k->len, k);
    if (HASH_COUNT(m->known) > TRACE_MESSAGES_KEYS)
        forget(m, m->known);
    return k;
}

/* --- keys --- */

static struct bytes sending_key(struct buf *out, const char *what, const struct trace_event *e,
                                uint64_t ordinal) {
    buf_clear(out);
    buf_printf(out, "%s %" PRId64 " %" PRIu64 " %.*s", what, e->sent_ms, ordinal,
               BYTES_FMT(e->client_id));
    return buf_bytes(out);
}

static struct bytes entry_key(struct buf *out, const struct trace_event *e) {
    buf_clear(out);
    buf_printf(out, "entry %" PRId64 " %.*s", e->partition, BYTES_FMT(e->entry));
    return buf_bytes(out);
}

/* Ids are unique within a partition. */
static struct bytes id_key(struct buf *out, const struct trace_event *e, struct bytes name) {
    buf_clear(out);
    buf_printf(out, "id %" PRId64 " %.*s %.*s", e->partition, BYTES_FMT(e->message_id),
               BYTES_FMT(name));
    return buf_bytes(out);
}

static struct known *find_id(struct trace_messages *m, const struct trace_event *e) {
    struct known *k = find(m, id_key(&m->key, e, e->name));
    return k != NULL ? k : find(m, id_key(&m->key, e, BYTES_LIT("*")));
}

/* --- which message --- */

/* These hops come once for each message, in the order in which a sender sent them; other hops
 * belong to the first message that fits. */
static const char *counted_as(const struct trace_event *e) {
    if (bytes_equal_str(e->hop, "received"))
        return "received";
    if (bytes_equal_str(e->hop, "accepted"))
        return "accepted";
    if (!bytes_equal_str(e->hop, "processed"))
        return NULL;
    if (bytes_equal_str(e->kind, "client"))
        return "client";
    return bytes_equal_str(e->kind, "public") ? "public" : NULL;
}

static struct trace_message by_sending(struct trace_messages *m, const struct trace_event *e) {
    const char *counted = counted_as(e);
    uint64_t ordinal = 0;
    if (counted != NULL)
        ordinal =
            learn(m, sending_key(&m->key, counted, e, 0), (struct trace_message){0, 0})->count++;
    struct bytes key = sending_key(&m->key, "sent", e, ordinal);
    struct known *k = find(m, key);
    if (k == NULL)
        k = learn(m, key, (struct trace_message){++m->last, e->at_ms});
    return k->message;
}

static uint64_t count(struct trace_messages *m, const char *counted, const struct trace_event *e) {
    const struct known *k = find(m, sending_key(&m->key, counted, e, 0));
    return k != NULL ? k->count : 0;
}

bool trace_messages_awaits(struct trace_messages *m, const struct trace_event *e) {
    if (bytes_equal_str(e->hop, "delivered"))
        return find_id(m, e) == NULL;
    if (bytes_equal_str(e->hop, "verdict") || bytes_equal_str(e->hop, "published"))
        return find(m, entry_key(&m->key, e)) == NULL;
    uint64_t ordinal = count(m, "client", e);
    if (!bytes_equal_str(e->hop, "processed") || count(m, "received", e) <= ordinal)
        return false;
    if (bytes_equal_str(e->kind, "client"))
        return count(m, "accepted", e) <= ordinal;
    return bytes_equal_str(e->kind, "send"); /* a handler's, for a message that is not processed */
}

struct trace_message trace_messages_of(struct trace_messages *m, const struct trace_event *e) {
    struct known *k = NULL;
    if (e->entry.len > 0)
        k = find(m, entry_key(&m->key, e));
    else if (e->message_id.len > 0)
        k = find_id(m, e);
    struct trace_message message = k != NULL ? k->message : by_sending(m, e);
    if (e->entry.len > 0)
        learn(m, entry_key(&m->key, e), message);
    if (bytes_equal_str(e->hop, "published"))
        learn(m, id_key(&m->key, e, e->name), message);
    return message;
}
