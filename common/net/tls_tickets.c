/* tls_tickets.c - see tls_tickets.h. */
#include "common/net/tls_tickets.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "common/base/random.h"

enum { NAME = 16, BEFORE = 0, NOW = 1, NEXT = 2, SLOTS = 3 };

struct tls_tickets {
    unsigned refs;
    uint64_t period_ms, period; /* the present one; 0: not known yet */
    struct {
        bool is_known;
        unsigned char key[TLS_TICKET_KEY];
    } slots[SLOTS];
};

struct tls_tickets *tls_tickets_new(uint64_t period_ms) {
    struct tls_tickets *t = mem_zalloc(sizeof(*t));
    t->refs = 1;
    t->period_ms = period_ms;
    return t;
}

struct tls_tickets *tls_tickets_ref(struct tls_tickets *t) {
    t->refs++;
    return t;
}

void tls_tickets_unref(struct tls_tickets *t) {
    if (t == NULL || --t->refs > 0)
        return;
    OPENSSL_cleanse(t, sizeof(*t));
    free(t);
}

void tls_tickets_turn(struct tls_tickets *t, uint64_t wall_ms) {
    uint64_t period = wall_ms / t->period_ms;
    if (period < t->period || period > t->period + 2) { /* the clock was set, or we begin */
        OPENSSL_cleanse(t->slots, sizeof(t->slots));
        t->period = period;
    }
    for (; t->period < period; t->period++) {
        memmove(&t->slots[BEFORE], &t->slots[NOW], 2 * sizeof(t->slots[0]));
        OPENSSL_cleanse(&t->slots[NEXT], sizeof(t->slots[0]));
    }
    if (t->slots[NOW].is_known)
        return;
    random_bytes(t->slots[NOW].key, TLS_TICKET_KEY);
    t->slots[NOW].is_known = true;
}

void tls_tickets_set(struct tls_tickets *t, uint64_t period,
                     const unsigned char key[TLS_TICKET_KEY]) {
    if (period + NOW < t->period || period > t->period + 1)
        return;
    size_t slot = (size_t)(period + NOW - t->period);
    memcpy(t->slots[slot].key, key, TLS_TICKET_KEY);
    t->slots[slot].is_known = true;
}

uint64_t tls_tickets_period_ms(const struct tls_tickets *t) {
    return t->period_ms;
}

const unsigned char *tls_tickets_current(const struct tls_tickets *t) {
    return t->slots[NOW].is_known ? t->slots[NOW].key : NULL;
}

/* A process whose clock is ahead makes tickets with the key of our next period. */
const unsigned char *tls_tickets_find(const struct tls_tickets *t, const unsigned char *name) {
    for (size_t i = 0; i < SLOTS; i++)
        if (t->slots[i].is_known && memcmp(t->slots[i].key, name, NAME) == 0)
            return t->slots[i].key;
    return NULL;
}
