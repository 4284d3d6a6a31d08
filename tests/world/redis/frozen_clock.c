/*
 * frozen_clock.c - a wall clock that a test sets: preloaded into a Redis, it tells what the file
 * named by FROZEN_CLOCK holds (8 bytes, microseconds since 1970).
 */
#include "tests/faults/preloaded_clock.h"

static const volatile int64_t *now_us;

__attribute__((constructor)) static void open_clock(void) {
    now_us = clock_file("FROZEN_CLOCK");
}

int clock_gettime(clockid_t clock, struct timespec *time_out) {
    if (!is_wall_clock(clock) || now_us == NULL)
        return (int)syscall(SYS_clock_gettime, clock, time_out);
    *time_out = (struct timespec){*now_us / 1000000, *now_us % 1000000 * 1000};
    return 0;
}
