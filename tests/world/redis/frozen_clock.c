/*
 * frozen_clock.c - a wall clock that a test sets: preloaded into a Redis, it tells what the file
 * named by FROZEN_CLOCK holds (8 bytes, microseconds since 1970). Monotonic clocks stay true.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const volatile int64_t *now_us;

__attribute__((constructor)) static void open_clock(void) {
    const char *path = getenv("FROZEN_CLOCK");
    int fd = path != NULL ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    void *map = fd >= 0 ? mmap(NULL, sizeof(*now_us), PROT_READ, MAP_SHARED, fd, 0) : MAP_FAILED;
    if (map == MAP_FAILED)
        abort(); /* a test with a running clock compares nothing */
    close(fd);
    now_us = map;
}

int clock_gettime(clockid_t clock, struct timespec *time_out) {
    if ((clock != CLOCK_REALTIME && clock != CLOCK_REALTIME_COARSE) || now_us == NULL)
        return (int)syscall(SYS_clock_gettime, clock, time_out);
    *time_out = (struct timespec){*now_us / 1000000, *now_us % 1000000 * 1000};
    return 0;
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
