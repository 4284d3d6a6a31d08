/* conn.c - see conn.h. conn_flush is the one place that writes to clients. */
#include "gateway/conn.h"

#include <stdlib.h>

#include "common/base/log.h"
#include "common/base/metrics.h"
#include "gateway/conns.h"

enum { GATHER_MAX = 64, PROLONG_MS = 10000, FINISHING_MAX_MS = 300000 };

static bool may_follow(enum conn_state from, enum conn_state to) {
    switch (from) {
    case CONN_OPENING: return to == CONN_OPEN || to == CONN_CLOSED;
    case CONN_OPEN: return to == CONN_FINISHING || to == CONN_CLOSED;
    case CONN_FINISHING: return to == CONN_CLOSED;
    case CONN_CLOSED: return false;
    }
    return false;
}

static void set_state(struct conn *c, enum conn_state to) {
    MUST(may_follow(c->state, to));
    c->state = to;
}

static struct conn *conn_of(struct stream *s) {
    return container_of(s, struct conn, stream);
}

/* ---- from the stream */

static void on_open(struct stream *s, int status) {
    struct conn *c = conn_of(s);
    if (status < 0) {
        log_debug("conn", "failed to open reason=%s",
                  LOG_TEXT(bytes_str(stream_error_text(s, status))));
        conn_drop(c);
        return;
    }
    set_state(c, CONN_OPEN);
    c->opened_ms = c->active_ms = conns_now(c->set);
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
        conn_drop(c); /* FINISHING: who ended in good order may still read what is queued */
}

static void on_writable(struct stream *s) {
    struct conn *c = conn_of(s);
    c->is_blocked = false;
    conn_flush(c);
}

static void on_closed(struct stream *s) {
    struct conn *c = conn_of(s);
    c->set->unfreed--;
    free(c);
}

static const struct stream_events stream_events = {
    .on_open = on_open,
    .on_bytes = on_bytes,
    .on_end = on_end,
    .on_writable = on_writable,
    .on_closed = on_closed,
};

struct conn *conn_accept(struct conns *set, uv_stream_t *server, struct tls_context *tls,
                         const struct endpoint_run *endpoint, const struct conn_proto *proto) {
    struct conn *c = mem_zalloc(sizeof(*c));
    c->set = set;
    c->proto = proto;
    c->endpoint = endpoint;
    c->state = CONN_OPENING;
    c->opened_ms = c->active_ms = conns_now(set);
    outq_init(&c->out);
    stream_init(&c->stream, set->loop, &stream_events);
    conns_add(set, c);
    if (stream_accept(&c->stream, server, tls) < 0) {
        c->proto = NULL;
        conn_drop(c);
        return NULL;
    }
    return c;
}

/* ---- sending */

bool conn_send_message(struct conn *c, struct frame f) {
    unsigned dropped;
    if (c->state != CONN_OPEN)
        return true;
    enum outq_result result =
        outq_push_message(&c->out, f, c->set->max_queue_bytes, c->policy, &dropped);
    if (result == OUTQ_FULL)
        return false;
    if (result == OUTQ_DROPPED)
        metrics_add(METRIC_slow_dropped, dropped);
    conns_mark_dirty(c->set, c);
    return true;
}

void conn_send(struct conn *c, struct frame f) {
    if (c->state != CONN_OPEN)
        return;
    outq_push(&c->out, f, false);
    conns_mark_dirty(c->set, c);
}

void conn_send_initial(struct conn *c, struct frame f) {
    if (c->state != CONN_OPEN)
        return;
    outq_push(&c->out, f, true);
    conns_mark_dirty(c->set, c);
}

void conn_send_bytes(struct conn *c, struct bytes bytes) {
    struct frame f = frame_make(&c->set->arena, BYTES_NONE, bytes);
    conn_send(c, f);
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

static void after_flush(struct conn *c) {
    if (c->out.count > 0)
        return;
    if (c->state == CONN_FINISHING)
        conn_drop(c);
    else if (c->state == CONN_OPEN && c->proto->on_drained != NULL)
        c->proto->on_drained(c);
}

void conn_flush(struct conn *c) {
    while (c->out.count > 0 && !c->is_blocked) {
        uv_buf_t bufs[GATHER_MAX];
        size_t total;
        unsigned count = gather(&c->out, bufs, &total);
        ssize_t written = stream_write(&c->stream, bufs, count);
        if (written < 0) {
            conn_drop(c);
            return;
        }
        c->is_blocked = (size_t)written < total; /* then on_writable will come */
        if (written == 0)
            return;
        outq_wrote(&c->out, (size_t)written);
        metrics_add(METRIC_delivered_bytes, written);
        c->active_ms = conns_now(c->set);
    }
    after_flush(c);
}

/* ---- ending */

size_t conn_unsent(const struct conn *c) {
    return c->out.bytes + stream_unsent(&c->stream);
}

void conn_finish(struct conn *c, uint64_t within_ms) {
    if (c->state != CONN_OPEN)
        return;
    set_state(c, CONN_FINISHING);
    c->finishing_ms = conns_now(c->set);
    c->unsent = conn_unsent(c);
    conn_set_deadline(c, within_ms);
    conns_mark_dirty(c->set, c);
}

void conn_finish_or_drop(struct conn *c) {
    size_t left = conn_unsent(c);
    if (c->state != CONN_FINISHING || left >= c->unsent ||
        conns_now(c->set) - c->finishing_ms >= FINISHING_MAX_MS) {
        conn_drop(c);
        return;
    }
    c->unsent = left;
    conn_set_deadline(c, PROLONG_MS);
}

void conn_drop(struct conn *c) {
    if (c->state == CONN_CLOSED)
        return;
    set_state(c, CONN_CLOSED);
    conn_clear_deadline(c);
    conns_remove(c->set, c);
    if (c->proto != NULL && c->proto->on_gone != NULL)
        c->proto->on_gone(c);
    if (c->set->on_conn_gone != NULL)
        c->set->on_conn_gone(c->set, c);
    outq_deinit(&c->out);
    c->set->unfreed++;
    stream_close(&c->stream);
}

void conn_switch(struct conn *c, const struct conn_proto *proto, void *proto_state) {
    MUST(c->state == CONN_OPEN);
    c->proto = proto;
    c->proto_state = proto_state;
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
