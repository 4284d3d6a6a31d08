/*
 * clock.c - a wall clock that a test can move: preloaded into a process, it adds what the file
 * named by FAULTS_CLOCK holds (8 bytes, seconds) to the time of day. Monotonic clocks stay true.
 *
 * Why not libfaketime: it cannot live in one process with the jemalloc of Debian's Redis.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const volatile int64_t *offset_s;

__attribute__((constructor)) static void open_clock(void) {
    const char *path = getenv("FAULTS_CLOCK");
    int fd = path != NULL ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    void *map = fd >= 0 ? mmap(NULL, sizeof(*offset_s), PROT_READ, MAP_SHARED, fd, 0) : MAP_FAILED;
    if (map == MAP_FAILED)
        abort(); /* a test that moves no clock proves nothing */
    close(fd);
    offset_s = map;
}

int clock_gettime(clockid_t clock, struct timespec *time_out) {
    int status = (int)syscall(SYS_clock_gettime, clock, time_out);
    int is_wall = clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE;
    if (status == 0 && is_wall && offset_s != NULL)
        time_out->tv_sec += *offset_s;
    return status;
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
