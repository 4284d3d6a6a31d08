/* own_registrations.c - see own_registrations.h. */
#include "common/bus/cluster/own_registrations.h"

#include <stdio.h>
#include <string.h>

#include "common/bus/bus_send.h"

static void ask_page(struct own_registrations *walk);

static void begin_partition(struct own_registrations *walk, unsigned partition) {
    walk->partition = partition;
    snprintf(walk->cursor, sizeof(walk->cursor), "0");
    ask_page(walk);
}

static void on_page(void *ctx, struct redisReply *reply) {
    struct own_registrations *walk = ctx;
    if (reply_is_error(reply, NULL))
        bus_refused(walk->bus, "SSCAN of this gateway's connections", reply);
    if (reply == NULL || !registry_members_page(reply, walk->cursor, walk->row_fn, walk->ctx) ||
        !bus_can_send(walk->bus))
        walk->end_fn(walk->ctx, false);
    else if (strcmp(walk->cursor, "0") != 0)
        ask_page(walk);
    else if (walk->partition + 1 < bus_partitions(walk->bus))
        begin_partition(walk, walk->partition + 1);
    else
        walk->end_fn(walk->ctx, true);
}

static void ask_page(struct own_registrations *walk) {
    struct command c =
        registry_members_scan(walk->partition, bytes_str(bus_id(walk->bus)), walk->cursor);
    bus_send(walk->bus, walk->partition, &c, on_page, walk);
}

void own_registrations_read(struct own_registrations *walk, struct bus *bus,
                            registry_row_fn *row_fn, own_registrations_end_fn *end_fn, void *ctx) {
    *walk = (struct own_registrations){.bus = bus, .row_fn = row_fn, .end_fn = end_fn, .ctx = ctx};
    begin_partition(walk, 0);
}
