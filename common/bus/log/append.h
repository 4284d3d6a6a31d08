/*
 * append.h - the commands that append entries to the `in` stream of a partition: append.lua,
 * append_once.lua, append_tick.lua. ingest.h, forward.h and tick.h decide what they append and when
 * they try again.
 */
#ifndef SIGNALBOX_BUS_LOG_APPEND_H
#define SIGNALBOX_BUS_LOG_APPEND_H

#include "common/base/buf.h"
#include "common/bus/redis/command.h"
#include "common/bus/redis/scripts.h"

struct bus;
struct redisReply;
struct trouble;

/* The length of `in` at which Redis refuses the call. */
enum append_limit {
    APPEND_LIMIT = 50000,
    /* For a sender with more than one entry on the way: others find the stream nearly empty. */
    APPEND_LIMIT_BULK = 1000,
    /* For brokers, far above: two full partitions that forward to each other must not wait for
     * ever. */
    APPEND_LIMIT_BROKER = 1000000
};

struct append {
    unsigned partition;
    struct bytes source; /* its high-water mark in K src makes a repetition harmless; empty: none */
    struct bytes once;   /* append_once: a publisher's idempotency key, as a whole Redis key */
    enum append_limit limit;
};

/* The keys, the source and the limit. The script's other arguments follow. */
struct command append_begin(enum script script, const struct append *a);
/* A whole call of append_once.lua. */
struct command append_once(const struct append *a, const char *seq, struct bytes entry);
/* The key of a Name (none: every Name) and a publisher's key, into `out`, from which the result
 * borrows. */
struct bytes append_once_key(struct buf *out, unsigned partition, struct bytes name,
                             struct bytes key);

/* Whether Redis takes an entry of so many bytes, as far as is known. Counts the one it does not. */
bool append_fits(const struct bus *bus, size_t bytes);
/* Redis refused a call for now. */
void append_refused(struct bus *bus, const char *command, const struct redisReply *reply,
                    struct trouble *trouble);

#endif
