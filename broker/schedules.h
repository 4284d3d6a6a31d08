/*
 * schedules.h - the app's schedules: each tick runs once in the cluster.
 *
 * The owner of a schedule's partition puts each tick into its own `in` when Redis' clock has come
 * to it, under a source of the schedule's own whose mark is the tick's time: two owners at once, or
 * one that begins anew, add it once. A new owner also adds the tick that was missed within the last
 * minute. No process' own clock counts; a step of Redis' clock is followed (append_tick.lua).
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
/* The app was loaded anew: what was added so far is asked for again. */
void schedules_begin_anew(struct schedules *s);

/* An entry TICK: the handler. */
void schedules_process(struct processing *p);

#endif
