/* waiters.c - see waiters.h. */
#include "common/bus/log/waiters.h"

#include <stdlib.h>

#include "common/base/must.h"

void waiters_add(struct waiters *list, const struct follow *w, follow_ready_fn *fn, void *ctx) {
    struct waiter *waiter = mem_alloc(sizeof(*waiter));
    *waiter = (struct waiter){.follow = w, .fn = fn, .ctx = ctx};
    TAILQ_INSERT_TAIL(list, waiter, link);
}

void waiters_drop(struct waiters *list, const struct follow *w, const void *ctx) {
    struct waiter *waiter, *next;
    for (waiter = TAILQ_FIRST(list); waiter != NULL; waiter = next) {
        next = TAILQ_NEXT(waiter, link);
        if (waiter->follow != w || (ctx != NULL && waiter->ctx != ctx))
            continue;
        TAILQ_REMOVE(list, waiter, link);
        free(waiter);
    }
}

void waiters_fire(struct waiters *list) {
    struct waiter *waiter;
    while ((waiter = TAILQ_FIRST(list)) != NULL) {
        TAILQ_REMOVE(list, waiter, link);
        waiter->fn(waiter->ctx, 0);
        free(waiter);
    }
}
