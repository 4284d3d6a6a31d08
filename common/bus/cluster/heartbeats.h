/* heartbeats.h - one look at the heartbeat hash of the gateways or brokers, into a pulse. */
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
    /* Redis refused a look; bus_refusals has its words. May be NULL. */
    void (*on_refused)(void *ctx);
};

/* key: fleet_key of KEY_GATEWAYS or KEY_BROKERS. The pulse is the caller's. */
struct heartbeats *heartbeats_new(struct bus *bus, enum fleet_key key, struct liveness *pulse,
                                  const struct heartbeats_events *events, void *ctx);
/* No more callbacks. */
void heartbeats_free(struct heartbeats *h);
/* Does nothing while a look is under way or Redis is away. */
void heartbeats_look(struct heartbeats *h);
/* Whether Redis takes writes at present, without which no heartbeat can move. is_taken is true too
 * for a user who may not write, and when Redis went away: neither can tell. */
typedef void heartbeats_try_fn(void *ctx, bool is_taken);
void heartbeats_try(struct bus *bus, heartbeats_try_fn *fn, void *ctx);
/* Takes an id out: it is long dead. Should it live after all, its next beat brings it back. */
void heartbeats_forget(struct heartbeats *h, const char *id);

#endif
