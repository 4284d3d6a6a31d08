/*
 * sim.h - the scheduler of the world: one heap of events on virtual time, and the story's log.
 *
 * There is one world in a program, on one thread. A driver forks a child for each story: the child
 * calls sim_begin, builds processes (process.h), sockets (network.h) and its own events, and then
 * sim_run. Nothing in the world may depend on the real time, on an address or on another source of
 * chance than its dice; the same seed then gives the same log, byte for byte.
 *
 * Times are microseconds since the story began. Events of the same moment run in an order that the
 * dice choose.
 */
#ifndef SIGNALBOX_WORLD_SIM_H
#define SIGNALBOX_WORLD_SIM_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "tests/world/dice.h"

#define SIM_NEVER  UINT64_MAX
#define SIM_MS     ((uint64_t)1000)
#define SIM_SECOND ((uint64_t)1000000)

/* Embedded in its owner; all zero before its first use. Its memory may go while it is not set. */
struct event {
    void (*fn)(struct event *e);
    uint64_t at_us, tie;
    unsigned place; /* in the heap, from 1; 0: not set */
};

/* log: gets the story, one line an event; NULL: nobody reads it. */
void sim_begin(uint64_t seed, FILE *log);
/* Forgets all events. What they belonged to is not freed. */
void sim_end(void);

uint64_t sim_now_us(void);
uint64_t sim_seed(void);
/* The dice of the scheduler and of whoever has none of its own. */
struct dice *sim_dice(void);

/* Runs e->fn at that time, or now if it has passed. An event that is set is moved. */
void event_set(struct event *e, uint64_t at_us, void (*fn)(struct event *e));
void event_cancel(struct event *e);
static inline bool event_is_set(const struct event *e) {
    return e->place != 0;
}
/* Once, and without an owner; cannot be cancelled. */
void sim_at(uint64_t at_us, void (*fn)(void *ctx), void *ctx);
static inline void sim_after(uint64_t us, void (*fn)(void *ctx), void *ctx) {
    sim_at(sim_now_us() + us, fn, ctx);
}

/* Runs events until the time has come, none is left, or sim_stop was called. Afterwards it is that
 * time, unless it was stopped. */
void sim_run(uint64_t until_us);
void sim_stop(void);
/* How many events have run so far. */
uint64_t sim_events(void);

/* One line "   12.345678 who  text". Without a reader nothing is formatted. */
bool sim_is_logged(void);
void sim_log(const char *who, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
