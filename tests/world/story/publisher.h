/*
 * publisher.h - who sends without being a client: one message after the other, each over one of the
 * entrances, and the next one when the last was answered. Where an entrance knows idempotency keys
 * the same message is tried until it is accepted.
 */
#ifndef SIGNALBOX_WORLD_PUBLISHER_H
#define SIGNALBOX_WORLD_PUBLISHER_H

#include "tests/world/sim.h"

enum entrance {
    ENTRANCE_STREAM,  /* XADD signalbox:send, without a key: tried once */
    ENTRANCE_KEYED,   /* XADD signalbox:send, with a key: until Redis answers */
    ENTRANCE_CHANNEL, /* PUBLISH signalbox:send */
    ENTRANCE_ADMIN,   /* POST /send of any process, with a key: until it says 202 */
    ENTRANCE_HANDLER, /* POST to a route of a gateway, whose handler sends: tried once */
    ENTRANCE_COUNT
};

void publishers_begin(unsigned gateways, unsigned brokers);
/* every_us: between two of its messages; 0: only publishers_say_all. */
void publisher_new(enum entrance entrance, uint64_t every_us);
void publishers_hush(void);
bool publishers_are_idle(void);
/* By the last publisher: a message to every Name, and one to each of them. */
void publishers_say_all(void);

#endif
