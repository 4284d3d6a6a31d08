/*
 * verdict.h - what became of messages in the public stream: whether a broker has taken them, and
 * which it refused.
 *
 * The answer comes from Redis and not from a broker: the cursor of the public stream says how far
 * it was read, and the stream of refusals holds the beginning of each message that was refused.
 */
#ifndef SIGNALBOX_BUS_LOG_VERDICT_H
#define SIGNALBOX_BUS_LOG_VERDICT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/bytes.h"

struct bus;
struct verdict;

enum verdict_kind {
    VERDICT_TAKEN,
    VERDICT_REFUSED,
    VERDICT_WAITS, /* no broker has read it within the time */
    VERDICT_LOST   /* Redis went away */
};

/* refused: how many messages were refused; reason: why the last one was, borrowed until return. */
typedef void verdict_fn(void *ctx, enum verdict_kind kind, size_t refused, struct bytes reason);

/*
 * Waits until a broker has read the public stream up to the entry `last`, then counts the refusals
 * since the entry `first` of messages that begin with `beginning`. The verdict is gone after fn.
 */
struct verdict_question {
    struct bytes first, last; /* entry ids */
    struct bytes beginning;
    uint64_t patience_ms;
};
void verdict_ask(struct bus *bus, const struct verdict_question *question, verdict_fn *fn,
                 void *ctx);

#endif
