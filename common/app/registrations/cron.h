/*
 * cron.h - cron texts of five fields, in UTC.
 *
 *     minute  hour  day of the month  month  day of the week
 *
 * Each field may have lists, ranges, steps and names; @yearly @annually @monthly @weekly @daily
 * @midnight @hourly @minutely stand for all five. When both fields of the day are restricted,
 * either may match.
 */
#ifndef SIGNALBOX_APP_REGISTRATIONS_CRON_H
#define SIGNALBOX_APP_REGISTRATIONS_CRON_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

struct cron {
    uint64_t minutes;             /* bit i: minute i */
    uint32_t hours, days, months; /* days: bits 1…31, months: bits 1…12 */
    uint8_t weekdays;             /* bit 0: Sunday */
    bool any_day, any_weekday;
};

/* false with one line in error_out. */
bool cron_parse(struct cron *c_out, const char *text, char error_out[160]);
/* The first tick strictly after `after` (seconds, UTC), or -1 when there is none within eight
 * years. */
time_t cron_next(const struct cron *c, time_t after);
/* The last tick at or before `until` that is later than `until - within_seconds`, or -1. */
time_t cron_last(const struct cron *c, time_t until, int within_seconds);

#endif
