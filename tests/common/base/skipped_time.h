/*
 * skipped_time.h - for tests: monotonic time that goes on as it does, and skips what the test wants
 * skipped, so that nobody waits for a limit of many seconds. For one source file of a program.
 */
#ifndef SIGNALBOX_TESTS_BASE_SKIPPED_TIME_H
#define SIGNALBOX_TESTS_BASE_SKIPPED_TIME_H

#include <stdint.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static uint64_t skipped_ms;

/* In place of libc's. */
int clock_gettime(clockid_t clock, struct timespec *at) {
    int status = (int)syscall(SYS_clock_gettime, clock, at);
    if (clock == CLOCK_MONOTONIC || clock == CLOCK_MONOTONIC_COARSE) {
        uint64_t ns = (uint64_t)at->tv_nsec + skipped_ms % 1000 * 1000000;
        at->tv_sec += (time_t)(skipped_ms / 1000 + ns / 1000000000);
        at->tv_nsec = (long)(ns % 1000000000);
    }
    return status;
}

#endif
