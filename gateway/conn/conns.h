/*
 * conns.h - the set of all connections as lists: all of them, those to be written (dirty), those
 * with a deadline; and the timers that mark what is due. turn.c acts on it.
 */
#ifndef SIGNALBOX_GATEWAY_CONN_CONNS_H
#define SIGNALBOX_GATEWAY_CONN_CONNS_H

#include <sys/queue.h>
#include <uv.h>

#include "common/net/handshakes.h"
#include "gateway/codec/frame.h"
#include "gateway/conn/inflating.h"

struct conn;
struct peers;

LIST_HEAD(conn_list, conn);
TAILQ_HEAD(conn_queue, conn);

enum { CONNS_SWEEP_PARTS = 10 }; /* so many ticks of the sweep reach every connection */

struct conns {
    uv_loop_t *loop;
    bool is_draining; /* no new connections, and none is kept alive; set by drain.c */
    size_t max_queue_bytes;
    struct frame_arena arena; /* frames of single connections */
    struct conn **all;
    size_t count, cap, cursor;
    struct conn_queue dirty;
    unsigned turns_behind; /* so many turns in a row have not written all that are dirty */
    struct conn_list deadlines;
    struct handshakes handshakes; /* of those that speak TLS */
    struct inflating inflating;   /* the compressed messages of all */
    size_t starved;               /* not read because memory is short */
    uint64_t relieved_ms;         /* when that was last looked into */
    size_t unfreed;               /* closed, on_closed outstanding */
    size_t refused;      /* of count and unfreed together: those that are one too many … */
    size_t told;         /* … and of them those that are told so */
    struct peers *peers; /* what each address has; NULL: nobody is counted */
    /* A trusted proxy has told whom it speaks for: c->ip is that. May drop it. NULL: no PROXY. */
    void (*on_proxied)(struct conns *set, struct conn *c);
    void (*on_flushed)(struct conns *set); /* all that were dirty are written; may be NULL */
    uv_prepare_t flush;
    uv_timer_t sweep, deadline_tick;
    bool is_sweep_due, are_deadlines_due;
    uv_idle_t hurry; /* runs while something is due, so that the poll does not sleep */
    uv_check_t judge;
    uint64_t heard_ms;   /* the poll of the turn before this one */
    uint64_t held_up_ms; /* how long it had been waited for; 0: it came in time */
};

/* sweep_ms: how often each connection is swept. turn_start must follow. */
void conns_init(struct conns *set, uv_loop_t *loop, size_t max_queue_bytes, uint64_t sweep_ms);
/* All connections must be gone. The handles are closed: the loop must run once more. */
void conns_deinit(struct conns *set);
static inline uint64_t conns_now(const struct conns *set) {
    return uv_now(set->loop);
}
/* For each connection; fn may drop it. */
void conns_each(struct conns *set, void (*fn)(struct conn *c, void *ctx), void *ctx);
/* While sockets are heard: for how long none was, because the process stood still; else 0. The
 * poll that ends a standstill may bring nothing, so the turn after it counts, too. */
uint64_t conns_held_up_ms(const struct conns *set);

/* ---- for conn.c and turn.c */

void conns_add(struct conns *set, struct conn *c);
void conns_remove(struct conns *set, struct conn *c);
/* It is written at the end of the turn, or of one of the next when there are many (turn.c). */
void conns_mark_dirty(struct conns *set, struct conn *c);
void conns_mark_clean(struct conns *set, struct conn *c);
/* The next poll does not sleep. */
void conns_hurry(struct conns *set);
/* c->deadline_ms is set. */
void conns_add_deadline(struct conns *set, struct conn *c);
/* The sockets were heard. */
void conns_heard(struct conns *set);

#endif
