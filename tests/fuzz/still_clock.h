/*
 * still_clock.h - for fuzzers: monotonic time stands still and passes only when the fuzzer says so,
 * so that an input always means the same. For one source file of a program.
 */
#ifndef SIGNALBOX_TESTS_FUZZ_STILL_CLOCK_H
#define SIGNALBOX_TESTS_FUZZ_STILL_CLOCK_H

#include <stdint.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static uint64_t now_ms = 1000000;

/* In place of libc's. */
int clock_gettime(clockid_t clock, struct timespec *at) {
    if (clock != CLOCK_MONOTONIC && clock != CLOCK_MONOTONIC_COARSE)
        return (int)syscall(SYS_clock_gettime, clock, at);
    *at = (struct timespec){.tv_sec = (time_t)(now_ms / 1000),
                            .tv_nsec = (long)(now_ms % 1000) * 1000000};
    return 0;
}

#endif
