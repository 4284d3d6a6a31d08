/*
 * preloaded_clock.h - for libraries that are preloaded into a process and give it a wall clock that
 * a test rules, through a file of 8 bytes. The library has its own clock_gettime; what else tells
 * the time of day is here and asks it. Monotonic clocks stay true.
 *
 * Why not libfaketime: it cannot live in one process with the jemalloc of Debian's Redis.
 */
#ifndef SIGNALBOX_TESTS_FAULTS_PRELOADED_CLOCK_H
#define SIGNALBOX_TESTS_FAULTS_PRELOADED_CLOCK_H

#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

/* What the file named by the environment variable holds. Ends the process if there is none: a test
 * whose clock nobody rules proves nothing. */
static inline const volatile int64_t *clock_file(const char *variable) {
    const char *path = getenv(variable);
    int fd = path != NULL ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    void *map = fd >= 0 ? mmap(NULL, sizeof(int64_t), PROT_READ, MAP_SHARED, fd, 0) : MAP_FAILED;
    if (map == MAP_FAILED)
        abort();
    close(fd);
    return map;
}

static inline int is_wall_clock(clockid_t clock) {
    return clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE;
}

int gettimeofday(struct timeval *restrict time_out, void *restrict zone) {
    struct timespec now;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &now);
    *time_out = (struct timeval){now.tv_sec, now.tv_nsec / 1000};
    return 0;
}

time_t time(time_t *time_out) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (time_out != NULL)
        *time_out = now.tv_sec;
    return now.tv_sec;
}

#endif
