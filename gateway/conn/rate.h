/*
 * rate.h - so many messages a second: a bucket of tokens, kept as the time up to which its owner
 * has spent them. One second's worth may come at once, ten at least.
 */
#ifndef SIGNALBOX_GATEWAY_CONN_RATE_H
#define SIGNALBOX_GATEWAY_CONN_RATE_H

#include <stdint.h>

/* Begins as {0}. */
struct rate {
    uint64_t spent_us;
    uint64_t unread_us; /* whose tokens are there beside the bucket's */
};

/* Takes one token; how long until there is the next one, 0 when there is one now. */
uint64_t rate_take(struct rate *r, uint64_t now_us, uint64_t per_second);
/* The owner was not read for this long through no fault of its own. What it said meanwhile comes
 * all at once, and has the tokens of that time, of a minute at most. */
void rate_unread(struct rate *r, uint64_t us);

#endif
