/* ws.c - see ws.h. Read ws_feed (what comes in), then leave_politely and ws_close_with (the ends).
 */
#include "gateway/conn/ws.h"

#include <stdlib.h>

#include "common/base/log.h"
#include "common/base/metrics.h"
#include "common/base/settings.h"
#include "gateway/conn/conn.h"
#include "gateway/conn/identity.h"
#include "gateway/conn/request.h"

enum {
    BYE_MS = 500, /* how long LEAVING waits for its BYE */
    BYE_AFTER_SAID_MS = 2000,
    CLOSE_MS = 2000, /* how long the peer has for its Close, once it has ours */
    CLOSE_TICK_MS = 500,
    CLOSE_STALL_MS = 10000,   /* how long it may read nothing of what comes before */
    SLOW_STALL_MS = 30000,    /* the same for one that did not read for long */
    PROBE_STALL_MS = 10000,   /* how long a reader takes at least from one step to the next */
    LEAST_RATE = 32,          /* bytes a ms: a client that reads so slowly is alive, … */
    LEAST_RATE_MAX = 8 << 20, /* … for what its own buffers may hold */
    PONG_QUEUE_MAX = 16384
};

static const struct conn_proto ws_proto;

static bool may_follow(enum ws_state from, enum ws_state to) {
    return (from == WS_OPEN && to != WS_OPEN) || (from == WS_LEAVING && to == WS_CLOSING);
}

static void set_state(struct ws *ws, enum ws_state to) {
    MUST(may_follow(ws->state, to));
    ws->state = to;
}

struct ws *ws_of(struct conn *c) {
    return c->proto == &ws_proto ? c->proto_state : NULL;
}

struct ws *ws_open(const struct ws_host *host, struct conn *c, struct identity *who) {
    struct ws *ws = mem_zalloc(sizeof(*ws));
    ws->host = host;
    ws->conn = c;
    ws->who = who;
    ws->state = WS_OPEN;
    ws->heard_ms = conns_now(c->set);
    ws_decoder_init(&ws->decoder, (size_t)host->settings->max_message_bytes);
    conn_switch(c, &ws_proto, ws);
    metrics_add(METRIC_websockets, 1);
    metrics_add(METRIC_upgrades, 1);
    log_debug("ws", "opened id=%s name=%s", LOG_TEXT(who->client_id), LOG_TEXT(who->name));
    return ws;
}

/* ---- out */

void ws_send(struct ws *ws, enum ws_opcode opcode, struct bytes payload) {
    unsigned char header[WS_HEADER_OUT_MAX];
    size_t len = ws_frame_header(header, opcode, payload.len);
    struct frame f = frame_make(&ws->conn->set->arena, bytes_of(header, len), payload);
    if (opcode == WS_TEXT || opcode == WS_BINARY) {
        if (!conn_send_message(ws->conn, f))
            ws_close(ws, CLOSE_SLOW);
    } else {
        conn_send(ws->conn, f);
    }
    frame_unref(f);
}

void ws_send_text(struct ws *ws, struct bytes text) {
    ws_send(ws, WS_TEXT, text);
}

static void send_close(struct ws *ws, int code, struct bytes reason) {
    struct buf out = {0};
    ws_encode_close(&out, code, reason);
    conn_send_bytes(ws->conn, buf_bytes(&out));
    buf_deinit(&out);
}

/* ---- leaving the Name and the registry, once */

static void set_cause(struct ws *ws, const char *who, int code, struct bytes reason) {
    struct buf cause = {0};
    if (ws->cause != NULL)
        return;
    buf_printf(&cause, "%s:%d:", who, code);
    buf_append(&cause, reason);
    ws->cause = buf_take(&cause);
}

static void leave(struct ws *ws) {
    if (ws->has_left)
        return;
    ws->has_left = true;
    ws->is_throttled = false;
    ws->host->events->on_leaving(ws->host->ctx, ws);
}

void ws_forget_registration(struct ws *ws) {
    ws->is_registered = false;
}

/* ---- closing from our side */

/* How long the server's own message at the front of `rest` is: outq cuts there. */
static size_t frame_len(struct bytes rest) {
    const unsigned char *p = (const unsigned char *)rest.ptr;
    uint64_t len = p[1] & 127, header = 2;
    unsigned width = len == 126 ? 2 : len == 127 ? 8 : 0;
    if (width > 0)
        len = 0;
    for (unsigned i = 0; i < width; i++)
        len = len << 8 | p[2 + i];
    return (size_t)(header + width + len);
}

static void begin_closing(struct ws *ws, int code, struct bytes reason, uint64_t stall_ms) {
    set_cause(ws, "server", code, reason);
    set_state(ws, WS_CLOSING);
    leave(ws);
    send_close(ws, code, reason);
    stream_resume(&ws->conn->stream);
    ws->had_ms = 0;
    conn_begin_end(ws->conn, stall_ms);
    conn_set_deadline(ws->conn, CLOSE_TICK_MS);
    log_debug("ws", "closing id=%s code=%d reason=%s", LOG_TEXT(ws->who->client_id), code,
              LOG_TEXT(reason));
}

/* CLOSING: what is queued, then its Close. */
static void await_close(struct ws *ws) {
    struct conn *c = ws->conn;
    uint64_t now_ms = conns_now(c->set);
    if (ws->had_ms == 0 && conn_unsent(c) == 0)
        ws->had_ms = now_ms;
    if (ws->had_ms != 0 ? now_ms - ws->had_ms < CLOSE_MS : conn_is_taking(c))
        conn_set_deadline(c, CLOSE_TICK_MS);
    else
        conn_drop(c);
}

static void finish_leaving(struct ws *ws) {
    leave(ws);
    send_close(ws, ws->close_code, bytes_str(ws->close_reason));
    conn_finish(ws->conn, CLOSE_STALL_MS);
}

void ws_close_with(struct ws *ws, int code, struct bytes reason) {
    if (ws->state == WS_CLOSING || !conn_is_open(ws->conn))
        return;
    if (ws->state == WS_LEAVING)
        finish_leaving(ws); /* the peer was first */
    else
        begin_closing(ws, code, reason,
                      code == close_reason_code(CLOSE_TIMEOUT) ? CLOSE_MS : CLOSE_STALL_MS);
}

static void close_slow(struct ws *ws) {
    metrics_add(METRIC_slow_closed, 1);
    log_info("ws", "closed_slow id=%s name=%s queued_bytes=%zu", LOG_TEXT(ws->who->client_id),
             LOG_TEXT(ws->who->name), ws->conn->out.bytes);
    outq_drop_messages(&ws->conn->out, frame_len);
    if (ws->state == WS_LEAVING)
        finish_leaving(ws);
    else
        begin_closing(ws, close_reason_code(CLOSE_SLOW), bytes_str(close_reason_text(CLOSE_SLOW)),
                      SLOW_STALL_MS);
}

void ws_close(struct ws *ws, enum close_reason reason) {
    if (ws->state == WS_CLOSING || !conn_is_open(ws->conn))
        return;
    if (reason == CLOSE_SLOW)
        close_slow(ws);
    else
        ws_close_with(ws, close_reason_code(reason), bytes_str(close_reason_text(reason)));
}

/* ---- the peer closes, or has to be cut off: its messages first */

static bool is_owed_a_bye(struct ws *ws) {
    return ws->entry != NULL && ws->said_ms != 0 &&
           conns_now(ws->conn->set) - ws->said_ms < BYE_AFTER_SAID_MS;
}

static void leave_politely(struct ws *ws, int code, struct bytes reason) {
    ws->close_code = code;
    ws->close_reason = bytes_dup(reason);
    set_state(ws, WS_LEAVING);
    if (is_owed_a_bye(ws) && ws->host->events->ask_for_bye(ws->host->ctx, ws))
        conn_set_deadline(ws->conn, BYE_MS);
    else
        finish_leaving(ws);
}

void ws_on_bye(struct ws *ws) {
    if (ws->state == WS_LEAVING && conn_is_open(ws->conn))
        finish_leaving(ws);
}

static void fail(struct ws *ws, const struct ws_error *error) {
    struct bytes reason = bytes_str(error->text);
    metrics_add(METRIC_protocol_errors, 1);
    log_debug("ws", "failed id=%s code=%d reason=%s", LOG_TEXT(ws->who->client_id),
              error->close_code, LOG_TEXT(reason));
    if (ws->state == WS_CLOSING) { /* our Close is out: nothing more to say */
        conn_finish(ws->conn, CLOSE_STALL_MS);
        return;
    }
    set_cause(ws, "server", error->close_code, reason);
    leave_politely(ws, error->close_code, reason);
}

static void on_close_frame(struct ws *ws, const struct ws_event *event) {
    set_cause(ws, "client", event->code, event->payload);
    if (ws->state == WS_CLOSING)
        conn_finish(ws->conn, CLOSE_STALL_MS);
    else
        leave_politely(ws, event->has_code ? event->code : 0, event->payload);
}

/* ---- in */

static bool is_held(const struct ws *ws) {
    return ws->blocked != NULL || ws->is_over_share || ws->is_throttled;
}

/* Over the rate without a pause for longer than --rate-patience-ms. */
static bool is_too_long_over(struct ws *ws, bool is_over) {
    uint64_t now = conns_now(ws->conn->set);
    uint64_t patience = (uint64_t)ws->host->settings->rate_patience_ms;
    if (!is_over)
        ws->over_ms = 0;
    else if (ws->over_ms == 0)
        ws->over_ms = now;
    return patience > 0 && is_over && now - ws->over_ms > patience;
}

/* What it said so far was handed on and comes out first. */
static void cut_off(struct ws *ws) {
    int code = close_reason_code(CLOSE_RATE);
    struct bytes reason = bytes_str(close_reason_text(CLOSE_RATE));
    if (ws->state != WS_OPEN || !conn_is_open(ws->conn))
        return;
    metrics_add(METRIC_rate_closed, 1);
    log_debug("ws", "cut_off id=%s reason=rate", LOG_TEXT(ws->who->client_id));
    set_cause(ws, "server", code, reason);
    leave_politely(ws, code, reason);
}

static void pace(struct ws *ws) {
    uint64_t per_second = (uint64_t)ws->host->settings->max_messages_per_second;
    if (per_second == 0)
        return;
    uint64_t wait_us = rate_take(&ws->rate, conns_now(ws->conn->set) * 1000, per_second);
    if (is_too_long_over(ws, wait_us > 0)) {
        cut_off(ws);
        return;
    }
    if (wait_us == 0 || is_held(ws) || !conn_is_open(ws->conn))
        return;
    ws->is_throttled = true;
    stream_pause(&ws->conn->stream);
    conn_set_deadline(ws->conn, (wait_us + 999) / 1000);
}

/* The gateway was held up: what was said meanwhile is read now. Once a turn. */
static void credit_held_up(struct ws *ws) {
    if (ws->said_ms != conns_now(ws->conn->set))
        rate_unread(&ws->rate, conns_held_up_ms(ws->conn->set) * 1000);
}

static void on_message(struct ws *ws, const struct ws_event *event) {
    if (ws->state != WS_OPEN || ws->who->is_local)
        return;
    credit_held_up(ws);
    ws->said_ms = conns_now(ws->conn->set);
    ws->host->events->on_message(ws->host->ctx, ws, event->opcode == WS_BINARY, event->payload);
    pace(ws);
}

static void on_event(struct ws *ws, const struct ws_event *event) {
    switch (event->kind) {
    case WS_EVENT_MESSAGE: on_message(ws, event); break;
    case WS_EVENT_PING:
        /* Who does not read needs no pongs; after our Close there is nothing to say. */
        if (ws->state == WS_OPEN && ws->conn->out.bytes < PONG_QUEUE_MAX)
            ws_send(ws, WS_PONG, event->payload);
        break;
    case WS_EVENT_PONG: break;
    case WS_EVENT_CLOSE: on_close_frame(ws, event); break;
    }
}

void ws_feed(struct ws *ws, struct bytes in) {
    struct conn *c = ws->conn;
    struct ws_event event;
    struct ws_error error;
    enum parse result = PARSE_OK;
    while (ws->state != WS_LEAVING && conn_is_open(c) && !is_held(ws)) {
        result = ws_decoder_next(&ws->decoder, &in, &event, &error);
        if (result != PARSE_OK)
            break;
        on_event(ws, &event);
        if (c->state == CONN_CLOSED)
            return;
    }
    if (result == PARSE_BAD)
        fail(ws, &error);
    else if (is_held(ws) && in.len > 0)
        buf_append(&ws->backlog, in);
}

static void feed_backlog(struct ws *ws) {
    struct buf backlog = ws->backlog;
    buf_init(&ws->backlog);
    ws_feed(ws, buf_bytes(&backlog));
    buf_deinit(&backlog);
}

static void read_on(struct ws *ws) {
    conn_clear_deadline(ws->conn);
    stream_resume(&ws->conn->stream);
    feed_backlog(ws);
}

void ws_on_unblocked(struct ws *ws) {
    rate_unread(&ws->rate, (conns_now(ws->conn->set) - ws->said_ms) * 1000);
    read_on(ws);
}

static void on_bytes(struct conn *c, struct bytes in) {
    struct ws *ws = c->proto_state;
    ws->is_probed = false;
    ws->heard_ms = conns_now(c->set);
    ws->heard_at = c->stream.taken;
    if (ws->state == WS_LEAVING)
        return;
    if (!is_held(ws) && ws->backlog.len == 0) {
        ws_feed(ws, in);
        return;
    }
    buf_append(&ws->backlog, in);
    if (!is_held(ws))
        feed_backlog(ws);
}

static void on_end(struct conn *c, int status) {
    struct ws *ws = c->proto_state;
    if (status < 0 || ws->state == WS_OPEN)
        conn_drop(c);
    else if (ws->state == WS_CLOSING)
        conn_finish(c, CLOSE_STALL_MS); /* no Close will come, but it may read on */
    /* LEAVING: a client that has said Close may end at once and still gets ours. */
}

static void on_deadline(struct conn *c) {
    struct ws *ws = c->proto_state;
    if (ws->state == WS_OPEN && ws->is_throttled) {
        ws->is_throttled = false;
        read_on(ws);
    } else if (ws->state == WS_OPEN) {
        ws_close(ws, CLOSE_UNAVAILABLE); /* blocked too long */
    } else if (ws->state == WS_LEAVING) {
        finish_leaving(ws);
    } else {
        await_close(ws);
    }
}

/* ---- is the peer alive? After ping_ms without a word it has to show it: by a pong, or, as long as
 * other bytes lie before the ping, by reading those. */

static void begin_probe(struct ws *ws) {
    ws->is_probed = true;
    ws->was_behind = conn_unsent(ws->conn) > 0;
    ws->ping_at = ws->had_ms = 0;
    conn_watch(ws->conn);
}

static void send_ping(struct ws *ws) {
    struct conn *c = ws->conn;
    ws_send(ws, WS_PING, BYTES_NONE);
    conn_flush(c);
    if (conn_is_open(c) && c->out.count == 0)
        ws->ping_at = c->stream.taken;
}

/* How long it may read nothing at all. */
static uint64_t stall_within_ms(const struct ws *ws) {
    uint64_t within_ms = (uint64_t)ws->host->settings->pong_timeout_ms;
    return ws->was_behind && within_ms < PROBE_STALL_MS ? PROBE_STALL_MS : within_ms;
}

/* How long its pong may take: what was written since it was heard last may lie in its own buffers,
 * unread, before the ping. */
static uint64_t pong_within_ms(const struct ws *ws) {
    uint64_t before = ws->ping_at - ws->heard_at;
    before = before < LEAST_RATE_MAX ? before : LEAST_RATE_MAX;
    return (uint64_t)ws->host->settings->pong_timeout_ms + before / LEAST_RATE;
}

static bool is_dead(struct ws *ws, uint64_t now_ms) {
    struct conn *c = ws->conn;
    if (ws->had_ms == 0 && ws->ping_at != 0 && stream_acked(&c->stream) >= ws->ping_at)
        ws->had_ms = now_ms;
    if (ws->had_ms != 0)
        return now_ms - ws->had_ms >= pong_within_ms(ws);
    return conn_stalled_ms(c) >= stall_within_ms(ws);
}

static void on_sweep(struct conn *c, uint64_t now_ms) {
    struct ws *ws = c->proto_state;
    if (ws->state != WS_OPEN || is_held(ws))
        return;
    if (conn_is_slow(c)) {
        ws_close(ws, CLOSE_SLOW);
        return;
    }
    if (now_ms - ws->heard_ms < (uint64_t)ws->host->settings->ping_ms)
        return;
    if (!ws->is_probed)
        begin_probe(ws);
    if (is_dead(ws, now_ms))
        ws_close(ws, CLOSE_TIMEOUT);
    else if (ws->ping_at == 0 && c->out.count == 0)
        send_ping(ws);
}

static void on_gone(struct conn *c) {
    struct ws *ws = c->proto_state;
    set_cause(ws, "lost", close_reason_code(CLOSE_LOST), BYTES_NONE);
    leave(ws);
    log_debug("ws", "closed id=%s cause=%s", LOG_TEXT(ws->who->client_id),
              LOG_TEXT(bytes_str(ws->cause)));
    ws_decoder_deinit(&ws->decoder);
    buf_deinit(&ws->backlog);
    free(ws->close_reason);
    free(ws->cause);
    if (ws->request != NULL) {
        ws->request->ws = NULL;
        ws->request->has_left = ws->who->is_local; /* the route's end will tell its Disconnect */
    }
    free(ws->who);
    free(ws);
    c->proto_state = NULL;
    metrics_add(METRIC_websockets, -1);
}

static bool on_shutdown(struct conn *c) {
    struct ws *ws = c->proto_state;
    bool is_first = ws->state == WS_OPEN;
    ws_close(ws, CLOSE_RESTART);
    return is_first;
}

static const struct conn_proto ws_proto = {
    .name = "ws",
    .on_bytes = on_bytes,
    .on_end = on_end,
    .on_deadline = on_deadline,
    .on_sweep = on_sweep,
    .on_shutdown = on_shutdown,
    .on_gone = on_gone,
};
