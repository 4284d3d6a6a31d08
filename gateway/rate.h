/*
 * rate.h - so many messages a second: a bucket of tokens, kept as the time up to which its owner
 * has spent them. One second's worth may come at once, ten at least.
 */
#ifndef SIGNALBOX_GATEWAY_RATE_H
#define SIGNALBOX_GATEWAY_RATE_H

#include <stdint.h>

/* Takes one token; how long until there is the next one, 0 when there is one now. *spent_us begins
 * as 0. */
uint64_t rate_take(uint64_t *spent_us, uint64_t now_us, uint64_t per_second);

#endif
