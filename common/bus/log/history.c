/* history.c - see history.h. */
#include "common/bus/log/history.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/buf.h"

size_t history_chunk_bytes(const struct history_bounds *b) {
    size_t bytes = b->bytes / HISTORY_CHUNKS;
    return bytes > 0 ? bytes : 1;
}

uint64_t history_chunk_messages(const struct history_bounds *b) {
    uint64_t messages = b->messages / HISTORY_CHUNKS;
    return messages > 0 ? messages : 1;
}

static bool is_full(const struct history *h, const struct history_bounds *b, uint64_t messages,
                    size_t bytes) {
    const struct history_chunk *last = &h->chunks[h->count - 1];
    return last->messages + messages > history_chunk_messages(b) ||
           last->bytes + bytes > history_chunk_bytes(b);
}

static void begin_chunk(struct history *h, struct message_id first) {
    if (h->count == h->cap) {
        h->cap = h->cap > 0 ? 2 * h->cap : 2;
        h->chunks = realloc(h->chunks, h->cap * sizeof(*h->chunks));
        MUST(h->chunks != NULL);
    }
    h->chunks[h->count++] = (struct history_chunk){.first = first};
}

static void drop_oldest(struct history *h) {
    h->messages -= h->chunks[0].messages;
    h->bytes -= h->chunks[0].bytes;
    memmove(h->chunks, h->chunks + 1, --h->count * sizeof(*h->chunks));
}

static bool is_over(const struct history *h, const struct history_bounds *b) {
    return h->count > 1 &&
           (h->bytes > b->bytes || h->messages - h->chunks[0].messages >= b->messages);
}

void history_add(struct history *h, const struct history_bounds *b, struct message_id first,
                 uint64_t messages, size_t bytes) {
    if (h->count == 0 || is_full(h, b, messages, bytes))
        begin_chunk(h, first);
    h->chunks[h->count - 1].messages += messages;
    h->chunks[h->count - 1].bytes += bytes;
    h->messages += messages;
    h->bytes += bytes;
    while (is_over(h, b))
        drop_oldest(h);
}

struct message_id history_first(const struct history *h) {
    return h->count > 0 ? h->chunks[0].first : MESSAGE_ID_NONE;
}

void history_deinit(struct history *h) {
    free(h->chunks);
    *h = (struct history){0};
}
