/*
 * wrong_tokens.h - how often an address may guess the token: ten times, then ten times a minute.
 * What it shows beyond that is not looked at, right or wrong. An IPv6 address counts with its /64
 * network.
 */
#ifndef SIGNALBOX_ADMIN_WRONG_TOKENS_H
#define SIGNALBOX_ADMIN_WRONG_TOKENS_H

#include <stdint.h>

#include "common/base/ip.h"

/* Addresses that are remembered at a time; beyond, the one that has guessed least is forgotten. */
enum { WRONG_TOKENS_ADDRESSES_MAX = 256, WRONG_TOKENS_MAX = 10, WRONG_TOKENS_MS = 6000 };

/* Zeroed: nobody has guessed. */
struct wrong_tokens {
    struct wrong_tokens_row {
        struct ip network;
        /* Each guess adds WRONG_TOKENS_MS; what has passed is forgotten. */
        uint64_t paid_ms;
    } rows[WRONG_TOKENS_ADDRESSES_MAX];
};

bool wrong_tokens_may_try(const struct wrong_tokens *w, struct ip address, uint64_t now_ms);
void wrong_tokens_count(struct wrong_tokens *w, struct ip address, uint64_t now_ms);

#endif
