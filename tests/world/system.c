/*
 * system.c - see system.h. __wrap_x is what the product calls as x; __real_x is what it was.
 *
 * The processor's time stands still: no slice of a script is ever over, so a script that does not
 * end hangs the story.
 */
#include "tests/world/system.h"

#include <arpa/inet.h>
#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "tests/world/uv_world.h"

#pragma GCC diagnostic ignored "-Wmissing-prototypes"

enum { SOCKETS_MAX = 256, SOCKET_FIRST = 1 << 21, DESCRIPTORS = 65536 };

/* --- time --- */

int __real_clock_gettime(clockid_t id, struct timespec *out);

uint64_t system_real_us(void) {
    struct timespec t;
    __real_clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * SIM_SECOND + (uint64_t)t.tv_nsec / 1000;
}

static struct timespec spec(uint64_t us) {
    return (struct timespec){.tv_sec = (time_t)(us / SIM_SECOND),
                             .tv_nsec = (long)(us % SIM_SECOND * 1000)};
}

int __wrap_clock_gettime(clockid_t id, struct timespec *out) {
    struct process *p = process_current();
    uint64_t us = id == CLOCK_REALTIME    ? process_wall_us(p)
                  : id == CLOCK_MONOTONIC ? process_clock_us(p)
                                          : 0;
    *out = spec(us);
    return 0;
}

time_t __wrap_time(time_t *out) {
    time_t now = (time_t)(process_wall_us(process_current()) / SIM_SECOND);
    if (out != NULL)
        *out = now;
    return now;
}

int __wrap_usleep(useconds_t us) {
    uint64_t until_us = process_clock_us(process_current()) + us;
    while (process_clock_us(process_current()) < until_us)
        process_wait(until_us);
    return 0;
}

int __wrap_timer_create(clockid_t id, struct sigevent *event, timer_t *out) {
    (void)id;
    (void)event;
    *out = NULL;
    return 0;
}

int __wrap_timer_settime(timer_t t, int flags, const struct itimerspec *to,
                         struct itimerspec *before) {
    (void)t;
    (void)flags;
    (void)to;
    (void)before;
    return 0;
}

int __wrap_timer_delete(timer_t t) {
    (void)t;
    return 0;
}

/* --- chance --- */

static struct dice *dice(void) {
    return process_current() != NULL ? process_dice(process_current()) : sim_dice();
}

ssize_t __wrap_getrandom(void *out, size_t len, unsigned flags) {
    (void)flags;
    dice_bytes(dice(), out, len);
    return (ssize_t)len;
}

int __wrap_RAND_bytes(unsigned char *out, int len) {
    dice_bytes(dice(), out, (size_t)len);
    return 1;
}

/* --- the process and its host --- */

pid_t __wrap_getpid(void) {
    return process_current() != NULL ? 1000 + (pid_t)process_pid(process_current()) : 1;
}

int __wrap_gethostname(char *out, size_t room) {
    snprintf(out, room, "%s", process_current() != NULL ? process_host(process_current()) : "out");
    return 0;
}

char *__wrap_getenv(const char *name) {
    (void)name;
    return NULL;
}

struct mallinfo2 __wrap_mallinfo2(void) {
    struct process *p = process_current();
    return (struct mallinfo2){.uordblks = p != NULL ? process_memory(p) : 0};
}

int __wrap_malloc_trim(size_t pad) {
    (void)pad;
    return 0;
}

long __real_sysconf(int name);
long __wrap_sysconf(int name) {
    return name == _SC_PHYS_PAGES ? 1 << 20 : __real_sysconf(name);
}

/* What the machine says of itself. */
FILE *__real_fopen(const char *path, const char *mode);
FILE *__wrap_fopen(const char *path, const char *mode) {
    bool is_machine = strncmp(path, "/proc/", 6) == 0 || strncmp(path, "/sys/", 5) == 0;
    if (!is_machine || process_current() == NULL)
        return __real_fopen(path, mode);
    errno = ENOENT;
    return NULL;
}

int __wrap_getrlimit(__rlimit_resource_t what, struct rlimit *out) {
    (void)what;
    *out = (struct rlimit){DESCRIPTORS, DESCRIPTORS};
    return 0;
}

int __wrap_setrlimit(__rlimit_resource_t what, const struct rlimit *to) {
    (void)what;
    (void)to;
    return 0;
}

/* A line of the product's log, which begins with the time, becomes one of the story's. */
ssize_t __real_write(int fd, const void *bytes, size_t len);
ssize_t __wrap_write(int fd, const void *bytes, size_t len) {
    struct process *p = process_current();
    if (fd != STDERR_FILENO || p == NULL)
        return __real_write(fd, bytes, len);
    const char *text = memchr(bytes, ' ', len);
    text = text != NULL && text - (const char *)bytes == 24 ? text + 1 : bytes;
    size_t rest = len - (size_t)(text - (const char *)bytes);
    sim_log(process_name(p), "%.*s", (int)(rest > 0 && text[rest - 1] == '\n' ? rest - 1 : rest),
            text);
    return (ssize_t)len;
}

/* --- sockets --- */

static struct {
    bool is_used;
    char address[ADDRESS_MAX];
} sockets[SOCKETS_MAX];

static bool is_ours(int fd) {
    return fd >= SOCKET_FIRST && fd < SOCKET_FIRST + SOCKETS_MAX;
}

static int fail(int error) {
    errno = error;
    return -1;
}

/* libuv closes what it was given, without close(2): so here. */
bool system_bound_address(int fd, char out[ADDRESS_MAX]) {
    if (!is_ours(fd))
        return false;
    snprintf(out, ADDRESS_MAX, "%s", sockets[fd - SOCKET_FIRST].address);
    sockets[fd - SOCKET_FIRST].is_used = false;
    return true;
}

int __wrap_socket(int domain, int type, int protocol) {
    (void)domain;
    (void)type;
    (void)protocol;
    for (int i = 0; i < SOCKETS_MAX; i++)
        if (!sockets[i].is_used) {
            sockets[i].is_used = true;
            sockets[i].address[0] = '\0';
            return SOCKET_FIRST + i;
        }
    return fail(EMFILE);
}

static void show(const struct sockaddr *a, char out[ADDRESS_MAX]) {
    const struct sockaddr_in *four = (const struct sockaddr_in *)a;
    const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)a;
    char ip[64] = "0.0.0.0"; /* also what stands for every address of both families */
    if (a->sa_family == AF_INET)
        inet_ntop(AF_INET, &four->sin_addr, ip, sizeof(ip));
    snprintf(out, ADDRESS_MAX, "%s:%u", ip,
             ntohs(a->sa_family == AF_INET ? four->sin_port : six->sin6_port));
}

/* Names of abstract sockets (the locks and claims of ports) are never taken. */
int __wrap_bind(int fd, const struct sockaddr *a, socklen_t len) {
    (void)len;
    if (!is_ours(fd))
        return fail(EBADF);
    if (a->sa_family == AF_UNIX)
        return 0;
    char *address = sockets[fd - SOCKET_FIRST].address;
    show(a, address);
    return net_is_listening(process_current(), address) ? fail(EADDRINUSE) : 0;
}

int __wrap_listen(int fd, int backlog) {
    (void)backlog;
    return is_ours(fd) ? 0 : fail(EBADF);
}

int __wrap_connect(int fd, const struct sockaddr *a, socklen_t len) {
    (void)fd;
    (void)a;
    (void)len;
    return fail(ECONNREFUSED);
}

int __wrap_accept4(int fd, struct sockaddr *a, socklen_t *len, int flags) {
    (void)fd;
    (void)a;
    (void)len;
    (void)flags;
    return fail(EAGAIN);
}

int __wrap_setsockopt(int fd, int level, int name, const void *value, socklen_t len) {
    (void)fd;
    (void)level;
    (void)name;
    (void)value;
    (void)len;
    return 0;
}

int __wrap_getsockopt(int fd, int level, int name, void *value, socklen_t *len) {
    (void)fd;
    (void)level;
    (void)name;
    (void)value;
    (void)len;
    return fail(ENOTCONN);
}

int __real_close(int fd);
int __wrap_close(int fd) {
    if (!is_ours(fd))
        return __real_close(fd);
    sockets[fd - SOCKET_FIRST].is_used = false;
    return 0;
}

/* Only TIOCOUTQ: what the peer has not acknowledged. */
int __wrap_ioctl(int fd, unsigned long request, int *out) {
    const struct wire *w = wire_of_fd(fd);
    if (request != TIOCOUTQ || w == NULL || w->sock == NULL)
        return fail(EBADF);
    *out = (int)sock_unacked(w->sock);
    return 0;
}
