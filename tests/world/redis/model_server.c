/*
 * model_server.c - shows the model on a unix socket, for test_redis_model.py, which asks it and a
 * real server the same.
 *
 *     redis_model_server SOCKET CLOCK
 *
 * CLOCK is a file of 8 bytes, the time in microseconds since 1970, that the test sets
 * (frozen_clock.c).
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/world/redis/model.h"

enum { CONNECTIONS_MAX = 32 };

struct connection {
    int fd; /* -1: none */
    struct redis_session *session;
    bool is_ended, is_unblocked;
};

static struct connection connections[CONNECTIONS_MAX];
/* Those that wait no more, in the order in which they are served next: all that they had sent. */
static struct connection *unblocked[CONNECTIONS_MAX];
static unsigned unblocked_count;
static struct redis_model *model;
static const volatile int64_t *now_us;

static void on_output(void *ctx, struct bytes out) {
    const struct connection *c = ctx;
    while (out.len > 0) {
        ssize_t n = write(c->fd, out.ptr, out.len);
        if (n < 0 && errno != EINTR)
            return;
        out = bytes_from(out, n > 0 ? (size_t)n : 0);
    }
}

static void on_close(void *ctx) {
    ((struct connection *)ctx)->is_ended = true;
}

static void on_unblocked(void *ctx) {
    ((struct connection *)ctx)->is_unblocked = true;
    unblocked[unblocked_count++ % CONNECTIONS_MAX] = ctx;
}

static const struct redis_events events = {on_output, on_close, on_unblocked};

static void add(int fd) {
    for (int i = 0; i < CONNECTIONS_MAX; i++)
        if (connections[i].fd < 0) {
            struct connection *c = &connections[i];
            *c = (struct connection){.fd = fd};
            c->session = redis_session_new(model, "unix:0", &events, c);
            return;
        }
    close(fd);
}

static void drop(struct connection *c) {
    redis_session_free(c->session);
    close(c->fd);
    c->fd = -1;
}

static void receive(struct connection *c) {
    static char in[1 << 20];
    ssize_t n = read(c->fd, in, sizeof(in));
    if (n <= 0)
        c->is_ended = true;
    else
        redis_session_feed(c->session, bytes_of(in, (size_t)n));
}

static void step(struct connection *c) {
    while (c->fd >= 0 && !c->is_ended && redis_session_step(c->session))
        continue;
}

static void step_all(void) {
    redis_model_set_time(model, *now_us, (uint64_t)*now_us);
    for (int i = 0; i < CONNECTIONS_MAX; i++)
        if (!connections[i].is_unblocked)
            step(&connections[i]);
    for (unsigned i = 0; i < unblocked_count; i++) {
        unblocked[i % CONNECTIONS_MAX]->is_unblocked = false;
        step(unblocked[i % CONNECTIONS_MAX]);
    }
    unblocked_count = 0;
    for (int i = 0; i < CONNECTIONS_MAX; i++)
        if (connections[i].fd >= 0 && connections[i].is_ended)
            drop(&connections[i]);
}

static int listen_at(const char *path) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    if (bind(fd, (struct sockaddr *)&address, sizeof(address)) != 0 || listen(fd, 16) != 0) {
        perror(path);
        exit(2);
    }
    return fd;
}

static void open_clock(const char *path) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    void *map = fd >= 0 ? mmap(NULL, sizeof(*now_us), PROT_READ, MAP_SHARED, fd, 0) : MAP_FAILED;
    if (map == MAP_FAILED) {
        perror(path);
        exit(2);
    }
    close(fd);
    now_us = map;
}

int main(int argc, char **argv) {
    if (argc != 3) {
        fprintf(stderr, "usage: redis_model_server SOCKET CLOCK\n");
        return 2;
    }
    open_clock(argv[2]);
    model = redis_model_new(1);
    redis_model_set_sweeping(model, false);
    redis_model_set_time(model, *now_us, (uint64_t)*now_us);
    for (int i = 0; i < CONNECTIONS_MAX; i++)
        connections[i].fd = -1;
    int listener = listen_at(argv[1]);
    for (;;) {
        struct pollfd polled[CONNECTIONS_MAX + 1] = {{.fd = listener, .events = POLLIN}};
        for (int i = 0; i < CONNECTIONS_MAX; i++)
            polled[i + 1] = (struct pollfd){.fd = connections[i].fd, .events = POLLIN};
        if (poll(polled, CONNECTIONS_MAX + 1, 20) < 0)
            return 1;
        if (polled[0].revents != 0)
            add(accept(listener, NULL, NULL));
        for (int i = 0; i < CONNECTIONS_MAX; i++)
            if (polled[i + 1].revents != 0 && polled[i + 1].fd >= 0)
                receive(&connections[i]);
        step_all();
    }
}
