/*
 * bulk.h - turns for large commands.
 *
 * Redis runs the commands of a link in their order, so what is sent behind several large ones waits
 * until it has read and run them all. Whoever has a large command therefore asks for a turn first
 * and gives it back with the answer. Turns go in the order in which they were asked for. A command
 * of less than BULK_MIN bytes gets its turn at once.
 */
#ifndef SIGNALBOX_BUS_BULK_H
#define SIGNALBOX_BUS_BULK_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/queue.h>

/* Bytes; what large commands have under way together, unless a single one has more. */
enum { BULK_MIN = 64 * 1024, BULK_MOST = 1024 * 1024 };

/* Embedded in the command's owner; zeroed but for on_turn. */
struct bulk_turn {
    TAILQ_ENTRY(bulk_turn) link;
    enum { BULK_NONE, BULK_WAITING, BULK_TAKEN } state;
    size_t bytes;
    void (*on_turn)(struct bulk_turn *turn); /* after bulk_take said false */
};

struct bulk {
    TAILQ_HEAD(bulk_turns, bulk_turn) waiting;
    size_t bytes; /* under way */
};

void bulk_init(struct bulk *b);
/* Whether the turn, which is BULK_NONE, is taken at once; false: it waits. */
bool bulk_take(struct bulk *b, struct bulk_turn *turn, size_t bytes);
/* The turn ends, whatever its state, and the next ones begin: on_turn of others is called. */
void bulk_leave(struct bulk *b, struct bulk_turn *turn);

#endif
