/*
 * tls_tickets.h - the keys that session tickets are sealed with. Time is cut into periods, each
 * with a key of its own: tickets are made with the key of the present period, and accepted with
 * that of the one before, too. The keys of a fleet are shared by who calls tls_tickets_set; for a
 * period without one a key is made up, which no other process knows.
 */
#ifndef SIGNALBOX_NET_TLS_TICKETS_H
#define SIGNALBOX_NET_TLS_TICKETS_H

#include <stdint.h>

#include "common/base/must.h"

/* Bytes of a key: name (16), cipher's (32), authentication's (32). */
enum { TLS_TICKET_KEY = 80 };

struct tls_tickets;

/* One reference; contexts hold theirs. It has no key before tls_tickets_turn. */
struct tls_tickets *tls_tickets_new(uint64_t period_ms);
struct tls_tickets *tls_tickets_ref(struct tls_tickets *t);
void tls_tickets_unref(struct tls_tickets *t);

/* What time it is: forgets keys that are too old, and sees to it that there is one. */
void tls_tickets_turn(struct tls_tickets *t, uint64_t wall_ms);
/* The fleet's key of a period, in place of our own: the present one, or one beside it. */
void tls_tickets_set(struct tls_tickets *t, uint64_t period,
                     const unsigned char key[TLS_TICKET_KEY]);

uint64_t tls_tickets_period_ms(const struct tls_tickets *t);
/* The key to make tickets with. NULL: there is none yet. */
const unsigned char *tls_tickets_current(const struct tls_tickets *t);
/* The key of that name (16 bytes), NULL: none that is still accepted. */
const unsigned char *tls_tickets_find(const struct tls_tickets *t, const unsigned char *name);

#endif
