/*
 * schedules.h - the app's schedules: each tick runs once in the cluster.
 *
 * The owner of a schedule's partition adds each tick to its own `in` when Redis' clock has reached
 * it. The tick's time is the mark of a source that belongs to the schedule, so two owners at once,
 * or one that starts again, add it once. A new owner also adds the tick that was missed within the
 * last minute. The clocks of processes do not count; if Redis' clock is set, the ticks follow it
 * (append_tick.lua).
 */
#ifndef SIGNALBOX_BROKER_SCHEDULES_H
#define SIGNALBOX_BROKER_SCHEDULES_H

#include <uv.h>

struct entry_parts;
struct inboxes;
struct processing;
struct schedules;

struct schedules *schedules_new(uv_loop_t *loop, const struct entry_parts *parts,
                                const struct inboxes *inboxes);
void schedules_free(struct schedules *s);
/* The app was loaded again: forget which ticks were added. Adding one twice is harmless. */
void schedules_forget_ticks(struct schedules *s);

/* An entry TICK: the handler. */
void schedules_process(struct processing *p);

#endif
