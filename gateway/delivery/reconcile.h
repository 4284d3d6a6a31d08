/*
 * reconcile.h - after Redis came back with older data: connections of this gateway that it still
 * lists and that ended meanwhile are unregistered again. Name after Name.
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
/* While one is running: another one after it. */
void reconcile_start(struct reconcile *r);

#endif
