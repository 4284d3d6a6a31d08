/*
 * reconcile.h - when Redis came back with older data, it may list connections of this gateway that
 * have ended since: those are unregistered again.
 */
#ifndef SIGNALBOX_GATEWAY_DELIVERY_RECONCILE_H
#define SIGNALBOX_GATEWAY_DELIVERY_RECONCILE_H

#include <stdbool.h>

#include "common/bus/cluster/own_registrations.h"

struct clients;
struct registry;

struct reconcile {
    struct bus *bus;
    struct registry *registry;
    struct clients *clients;
    struct own_registrations walk;
    bool is_running, is_due;
};

void reconcile_init(struct reconcile *r, struct bus *bus, struct registry *registry,
                    struct clients *clients);
/* If it is running already, it runs once more after that. What breaks off is due until it has come
 * to its end. */
void reconcile_start(struct reconcile *r);
/* Every second. */
void reconcile_go_on(struct reconcile *r);

#endif
