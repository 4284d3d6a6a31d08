/*
 * tick.h - a schedule's ticks in the `in` of its partition: each once, whoever adds it.
 *
 * Redis' clock decides (append_tick.lua), one for the whole cluster, so that a process whose own
 * clock is wrong neither adds ticks that are not due nor misses those that are. The source of a
 * schedule is "c:<name>", and its high-water mark is the tick's time.
 */
#ifndef SIGNALBOX_BUS_LOG_TICK_H
#define SIGNALBOX_BUS_LOG_TICK_H

#include <stdint.h>
#include <time.h>

#include "common/base/bytes.h"

struct bus;

unsigned tick_partition(struct bus *bus, const char *schedule);

/* Redis' time. status 0, or negative when Redis did not answer (error empty) or refused. */
typedef void tick_clock_fn(void *ctx, int status, uint64_t now_ms, struct bytes error);
void tick_ask_clock(struct bus *bus, tick_clock_fn *fn, void *ctx);

/* status 0: the tick is settled, now or before. -EAGAIN: it is not due by Redis' clock, or Redis
 * did not answer (error empty). -EIO: refused with this error. */
typedef void tick_fn(void *ctx, int status, time_t tick, struct bytes error);
struct tick {
    const char *schedule;
    time_t at, next; /* next: the schedule's tick after it. at TICK_NONE: none is due; from now on
                        the schedule is known, so that none is missed */
};
enum { TICK_NONE = 0 };
void tick_add(struct bus *bus, const struct tick *t, tick_fn *fn, void *ctx);

#endif
