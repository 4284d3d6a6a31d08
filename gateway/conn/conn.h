/*
 * conn.h - one client connection: its stream, its queue, its protocol and its state.
 *
 *     OPENING ─ TLS done ─▶ OPEN ─ conn_finish ─▶ FINISHING ─ queue written ─▶ CLOSED ─▶ freed
 *        └──────────────────── conn_drop ─────────────┴──────────────────────────▲      on_closed
 *
 * Sending never writes. It queues and marks the connection dirty; once a turn, before the loop
 * sleeps, each dirty connection is written with one gathered write (turn.c). The exception is a
 * message that finds the queue at its bound: then the socket is tried before the client is judged.
 * An idle connection owns no buffers.
 *
 * This floor knows nothing of Names, Redis or Lua.
 */
#ifndef SIGNALBOX_GATEWAY_CONN_CONN_H
#define SIGNALBOX_GATEWAY_CONN_CONN_H

#include <stdint.h>
#include <sys/queue.h>
#include <uv.h>

#include "common/net/stream.h"
#include "gateway/conn/conns.h"
#include "gateway/conn/outq.h"
#include "gateway/conn/peers.h"
#include "gateway/conn/proto.h"
#include "gateway/conn/transport.h"

struct endpoint;
struct tls_context;

enum conn_state { CONN_OPENING, CONN_OPEN, CONN_FINISHING, CONN_CLOSED };

struct conn {
    /* What a message to many touches, close together. */
    enum conn_state state;
    enum slow_policy policy;
    uint32_t slot;      /* place in conns->all */
    bool is_blocked;    /* the socket takes no more for now */
    bool is_dirty;      /* it is in conns->dirty */
    bool has_spoken;    /* a message was for it since its protocol last looked */
    uint64_t active_ms; /* last byte in or out */
    TAILQ_ENTRY(conn) by_dirty;
    struct conns *set;
    struct outq out;

    const struct conn_proto *proto;
    void *proto_state;
    const struct endpoint *endpoint;
    struct ip ip;                  /* of the other end; not known for a unix socket */
    struct ip remote;              /* whom it serves now: another than `ip` behind a proxy */
    struct peer_hold hold;         /* whom it counts for */
    const struct refusal *refusal; /* why it is one too many; NULL: it is welcome */
    bool is_told;                  /* it was taken only to be told so */
    uint64_t opened_ms;
    uint64_t deadline_ms; /* 0: none */
    uint64_t over_ms;     /* since when the queue is over its bound; 0: it is not */
    uint64_t acked;       /* conn_stalled_ms: how much the peer had acknowledged, */
    uint64_t acked_ms;    /* and when that last became more */
    uint64_t ending_ms;   /* when its end began, */
    uint64_t stall_ms;    /* and for how long the peer may take nothing meanwhile */
    LIST_ENTRY(conn) by_deadline;
    bool is_cut;             /* conn_cut was called */
    unsigned paused;         /* enum conn_pause */
    uint64_t paused_ms;      /* since when memory has been short for it */
    size_t input_bytes;      /* of a message or request that is not finished, … */
    size_t input_grant;      /* … up to how many it is read although memory is short */
    uint64_t input_since_ms; /* when that began; 0: there is none */
    uint64_t blocked_ms;     /* when the socket last took something and not all */
    struct stream stream;
};

/* Takes a waiting connection. NULL: there was none, or it broke at once. */
struct conn *conn_accept(struct conns *set, uv_stream_t *server, struct tls_context *tls,
                         const struct endpoint *endpoint, const struct conn_proto *proto);

static inline bool conn_is_open(const struct conn *c) {
    return c->state == CONN_OPEN;
}

/* Queues a message under the Name's policy. At the bound the socket is tried first. */
MUST_CHECK enum conn_sent conn_send_message(struct conn *c, struct frame f);
/* The same of one of several senders that share the connection, each with a policy of its own. */
MUST_CHECK enum conn_sent conn_send_parts(struct conn *c, const struct outq_parts *parts,
                                          enum slow_policy policy);
/* Whether the queue has been over its bound for too long: the client is slow. */
bool conn_is_slow(const struct conn *c);
/* Whether the socket has taken everything that was queued. */
static inline bool conn_is_written(const struct conn *c) {
    return c->out.count == 0 && !c->is_blocked;
}
/* Queues what may not be dropped, without a bound. */
void conn_send_bytes(struct conn *c, struct bytes bytes);
/* Queues a message past the bound: the first ones after a 101. */
void conn_send_initial(struct conn *c, struct frame f);

/* Counts one more of its address (peers_count). NULL, or why not. */
MUST_CHECK const struct refusal *conn_count(struct conn *c, enum peer_count what);
/* It is one too many. is_told: its first request is answered with the refusal; else it is closed
 * now. */
void conn_refuse(struct conn *c, const struct refusal *why, bool is_told);

/* Closes once everything that is queued is written, or once the peer has taken nothing for
 * stall_ms, and after five minutes in any case. No more on_bytes. */
void conn_finish(struct conn *c, uint64_t stall_ms);
/* As conn_finish, but nothing more is read meanwhile, be it to be thrown away: the peer has a
 * second to read what is queued, then the connection breaks. Also while it finishes. */
void conn_cut(struct conn *c);
/* Closes now. Idempotent. */
void conn_drop(struct conn *c);

/* Writes what is queued, as far as the socket takes it. Closes a connection that is broken, or that
 * has nothing left to finish. */
void conn_flush(struct conn *c);
/* Its deadline is over; the sweep has come to it. For turn.c. */
void conn_on_deadline(struct conn *c);
void conn_sweep(struct conn *c, uint64_t now_ms);

/* ---- does the peer read? */

/* Bytes that are queued, or on their way and not acknowledged. */
size_t conn_unsent(const struct conn *c);
/* conn_stalled_ms counts from now on. */
void conn_watch(struct conn *c);
/* For how long the peer has taken nothing although something is on its way to it, as far as the
 * calls since conn_watch show. */
uint64_t conn_stalled_ms(struct conn *c);
/* Begins an end that waits for the peer to read. */
void conn_begin_end(struct conn *c, uint64_t stall_ms);
/* Whether that end should go on waiting: bytes are left and the peer takes some of them. */
bool conn_is_taking(struct conn *c);

/* ---- what it keeps of its peer's input */

/* So much may be kept of one although the share of them all is full. */
enum { CONN_INPUT_SMALL_MAX = 64 * 1024 };

/* Why it is not read. */
enum conn_pause { CONN_PAUSED_PROTO = 1, CONN_PAUSED_MEMORY = 2 };
/* Both are idempotent; it is read while there is no reason left not to. */
void conn_pause(struct conn *c, enum conn_pause why);
void conn_resume(struct conn *c, enum conn_pause why);
static inline bool conn_is_paused(const struct conn *c, enum conn_pause why) {
    return (c->paused & (unsigned)why) != 0;
}
/* After bytes were read: how much memory holds what is not finished yet. While memory is short,
 * much of it has to wait until pressure.c lets it go on. */
void conn_set_input(struct conn *c, bool is_unfinished, size_t bytes);

/* Another protocol takes over. */
void conn_switch(struct conn *c, const struct conn_proto *proto, void *proto_state);
/* Calls on_deadline in so many milliseconds, in a later turn even for 0. A new deadline replaces
 * the old one. */
void conn_set_deadline(struct conn *c, uint64_t in_ms);
void conn_clear_deadline(struct conn *c);

#endif
