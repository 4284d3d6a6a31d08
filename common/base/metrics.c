/* metrics.c - see metrics.h. */
#include "common/base/metrics.h"

#include <inttypes.h>

int64_t metrics_values[METRIC_COUNT];

static const struct {
    const char *name, *kind, *help;
} table[METRIC_COUNT] = {
#define COUNTER(name, help) {#name "_total", "counter", help},
#define GAUGE(name, help)   {#name, "gauge", help},
#include "common/base/metrics.def"
#undef COUNTER
#undef GAUGE
};

void metrics_write(struct buf *out) {
    for (size_t i = 0; i < METRIC_COUNT; i++)
        buf_printf(out,
                   "# HELP signalbox_%s %s\n# TYPE signalbox_%s %s\nsignalbox_%s %" PRId64 "\n",
                   table[i].name, table[i].help, table[i].name, table[i].kind, table[i].name,
                   metrics_values[i]);
}

void metrics_print_markdown(FILE *out) {
    fputs("| metric | kind | what |\n|---|---|---|\n", out);
    for (size_t i = 0; i < METRIC_COUNT; i++)
        fprintf(out, "| `signalbox_%s` | %s | %s |\n", table[i].name, table[i].kind, table[i].help);
}
