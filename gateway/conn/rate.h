/*
 * rate.h - a limit of so many a second: a bucket of tokens, kept as the time up to which its owner
 * has spent them.
 */
#ifndef SIGNALBOX_GATEWAY_CONN_RATE_H
#define SIGNALBOX_GATEWAY_CONN_RATE_H

#include <stdbool.h>
#include <stdint.h>

/* Begins as {0}. */
struct rate {
    uint64_t spent_us;
    uint64_t unread_us; /* time whose tokens are there beside the bucket's */
};

/* Takes one token; as many as in one second, and at least ten, may be taken at once.
 * Returns how long it takes until there is the next one; 0: there is one now. */
uint64_t rate_take(struct rate *r, uint64_t now_us, uint64_t per_second);
/* The same for bytes: as many as in one second may come at once, and a message whole. */
uint64_t rate_take_bytes(struct rate *r, uint64_t now_us, uint64_t bytes, uint64_t per_second);
/* Takes one token if there is one; as many as `burst` may be taken at once. */
bool rate_try(struct rate *r, uint64_t now_us, uint64_t per_second, uint64_t burst);
/* Takes what has been used already; more than `most_us` is never owed. */
void rate_charge(struct rate *r, uint64_t now_us, uint64_t us, uint64_t most_us);
/* Whether more is owed than may be used at once. */
bool rate_is_over(const struct rate *r, uint64_t now_us, uint64_t burst_us);
/* The owner was not read for this long, through no fault of its own. What it sent meanwhile comes
 * all at once, and has the tokens of that time, but of no more than a minute. */
void rate_unread(struct rate *r, uint64_t us);

#endif
