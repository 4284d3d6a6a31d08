/*
 * memory_budget.h - how much memory the process uses, for what, and whether it may use more.
 *
 * Whoever keeps bytes of others counts them when a buffer is made, grows or goes, under one of the
 * kinds of memory_budget.def; the gauges of /metrics are these counts. Everything else (Lua, TLS,
 * the connections themselves, what Redis has answered) is what the allocator says is in use beyond
 * them, measured once a second.
 *
 *     full     a kind has its share: back-pressure begins
 *     flooded  a quarter beyond: the largest holders go soon
 *     drowned  twice the share: they go at once
 *     over     the whole budget is used: new work is refused
 *
 * One thread, plain integers, like metrics.h.
 */
#ifndef SIGNALBOX_BASE_MEMORY_BUDGET_H
#define SIGNALBOX_BASE_MEMORY_BUDGET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/metrics.h"

enum memory_kind {
#define X(kind, sixteenths) MEMORY_##kind,
#include "common/base/memory_budget.def"
#undef X
    MEMORY_KINDS
};

/* The budget in bytes; 0 (also before this call): there is none. */
void memory_init(uint64_t budget_bytes);
/* Once a second: measures what is not counted, and gives free memory back to the system. */
void memory_measure(void);

static inline void memory_add(enum memory_kind kind, int64_t bytes) {
    metrics_values[METRIC_memory_incoming_bytes + kind] += bytes;
}
/* The owner's buffer holds `now` bytes; *counted is what it held before, as counted here. */
static inline void memory_count(enum memory_kind kind, size_t *counted, size_t now) {
    memory_add(kind, (int64_t)now - (int64_t)*counted);
    *counted = now;
}

static inline uint64_t memory_of(enum memory_kind kind) {
    return (uint64_t)metrics_values[METRIC_memory_incoming_bytes + kind];
}
/* Its share of the budget. */
uint64_t memory_share(enum memory_kind kind);
bool memory_is_full(enum memory_kind kind);
bool memory_is_flooded(enum memory_kind kind);
bool memory_is_drowned(enum memory_kind kind);
/* The sum of all kinds and of what is not counted. */
uint64_t memory_used(void);
bool memory_is_over(void);

/* What --max-memory-bytes is by default: three quarters of the limit of the control group that the
 * process is in, or a quarter of the host's memory when that is less or there is no limit. `root`
 * stands before /proc and /sys: "" but in tests. */
uint64_t memory_default(const char *root);

#endif
