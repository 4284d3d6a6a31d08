/*
 * sender_queue.h - what several senders want to append to one partition, taken from them in turn.
 *
 *     quick     items of senders that had nothing on the way: they go first
 *     waiting   of each other sender its oldest item; the later ones hang behind it
 *
 *         waiting ▶ a1 ▶ b1 ▶ c1          a1, a2, a3 are of one sender
 *                   a2        c2
 *                   a3
 *
 * The items of one sender keep their order: what hangs behind an item waits once that is taken, and
 * behind a quick one not before it is done, for what waits may pass what is quick. An item of
 * SENDER_QUEUE_LARGE bytes or more is never quick. Items without a sender are quick, in their
 * order.
 */
#ifndef SIGNALBOX_BUS_LOG_SENDER_QUEUE_H
#define SIGNALBOX_BUS_LOG_SENDER_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/queue.h>

enum { SENDER_QUEUE_LARGE = 65536 };

/* Embedded in what the owner queues; zeroed but for len. */
struct sender_item {
    STAILQ_ENTRY(sender_item) link;
    struct sender_item *behind; /* the next of the same sender */
    struct sender *sender;      /* only of its newest item */
    size_t len;
};
STAILQ_HEAD(sender_items, sender_item);

/* Embedded in a sender; zeroed. */
struct sender {
    struct sender_item *newest; /* NULL: nothing is on the way */
};

struct sender_queue {
    struct sender_items quick, waiting;
};

/* Whether an item of that length goes first. NULL: it is nobody's. */
bool sender_is_quick(const struct sender *sender, size_t len);

void sender_queue_init(struct sender_queue *q);
/* The sender stays where it is until sender_leave, or until all its items are done. NULL: none. */
void sender_queue_push(struct sender_queue *q, struct sender *sender, struct sender_item *item);
/* The next item of `from`, which is one of the two lists; it is looked at, then taken. */
struct sender_item *sender_queue_take(struct sender_queue *q, struct sender_items *from);
/* A taken item arrived, or was given up. Until then its sender is not quick. */
void sender_queue_done(struct sender_queue *q, struct sender_item *item);
/* The sender ceases to be; its items stay. */
void sender_leave(struct sender *sender);

#endif
