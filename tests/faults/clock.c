/*
 * clock.c - a wall clock that a test can move: preloaded into a process, it adds what the file
 * named by FAULTS_CLOCK holds (8 bytes, seconds) to the time of day.
 */
#include "tests/faults/preloaded_clock.h"

static const volatile int64_t *offset_s;

__attribute__((constructor)) static void open_clock(void) {
    offset_s = clock_file("FAULTS_CLOCK");
}

int clock_gettime(clockid_t clock, struct timespec *time_out) {
    int status = (int)syscall(SYS_clock_gettime, clock, time_out);
    if (status == 0 && is_wall_clock(clock) && offset_s != NULL)
        time_out->tv_sec += *offset_s;
    return status;
}
