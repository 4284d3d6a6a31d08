/* sse.c - see sse.h. Read end_with (our end) and on_sweep (pings, and whether the peer reads). */
#include "gateway/conn/sse.h"

#include <stdlib.h>

#include "common/base/close_reason.h"
#include "common/base/log.h"
#include "common/base/metrics.h"
#include "common/base/settings.h"
#include "gateway/codec/sse_codec.h"
#include "gateway/conn/conn.h"
#include "gateway/conn/sse_end.h"
#include "gateway/conn/v1.h"

struct sse {
    struct conn *conn;
    const struct settings *settings;
    const struct transport_events *events;
    void *client;
    struct bytes client_id, name;
    bool is_chunked, is_v1;
    size_t heard_bytes; /* that it had no reason to send */
    struct silence silence;
};

/* ---- out */

static void send_event(struct sse *s, struct bytes event, bool is_last) {
    struct buf out = {0};
    char header[SSE_CHUNK_HEADER_MAX];
    if (s->is_chunked)
        buf_append(&out, bytes_of(header, sse_chunk_header(header, event.len)));
    buf_append(&out, event);
    if (s->is_chunked)
        buf_append_str(&out, is_last ? "\r\n" SSE_LAST_CHUNK : "\r\n");
    conn_send_bytes(s->conn, buf_bytes(&out));
    buf_deinit(&out);
}

static void send_ping(struct sse *s, uint64_t now_ms) {
    struct buf position = {0}, data = {0}, out = {0};
    s->events->position(s->client, v1_spoken_ms(&s->silence, now_ms), &position);
    if (s->is_v1)
        v1_position(&data, buf_bytes(&position));
    struct sse_event event = {.type = "ping", .id = buf_bytes(&position), .data = buf_bytes(&data)};
    sse_append(&out, &event);
    send_event(s, buf_bytes(&out), false);
    buf_deinit(&position);
    buf_deinit(&data);
    buf_deinit(&out);
}

/* ---- our end */

static void end_with(struct sse *s, const struct transport_end *e, uint64_t stall_ms) {
    struct buf position = {0}, out = {0};
    struct sse_end end = {.code = e->code, .reason = e->reason, .is_v1 = s->is_v1};
    if (!conn_is_open(s->conn))
        return;
    if (e->is_for_good) {
        s->events->position(s->client, 0, &position);
        end.last_id = buf_bytes(&position);
    }
    sse_end_append(&out, &end);
    s->events->on_ending(s->client, ENDED_BY_SERVER, e->code, e->reason);
    s->events->on_leaving(s->client);
    send_event(s, buf_bytes(&out), true);
    buf_deinit(&position);
    buf_deinit(&out);
    log_debug("sse", "closing id=%s code=%d reason=%s", LOG_TEXT(s->client_id), e->code,
              LOG_TEXT(e->reason));
    conn_finish(s->conn, stall_ms);
}

static void end_for(struct sse *s, enum close_reason reason, uint64_t stall_ms) {
    struct transport_end e = transport_end_for(reason);
    end_with(s, &e, stall_ms);
}

static outq_message_len_fn *message_len(const struct sse *s) {
    return s->is_chunked ? sse_chunk_len : sse_event_len;
}

static void close_slow(void *carrier) {
    struct sse *s = carrier;
    if (!conn_is_open(s->conn))
        return;
    metrics_add(METRIC_slow_closed, 1);
    log_info("sse", "closed_slow id=%s name=%s queued_bytes=%zu", LOG_TEXT(s->client_id),
             LOG_TEXT(s->name), s->conn->out.bytes);
    outq_drop_messages(&s->conn->out, message_len(s));
    end_for(s, CLOSE_SLOW, SLOW_STALL_MS);
}

/* ---- from the connection */

static void on_bytes(struct conn *c, struct bytes in) {
    struct sse *s = c->proto_state;
    s->heard_bytes += in.len;
    if (s->heard_bytes <= SSE_INPUT_MAX)
        return;
    metrics_add(METRIC_protocol_errors, 1);
    log_debug("sse", "failed id=%s reason=\"it sends on its event stream\"",
              LOG_TEXT(s->client_id));
    end_for(s, CLOSE_PROTOCOL, CLOSE_STALL_MS);
    conn_cut(c);
}

static void on_end(struct conn *c, int status) {
    struct sse *s = c->proto_state;
    if (status == 0)
        s->events->on_ending(s->client, ENDED_BY_CLIENT, close_reason_code(CLOSE_NORMAL),
                             BYTES_NONE);
    conn_drop(c);
}

/* No deadline is set before conn_finish, which has its own. */
static void on_deadline(struct conn *c) {
    (void)c;
}

/* Whether the peer has taken nothing for as long as a silent WebSocket would be waited for. */
static bool is_dead(struct sse *s) {
    uint64_t stall_ms = (uint64_t)s->settings->pong_timeout_ms;
    if (s->conn->out.count > 0 && stall_ms < PROBE_STALL_MS)
        stall_ms = PROBE_STALL_MS;
    return conn_stalled_ms(s->conn) >= (uint64_t)s->settings->ping_ms + stall_ms;
}

/* Asking whether the peer reads is a system call, so an idle stream is asked once a ping. */
static void on_sweep(struct conn *c, uint64_t now_ms) {
    struct sse *s = c->proto_state;
    if (conn_is_slow(c)) {
        close_slow(s);
        return;
    }
    bool is_due = v1_is_silence_over(&s->silence, c, s->settings, now_ms);
    if (!is_due && c->out.count == 0)
        return;
    if (is_dead(s))
        end_for(s, CLOSE_TIMEOUT, CLOSE_STALL_MS);
    else if (is_due)
        send_ping(s, now_ms);
}

static bool on_shutdown(struct conn *c) {
    end_for(c->proto_state, CLOSE_RESTART, CLOSE_STALL_MS);
    return true;
}

/* It keeps nothing of its input. A policy that drops messages keeps the client. */
static void on_pressure(struct conn *c, enum pressure why) {
    struct sse *s = c->proto_state;
    if (why == PRESSURE_IN)
        return;
    if (c->policy == SLOW_CLOSE)
        close_slow(s);
    else
        metrics_add(METRIC_slow_dropped, outq_drop_messages(&c->out, message_len(s)));
}

static struct bytes client_id_of(const struct conn *c) {
    const struct sse *s = c->proto_state;
    return s->client_id;
}

static void on_gone(struct conn *c) {
    struct sse *s = c->proto_state;
    s->events->on_gone(s->client);
    free(s);
    c->proto_state = NULL;
    metrics_add(METRIC_event_streams, -1);
}

static const struct conn_proto sse_proto = {
    .name = "sse",
    .on_bytes = on_bytes,
    .on_end = on_end,
    .on_deadline = on_deadline,
    .on_sweep = on_sweep,
    .on_shutdown = on_shutdown,
    .on_pressure = on_pressure,
    .client_id = client_id_of,
    .on_gone = on_gone,
};

struct sse *sse_open(struct conn *c, const struct sse_options *options) {
    struct sse *s = mem_zalloc(sizeof(*s));
    *s = (struct sse){.conn = c,
                      .settings = options->settings,
                      .events = options->events,
                      .client = options->client,
                      .client_id = options->client_id,
                      .name = options->name,
                      .is_chunked = options->is_chunked,
                      .is_v1 = options->is_v1,
                      .silence = v1_silence_from(conns_now(c->set))};
    conn_switch(c, &sse_proto, s);
    conn_watch(c);
    metrics_add(METRIC_event_streams, 1);
    metrics_add(METRIC_event_streams_opened, 1);
    log_debug("sse", "opened id=%s name=%s", LOG_TEXT(s->client_id), LOG_TEXT(s->name));
    return s;
}

/* ---- the transport */

static void transport_close(void *carrier, const struct transport_end *end) {
    end_with(carrier, end, CLOSE_STALL_MS);
}

/* Its client is never heard here, so there is nothing to wait for and nothing to hold. */
static void on_bye(void *carrier) {
    (void)carrier;
}

static void hold(void *carrier, enum hold why) {
    (void)carrier;
    (void)why;
}

const struct transport sse_transport = {.close = transport_close,
                                        .close_slow = close_slow,
                                        .on_bye = on_bye,
                                        .hold = hold,
                                        .release = hold};
