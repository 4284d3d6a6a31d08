/*
 * inflating.h - the compressed messages of all clients, inflated. Most are done at once. A large
 * one waits in line, is inflated in steps of at most about a millisecond with a turn of the loop
 * between them, and its connection is not read meanwhile. So one client costs the others no more
 * than a step, and no more than one large message is inflated at a time.
 *
 * A fragmented message comes here when it is whole: fragments of several connections alternate, and
 * one inflater has to do for all of them.
 */
#ifndef SIGNALBOX_GATEWAY_CONN_INFLATING_H
#define SIGNALBOX_GATEWAY_CONN_INFLATING_H

#include <sys/queue.h>
#include <uv.h>

#include "gateway/codec/deflate.h"

struct inflation;
TAILQ_HEAD(inflation_queue, inflation);

struct inflating {
    struct inflater quick, large;
    struct buf quick_out;
    const void *spender;          /* whose message was inflated at once last, … */
    uint64_t spent_ms;            /* … in which turn, … */
    size_t spent;                 /* … and the work of all that it had inflated in it */
    struct inflation_queue queue; /* the first one is being inflated */
    uv_idle_t step;               /* runs while there is one */
};

void inflating_init(struct inflating *all, uv_loop_t *loop);
/* Nothing may wait any more. The handle is closed: the loop must run once more. */
void inflating_deinit(struct inflating *all);

/* A message of `sender`. PARSE_OK: *message_out lives until the next call. PARSE_MORE: it is
 * large, or the sender has had too many in this turn (inflating_queue). */
enum parse inflating_try(struct inflating *all, const void *sender, const struct inflate_what *what,
                         struct bytes *message_out, struct ws_error *error_out);

/* After each step: PARSE_OK with the message, which lives until return, or PARSE_BAD, and the
 * inflation is gone; or PARSE_MORE. */
typedef void inflation_fn(void *ctx, enum parse result, const struct inflate_what *what,
                          struct bytes message, const struct ws_error *error);
/* Takes the payload, which is that of `what`. */
struct inflation *inflating_queue(struct inflating *all, const struct inflate_what *what,
                                  struct buf *payload, inflation_fn *fn, void *ctx);
/* fn will not be called. Not from within fn. NULL is legal. */
void inflation_cancel(struct inflation *i);
/* What it keeps; 0 for NULL. */
size_t inflation_memory(const struct inflation *i);

#endif
