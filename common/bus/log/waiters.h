/*
 * waiters.h - for follower.c: who waits until a follow is ready, in the order they came.
 */
#ifndef SIGNALBOX_BUS_LOG_WAITERS_H
#define SIGNALBOX_BUS_LOG_WAITERS_H

#include <sys/queue.h>

#include "common/bus/log/follower.h"

struct waiter {
    TAILQ_ENTRY(waiter) link;
    const struct follow *follow;
    follow_ready_fn *fn;
    void *ctx;
};
TAILQ_HEAD(waiters, waiter);

void waiters_add(struct waiters *list, const struct follow *w, follow_ready_fn *fn, void *ctx);
/* Those of follow w and of this ctx; ctx NULL: all of the follow. */
void waiters_drop(struct waiters *list, const struct follow *w, const void *ctx);
/* Calls each and forgets it. */
void waiters_fire(struct waiters *list);

#endif
