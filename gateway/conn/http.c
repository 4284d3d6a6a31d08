/*
 * http.c - see http.h. What is read and when is decided in http_conn.c; here are the answers, the
 * deadlines and the way to the handlers.
 *
 * A client that has more than ANSWERS_MAX bytes of answers to read has to take them all before its
 * next request runs.
 */
#include "gateway/conn/http.h"

#include <stdlib.h>

#include "common/base/memory_budget.h"
#include "common/base/metrics.h"
#include "common/base/settings.h"
#include "common/http/http_conn.h"
#include "common/http/http_reply.h"
#include "gateway/conn/conn.h"
#include "gateway/conn/request.h"

enum { ANSWERS_MAX = 256 * 1024, REST_MS = 1, FINISH_MS = 10000, REFUSED_HEAD_MS = 2000 };

struct http {
    const struct http_host *host;
    struct conn *conn;
    struct http_conn http;
    struct request *request; /* that runs */
};

static const struct conn_proto http_proto;

static struct http *http_of(struct conn *c) {
    MUST(c->proto == &http_proto);
    return c->proto_state;
}

static struct conn *conn_of(const struct http_conn *http) {
    return container_of(http, struct http, http)->conn;
}

/* Whether the connection still speaks HTTP. If not, its struct http is gone. */
static bool is_http(const struct conn *c) {
    return conn_is_open(c) && c->proto == &http_proto;
}

/* ---- for http_conn.c */

/* After the connection was heard; it may be gone, or speak something else. */
static void count_input(struct conn *c) {
    if (c->state == CONN_CLOSED || c->proto != &http_proto)
        return;
    const struct buf *in = &http_of(c)->http.in;
    if (in->len > 0 || c->input_bytes > 0)
        conn_set_input(c, in->len > 0, in->cap);
}

static void settle_if_done(struct http *h) {
    struct request *r = h->request;
    struct conns *set = h->conn->set;
    if (!request_is_answered(r) || r->working > 0)
        return;
    bool keeps_alive = r->keeps_alive && h->conn->refusal == NULL && !set->is_draining;
    if (r->is_proxied)
        peers_release(set->peers, &h->conn->hold, conns_now(set));
    peers_uncount(&h->conn->hold, PEER_WEBSOCKETS); /* it did not become one */
    r->conn = NULL;
    request_unref(r);
    h->request = NULL;
    http_conn_settle(&h->http, keeps_alive, conns_now(set));
}

static void on_progress(struct request *r) {
    struct conn *c = r->conn;
    if (!is_http(c) || http_of(c)->http.state != HTTP_RUNNING)
        return;
    settle_if_done(http_of(c));
    count_input(c);
}

/* A proxy's connection counts for whoever asks, as long as that lasts. */
static const struct refusal *count(struct conn *c, const struct request *r) {
    const struct refusal *why = NULL;
    uint64_t now_ms = conns_now(c->set);
    c->remote = r->remote;
    if (r->is_proxied) {
        peers_hold(c->set->peers, &c->hold, r->remote, now_ms);
        why = peers_count(c->set->peers, &c->hold, PEER_CONNECTIONS, now_ms);
    }
    return why != NULL ? why : peers_spend(c->set->peers, &c->hold, PEER_REQUESTING, now_ms);
}

static bool run(struct http_conn *http) {
    struct conn *c = conn_of(http);
    struct http *h = http_of(c);
    struct request *r = request_ref(h->request = request_new(c, http, h->host->proxies));
    r->routes = h->host->routes;
    r->on_progress = on_progress;
    if (c->set->is_draining)
        r->keeps_alive = false;
    const struct refusal *why = c->refusal;
    if (why == NULL)
        why = count(c, r);
    if (why != NULL)
        h->host->on_refused(r, why);
    else
        h->host->on_request(r);
    request_unref(r);
    if (!is_http(c))
        return false;
    settle_if_done(h);
    return true;
}

static void say_continue(struct http_conn *http) {
    conn_send_bytes(conn_of(http), BYTES_LIT("HTTP/1.1 100 Continue\r\n\r\n"));
}

static void refuse(struct http_conn *http, int status, const char *reason) {
    struct buf out = {0}, text = {0};
    http_reply_begin(&out, 1, status);
    http_reply_header(&out, BYTES_LIT("Server"), BYTES_LIT("Signalbox"));
    http_reply_header(&out, BYTES_LIT("Content-Type"), BYTES_LIT("text/plain; charset=utf-8"));
    if (status == 503)
        http_reply_header(&out, BYTES_LIT("Retry-After"), BYTES_LIT("1"));
    buf_printf(&text, "%s\n", reason);
    http_reply_end(&out, (int64_t)text.len, false, buf_bytes(&text));
    conn_send_bytes(conn_of(http), buf_bytes(&out));
    buf_deinit(&text);
    buf_deinit(&out);
}

/* The stream reads on for a while after our close, so that bytes under way do not make the kernel
 * reset the connection and destroy the answer. */
static void end(struct http_conn *http) {
    conn_finish(conn_of(http), FINISH_MS);
}

static bool is_full(const struct http_conn *http) {
    return conn_of(http)->out.bytes > ANSWERS_MAX;
}

/* A large body waits for nothing when memory is short already; a small one is worth its memory. */
static bool has_room(const struct http_conn *http, uint64_t body_bytes) {
    (void)http;
    bool is_large = body_bytes > CONN_INPUT_SMALL_MAX;
    if (!memory_is_over() && !memory_is_full(MEMORY_requests) &&
        !(is_large && memory_is_full(MEMORY_incoming)))
        return true;
    metrics_add(METRIC_refused_memory, 1);
    return false;
}

/* What may be a client's message has the bound of one. */
static uint64_t max_body(const struct http_conn *http, const struct http_head *head) {
    const struct settings *s = container_of(http, struct http, http)->host->settings;
    bool may_be_message =
        bytes_equal_str(head->method, "POST") && http_head_count(head, SIGNAL_CLIENT_ID_FIELD) > 0;
    return (uint64_t)(may_be_message && s->max_message_bytes > s->max_body_bytes
                          ? s->max_message_bytes
                          : s->max_body_bytes);
}

static void rest(struct http_conn *http) {
    conn_set_deadline(conn_of(http), REST_MS);
}

static void pause_reading(struct http_conn *http) {
    conn_pause(conn_of(http), CONN_PAUSED_PROTO);
}

static void resume_reading(struct http_conn *http) {
    conn_resume(conn_of(http), CONN_PAUSED_PROTO);
}

static const struct http_conn_events http_events = {
    .run = run,
    .say_continue = say_continue,
    .refuse = refuse,
    .end = end,
    .is_full = is_full,
    .has_room = has_room,
    .max_body = max_body,
    .rest = rest,
    .pause = pause_reading,
    .resume = resume_reading,
};

/* ---- begin and end */

struct conn *http_accept(struct conns *set, uv_stream_t *server, struct tls_context *tls,
                         const struct endpoint *endpoint, const struct http_host *host) {
    struct conn *c = conn_accept(set, server, tls, endpoint, &http_proto);
    if (c == NULL)
        return NULL;
    struct http *h = mem_zalloc(sizeof(*h));
    h->host = host;
    h->conn = c;
    http_conn_init(&h->http, &http_events, (size_t)host->settings->max_head_bytes,
                   (uint64_t)host->settings->max_body_bytes, conns_now(set));
    c->proto_state = h;
    return c;
}

static void free_http(struct http *h) {
    h->conn->proto_state = NULL;
    http_conn_deinit(&h->http);
    if (h->request != NULL)
        request_unref(h->request);
    free(h);
}

struct buf http_leave(struct conn *c) {
    struct http *h = http_of(c);
    struct buf rest = http_conn_leave(&h->http);
    if (h->request != NULL)
        h->request->conn = NULL;
    conn_resume(c, CONN_PAUSED_PROTO);
    conn_set_input(c, false, 0);
    free_http(h);
    return rest;
}

/* ---- from the connection */

static void on_bytes(struct conn *c, struct bytes in) {
    http_conn_feed(&http_of(c)->http, in);
    count_input(c);
}

static void on_end(struct conn *c, int status) {
    struct http *h = http_of(c);
    if (status < 0 || h->http.state == HTTP_ENDING ||
        (h->request != NULL && request_is_converted(h->request)))
        conn_drop(c);
    else
        http_conn_on_end(&h->http);
}

static void on_deadline(struct conn *c) {
    http_conn_rested(&http_of(c)->http);
    count_input(c);
}

static void on_sweep(struct conn *c, uint64_t now_ms) {
    struct http *h = http_of(c);
    uint64_t limit_ms =
        c->refusal != NULL ? REFUSED_HEAD_MS : (uint64_t)h->host->settings->head_timeout_ms;
    count_input(c);
    if (conn_is_paused(c, CONN_PAUSED_MEMORY))
        return;
    if (!c->is_blocked) {
        conn_watch(c);
        http_conn_check(&h->http, now_ms, c->active_ms, limit_ms);
    } else if (conn_stalled_ms(c) >= limit_ms) {
        conn_drop(c); /* the client does not read its answer */
    }
}

/* A running request is answered first: settle_if_done sees that the gateway drains. */
static bool on_shutdown(struct conn *c) {
    return http_conn_end_idle(&http_of(c)->http);
}

/* A request that runs is not undone for what came behind it. */
static void on_pressure(struct conn *c, enum pressure why) {
    if (why == PRESSURE_OUT) {
        conn_drop(c);
        return;
    }
    http_conn_give_up(&http_of(c)->http, 503, "memory is short, try again later");
    count_input(c);
    if (!conn_is_open(c))
        conn_cut(c);
}

static void on_unread(struct conn *c, uint64_t ms) {
    http_conn_unread(&http_of(c)->http, ms);
}

static void on_gone(struct conn *c) {
    struct http *h = http_of(c);
    struct request *r = h->request;
    if (r != NULL) {
        r->conn = NULL;
        if (r->worker != NULL && r->worker->on_gone != NULL)
            r->worker->on_gone(r);
    }
    free_http(h);
}

static void on_drained(struct conn *c) {
    struct http *h = http_of(c);
    struct request *r = h->request;
    if (r != NULL && r->worker != NULL && r->worker->on_drained != NULL)
        r->worker->on_drained(r);
    else
        http_conn_drained(&h->http, conns_now(c->set));
    count_input(c);
}

static const struct conn_proto http_proto = {
    .name = "http",
    .on_bytes = on_bytes,
    .on_end = on_end,
    .on_drained = on_drained,
    .on_deadline = on_deadline,
    .on_sweep = on_sweep,
    .on_shutdown = on_shutdown,
    .on_pressure = on_pressure,
    .on_unread = on_unread,
    .on_gone = on_gone,
};
