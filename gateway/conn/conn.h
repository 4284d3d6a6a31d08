/*
 * conn.h - one client connection: its stream, its queue, its protocol and its state; and the set of
 * them all.
 *
 *     OPENING ─ TLS done ─▶ OPEN ─ conn_finish ─▶ FINISHING ─ queue written ─▶ CLOSED ─▶ freed by
 *        └──────── conn_drop ┴──────────────────────────┴────────────────────────▲      on_closed
 *
 * conn_send never writes. It queues and marks the connection dirty; once per turn, before the loop
 * sleeps, each dirty connection is written with one gathered write (conns.c). The exception is a
 * message that finds the queue at its bound: the socket is tried before anything is held against
 * the client. An idle connection owns no buffers.
 *
 * This layer knows nothing of Names, Redis or Lua.
 */
#ifndef SIGNALBOX_GATEWAY_CONN_CONN_H
#define SIGNALBOX_GATEWAY_CONN_CONN_H

#include <stdint.h>
#include <sys/queue.h>
#include <uv.h>

#include "common/net/stream.h"
#include "gateway/conn/outq.h"
#include "gateway/conn/proto.h"

struct endpoint_run;
struct remote;
struct tls_context;

enum conn_state { CONN_OPENING, CONN_OPEN, CONN_FINISHING, CONN_CLOSED };

struct conn {
    /* What a message to many touches, close together. */
    enum conn_state state;
    enum slow_policy policy;
    uint32_t dirty_slot; /* place in conns->dirty, plus 1; 0: clean */
    uint32_t slot;       /* place in conns->all */
    bool is_blocked;     /* the socket takes no more for now */
    uint64_t active_ms;  /* last byte in or out */
    struct conns *set;
    struct outq out;

    const struct conn_proto *proto;
    void *proto_state;
    const struct endpoint_run *endpoint;
    struct remote *remote; /* NULL: addresses are not counted */
    bool is_surplus;       /* taken although the process is full: to be answered 503 */
    uint64_t opened_ms;
    uint64_t deadline_ms; /* 0: none */
    uint64_t over_ms;     /* since when the queue is over its bound; 0: it is not */
    uint64_t acked;       /* conn_stalled_ms: what the peer had had */
    uint64_t acked_ms;    /* when that became more */
    uint64_t ending_ms;   /* when its end began */
    uint64_t stall_ms;    /* and how long the peer may take nothing meanwhile */
    LIST_ENTRY(conn) by_deadline;
    struct stream stream;
};

LIST_HEAD(conn_list, conn);

struct conns {
    uv_loop_t *loop;
    void *owner;      /* of the callbacks below */
    bool is_draining; /* the process takes no new connections and keeps none alive */
    size_t max_queue_bytes;
    uint64_t sweep_ms;        /* every connection is swept this often */
    struct frame_arena arena; /* frames of single connections */
    struct conn **all;
    size_t count, cap, cursor;
    struct conn **dirty;
    size_t dirty_count, dirty_cap;
    struct conn_list deadlines;
    size_t unfreed;                        /* closed, on_closed outstanding */
    void (*on_flushed)(struct conns *set); /* at the end of each turn; may be NULL */
    void (*on_conn_gone)(struct conns *set, struct conn *c); /* for the limits; may be NULL */
    uv_prepare_t flush;
    uv_timer_t sweep, deadline_tick;
    /* What is due is judged after the sockets were heard: see conns.c. */
    bool is_sweep_due, are_deadlines_due;
    uv_idle_t hurry;
    uv_check_t judge;
    uint64_t heard_ms;   /* the poll of the turn before this one */
    uint64_t held_up_ms; /* how long it had been waited for; 0: it came in time */
};

void conns_init(struct conns *set, uv_loop_t *loop, void *owner, size_t max_queue_bytes,
                uint64_t sweep_ms);
/* All connections must be gone. The handles are closed: the loop must run once more. */
void conns_deinit(struct conns *set);
/* For each connection; fn may drop it. */
void conns_each(struct conns *set, void (*fn)(struct conn *c, void *ctx), void *ctx);
static inline uint64_t conns_now(const struct conns *set) {
    return uv_now(set->loop);
}
/* While sockets are heard: for how long none was, because the process stood still; else 0. The
 * poll that ends a standstill may bring nothing, so the turn after it counts, too. */
uint64_t conns_held_up_ms(const struct conns *set);
/* Writes what is queued now, without waiting for the end of the turn. */
void conns_flush(struct conns *set);

/* Takes a waiting connection. NULL when there was none (or it broke at once). */
struct conn *conn_accept(struct conns *set, uv_stream_t *server, struct tls_context *tls,
                         const struct endpoint_run *endpoint, const struct conn_proto *proto);

static inline bool conn_is_open(const struct conn *c) {
    return c->state == CONN_OPEN;
}

enum conn_sent {
    CONN_QUEUED,
    CONN_DROPPED, /* the policy dropped a message, perhaps this one */
    CONN_OVER     /* nothing was queued: the queue stays over its bound, and the policy is to close,
                   * which is up to the caller */
};
/* Queues a message under the Name's policy. At the bound the socket is tried first. */
MUST_CHECK enum conn_sent conn_send_message(struct conn *c, struct frame f);
/* Whether the queue has been at or over its bound for too long: the client is slow. */
bool conn_is_slow(const struct conn *c);
/* Whether the socket has taken everything that was queued. */
static inline bool conn_is_written(const struct conn *c) {
    return c->out.count == 0 && !c->is_blocked;
}
/* Queues what may not be dropped, without a bound. */
void conn_send(struct conn *c, struct frame f);
void conn_send_bytes(struct conn *c, struct bytes bytes);
/* Queues a message past the bound: the first ones after a 101. */
void conn_send_initial(struct conn *c, struct frame f);

/* Closes once everything queued is written, or once the peer has taken nothing for stall_ms; five
 * minutes are the end. No more on_bytes. */
void conn_finish(struct conn *c, uint64_t stall_ms);
/* Closes now. Idempotent. */
void conn_drop(struct conn *c);

/* Writes what is queued, as far as the socket takes it. Closes a connection that is broken, or that
 * has nothing left to finish. */
void conn_flush(struct conn *c);

/* ---- does the peer read? */

/* Bytes that are queued, or on their way and not acknowledged. */
size_t conn_unsent(const struct conn *c);
/* From now on: conn_stalled_ms starts at 0. */
void conn_watch(struct conn *c);
/* For how long the peer has taken nothing, though something is on its way to it; as far as the
 * calls since conn_watch can tell. */
uint64_t conn_stalled_ms(struct conn *c);
/* An end that waits for the peer to read begins. */
void conn_begin_end(struct conn *c, uint64_t stall_ms);
/* Whether that end is worth waiting for: the peer is owed bytes and takes some of them. */
bool conn_is_taking(struct conn *c);

/* Another protocol takes over. */
void conn_switch(struct conn *c, const struct conn_proto *proto, void *proto_state);
/* on_deadline in so many milliseconds; a new one replaces the old. */
void conn_set_deadline(struct conn *c, uint64_t in_ms);
void conn_clear_deadline(struct conn *c);

#endif
