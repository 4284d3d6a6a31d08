/* sender_queue.c - see sender_queue.h. */
#include "common/bus/log/sender_queue.h"

bool sender_is_quick(const struct sender *sender, size_t len) {
    return sender == NULL || (sender->newest == NULL && len < SENDER_QUEUE_LARGE);
}

void sender_queue_init(struct sender_queue *q) {
    STAILQ_INIT(&q->quick);
    STAILQ_INIT(&q->waiting);
}

void sender_queue_push(struct sender_queue *q, struct sender *sender, struct sender_item *item) {
    struct sender_item *before = sender != NULL ? sender->newest : NULL;
    struct sender_items *list = sender_is_quick(sender, item->len) ? &q->quick : &q->waiting;
    if (sender != NULL)
        sender->newest = item;
    item->sender = sender;
    if (before != NULL) {
        before->behind = item;
        before->sender = NULL;
    } else {
        STAILQ_INSERT_TAIL(list, item, link);
    }
}

static void free_the_next(struct sender_queue *q, struct sender_item *item) {
    if (item->behind == NULL)
        return;
    STAILQ_INSERT_TAIL(&q->waiting, item->behind, link);
    item->behind = NULL;
}

struct sender_item *sender_queue_take(struct sender_queue *q, struct sender_items *from) {
    struct sender_item *item = STAILQ_FIRST(from);
    STAILQ_REMOVE_HEAD(from, link);
    if (from == &q->waiting)
        free_the_next(q, item);
    return item;
}

void sender_queue_done(struct sender_queue *q, struct sender_item *item) {
    free_the_next(q, item);
    if (item->sender != NULL)
        item->sender->newest = NULL;
}

void sender_leave(struct sender *sender) {
    if (sender->newest != NULL)
        sender->newest->sender = NULL;
    sender->newest = NULL;
}
