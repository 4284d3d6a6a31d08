/*
 * verdict.h - what became of a message in the public stream: did a broker take it, and did it
 * refuse it? And who was there to get it.
 *
 * Redis is asked, never a broker: the cursor of the public stream says how far it was read, and the
 * stream of refusals holds what was refused, with the first part of its text.
 */
#ifndef SIGNALBOX_TOOLS_VERDICT_H
#define SIGNALBOX_TOOLS_VERDICT_H

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

/* refused: how many messages; reason: of the last one, borrowed until return. */
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
