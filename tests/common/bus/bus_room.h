/*
 * bus_room.h - for tests: a loop, a Redis of the test's own and processes' buses on it.
 */
#ifndef SIGNALBOX_TESTS_BUS_BUS_ROOM_H
#define SIGNALBOX_TESTS_BUS_BUS_ROOM_H

#include <uv.h>

#include "common/base/settings.h"
#include "common/bus/bus.h"
#include "tests/common/bus/redis_server.h"

struct bus_room {
    uv_loop_t loop;
    uv_timer_t timer;
    struct redis_server redis;
    char url[128];
    struct settings settings;
    bool is_over;
};

void bus_room_init(struct bus_room *room, unsigned partitions);
/* Closes nothing but the room: all buses are closed before. */
void bus_room_deinit(struct bus_room *room);
/* A started bus that can send. */
struct bus *bus_room_join(struct bus_room *room, enum bus_kind kind);
/* Starts a bus of the room and runs the loop until it is ready. */
void bus_room_start(struct bus_room *room, struct bus *bus);
/* Runs the loop until *what is at_least; fails the test after ms. */
void bus_room_until(struct bus_room *room, const unsigned *what, unsigned at_least, unsigned ms);
void bus_room_turn(struct bus_room *room, unsigned ms);
/* The reply of a command as one line of text, parts separated by spaces; static. */
const char *bus_room_ask(struct bus_room *room, const char *format, ...) PRINTF_LIKE(2, 3);

#endif
