/*
 * ws.c - see ws.h. Read feed (what comes in), leave_politely and begin_closing (the two ends), and
 * hold and release (back-pressure).
 */
#include "gateway/conn/ws.h"

#include <stdlib.h>

#include "common/base/log.h"
#include "common/base/metrics.h"
#include "common/base/settings.h"
#include "gateway/codec/ws_codec.h"
#include "gateway/conn/conn.h"
#include "gateway/conn/pace.h"
#include "gateway/conn/v1.h"

enum {
    CLOSE_MS = 2000, /* how long the peer has for its Close, once it has ours */
    CLOSE_TICK_MS = 500,
    LEAST_RATE = 32,          /* bytes a ms: a client that reads so slowly is alive, … */
    LEAST_RATE_MAX = 8 << 20, /* … for what its own buffers may hold */
    LEAST_MESSAGE_RATE = 1    /* bytes a ms */
};

enum ws_state { WS_OPEN, WS_LEAVING, WS_CLOSING };

struct ws {
    struct conn *conn;
    const struct settings *settings;
    const struct transport_events *events;
    void *client;
    struct bytes client_id, name;
    enum ws_state state;
    unsigned held; /* enum hold */

    struct ws_decoder decoder;
    struct pace pace;
    struct buf backlog;          /* what was read and is held */
    struct inflation *inflation; /* of the message that HOLD_INFLATE is for, or NULL */
    uint64_t unread_ms;          /* of the time since input_since_ms: memory was short */
    uint64_t said_ms;            /* when its last message was handed on; 0: none was */

    uint64_t heard_ms; /* the peer's last bytes, */
    uint64_t heard_at; /* and how much had been written to it then */
    uint64_t ping_at;  /* how much was written up to its ping; 0: no ping is out */
    uint64_t had_ms;   /* when its side had our ping, or our Close; 0: not yet */
    struct silence silence;
    bool is_probed;  /* it has to show a sign of life, … */
    bool was_behind; /* … and had not had everything when that began */
    bool is_v1;

    bool is_by_us;      /* LEAVING: the peer has not asked for it */
    int close_code;     /* LEAVING: of our Close, 0: an empty one */
    char *close_reason; /* LEAVING: its text, or NULL */
};

static void set_state(struct ws *ws, enum ws_state to) {
    MUST((ws->state == WS_OPEN && to != WS_OPEN) || (ws->state == WS_LEAVING && to == WS_CLOSING));
    ws->state = to;
}

/* ---- out */

static void send_control(struct ws *ws, enum ws_opcode opcode, struct bytes payload) {
    struct buf out = {0};
    ws_encode_message(&out, opcode, payload);
    conn_send_bytes(ws->conn, buf_bytes(&out));
    buf_deinit(&out);
}

/* signalbox.v1 is told in words, unless its client has ended it. */
static void send_close(struct ws *ws, const struct transport_end *end, bool is_told) {
    struct buf text = {0}, out = {0};
    if (ws->is_v1 && is_told) {
        v1_closed(&text, end->code, end->reason, end->is_for_good ? 0 : v1_retry_ms());
        ws_encode_message(&out, WS_TEXT, buf_bytes(&text));
    }
    ws_encode_close(&out, end->code, end->reason);
    conn_send_bytes(ws->conn, buf_bytes(&out));
    buf_deinit(&text);
    buf_deinit(&out);
}

/* ---- closing from our side */

static void forget_inflation(struct ws *ws) {
    inflation_cancel(ws->inflation);
    ws->inflation = NULL;
}

static void leave(struct ws *ws) {
    forget_inflation(ws);
    ws->held = 0;
    ws->events->on_leaving(ws->client);
}

static void begin_closing(struct ws *ws, const struct transport_end *end, uint64_t stall_ms) {
    ws->events->on_ending(ws->client, ENDED_BY_SERVER, end->code, end->reason);
    set_state(ws, WS_CLOSING);
    leave(ws);
    send_close(ws, end, true);
    conn_resume(ws->conn, CONN_PAUSED_PROTO);
    ws->had_ms = 0;
    conn_begin_end(ws->conn, stall_ms);
    conn_set_deadline(ws->conn, CLOSE_TICK_MS);
    log_debug("ws", "closing id=%s code=%d reason=%s", LOG_TEXT(ws->client_id), end->code,
              LOG_TEXT(end->reason));
}

/* CLOSING: the peer takes what is queued, then it has its time for a Close. */
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
    struct transport_end end = {
        .code = ws->close_code, .reason = bytes_str(ws->close_reason), .is_for_good = true};
    leave(ws);
    send_close(ws, &end, ws->is_by_us);
    conn_finish(ws->conn, CLOSE_STALL_MS);
}

static void close_with(struct ws *ws, const struct transport_end *end, uint64_t stall_ms) {
    if (ws->state == WS_CLOSING || !conn_is_open(ws->conn))
        return;
    if (ws->state == WS_LEAVING)
        finish_leaving(ws); /* the peer was first */
    else
        begin_closing(ws, end, stall_ms);
}

static void close_for(struct ws *ws, enum close_reason reason, uint64_t stall_ms) {
    struct transport_end end = transport_end_for(reason);
    close_with(ws, &end, stall_ms);
}

static void close_slow(void *carrier) {
    struct ws *ws = carrier;
    if (ws->state == WS_CLOSING || !conn_is_open(ws->conn))
        return;
    metrics_add(METRIC_slow_closed, 1);
    log_info("ws", "closed_slow id=%s name=%s queued_bytes=%zu", LOG_TEXT(ws->client_id),
             LOG_TEXT(ws->name), ws->conn->out.bytes);
    outq_drop_messages(&ws->conn->out, ws_frame_len);
    close_for(ws, CLOSE_SLOW, SLOW_STALL_MS);
}

/* ---- the peer closes, or has to be cut off: what its messages caused comes first */

static void leave_politely(struct ws *ws, enum ended_by by, int code, struct bytes reason) {
    ws->events->on_ending(ws->client, by, code, reason);
    ws->close_code = code == WS_NO_CODE ? 0 : code;
    ws->close_reason = bytes_dup(reason);
    ws->is_by_us = by == ENDED_BY_SERVER;
    set_state(ws, WS_LEAVING);
    bool has_said = ws->said_ms != 0 && conns_now(ws->conn->set) - ws->said_ms < BYE_AFTER_SAID_MS;
    if (has_said && ws->events->ask_for_bye(ws->client))
        conn_set_deadline(ws->conn, BYE_MS);
    else
        finish_leaving(ws);
}

static void fail(struct ws *ws, const struct ws_error *error) {
    struct bytes reason = bytes_str(error->text);
    metrics_add(METRIC_protocol_errors, 1);
    log_debug("ws", "failed id=%s code=%d reason=%s", LOG_TEXT(ws->client_id), error->close_code,
              LOG_TEXT(reason));
    if (ws->state == WS_CLOSING) { /* our Close is out: nothing more to say */
        conn_finish(ws->conn, CLOSE_STALL_MS);
        return;
    }
    leave_politely(ws, ENDED_BY_SERVER, error->close_code, reason);
}

static void on_close_frame(struct ws *ws, const struct ws_event *event) {
    if (ws->state == WS_CLOSING)
        conn_finish(ws->conn, CLOSE_STALL_MS);
    else
        leave_politely(ws, ENDED_BY_CLIENT, event->code, event->payload);
}

/* ---- back-pressure */

static void hold(struct ws *ws, enum hold why, uint64_t for_ms) {
    if (ws->state != WS_OPEN || !conn_is_open(ws->conn))
        return;
    ws->held |= (unsigned)why;
    conn_pause(ws->conn, CONN_PAUSED_PROTO);
    conn_set_deadline(ws->conn, for_ms);
}

/* The last release leaves the rest to the deadline. */
static void release(void *carrier, enum hold why) {
    struct ws *ws = carrier;
    if ((ws->held & (unsigned)why) == 0)
        return;
    ws->held &= ~(unsigned)why;
    pace_unread(&ws->pace, conns_now(ws->conn->set) - ws->said_ms);
    if (ws->held == 0 && ws->state == WS_OPEN && conn_is_open(ws->conn))
        conn_set_deadline(ws->conn, 0);
}

/* What it said so far was handed on and comes out first. */
static void cut_off(struct ws *ws) {
    struct transport_end end = transport_end_for(CLOSE_RATE);
    metrics_add(METRIC_rate_closed, 1);
    char address[IP_TEXT_SIZE];
    ip_show(ws->conn->remote, address);
    log_warn("ws", "cut_off reason=rate address=%s id=%s name=%s", address, LOG_TEXT(ws->client_id),
             LOG_TEXT(ws->name));
    leave_politely(ws, ENDED_BY_SERVER, end.code, end.reason);
}

static void pace(struct ws *ws, size_t bytes) {
    uint64_t now_ms = conns_now(ws->conn->set), wait_ms = pace_take(&ws->pace, now_ms, bytes);
    if (ws->state != WS_OPEN || !conn_is_open(ws->conn))
        return;
    if (pace_is_exhausted(&ws->pace, now_ms))
        cut_off(ws);
    else if (wait_ms > 0 && ws->held == 0)
        hold(ws, HOLD_RATE, wait_ms);
}

/* ---- in */

/* Nothing of it is read any more. */
static void forget_input(struct ws *ws) {
    forget_inflation(ws);
    ws_decoder_deinit(&ws->decoder);
    buf_release(&ws->backlog);
}

/* After bytes were read; ws may be gone. */
static void count_input(struct conn *c) {
    struct ws *ws = c->proto_state;
    if (c->state == CONN_CLOSED)
        return;
    size_t bytes =
        ws_decoder_memory(&ws->decoder) + ws->backlog.cap + inflation_memory(ws->inflation);
    bool is_unfinished =
        ws_decoder_is_within(&ws->decoder) || ws->backlog.len > 0 || ws->inflation != NULL;
    ws->unread_ms = is_unfinished ? ws->unread_ms + conns_held_up_ms(c->set) : 0;
    if (is_unfinished || c->input_since_ms != 0)
        conn_set_input(c, is_unfinished, bytes);
}

/* bytes: as it came, when that was more. */
static void hand_on(struct ws *ws, bool is_binary, struct bytes message, size_t bytes) {
    uint64_t now_ms = conns_now(ws->conn->set);
    if (ws->said_ms != now_ms) /* once a turn: what was said while the gateway was held up */
        pace_unread(&ws->pace, conns_held_up_ms(ws->conn->set));
    ws->said_ms = now_ms;
    if (ws->events->on_message(ws->client, is_binary, message))
        pace(ws, message.len > bytes ? message.len : bytes);
}

/* A large message has got on, or has come to its end: then its connection is read on. */
static void on_inflated(void *ctx, enum parse result, const struct inflate_what *what,
                        struct bytes message, const struct ws_error *error) {
    struct ws *ws = ctx;
    struct conn *c = ws->conn;
    if (result != PARSE_MORE) {
        ws->inflation = NULL;
        ws->held &= ~(unsigned)HOLD_INFLATE;
    }
    if (result == PARSE_OK)
        hand_on(ws, !what->is_text, message, what->payload.len);
    if (c->state == CONN_CLOSED)
        return;
    if (result == PARSE_BAD) {
        conn_resume(c, CONN_PAUSED_PROTO);
        fail(ws, error);
        forget_input(ws);
    } else if (ws->held == 0 && ws->state == WS_OPEN && conn_is_open(c)) {
        conn_set_deadline(c, 0);
    }
    count_input(c);
}

static void inflate(struct ws *ws, const struct ws_event *event) {
    struct inflating *inflating = &ws->conn->set->inflating;
    struct inflate_what what = {.payload = event->payload,
                                .is_text = event->opcode == WS_TEXT,
                                .max_bytes = (size_t)ws->settings->max_message_bytes};
    struct bytes message;
    struct ws_error error;
    enum parse result = inflating_try(inflating, ws, &what, &message, &error);
    if (result == PARSE_OK) {
        hand_on(ws, !what.is_text, message, what.payload.len);
    } else if (result == PARSE_BAD) {
        fail(ws, &error);
    } else {
        struct buf payload = ws_decoder_take(&ws->decoder, what.payload);
        ws->inflation = inflating_queue(inflating, &what, &payload, on_inflated, ws);
        ws->held |= HOLD_INFLATE;
        conn_pause(ws->conn, CONN_PAUSED_PROTO);
    }
}

static void on_message(struct ws *ws, const struct ws_event *event) {
    if (ws->state != WS_OPEN)
        return;
    if (event->is_compressed)
        inflate(ws, event);
    else
        hand_on(ws, event->opcode == WS_BINARY, event->payload, 0);
}

static void on_event(struct ws *ws, const struct ws_event *event) {
    switch (event->kind) {
    case WS_EVENT_MESSAGE: on_message(ws, event); break;
    case WS_EVENT_PING:
        /* A client that does not read needs no pongs; nothing is said after our Close. */
        if (ws->state == WS_OPEN && ws->conn->out.bytes < PONG_QUEUE_MAX)
            send_control(ws, WS_PONG, event->payload);
        break;
    case WS_EVENT_PONG: break;
    case WS_EVENT_CLOSE: on_close_frame(ws, event); break;
    }
}

static void feed(struct ws *ws, struct bytes in) {
    struct conn *c = ws->conn;
    struct ws_event event;
    struct ws_error error;
    enum parse result = PARSE_OK;
    while (ws->state != WS_LEAVING && conn_is_open(c) && ws->held == 0) {
        result = ws_decoder_next(&ws->decoder, &in, &event, &error);
        if (result != PARSE_OK)
            break;
        on_event(ws, &event);
        if (c->state == CONN_CLOSED)
            return;
    }
    if (result == PARSE_BAD)
        fail(ws, &error);
    else if (ws->held != 0)
        buf_append(&ws->backlog, in);
    if (ws->state == WS_LEAVING || !conn_is_open(c))
        forget_input(ws);
    else if (ws->held != 0)
        ws_decoder_release(&ws->decoder);
}

static void feed_backlog(struct ws *ws) {
    struct buf backlog = ws->backlog;
    buf_init(&ws->backlog);
    feed(ws, buf_bytes(&backlog));
    buf_deinit(&backlog);
}

static void take(struct ws *ws, struct bytes in) {
    if (ws->held == 0 && ws->backlog.len == 0) {
        feed(ws, in);
        return;
    }
    buf_append(&ws->backlog, in);
    if (ws->held == 0)
        feed_backlog(ws);
}

static void on_bytes(struct conn *c, struct bytes in) {
    struct ws *ws = c->proto_state;
    ws->is_probed = false;
    ws->heard_ms = conns_now(c->set);
    ws->heard_at = c->stream.taken;
    if (ws->state == WS_LEAVING)
        return;
    take(ws, in);
    count_input(c);
}

static void on_end(struct conn *c, int status) {
    struct ws *ws = c->proto_state;
    if (status < 0 || ws->state == WS_OPEN)
        conn_drop(c);
    else if (ws->state == WS_CLOSING)
        conn_finish(c, CLOSE_STALL_MS); /* no Close will come, but it may read on */
    /* LEAVING: a client that has sent Close may end at once and still gets ours. */
}

static void on_deadline(struct conn *c) {
    struct ws *ws = c->proto_state;
    if (ws->state == WS_LEAVING) {
        finish_leaving(ws);
    } else if (ws->state == WS_CLOSING) {
        await_close(ws);
    } else if ((ws->held & ~(unsigned)HOLD_RATE) != 0) {
        close_for(ws, CLOSE_UNAVAILABLE, CLOSE_STALL_MS);
    } else {
        ws->held = 0;
        conn_resume(c, CONN_PAUSED_PROTO);
        feed_backlog(ws);
        count_input(c);
    }
}

/* ---- is the peer alive? After ping_ms without a word it has to show it: by a pong, or, as long as
 * other bytes lie before the ping, by reading those. */

static bool is_dead(struct ws *ws, uint64_t now_ms) {
    struct conn *c = ws->conn;
    if (ws->had_ms == 0 && ws->ping_at != 0 && stream_acked(&c->stream) >= ws->ping_at)
        ws->had_ms = now_ms;
    uint64_t stall_ms = (uint64_t)ws->settings->pong_timeout_ms;
    /* What was written since it was last heard may lie in its own buffers, unread, before the
     * ping: its pong may take as much longer. */
    uint64_t before = ws->ping_at - ws->heard_at;
    before = before < LEAST_RATE_MAX ? before : LEAST_RATE_MAX;
    if (ws->had_ms != 0)
        return now_ms - ws->had_ms >= stall_ms + before / LEAST_RATE;
    if (ws->was_behind && stall_ms < PROBE_STALL_MS)
        stall_ms = PROBE_STALL_MS;
    return conn_stalled_ms(c) >= stall_ms;
}

/* Our Close, and nothing of the peer is read any more: what it had begun is forgotten. */
static void give_up(struct ws *ws, enum close_reason why) {
    close_for(ws, why, CLOSE_STALL_MS);
    forget_input(ws);
    count_input(ws->conn);
    conn_cut(ws->conn);
}

/* A message that comes as slowly as LEAST_MESSAGE_RATE still comes. What is unfinished began after
 * the last message, however long before that there was always something. */
static bool is_stuck(const struct ws *ws, uint64_t now_ms) {
    uint64_t began_ms = ws->conn->input_since_ms;
    uint64_t since_ms = (began_ms > ws->said_ms ? began_ms : ws->said_ms) + ws->unread_ms;
    return began_ms != 0 && now_ms > since_ms &&
           now_ms - since_ms >= (uint64_t)ws->settings->message_timeout_ms +
                                    ws->decoder.message.len / LEAST_MESSAGE_RATE;
}

static void break_silence(struct ws *ws, uint64_t now_ms) {
    struct buf id = {0}, text = {0};
    if (!ws->is_v1 || !v1_is_silence_over(&ws->silence, ws->conn, ws->settings, now_ms))
        return;
    ws->events->position(ws->client, v1_spoken_ms(&ws->silence, now_ms), &id);
    v1_position(&text, buf_bytes(&id));
    send_control(ws, WS_TEXT, buf_bytes(&text));
    buf_deinit(&id);
    buf_deinit(&text);
}

static void on_sweep(struct conn *c, uint64_t now_ms) {
    struct ws *ws = c->proto_state;
    if (ws->state != WS_OPEN)
        return;
    break_silence(ws, now_ms);
    if (c->paused != 0)
        return;
    if (conn_is_slow(c)) {
        close_slow(ws);
        return;
    }
    if (is_stuck(ws, now_ms)) {
        metrics_add(METRIC_unfinished, 1);
        log_debug("ws", "unfinished id=%s bytes=%zu", LOG_TEXT(ws->client_id),
                  ws->decoder.message.len);
        give_up(ws, CLOSE_UNFINISHED);
        return;
    }
    if (now_ms - ws->heard_ms < (uint64_t)ws->settings->ping_ms)
        return;
    if (!ws->is_probed) {
        ws->is_probed = true;
        ws->was_behind = conn_unsent(c) > 0;
        ws->ping_at = ws->had_ms = 0;
        conn_watch(c);
    }
    if (is_dead(ws, now_ms)) {
        close_for(ws, CLOSE_TIMEOUT, CLOSE_MS);
    } else if (ws->ping_at == 0 && c->out.count == 0) {
        send_control(ws, WS_PING, BYTES_NONE);
        conn_flush(c);
        if (conn_is_open(c) && c->out.count == 0)
            ws->ping_at = c->stream.taken;
    }
}

/* ---- memory is short */

/* A policy that drops messages keeps the client; in CLOSING there is nothing left to wait for. */
static void on_pressure(struct conn *c, enum pressure why) {
    struct ws *ws = c->proto_state;
    if (ws->state != WS_OPEN)
        conn_drop(c);
    else if (why == PRESSURE_IN)
        give_up(ws, CLOSE_MEMORY);
    else if (c->policy == SLOW_CLOSE)
        close_slow(ws);
    else
        metrics_add(METRIC_slow_dropped, outq_drop_messages(&c->out, ws_frame_len));
}

static void on_unread(struct conn *c, uint64_t ms) {
    struct ws *ws = c->proto_state;
    ws->unread_ms += ms;
    ws->heard_ms += ms;
    pace_unread(&ws->pace, ms);
}

static struct bytes client_id_of(const struct conn *c) {
    const struct ws *ws = c->proto_state;
    return ws->client_id;
}

static void on_gone(struct conn *c) {
    struct ws *ws = c->proto_state;
    forget_inflation(ws);
    ws->held = 0;
    ws->events->on_gone(ws->client);
    ws_decoder_deinit(&ws->decoder);
    buf_deinit(&ws->backlog);
    metrics_add(METRIC_websockets_deflate, -(int64_t)ws->decoder.allow_rsv1);
    free(ws->close_reason);
    free(ws);
    c->proto_state = NULL;
    metrics_add(METRIC_websockets, -1);
}

static bool on_shutdown(struct conn *c) {
    struct ws *ws = c->proto_state;
    bool is_first = ws->state == WS_OPEN;
    close_for(ws, CLOSE_RESTART, CLOSE_STALL_MS);
    return is_first;
}

static const struct conn_proto ws_proto = {
    .name = "ws",
    .on_bytes = on_bytes,
    .on_end = on_end,
    .on_deadline = on_deadline,
    .on_sweep = on_sweep,
    .on_shutdown = on_shutdown,
    .on_pressure = on_pressure,
    .on_unread = on_unread,
    .client_id = client_id_of,
    .on_gone = on_gone,
};

struct ws *ws_open(struct conn *c, const struct ws_options *options) {
    struct ws *ws = mem_zalloc(sizeof(*ws));
    *ws = (struct ws){.conn = c,
                      .settings = options->settings,
                      .events = options->events,
                      .client = options->client,
                      .client_id = options->client_id,
                      .name = options->name,
                      .is_v1 = options->is_v1,
                      .heard_ms = conns_now(c->set),
                      .silence = v1_silence_from(conns_now(c->set)),
                      .backlog = *options->rest};
    buf_init(options->rest);
    pace_init(&ws->pace, options->settings, ip_is_local(c->remote));
    ws_decoder_init(&ws->decoder, (size_t)options->settings->max_message_bytes);
    ws->decoder.allow_rsv1 = options->deflates;
    metrics_add(METRIC_websockets_deflate, options->deflates);
    conn_switch(c, &ws_proto, ws);
    if (ws->backlog.len > 0)
        conn_set_deadline(c, 0);
    count_input(c);
    metrics_add(METRIC_websockets, 1);
    metrics_add(METRIC_upgrades, 1);
    log_debug("ws", "opened id=%s name=%s", LOG_TEXT(ws->client_id), LOG_TEXT(ws->name));
    return ws;
}

/* ---- the transport */

static void transport_close(void *carrier, const struct transport_end *end) {
    close_with(carrier, end, CLOSE_STALL_MS);
}

static void transport_on_bye(void *carrier) {
    struct ws *ws = carrier;
    if (ws->state == WS_LEAVING && conn_is_open(ws->conn))
        finish_leaving(ws);
}

static void transport_hold(void *carrier, enum hold why) {
    hold(carrier, why, HOLD_MAX_MS);
}

const struct transport ws_transport = {.close = transport_close,
                                       .close_slow = close_slow,
                                       .on_bye = transport_on_bye,
                                       .hold = transport_hold,
                                       .release = release};
