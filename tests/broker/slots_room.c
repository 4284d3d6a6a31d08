/* slots_room.c - see slots_room.h. */
#include "tests/broker/slots_room.h"

static void on_taken(void *ctx, unsigned slot, const struct lease_grant *grant) {
    struct slots_room *s = ctx;
    inboxes_take(s->inboxes, slot, grant);
    s->taken++;
}

static void on_give_back(void *ctx, unsigned slot) {
    (void)ctx;
    (void)slot;
}

static void on_lost(void *ctx, unsigned slot, const char *why) {
    struct slots_room *s = ctx;
    (void)why;
    inboxes_drop(s->inboxes, slot);
}

static void on_released(void *ctx) {
    (void)ctx;
}

void slots_room_init(struct slots_room *s, struct broker_room *room, unsigned lease_ms,
                     const struct inbox_events *events) {
    static const struct lease_events lease_events = {on_taken, on_give_back, on_lost, on_released};
    *s = (struct slots_room){.room = room};
    s->lease = lease_new(room->bus, lease_ms, &lease_events, s);
    s->inboxes = inboxes_new(&(struct inbox_options){.loop = &room->bus_room.loop,
                                                     .settings = &room->bus_room.settings,
                                                     .lease = s->lease,
                                                     .parts = &room->parts,
                                                     .events = events});
}

void slots_room_take(struct slots_room *s, unsigned wait_ms) {
    lease_on_commands(s->lease);
    bus_room_until(&s->room->bus_room, &s->taken, ROOM_PARTITIONS + 1, wait_ms);
}

void slots_room_drop(struct slots_room *s) {
    for (unsigned slot = 0; slot <= ROOM_PARTITIONS; slot++)
        inboxes_drop(s->inboxes, slot);
    lease_free(s->lease);
}

void slots_room_free(struct slots_room *s) {
    inboxes_free(s->inboxes);
}
