/*
 * slots_room.h - for tests: a lease over all slots of a broker_room, and the inboxes of those that
 * it takes. What becomes of their entries is up to the test.
 */
#ifndef SIGNALBOX_TESTS_BROKER_SLOTS_ROOM_H
#define SIGNALBOX_TESTS_BROKER_SLOTS_ROOM_H

#include "broker/inbox.h"
#include "common/bus/cluster/lease.h"
#include "tests/broker/broker_room.h"

struct slots_room {
    struct broker_room *room;
    struct lease *lease;
    struct inboxes *inboxes;
    unsigned taken;
};

/* Nothing is taken yet. */
void slots_room_init(struct slots_room *s, struct broker_room *room, unsigned lease_ms,
                     const struct inbox_events *events);
/* Returns when all slots are taken; fails the test after so many milliseconds. */
void slots_room_take(struct slots_room *s, unsigned wait_ms);
/* Drops all slots and the lease, before the room ends; / gives the memory back, after that. */
void slots_room_drop(struct slots_room *s);
void slots_room_free(struct slots_room *s);

#endif
