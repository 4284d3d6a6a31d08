/* level_check.c - see level_check.h. */
#include "broker/entry/level_check.h"

#include "broker/entry/tracing.h"
#include "common/base/metrics.h"

bool level_check(const struct entry_parts *parts, const struct delivery *d, struct buf *why_out) {
    return delivery_is_allowed(d, processing_registrations(parts)->levels, why_out);
}

void level_check_refused(struct processing *p, struct bytes why) {
    metrics_add(METRIC_refused_level, 1);
    tracing_verdict(p, TRACED_REFUSED, why);
}
