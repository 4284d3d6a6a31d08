/* heartbeats.h - looks at the heartbeat hash of the gateways or brokers, for a struct liveness. */
#ifndef SIGNALBOX_BUS_CLUSTER_HEARTBEATS_H
#define SIGNALBOX_BUS_CLUSTER_HEARTBEATS_H

#include <stdbool.h>

#include "common/bus/partition.h"

struct bus;
struct heartbeats;
struct liveness;

struct heartbeats_events {
    /* It was listed before and is not any more. May be NULL. */
    void (*on_gone)(void *ctx, const char *id);
    /* After a look that succeeded. */
    void (*on_looked)(void *ctx);
    /* Redis refused a look; bus_refusals has the error. May be NULL. */
    void (*on_refused)(void *ctx);
};

/* key: KEY_GATEWAYS or KEY_BROKERS. The liveness is the caller's. */
struct heartbeats *heartbeats_new(struct bus *bus, enum fleet_key key, struct liveness *liveness,
                                  const struct heartbeats_events *events, void *ctx);
/* No more callbacks. */
void heartbeats_free(struct heartbeats *h);
/* Does nothing while a look is under way or Redis is away. */
void heartbeats_look(struct heartbeats *h);
/* Asks whether Redis accepts writes at present; while it does not, no heartbeat can move. is_taken
 * is true, too, for a user that may not write and when Redis went away: neither answers the
 * question. */
typedef void heartbeats_try_fn(void *ctx, bool is_taken);
void heartbeats_try(struct bus *bus, heartbeats_try_fn *fn, void *ctx);
/* Removes an id that is long dead. If it is alive after all, its next heartbeat brings it back. */
void heartbeats_forget(struct heartbeats *h, const char *id);

#endif
