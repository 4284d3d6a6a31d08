/*
 * uv_world.h - what the parts of the simulated libuv share. They implement <uv.h> as libuv 1.44
 * documents it and behaves; tests/world/test_loop.c compares the two.
 *
 * A `struct loop` hangs on uv_loop_t.internal_fields. It and the wires are on the heap, because the
 * kernel side (network.c) reaches them while the process, and all that it keeps in its globals, is
 * not resident. Whatever names a uv_… struct may be touched only by the process itself.
 */
#ifndef SIGNALBOX_WORLD_UV_WORLD_H
#define SIGNALBOX_WORLD_UV_WORLD_H

#include <uv.h>

#include "common/base/must.h"
#include "tests/world/network.h"
#include "tests/world/process.h"

enum handle_flag {
    HANDLE_ACTIVE = 1 << 0,
    HANDLE_REF = 1 << 1,
    HANDLE_CLOSING = 1 << 2,
    HANDLE_CLOSED = 1 << 3,
    STREAM_FLAG_READING = 1 << 4,
    STREAM_FLAG_READABLE = 1 << 5,
    STREAM_FLAG_WRITABLE = 1 << 6,
    STREAM_FLAG_SHUTTING = 1 << 7,
    STREAM_FLAG_SHUT = 1 << 8
};

/* An entry of a list; lies over the two pointers that libuv's structs have for this. */
struct node {
    struct node *next, *prev;
};

/* The kernel's view of a stream, or of a request that a thread would work on. */
struct wire {
    struct node in_ready; /* of its loop */
    struct loop *loop;
    struct sock *sock;     /* NULL: none yet */
    struct sock *accepted; /* of a listener: what waits for uv_accept */
    unsigned interest;     /* bits of enum sock_ready */
    int fd;                /* a number that stands for it */
    void (*on_io)(struct wire *w, unsigned ready);
    void *handle;              /* the uv_stream_t, or the request */
    char address[ADDRESS_MAX]; /* bound to */
    struct event done;         /* of a request */
};

struct loop {
    struct process *process;
    uv_loop_t *uv;
    uv_timer_t **timers; /* a heap from 1 */
    unsigned timers_count, timers_room;
    struct node idle, prepare, check, pending, signals, ready;
};

static inline struct loop *loop_of(const uv_loop_t *uv) {
    return uv->internal_fields;
}

static inline void list_init(struct node *list) {
    list->next = list->prev = list;
}
static inline bool list_is_empty(const struct node *list) {
    return list->next == list;
}
static inline void list_insert(struct node *before, struct node *n) {
    n->next = before;
    n->prev = before->prev;
    before->prev->next = n;
    before->prev = n;
}
static inline void list_remove(struct node *n) {
    n->next->prev = n->prev;
    n->prev->next = n->next;
    list_init(n);
}
/* All entries of from; from is empty afterwards. */
void list_move(struct node *from, struct node *to);

void handle_init(uv_loop_t *loop, void *handle, uv_handle_type type);
void handle_start(void *handle);
void handle_stop(void *handle);
static inline bool handle_has(const void *handle, unsigned flag) {
    return (((const uv_handle_t *)handle)->flags & flag) != 0;
}

struct wire *wire_new(uv_loop_t *loop, void *handle, void (*on_io)(struct wire *w, unsigned ready));
void wire_free(struct wire *w);
/* Its loop calls on_io in its next turn. */
void wire_make_ready(struct wire *w);
struct wire *wire_of_fd(int fd); /* NULL: not one of ours */
/* on_io is called after a while, as if by a thread that worked on it. */
void wire_work(struct wire *w, uint64_t least_us, uint64_t most_us);

/* In uv_stream.c, for the loop. */
void stream_on_pending(uv_stream_t *stream);
void stream_stop_for_close(uv_stream_t *stream);
void stream_finish_close(uv_stream_t *stream);
/* Sockets that the product opens by itself; in system.c. False: not one of ours. */
bool system_bound_address(int fd, char out[ADDRESS_MAX]);

#endif
