/* http_conn.c - see http_conn.h. Read go_on. */
#include "common/http/http_conn.h"

#include "common/base/must.h"

enum { LEAST_BODY_RATE = 1 /* bytes a ms: a body that comes so slowly still comes */ };

static void set_state(struct http_conn *h, enum http_state to) {
    static const unsigned may_follow[] = {
        [HTTP_HEAD] = 1 << HTTP_BODY | 1 << HTTP_CHUNKS | 1 << HTTP_RESTING | 1 << HTTP_FULL |
                      1 << HTTP_ENDING,
        [HTTP_BODY] = 1 << HTTP_STARTING | 1 << HTTP_ENDING,
        [HTTP_CHUNKS] = 1 << HTTP_STARTING | 1 << HTTP_ENDING,
        [HTTP_STARTING] = 1 << HTTP_RUNNING | 1 << HTTP_HEAD | 1 << HTTP_ENDING,
        [HTTP_RUNNING] = 1 << HTTP_HEAD | 1 << HTTP_ENDING,
        [HTTP_RESTING] = 1 << HTTP_HEAD | 1 << HTTP_ENDING,
        [HTTP_FULL] = 1 << HTTP_HEAD | 1 << HTTP_ENDING,
        [HTTP_ENDING] = 0,
    };
    MUST(may_follow[h->state] >> to & 1);
    h->state = to;
}

void http_conn_init(struct http_conn *h, const struct http_conn_events *events,
                    size_t max_head_bytes, uint64_t max_body_bytes, uint64_t now_ms) {
    *h = (struct http_conn){.events = events,
                            .max_head_bytes = max_head_bytes,
                            .max_body_bytes = max_body_bytes,
                            .since_ms = now_ms};
}

void http_conn_deinit(struct http_conn *h) {
    buf_deinit(&h->in);
}

static void end(struct http_conn *h) {
    set_state(h, HTTP_ENDING);
    buf_release(&h->in);
    h->events->end(h);
}

static void refuse(struct http_conn *h, int status, const char *reason) {
    h->events->refuse(h, status, reason);
    end(h);
}

/* ---- is a whole request there? */

static bool read_head(struct http_conn *h, bool *expects_continue_out) {
    struct http_head head;
    int status;
    const char *reason;
    switch (http_head_parse(buf_bytes(&h->in), h->max_head_bytes, &head, &status, &reason)) {
    case PARSE_MORE: return false;
    case PARSE_BAD: refuse(h, status, reason); return false;
    case PARSE_OK: break;
    }
    h->body_max = h->events->max_body != NULL ? h->events->max_body(h, &head) : h->max_body_bytes;
    if (head.has_content_length && head.content_length > h->body_max) {
        refuse(h, 413, "the body is too large");
        return false;
    }
    uint64_t body_bytes = head.is_chunked           ? h->body_max
                          : head.has_content_length ? head.content_length
                                                    : 0;
    if (body_bytes > 0 && h->events->has_room != NULL && !h->events->has_room(h, body_bytes)) {
        refuse(h, 503, "memory is short, try again later");
        return false;
    }
    *expects_continue_out = head.expects_continue;
    h->length = head.length + (head.has_content_length ? (size_t)head.content_length : 0);
    if (head.is_chunked)
        http_chunked_init(&h->chunked, head.length);
    set_state(h, head.is_chunked ? HTTP_CHUNKS : HTTP_BODY);
    return true;
}

static bool has_body(struct http_conn *h) {
    int status;
    const char *reason;
    if (h->state == HTTP_BODY)
        return h->in.len >= h->length;
    switch (http_chunked_feed(&h->chunked, &h->in, h->body_max, &status, &reason)) {
    case PARSE_MORE: return false;
    case PARSE_BAD: refuse(h, status, reason); return false;
    case PARSE_OK: break;
    }
    h->length = h->chunked.at;
    return true;
}

/* False: more bytes are needed, or the request was refused. */
static bool is_whole(struct http_conn *h) {
    bool expects_continue = false;
    if (h->state == HTTP_HEAD && !read_head(h, &expects_continue))
        return false;
    if (has_body(h))
        return true;
    if (expects_continue && h->state != HTTP_ENDING)
        h->events->say_continue(h);
    return false;
}

/* ---- one after the other */

static void put_off(struct http_conn *h, enum http_state to) {
    set_state(h, to);
    h->events->pause(h);
    if (to == HTTP_RESTING)
        h->events->rest(h);
}

/* Runs what is whole. A request may be settled within `run`, so those that lie behind one another
 * are a loop, not a recursion. */
static void go_on(struct http_conn *h) {
    for (unsigned ran = 0; http_conn_is_reading(h); ran++) {
        if (h->state == HTTP_HEAD && h->events->is_full(h)) {
            put_off(h, HTTP_FULL);
            return;
        }
        if (ran == HTTP_TURN_REQUESTS && h->in.len > 0 && h->events->rest != NULL) {
            put_off(h, HTTP_RESTING);
            return;
        }
        if (h->in.len == 0 || !is_whole(h))
            break;
        set_state(h, HTTP_STARTING);
        if (!h->events->run(h))
            return;
        if (h->state == HTTP_STARTING)
            set_state(h, HTTP_RUNNING);
    }
    if (http_conn_is_reading(h) && h->has_ended)
        end(h);
}

void http_conn_feed(struct http_conn *h, struct bytes in) {
    if (h->state == HTTP_ENDING)
        return;
    buf_append(&h->in, in);
    if (!http_conn_is_reading(h) && h->in.len > HTTP_PIPELINE_MAX)
        h->events->pause(h);
    go_on(h);
}

void http_conn_on_end(struct http_conn *h) {
    h->has_ended = true;
    go_on(h);
}

void http_conn_take(struct http_conn *h, struct buf *raw_out, struct http_head *head_out,
                    struct bytes *body_out) {
    int status;
    const char *reason;
    MUST(h->state == HTTP_STARTING);
    buf_init(raw_out);
    if (h->in.len == h->length) {
        *raw_out = h->in;
        buf_init(&h->in);
    } else {
        buf_append(raw_out, bytes_head(buf_bytes(&h->in), h->length));
        buf_consume(&h->in, h->length);
    }
    MUST(http_head_parse(buf_bytes(raw_out), raw_out->len + 1, head_out, &status, &reason) ==
         PARSE_OK);
    *body_out = bytes_from(buf_bytes(raw_out), head_out->length);
}

void http_conn_settle(struct http_conn *h, bool keeps_alive, uint64_t now_ms) {
    bool is_in_loop = h->state == HTTP_STARTING;
    h->has_served = true;
    h->since_ms = now_ms;
    if (!keeps_alive) {
        end(h);
        return;
    }
    set_state(h, HTTP_HEAD);
    if (h->in.len == 0)
        buf_release(&h->in);
    h->events->resume(h);
    if (!is_in_loop)
        go_on(h);
}

struct buf http_conn_leave(struct http_conn *h) {
    struct buf rest = h->in;
    buf_init(&h->in);
    return rest;
}

void http_conn_drained(struct http_conn *h, uint64_t now_ms) {
    if (h->state == HTTP_FULL)
        set_state(h, HTTP_HEAD);
    if (!http_conn_is_reading(h))
        return;
    h->since_ms = now_ms;
    h->events->resume(h);
    go_on(h);
}

void http_conn_rested(struct http_conn *h) {
    if (h->state != HTTP_RESTING)
        return;
    set_state(h, HTTP_HEAD);
    h->events->resume(h);
    go_on(h);
}

bool http_conn_end_idle(struct http_conn *h) {
    if (h->state == HTTP_STARTING || h->state == HTTP_RUNNING || h->state == HTTP_ENDING)
        return false;
    end(h);
    return true;
}

void http_conn_unread(struct http_conn *h, uint64_t ms) {
    h->since_ms += ms;
}

void http_conn_give_up(struct http_conn *h, int status, const char *reason) {
    if (http_conn_is_reading(h))
        refuse(h, status, reason);
}

void http_conn_check(struct http_conn *h, uint64_t now_ms, uint64_t heard_ms, uint64_t limit_ms) {
    uint64_t waits_ms = now_ms - h->since_ms;
    if (!http_conn_is_reading(h) || waits_ms < limit_ms)
        return;
    if (h->state != HTTP_HEAD && now_ms - heard_ms < limit_ms &&
        waits_ms < limit_ms + h->in.len / LEAST_BODY_RATE)
        return;
    if (h->has_served && h->in.len == 0)
        end(h);
    else
        refuse(h, 408, "no complete request came in time");
}
