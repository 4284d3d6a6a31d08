/* own_registrations.c - see own_registrations.h. */
#include "common/bus/cluster/own_registrations.h"

#include <stdio.h>
#include <string.h>

#include "common/bus/bus_send.h"

enum { PAGE = 1000 };

static void ask_page(struct own_registrations *walk);

static void begin_partition(struct own_registrations *walk, unsigned partition) {
    walk->partition = partition;
    snprintf(walk->cursor, sizeof(walk->cursor), "0");
    ask_page(walk);
}

static void on_page(void *ctx, struct redisReply *reply) {
    struct own_registrations *walk = ctx;
    struct bytes cursor = reply_bytes(reply_at(reply, 0));
    const struct redisReply *members = reply_at(reply, 1);
    if (reply_is_error(reply, NULL))
        bus_refused(walk->bus, "SSCAN of this gateway's connections", reply);
    if (reply == NULL || cursor.len == 0) {
        walk->end_fn(walk->ctx, false);
        return;
    }
    snprintf(walk->cursor, sizeof(walk->cursor), "%.*s", BYTES_FMT(cursor));
    for (size_t i = 0; i < reply_count(members); i++) {
        struct registry_row row;
        if (registry_member_decode(reply_bytes(reply_at(members, i)), &row))
            walk->row_fn(walk->ctx, &row);
    }
    if (!bus_can_send(walk->bus))
        walk->end_fn(walk->ctx, false);
    else if (strcmp(walk->cursor, "0") != 0)
        ask_page(walk);
    else if (walk->partition + 1 < bus_partitions(walk->bus))
        begin_partition(walk, walk->partition + 1);
    else
        walk->end_fn(walk->ctx, true);
}

static void ask_page(struct own_registrations *walk) {
    struct buf key = {0};
    struct command c = command_begin("SSCAN");
    command_bytes(&c, key_of(&key, walk->partition, KEY_GATEWAY, bytes_str(bus_id(walk->bus))));
    command_text(&c, walk->cursor);
    command_text(&c, "COUNT");
    command_number(&c, PAGE);
    buf_deinit(&key);
    bus_send(walk->bus, walk->partition, &c, on_page, walk);
}

void own_registrations_read(struct own_registrations *walk, struct bus *bus,
                            own_registration_fn *row_fn, own_registrations_end_fn *end_fn,
                            void *ctx) {
    *walk = (struct own_registrations){.bus = bus, .row_fn = row_fn, .end_fn = end_fn, .ctx = ctx};
    begin_partition(walk, 0);
}
