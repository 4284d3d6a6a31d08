/*
 * tick.h - a schedule's ticks in the `in` of its partition: each once, whoever adds it.
 *
 * The source of a schedule is "c:<name>", its mark the tick's time: in.lua lets one through.
 */
#ifndef SIGNALBOX_BUS_TICK_H
#define SIGNALBOX_BUS_TICK_H

#include <time.h>

#include "common/base/bytes.h"

struct bus;

unsigned tick_partition(struct bus *bus, const char *schedule);

/* status 0, or negative when Redis did not answer or refused. */
typedef void tick_fn(void *ctx, int status, time_t last);
/* last: the last tick that was added; -1: none ever was. */
void tick_ask(struct bus *bus, const char *schedule, tick_fn *fn, void *ctx);
/* last: this tick, which is in the stream now, or was before. */
void tick_add(struct bus *bus, const char *schedule, time_t tick, tick_fn *fn, void *ctx);

#endif
