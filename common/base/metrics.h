/*
 * metrics.h - counters and gauges of the process, from the table metrics.def. One thread, plain
 * integers.
 */
#ifndef SIGNALBOX_BASE_METRICS_H
#define SIGNALBOX_BASE_METRICS_H

#include <stdint.h>
#include <stdio.h>

#include "common/base/buf.h"

enum metric {
#define COUNTER(name, help) METRIC_##name,
#define GAUGE(name, help)   METRIC_##name,
#include "common/base/metrics.def"
#undef COUNTER
#undef GAUGE
    METRIC_COUNT
};

extern int64_t metrics_values[METRIC_COUNT];

static inline void metrics_add(enum metric m, int64_t n) {
    metrics_values[m] += n;
}

static inline void metrics_set(enum metric m, int64_t value) {
    metrics_values[m] = value;
}

static inline int64_t metrics_get(enum metric m) {
    return metrics_values[m];
}

/* The Prometheus text format, names prefixed with signalbox_. */
void metrics_write(struct buf *out);
/* The Markdown table of docs/operations.md. */
void metrics_print_markdown(FILE *out);

#endif
