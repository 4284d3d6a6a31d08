/*
 * liveness.h - which gateways and brokers are alive: their heartbeat counters, watched by this
 * process' own monotonic clock.
 *
 *     liveness_begin(p, now, since);
 *     liveness_see(p, id, counter);      for each field
 *     liveness_end(p);
 *
 * No clock of another machine counts, and no silence that may be our own or Redis': if two looks
 * are further apart than HEARTBEAT_GAP_MS (we slept, or Redis did), every observation begins anew;
 * and the silence of another process counts only from `since` on, the time since which Redis has
 * accepted the observer's own heartbeat without a break.
 */
#ifndef SIGNALBOX_BUS_CLUSTER_LIVENESS_H
#define SIGNALBOX_BUS_CLUSTER_LIVENESS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/bytes.h"
#include "common/bus/probes.h"

enum {
    LIVENESS_ID_MAX = 40, /* with its NUL */
    LIVENESS_MAX = 2000   /* processes of one kind; more are not looked at */
};

struct liveness;

struct liveness_one {
    char id[LIVENESS_ID_MAX];
    char counter[HEARTBEAT_VALUE_MAX];
    uint64_t moved_ms; /* when it moved last, or when observation began */
    bool has_moved;    /* since it was first seen */
    bool is_unfit;     /* says so itself */
    bool has_left;     /* it left in order: never alive again */
    bool is_listed;    /* in the last look */
};

struct liveness *liveness_new(void);
void liveness_free(struct liveness *p);

/* One look at the whole hash. accepted_since_ms: bus_accepted_since(); 0: our own heartbeat is not
 * accepted, so that nobody's silence means anything. */
void liveness_begin(struct liveness *p, uint64_t now_ms, uint64_t accepted_since_ms);
void liveness_see(struct liveness *p, struct bytes id, struct bytes counter);
/* Reports those that were listed before and are not any more, then forgets them. on_gone may be
 * NULL. */
void liveness_end(struct liveness *p, void (*on_gone)(void *ctx, const char *id), void *ctx);

/* Contact was interrupted: what moved before counts as having moved just now. */
void liveness_restart(struct liveness *p, uint64_t now_ms);
void liveness_leave(struct liveness *p, struct bytes id);

/* Listed in the last look. */
bool liveness_lists(const struct liveness *p, struct bytes id);
/* Whether its counter has been seen to change. */
bool liveness_has_moved(const struct liveness *p, struct bytes id);
/* When looking began without interruption. */
uint64_t liveness_since(const struct liveness *p);

typedef void liveness_fn(void *ctx, const struct liveness_one *one);
void liveness_each(const struct liveness *p, liveness_fn *fn, void *ctx);

#endif
