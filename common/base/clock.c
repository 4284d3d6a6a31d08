/* clock.c - see clock.h. */
#include "common/base/clock.h"

#include <stdio.h>
#include <time.h>

static uint64_t frozen_ms;

static uint64_t read_us(clockid_t id) {
    struct timespec now;
    clock_gettime(id, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

uint64_t clock_us(void) {
    return frozen_ms ? frozen_ms * 1000 : read_us(CLOCK_MONOTONIC);
}

uint64_t clock_ms(void) {
    return clock_us() / 1000;
}

uint64_t clock_wall_ms(void) {
    return read_us(CLOCK_REALTIME) / 1000;
}

void clock_format_utc(uint64_t wall_ms, char text_out[32]) {
    if (wall_ms > CLOCK_WALL_LAST_MS)
        wall_ms = CLOCK_WALL_LAST_MS;
    time_t seconds = (time_t)(wall_ms / 1000);
    struct tm utc;
    char day[24];
    gmtime_r(&seconds, &utc);
    strftime(day, sizeof(day), "%Y-%m-%dT%H:%M:%S", &utc);
    snprintf(text_out, 32, "%s.%03uZ", day, (unsigned)(wall_ms % 1000));
}

void clock_freeze(uint64_t ms) {
    frozen_ms = ms;
}
