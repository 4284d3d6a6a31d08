/*
 * http.c - see http.h. on_bytes collects, advance takes complete requests off the front, one at a
 * time.
 *
 *     READING ─ request complete ─▶ RUNNING ─ settled ─▶ READING …   or   ENDING
 *
 * While a request runs the next ones wait in `in`, up to PIPELINE_MAX bytes; then the client is not
 * read. Nor is a client that does not read its answers: past ANSWERS_MAX bytes of them it has to
 * take them all before the next request runs. After TURN_REQUESTS the others of the process get
 * their turn (is_resting).
 */
#include "gateway/conn/http.h"

#include <stdlib.h>

#include "common/base/settings.h"
#include "common/http/http_chunked.h"
#include "common/http/http_reply.h"
#include "gateway/conn/conn.h"
#include "gateway/conn/request.h"

enum {
    PIPELINE_MAX = 64 * 1024,
    ANSWERS_MAX = 256 * 1024,
    TURN_REQUESTS = 32,
    REST_MS = 1,
    FINISH_MS = 10000,
    SURPLUS_HEAD_MS = 2000,
    LEAST_BODY_RATE = 1 /* bytes a ms: a body that comes so slowly still comes */
};

enum http_state { HTTP_READING, HTTP_RUNNING, HTTP_ENDING };

struct http {
    const struct http_host *host;
    struct conn *conn;
    enum http_state state;
    struct buf in;
    size_t needed; /* a request cannot be complete with fewer bytes */
    struct http_chunked chunked;
    bool is_chunked; /* the head is there, and `chunked` takes the body */
    struct request *request;
    uint64_t since_ms; /* of this wait for a request */
    bool is_advancing, is_resting, has_continued, has_ended, was_used;
};

static const struct conn_proto http_proto;

static bool may_follow(enum http_state from, enum http_state to) {
    switch (from) {
    case HTTP_READING: return to == HTTP_RUNNING || to == HTTP_ENDING;
    case HTTP_RUNNING: return to == HTTP_READING || to == HTTP_ENDING;
    case HTTP_ENDING: return false;
    }
    return false;
}

static void set_state(struct http *h, enum http_state to) {
    MUST(may_follow(h->state, to));
    h->state = to;
}

static struct http *http_of(struct conn *c) {
    MUST(c->proto == &http_proto);
    return c->proto_state;
}

struct conn *http_accept(struct conns *set, uv_stream_t *server, struct tls_context *tls,
                         const struct endpoint_run *endpoint, const struct http_host *host) {
    struct conn *c = conn_accept(set, server, tls, endpoint, &http_proto);
    if (c == NULL)
        return NULL;
    struct http *h = mem_zalloc(sizeof(*h));
    h->host = host;
    h->conn = c;
    h->since_ms = conns_now(set);
    c->proto_state = h;
    return c;
}

/* ---- ending. The stream reads on for a while after our close, so that bytes under way do not make
 * the kernel reset the connection and destroy the answer. */

static void end(struct http *h) {
    set_state(h, HTTP_ENDING);
    buf_release(&h->in);
    conn_finish(h->conn, FINISH_MS);
}

static void refuse(struct http *h, int status, const char *reason) {
    struct buf out = {0};
    http_reply_begin(&out, 1, status);
    http_reply_header(&out, BYTES_LIT("Server"), BYTES_LIT("Signalbox"));
    http_reply_header(&out, BYTES_LIT("Content-Type"), BYTES_LIT("text/plain; charset=utf-8"));
    struct buf text = {0};
    buf_printf(&text, "%s\n", reason);
    http_reply_end(&out, (int64_t)text.len, false, buf_bytes(&text));
    conn_send_bytes(h->conn, buf_bytes(&out));
    buf_deinit(&text);
    buf_deinit(&out);
}

static void refuse_and_end(struct http *h, int status, const char *reason) {
    refuse(h, status, reason);
    end(h);
}

/* ---- requests */

/* Whether a chunked body, the head of which is there, is whole. */
static bool find_chunked(struct http *h, size_t *len_out) {
    int status;
    const char *reason;
    switch (http_chunked_feed(&h->chunked, &h->in, (uint64_t)h->host->settings->max_body_bytes,
                              &status, &reason)) {
    case PARSE_MORE: return false;
    case PARSE_BAD: refuse_and_end(h, status, reason); return false;
    case PARSE_OK: break;
    }
    h->is_chunked = false;
    *len_out = h->chunked.at;
    return true;
}

static bool find_body(struct http *h, const struct http_head *head, size_t *len_out) {
    if (head->is_chunked) {
        http_chunked_init(&h->chunked, head->length);
        h->is_chunked = true;
        return find_chunked(h, len_out);
    }
    h->needed = head->length + (head->has_content_length ? (size_t)head->content_length : 0);
    *len_out = h->needed;
    return h->in.len >= h->needed;
}

/* Whether a whole request lies at the front of `in`; its length then. */
static bool find_request(struct http *h, size_t *len_out) {
    const struct settings *settings = h->host->settings;
    struct http_head head;
    int status;
    const char *reason;
    if (h->in.len < h->needed)
        return false;
    if (h->is_chunked)
        return find_chunked(h, len_out);
    switch (http_head_parse(buf_bytes(&h->in), (size_t)settings->max_head_bytes, &head, &status,
                            &reason)) {
    case PARSE_MORE: return false;
    case PARSE_BAD: refuse_and_end(h, status, reason); return false;
    case PARSE_OK: break;
    }
    if (head.has_content_length && head.content_length > (uint64_t)settings->max_body_bytes) {
        refuse_and_end(h, 413, "the body is too large");
        return false;
    }
    if (find_body(h, &head, len_out))
        return true;
    if (h->state == HTTP_READING && head.expects_continue && !h->has_continued) {
        h->has_continued = true;
        conn_send_bytes(h->conn, BYTES_LIT("HTTP/1.1 100 Continue\r\n\r\n"));
    }
    return false;
}

static void on_progress(struct request *r);

static struct request *take_request(struct http *h, size_t len) {
    struct buf raw = {0};
    if (h->in.len == len) {
        raw = h->in;
        buf_init(&h->in);
    } else {
        buf_append(&raw, bytes_head(buf_bytes(&h->in), len));
        buf_consume(&h->in, len);
    }
    h->needed = 0;
    h->has_continued = false;
    struct request *r = request_new(h->conn, &raw);
    r->gateway = h->host->gateway;
    r->on_progress = on_progress;
    return r;
}

static void run(struct http *h, size_t len) {
    set_state(h, HTTP_RUNNING);
    h->request = take_request(h, len);
    struct request *r = request_ref(h->request);
    if (h->conn->set->is_draining)
        r->keeps_alive = false;
    h->host->on_request(r);
    request_unref(r);
}

static void settle(struct http *h) {
    bool keeps_alive =
        h->request->keeps_alive && !h->conn->is_surplus && !h->conn->set->is_draining;
    h->request->conn = NULL;
    request_unref(h->request);
    h->request = NULL;
    h->was_used = true;
    h->since_ms = conns_now(h->conn->set);
    if (!keeps_alive) {
        end(h);
        return;
    }
    set_state(h, HTTP_READING);
    if (h->in.len == 0)
        buf_release(&h->in);
    stream_resume(&h->conn->stream);
}

static bool is_settled(const struct http *h) {
    return h->state == HTTP_RUNNING && h->request != NULL && h->request->is_answered &&
           h->request->working == 0;
}

static bool has_too_many_answers(const struct http *h) {
    return h->conn->out.bytes > ANSWERS_MAX;
}

static void rest(struct http *h) {
    h->is_resting = true;
    stream_pause(&h->conn->stream);
    conn_set_deadline(h->conn, REST_MS);
}

/* What comes next when no request runs. */
static void await_next(struct http *h) {
    if (has_too_many_answers(h))
        stream_pause(&h->conn->stream); /* on_drained goes on */
    else if (h->has_ended)
        end(h);
}

/* Runs what is complete. A request may end the connection or leave HTTP within. */
static void advance(struct http *h) {
    struct conn *c = h->conn;
    size_t len;
    if (h->is_advancing || h->is_resting)
        return;
    h->is_advancing = true;
    for (unsigned ran = 0;; ran++) {
        if (is_settled(h))
            settle(h);
        if (h->state != HTTP_READING || h->in.len == 0 || has_too_many_answers(h))
            break;
        if (ran == TURN_REQUESTS) {
            rest(h);
            break;
        }
        if (!find_request(h, &len))
            break;
        run(h, len);
        if (!conn_is_open(c) || c->proto != &http_proto)
            return;
    }
    h->is_advancing = false;
    if (h->state == HTTP_READING && !h->is_resting)
        await_next(h);
}

/* The running request was answered, or something that worked on it has ended. */
static void on_progress(struct request *r) {
    if (conn_is_open(r->conn) && r->conn->proto == &http_proto)
        advance(http_of(r->conn));
}

struct buf http_leave(struct conn *c) {
    struct http *h = http_of(c);
    struct buf rest = h->in;
    buf_init(&h->in);
    if (h->request != NULL) {
        h->request->conn = NULL;
        request_unref(h->request);
    }
    stream_resume(&c->stream);
    free(h);
    c->proto_state = NULL;
    return rest;
}

/* ---- from the connection */

static void on_bytes(struct conn *c, struct bytes in) {
    struct http *h = http_of(c);
    if (h->state == HTTP_ENDING)
        return;
    buf_append(&h->in, in);
    if (h->state == HTTP_RUNNING && h->in.len > PIPELINE_MAX)
        stream_pause(&c->stream);
    advance(h);
}

static void on_end(struct conn *c, int status) {
    struct http *h = http_of(c);
    h->has_ended = true;
    if (status < 0 || h->state == HTTP_ENDING ||
        (h->state == HTTP_RUNNING && h->request->is_converted))
        conn_drop(c);
    else
        advance(h);
}

static void on_deadline(struct conn *c) {
    struct http *h = http_of(c);
    h->is_resting = false;
    stream_resume(&c->stream);
    advance(h);
}

/* The head has limit_ms; a body has more, as long as bytes of it come. */
static bool is_late(const struct http *h, uint64_t now_ms, uint64_t limit_ms) {
    bool has_head = h->needed > 0 || h->is_chunked;
    if (now_ms - h->since_ms < limit_ms)
        return false;
    return !has_head || now_ms - h->conn->active_ms >= limit_ms ||
           now_ms - h->since_ms >= limit_ms + h->in.len / LEAST_BODY_RATE;
}

static void on_sweep(struct conn *c, uint64_t now_ms) {
    struct http *h = http_of(c);
    uint64_t limit_ms =
        c->is_surplus ? SURPLUS_HEAD_MS : (uint64_t)h->host->settings->head_timeout_ms;
    if (!c->is_blocked)
        conn_watch(c);
    if (c->is_blocked) {
        if (conn_stalled_ms(c) >= limit_ms)
            conn_drop(c); /* the client does not read its answer */
    } else if (h->state == HTTP_READING && is_late(h, now_ms, limit_ms)) {
        if (h->was_used && h->in.len == 0)
            end(h); /* a 408 would be taken for the answer to the next request */
        else
            refuse_and_end(h, 408, "no complete request came in time");
    }
}

/* A running request is answered first: settle sees that the gateway drains. */
static bool on_shutdown(struct conn *c) {
    struct http *h = http_of(c);
    if (h->state != HTTP_READING)
        return false;
    end(h);
    return true;
}

static void on_gone(struct conn *c) {
    struct http *h = http_of(c);
    if (h->request != NULL) {
        struct request *r = h->request;
        r->conn = NULL;
        if (r->on_gone != NULL)
            r->on_gone(r);
        request_unref(r);
    }
    buf_deinit(&h->in);
    free(h);
    c->proto_state = NULL;
}

static void go_on(struct http *h) {
    h->since_ms = conns_now(h->conn->set);
    stream_resume(&h->conn->stream);
    advance(h);
}

static void on_drained(struct conn *c) {
    struct http *h = http_of(c);
    if (h->request != NULL && h->request->on_drained != NULL)
        h->request->on_drained(h->request);
    else if (h->state == HTTP_READING && !h->is_resting)
        go_on(h);
}

static const struct conn_proto http_proto = {
    .name = "http",
    .on_bytes = on_bytes,
    .on_end = on_end,
    .on_drained = on_drained,
    .on_deadline = on_deadline,
    .on_sweep = on_sweep,
    .on_shutdown = on_shutdown,
    .on_gone = on_gone,
};
