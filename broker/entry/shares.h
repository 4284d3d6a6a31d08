/*
 * shares.h - a connection's share of the broker's processor time.
 *
 * Handlers whose work depends on what a client sends, a pattern on its text for instance, may use
 * up their budget with each of its messages, and everybody else's wait meanwhile. So what the
 * handlers of a connection use is counted. One that has used more than three budgets beyond a tenth
 * of the time is slowed down: its next messages wait, in conn_queues, as if a handler of it still
 * waited, until it is within its tenth again. Nothing is lost, and nobody else notices.
 */
#ifndef SIGNALBOX_BROKER_ENTRY_SHARES_H
#define SIGNALBOX_BROKER_ENTRY_SHARES_H

#include <stdint.h>
#include <uv.h>

struct conn_queues;
struct in_entry;
struct shares;

enum {
    SHARES_PARTS = 10,   /* a connection may use one of them */
    SHARES_BURST = 3,    /* budgets that it may use at once */
    SHARES_HELD_MAX = 10 /* seconds that it waits at most */
};

/* budget_us: of a handler between two waits. */
struct shares *shares_new(uv_loop_t *loop, struct conn_queues *queues, uint64_t budget_us);
/* Nothing waits any more; before conn_queues_end. Memory goes in shares_free, once the loop has
 * ended. Both take NULL. */
void shares_end(struct shares *s);
void shares_free(struct shares *s);

/* A handler of this entry's connection has ended, and used so much. NULL is legal. */
void shares_charge(struct shares *s, unsigned slot, const struct in_entry *e, uint64_t used_us);

#endif
