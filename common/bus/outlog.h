/*
 * outlog.h - appends to the logs of a partition: what one batch of entries led to, in one step with
 * the cursor (out.lua). Only the partition's owner has one.
 *
 *     outlog_add(o, …) for each message;  outlog_commit(o, cursor, …);
 *
 * Ids are <term>-<seq>, rising over all logs of the partition. Each message names the one before it
 * in its log (`prev`, also where no history is kept, so that a hole shows); for logs not seen in
 * this term the key l: tells it. The logs seen last are remembered, OUTLOG_LOGS of them. History is
 * bounded by bytes, messages (history.h) and time.
 *
 * An answer that does not come (the link broke) is never assumed: no callback; the owner forgets
 * the partition.
 */
#ifndef SIGNALBOX_BUS_OUTLOG_H
#define SIGNALBOX_BUS_OUTLOG_H

#include "common/bus/envelope.h"

struct bus;
struct outlog;

enum { OUTLOG_LOGS = 10000 };

struct outlog_options {
    struct bytes own_key, in_key; /* borrowed for the call of outlog_new */
    unsigned partition;
    const char *label; /* of its troubles: "3", "public"; borrowed likewise */
    uint64_t term;
    struct message_id cursor;
    int64_t history_bytes, history_messages, history_seconds;
};

struct output {
    struct bytes name; /* empty: the log for every Name */
    bool has_history;
    struct message message; /* without id and prev */
};

struct outlog *outlog_new(struct bus *bus, const struct outlog_options *options);
/* NULL is legal. No more callbacks. */
void outlog_close(struct outlog *o);

/* Copies what the output borrows, until the commit. Its id. Not while a commit is under way. */
struct message_id outlog_add(struct outlog *o, const struct output *output);
size_t outlog_bytes(const struct outlog *o);
size_t outlog_count(const struct outlog *o);
/* Bytes of the largest message of a commit under way. */
size_t outlog_largest(const struct outlog *o);

enum outlog_result {
    OUTLOG_DONE,
    OUTLOG_BUSY,  /* Redis refused for now (out of memory, disk full): outlog_repeat later */
    OUTLOG_FENCED /* the partition is another's, or Redis went back in time: forget it */
};
typedef void outlog_done_fn(void *ctx, enum outlog_result result);
/* done may be called inside, with OUTLOG_BUSY. has_more: entries beyond the cursor were read
 * already, `in` need not be trimmed yet. */
void outlog_commit(struct outlog *o, struct message_id cursor, bool has_more, outlog_done_fn *done,
                   void *ctx);
void outlog_repeat(struct outlog *o);

#endif
