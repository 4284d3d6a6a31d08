/*
 * history.h - what the history of one log holds, as far as its writer must know it to bound it: the
 * bytes exactly, the messages nearly.
 *
 *     chunks   [first id, messages, bytes] [ … ] [ … ] ◀ history_add
 *
 * Redis bounds a stream by messages or by an id, not by bytes, so the writer counts and names the
 * id to trim to. Messages are counted in chunks of a thirty-second of the bounds. A chunk is
 * dropped as soon as the bytes are over their bound, or when the others alone have the promised
 * number of messages. The newest message stays whatever its size.
 */
#ifndef SIGNALBOX_BUS_LOG_HISTORY_H
#define SIGNALBOX_BUS_LOG_HISTORY_H

#include "common/bus/log/envelope.h"

/* A stream entry costs a little more than its message; this is counted for each. */
enum { HISTORY_CHUNKS = 32, HISTORY_ENTRY_BYTES = 24 };

struct history_bounds {
    size_t bytes;      /* at least 1 */
    uint64_t messages; /* at least 1 */
};

struct history_chunk {
    struct message_id first;
    uint64_t messages;
    size_t bytes;
};

/* Zeroed: empty. */
struct history {
    struct history_chunk *chunks;
    unsigned count, cap;
    uint64_t messages;
    size_t bytes;
};

void history_deinit(struct history *h);
/* The next message, or several at once of which `first` is the first id; bytes: of all of them. */
void history_add(struct history *h, const struct history_bounds *b, struct message_id first,
                 uint64_t messages, size_t bytes);
/* The oldest message that stays. */
struct message_id history_first(const struct history *h);
/* How large a chunk is, for measure_log.lua, which counts the same way. */
size_t history_chunk_bytes(const struct history_bounds *b);
uint64_t history_chunk_messages(const struct history_bounds *b);

#endif
