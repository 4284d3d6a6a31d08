/*
 * pulse.h - who is alive, by counters that move: the heartbeat hashes of gateways and brokers, seen
 * through this process' own monotonic clock.
 *
 *     pulse_begin(p, now, since);  pulse_see(p, id, counter) for each field;  pulse_end(p);
 *
 * No clock of another machine counts, and no silence that may be ours or Redis': when two looks are
 * further apart than PULSE_GAP_MS (we slept, or Redis did) every observation begins anew, and the
 * silence of another counts only from `since` on, the time since which Redis has accepted the
 * observer's own heartbeat without a break.
 */
#ifndef SIGNALBOX_BUS_PULSE_H
#define SIGNALBOX_BUS_PULSE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/bytes.h"

enum { PULSE_GAP_MS = 2500, PULSE_ID_MAX = 40, PULSE_COUNTER_MAX = 32 };

/* What a heartbeat of a broker ends with that others should rank behind themselves. */
#define PULSE_UNFIT " unfit"

struct pulse;

struct pulse_one {
    char id[PULSE_ID_MAX];
    char counter[PULSE_COUNTER_MAX];
    uint64_t moved_ms; /* when it moved last, or when observation began */
    bool has_moved;    /* since it was first seen */
    bool is_unfit;     /* says so itself */
    bool has_left;     /* said goodbye: never alive again */
    bool is_listed;    /* in the last look */
};

struct pulse *pulse_new(void);
void pulse_free(struct pulse *p);

/* One look at the whole hash. accepted_since_ms: bus_accepted_since(); 0: our own heartbeat is not
 * accepted, so that nobody's silence means anything. */
void pulse_begin(struct pulse *p, uint64_t now_ms, uint64_t accepted_since_ms);
void pulse_see(struct pulse *p, struct bytes id, struct bytes counter);
/* Those that were listed before and are not any more are told, then forgotten. on_gone may be NULL.
 */
void pulse_end(struct pulse *p, void (*on_gone)(void *ctx, const char *id), void *ctx);

/* Contact was interrupted: what moved before counts as having moved just now. */
void pulse_restart(struct pulse *p, uint64_t now_ms);
void pulse_leave(struct pulse *p, struct bytes id);

/* Listed in the last look. */
bool pulse_lists(const struct pulse *p, struct bytes id);
/* When looking began without interruption. */
uint64_t pulse_since(const struct pulse *p);

typedef void pulse_fn(void *ctx, const struct pulse_one *one);
void pulse_each(const struct pulse *p, pulse_fn *fn, void *ctx);

#endif
