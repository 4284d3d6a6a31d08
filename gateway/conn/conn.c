/* conn.c - see conn.h. write_queued is the one place that writes to clients. */
#include "gateway/conn/conn.h"

#include <stdlib.h>

#include "common/base/log.h"
#include "common/base/memory_budget.h"
#include "common/base/metrics.h"
#include "gateway/conn/endpoints.h"

enum {
    GATHER_MAX = 64,
    OPENING_MAX_MS = 10000,
    END_TICK_MS = 500,
    CUT_MS = 1000,
    END_MAX_MS = 300000,
    SLOW_MS = 1000, /* for so long a queue may be over its bound, … */
    SLOW_TIMES = 4  /* … up to so many times the bound */
};

/* Only forward, as drawn in conn.h. */
static void set_state(struct conn *c, enum conn_state to) {
    MUST(to > c->state && (to != CONN_FINISHING || c->state == CONN_OPEN));
    c->state = to;
}

static struct conn *conn_of(struct stream *s) {
    return container_of(s, struct conn, stream);
}

/* ---- from the stream */

static void on_open(struct stream *s, int status) {
    struct conn *c = conn_of(s);
    peers_uncount(&c->hold, PEER_HANDSHAKES);
    if (status < 0) {
        log_debug("conn", "failed to open reason=%s",
                  LOG_TEXT(bytes_str(stream_error_text(s, status))));
        conn_drop(c);
        return;
    }
    set_state(c, CONN_OPEN);
    c->opened_ms = c->active_ms = conns_now(c->set);
}

/* source: not known when the proxy speaks for itself. */
static void on_proxied(struct stream *s, struct ip source) {
    struct conn *c = conn_of(s);
    if (ip_is_known(source))
        c->ip = c->remote = source;
    c->set->on_proxied(c->set, c);
}

static void on_bytes(struct stream *s, struct bytes in) {
    struct conn *c = conn_of(s);
    c->active_ms = conns_now(c->set);
    if (c->state == CONN_OPEN)
        c->proto->on_bytes(c, in);
}

static void on_end(struct stream *s, int status) {
    struct conn *c = conn_of(s);
    if (c->state == CONN_OPEN)
        c->proto->on_end(c, status);
    else if (c->state != CONN_FINISHING || status < 0)
        conn_drop(c); /* FINISHING: a peer that ended in good order may still read what is queued */
}

static void on_writable(struct stream *s) {
    struct conn *c = conn_of(s);
    c->is_blocked = false;
    conn_flush(c);
}

static void on_closed(struct stream *s) {
    struct conn *c = conn_of(s);
    peers_release(c->set->peers, &c->hold, conns_now(c->set));
    c->set->refused -= c->refusal != NULL;
    c->set->told -= c->is_told;
    c->set->unfreed--;
    free(c);
}

static const struct stream_events stream_events = {
    .on_proxied = on_proxied,
    .on_open = on_open,
    .on_bytes = on_bytes,
    .on_end = on_end,
    .on_writable = on_writable,
    .on_closed = on_closed,
};

struct conn *conn_accept(struct conns *set, uv_stream_t *server, struct tls_context *tls,
                         const struct endpoint *endpoint, const struct conn_proto *proto) {
    struct conn *c = mem_zalloc(sizeof(*c));
    c->set = set;
    c->proto = proto;
    c->endpoint = endpoint;
    c->state = CONN_OPENING;
    c->opened_ms = c->active_ms = conns_now(set);
    outq_init(&c->out);
    stream_init(&c->stream, set->loop, &stream_events);
    conns_add(set, c);
    struct stream_opening opening = {.tls = tls,
                                     .handshakes = &set->handshakes,
                                     .proxy = endpoint != NULL ? endpoint->proxy : PROXY_NONE};
    if (stream_accept(&c->stream, server, &opening) < 0) {
        c->proto = NULL;
        conn_drop(c);
        return NULL;
    }
    c->ip = c->remote = stream_remote_ip(&c->stream);
    return c;
}

const struct refusal *conn_count(struct conn *c, enum peer_count what) {
    return peers_count(c->set->peers, &c->hold, what, conns_now(c->set));
}

void conn_refuse(struct conn *c, const struct refusal *why, bool is_told) {
    MUST(c->refusal == NULL);
    c->refusal = why;
    c->is_told = is_told;
    c->set->refused++;
    c->set->told += is_told;
    if (!is_told)
        conn_drop(c);
}

/* ---- sending */

void conn_send_initial(struct conn *c, struct frame f) {
    if (c->state != CONN_OPEN)
        return;
    c->has_spoken = true;
    outq_push(&c->out, f, true);
    conns_mark_dirty(c->set, c);
}

void conn_send_bytes(struct conn *c, struct bytes bytes) {
    if (c->state != CONN_OPEN)
        return;
    struct frame f = frame_make(&c->set->arena, BYTES_NONE, bytes);
    outq_push(&c->out, f, false);
    conns_mark_dirty(c->set, c);
    frame_unref(f);
}

static unsigned gather(const struct outq *q, uv_buf_t bufs[GATHER_MAX], size_t *total_out) {
    unsigned count = q->count < GATHER_MAX ? q->count : GATHER_MAX;
    *total_out = 0;
    for (unsigned i = 0; i < count; i++) {
        struct bytes range = outq_at(q, i);
        bufs[i].base = (char *)range.ptr;
        bufs[i].len = range.len;
        *total_out += range.len;
    }
    return count;
}

/* 0, or a negative UV_E… when the connection is broken. */
static int write_queued(struct conn *c) {
    while (c->out.count > 0 && !c->is_blocked) {
        uv_buf_t bufs[GATHER_MAX];
        size_t total;
        unsigned count = gather(&c->out, bufs, &total);
        ssize_t written = stream_write(&c->stream, bufs, count);
        if (written < 0)
            return (int)written;
        if ((size_t)written < total) {
            c->is_blocked = true; /* then on_writable will come */
            c->blocked_ms = conns_now(c->set);
        }
        if (written == 0)
            return 0;
        outq_wrote(&c->out, (size_t)written);
        metrics_add(METRIC_delivered_bytes, written);
        c->active_ms = conns_now(c->set);
    }
    return 0;
}

/* ---- messages, and the bound */

static void watch_bound(struct conn *c, size_t more) {
    if (!outq_would_overflow(&c->out, more, c->set->max_queue_bytes))
        c->over_ms = 0;
    else if (c->over_ms == 0)
        c->over_ms = conns_now(c->set);
}

/* A queue that grew within one turn says nothing about the client, which could not read yet. */
static bool has_had_time(const struct conn *c) {
    return c->over_ms != 0 && conns_now(c->set) - c->over_ms >= SLOW_MS;
}

bool conn_is_slow(const struct conn *c) {
    return c->policy == SLOW_CLOSE && has_had_time(c);
}

/* Tries the socket, and returns how much the queue may hold now. A broken connection is left to the
 * flush at the end of the turn. */
static size_t bound_for(struct conn *c, size_t len, enum slow_policy policy) {
    (void)write_queued(c);
    if (policy == SLOW_CLOSE)
        watch_bound(c, len);
    bool is_patient = policy == SLOW_CLOSE && !has_had_time(c);
    return c->set->max_queue_bytes * (is_patient ? SLOW_TIMES : 1);
}

static enum conn_sent conclude(struct conn *c, enum outq_result result, unsigned dropped) {
    if (result == OUTQ_FULL)
        return CONN_OVER;
    conns_mark_dirty(c->set, c);
    if (result == OUTQ_OK)
        return CONN_QUEUED;
    metrics_add(METRIC_slow_dropped, dropped);
    return CONN_DROPPED;
}

RARE static enum conn_sent send_over_bound(struct conn *c, struct frame f) {
    unsigned dropped;
    size_t max_bytes = bound_for(c, f.len, c->policy);
    enum outq_result result = outq_push_message(&c->out, f, max_bytes, c->policy, &dropped);
    return conclude(c, result, dropped);
}

enum conn_sent conn_send_message(struct conn *c, struct frame f) {
    if (c->state != CONN_OPEN)
        return CONN_DROPPED;
    c->has_spoken = true;
    if (outq_would_overflow(&c->out, f.len, c->set->max_queue_bytes))
        return send_over_bound(c, f);
    outq_push_fitting(&c->out, f, c->policy);
    conns_mark_dirty(c->set, c);
    return CONN_QUEUED;
}

enum conn_sent conn_send_parts(struct conn *c, const struct outq_parts *parts,
                               enum slow_policy policy) {
    unsigned dropped;
    size_t len = parts->head.len + parts->body.len;
    if (c->state != CONN_OPEN)
        return CONN_DROPPED;
    c->has_spoken = true;
    if (outq_would_overflow(&c->out, len, c->set->max_queue_bytes)) {
        size_t max_bytes = bound_for(c, len, policy);
        enum outq_result result = outq_push_parts(&c->out, parts, max_bytes, policy, &dropped);
        return conclude(c, result, dropped);
    }
    outq_push_fitting_parts(&c->out, parts);
    conns_mark_dirty(c->set, c);
    return CONN_QUEUED;
}

void conn_flush(struct conn *c) {
    if (write_queued(c) < 0) {
        conn_drop(c);
        return;
    }
    if (c->over_ms != 0)
        watch_bound(c, 0);
    if (c->out.count > 0)
        return;
    if (c->state == CONN_FINISHING && !c->is_cut)
        conn_drop(c);
    else if (c->state == CONN_OPEN && c->proto->on_drained != NULL)
        c->proto->on_drained(c);
}

/* ---- what is kept of the input */

void conn_pause(struct conn *c, enum conn_pause why) {
    if (conn_is_paused(c, why))
        return;
    c->paused |= (unsigned)why;
    stream_pause(&c->stream);
    if (why != CONN_PAUSED_MEMORY)
        return;
    c->paused_ms = conns_now(c->set);
    c->set->starved++;
}

void conn_resume(struct conn *c, enum conn_pause why) {
    if (!conn_is_paused(c, why))
        return;
    c->paused &= ~(unsigned)why;
    if (c->paused == 0)
        stream_resume(&c->stream);
    if (why != CONN_PAUSED_MEMORY)
        return;
    c->set->starved--;
    if (c->state == CONN_OPEN && c->proto->on_unread != NULL)
        c->proto->on_unread(c, conns_now(c->set) - c->paused_ms);
}

static bool has_to_wait(const struct conn *c) {
    bool is_small = c->input_bytes <= CONN_INPUT_SMALL_MAX;
    return c->input_bytes > c->input_grant && memory_is_full(MEMORY_incoming) &&
           (!is_small || memory_is_flooded(MEMORY_incoming));
}

void conn_set_input(struct conn *c, bool is_unfinished, size_t bytes) {
    bool has_grown = bytes > c->input_bytes;
    memory_count(MEMORY_incoming, &c->input_bytes, bytes);
    if (!is_unfinished)
        c->input_since_ms = c->input_grant = 0;
    else if (c->input_since_ms == 0)
        c->input_since_ms = conns_now(c->set);
    if (has_grown && is_unfinished && has_to_wait(c))
        conn_pause(c, CONN_PAUSED_MEMORY);
    else if (bytes == 0)
        conn_resume(c, CONN_PAUSED_MEMORY);
}

/* ---- ending */

size_t conn_unsent(const struct conn *c) {
    return c->out.bytes + stream_unsent(&c->stream);
}

void conn_watch(struct conn *c) {
    c->acked_ms = conns_now(c->set);
}

uint64_t conn_stalled_ms(struct conn *c) {
    uint64_t now_ms = conns_now(c->set), acked = stream_acked(&c->stream);
    if (acked > c->acked || conn_unsent(c) == 0) {
        c->acked = acked;
        c->acked_ms = now_ms;
    }
    return now_ms - c->acked_ms;
}

void conn_begin_end(struct conn *c, uint64_t stall_ms) {
    c->ending_ms = conns_now(c->set);
    c->stall_ms = stall_ms;
    conn_watch(c);
}

bool conn_is_taking(struct conn *c) {
    return conn_unsent(c) > 0 && conn_stalled_ms(c) < c->stall_ms &&
           conns_now(c->set) - c->ending_ms < END_MAX_MS;
}

void conn_finish(struct conn *c, uint64_t stall_ms) {
    if (c->state != CONN_OPEN)
        return;
    set_state(c, CONN_FINISHING);
    conn_begin_end(c, stall_ms);
    conn_set_deadline(c, END_TICK_MS);
    conns_mark_dirty(c->set, c);
}

void conn_cut(struct conn *c) {
    if (c->state == CONN_OPEN)
        conn_finish(c, CUT_MS);
    if (c->state != CONN_FINISHING)
        return;
    c->is_cut = true;
    conn_pause(c, CONN_PAUSED_PROTO);
    conn_set_deadline(c, CUT_MS);
}

void conn_drop(struct conn *c) {
    if (c->state == CONN_CLOSED)
        return;
    set_state(c, CONN_CLOSED);
    conn_clear_deadline(c);
    conns_remove(c->set, c);
    if (c->proto != NULL && c->proto->on_gone != NULL)
        c->proto->on_gone(c);
    memory_count(MEMORY_incoming, &c->input_bytes, 0);
    if (conn_is_paused(c, CONN_PAUSED_MEMORY))
        c->set->starved--;
    outq_deinit(&c->out);
    c->set->unfreed++;
    if (c->is_cut)
        stream_abort(&c->stream);
    else
        stream_close(&c->stream);
}

void conn_switch(struct conn *c, const struct conn_proto *proto, void *proto_state) {
    MUST(c->state == CONN_OPEN);
    c->proto = proto;
    c->proto_state = proto_state;
}

void conn_sweep(struct conn *c, uint64_t now_ms) {
    if (c->state == CONN_OPEN)
        c->proto->on_sweep(c, now_ms);
    else if (c->state == CONN_OPENING && now_ms - c->opened_ms > OPENING_MAX_MS)
        conn_drop(c); /* the TLS handshake does not come to an end */
}

void conn_on_deadline(struct conn *c) {
    if (c->state == CONN_OPEN)
        c->proto->on_deadline(c);
    else if (c->state == CONN_FINISHING && !c->is_cut && conn_is_taking(c))
        conn_set_deadline(c, END_TICK_MS);
    else
        conn_drop(c);
}

void conn_set_deadline(struct conn *c, uint64_t in_ms) {
    conn_clear_deadline(c);
    c->deadline_ms = conns_now(c->set) + in_ms;
    conns_add_deadline(c->set, c);
}

void conn_clear_deadline(struct conn *c) {
    if (c->deadline_ms == 0)
        return;
    c->deadline_ms = 0;
    LIST_REMOVE(c, by_deadline);
}
