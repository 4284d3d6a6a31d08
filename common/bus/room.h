/*
 * room.h - tells a Redis that is full from one argument that is too large for the room it has left.
 *
 * After an OOM for a large argument a small write is asked for: in.lua without entries writes
 * nothing, but is refused as well when memory is used up. What it answers goes to capacity.h; the
 * caller looks at bus_largest before it repeats.
 */
#ifndef SIGNALBOX_BUS_ROOM_H
#define SIGNALBOX_BUS_ROOM_H

#include <stddef.h>

struct bus;
struct redisReply;

/* error: the answer to an argument of so many bytes. Does nothing for other errors than OOM, and
 * for small arguments. */
void room_ask(struct bus *bus, unsigned partition, size_t bytes, const struct redisReply *error);

#endif
