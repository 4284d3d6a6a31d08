/*
 * reconcile.h - when Redis came back with older data, it may list connections of this gateway that
 * have ended since: those are unregistered again, one Name after the other.
 */
#ifndef SIGNALBOX_GATEWAY_DELIVERY_RECONCILE_H
#define SIGNALBOX_GATEWAY_DELIVERY_RECONCILE_H

#include <stdbool.h>
#include <stddef.h>

struct bus;
struct clients;
struct registry;

struct reconcile {
    struct bus *bus;
    struct registry *registry;
    struct clients *clients;
    struct reconcile_name *names; /* still to be looked at, the last first */
    size_t count;
    bool is_running, starts_again;
};

void reconcile_init(struct reconcile *r, struct bus *bus, struct registry *registry,
                    struct clients *clients);
void reconcile_deinit(struct reconcile *r);
/* If it is running already, it runs once more after that. */
void reconcile_start(struct reconcile *r);

#endif
