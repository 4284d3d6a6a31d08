/* channel.c - see channel.h. Read send_frame (what goes out), channel_take (what comes in), end and
 * channel_look_at. */
#include "gateway/session/channel.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/memory_budget.h"
#include "common/base/metrics.h"
#include "common/base/must.h"
#include "common/base/settings.h"
#include "gateway/codec/ws_codec.h"
#include "gateway/conn/conn.h"
#include "gateway/conn/v1.h"
#include "gateway/session/channel_frame.h"
#include "gateway/session/client.h"
#include "gateway/session/clients.h"

enum {
    TICK_MS = 100,
    COPIED_BYTES = 4096 /* so much is copied behind its head, more is shared */
};

struct waiting {
    STAILQ_ENTRY(waiting) link;
    struct buf message;
};

static const struct transport_events *const up = &client_transport_events;

static uint64_t now_of(const struct channel *ch) {
    return conns_now(ch->socket->conn->set);
}

static void look_later(struct channel *ch, unsigned in_ms) {
    if (!ch->is_due) {
        ch->is_due = true;
        TAILQ_INSERT_TAIL(&ch->socket->due, ch, due);
        ch->socket->due_count++;
    }
    ch->socket->wake(ch->socket, in_ms);
}

static void look_no_more(struct channel *ch) {
    if (!ch->is_due)
        return;
    ch->is_due = false;
    TAILQ_REMOVE(&ch->socket->due, ch, due);
    ch->socket->due_count--;
}

/* ---- out */

/* What stands before a text without its brace. */
struct prefix {
    char text[48 + CHANNEL_REF_MAX];
    size_t len;
};

static struct bytes prefix_bytes(const struct prefix *p) {
    return bytes_of(p->text, p->len);
}

static void write_prefix(struct prefix *p, uint64_t channel, struct bytes ref) {
    char number[40] = "", *to = p->text;
    if (channel != 0)
        snprintf(number, sizeof(number), "\"channel\":%" PRIu64 ",", channel);
    MUST(ref.len <= CHANNEL_REF_MAX);
    p->len = (size_t)(ref.len == 0 ? snprintf(to, sizeof(p->text), "{%s", number)
                                   : snprintf(to, sizeof(p->text), "{%s\"ref\":%.*s,", number,
                                              BYTES_FMT(ref)));
}

void channel_say(struct channel_socket *s, uint64_t channel, struct bytes ref, struct bytes text) {
    struct prefix prefix;
    struct buf whole = {0}, out = {0};
    if (s->has_left)
        return;
    write_prefix(&prefix, channel, ref);
    buf_append(&whole, prefix_bytes(&prefix));
    buf_append(&whole, bytes_from(text, 1));
    ws_encode_message(&out, WS_TEXT, buf_bytes(&whole));
    conn_send_bytes(s->conn, buf_bytes(&out));
    buf_deinit(&whole);
    buf_deinit(&out);
}

/* Whether a frame is of the channel whose prefix is ctx. */
static bool is_own(const void *ctx, struct bytes frame) {
    unsigned char len = frame.len > 1 ? (unsigned char)frame.ptr[1] & 0x7f : 0;
    size_t header = len < 126 ? 2 : len == 126 ? 4 : WS_HEADER_OUT_MAX;
    return bytes_starts_with(bytes_from(frame, header), prefix_bytes(ctx));
}

static enum slow_policy policy_of(const struct channel *ch) {
    return ch->client->entry != NULL ? ch->client->entry->slow : SLOW_CLOSE;
}

/* The first messages go out past the bound, as far as what one client catches up with; hello in
 * any case. */
static enum conn_sent send_initial(struct channel *ch, struct frame f) {
    struct conn *c = ch->socket->conn;
    size_t bound = c->set->max_queue_bytes;
    size_t history = (size_t)ch->client->host->settings->history_bytes;
    size_t most = bound + (history < bound ? history : bound);
    if (ch->has_greeted && outq_would_overflow(&c->out, f.len, most))
        return CONN_OVER;
    conn_send_initial(c, f);
    return CONN_QUEUED;
}

/* The head is header and prefix. */
static enum conn_sent send_parts(struct channel *ch, struct frame body, struct bytes head,
                                 const struct prefix *prefix, bool is_initial) {
    struct conn *c = ch->socket->conn;
    enum slow_policy policy = policy_of(ch);
    enum conn_sent sent;
    bool is_copied = is_initial || (policy == SLOW_CLOSE && body.len <= COPIED_BYTES);
    struct frame made =
        frame_make(&c->set->arena, head, is_copied ? frame_bytes(body) : BYTES_NONE);
    struct outq_parts parts = {.head = made, .body = body, .is_own = is_own, .ctx = prefix};
    if (is_initial)
        sent = send_initial(ch, made);
    else
        sent = is_copied ? conn_send_message(c, made) : conn_send_parts(c, &parts, policy);
    frame_unref(made);
    return sent;
}

static enum conn_sent send_frame(void *carrier, struct frame f, bool is_initial) {
    struct channel *ch = carrier;
    struct prefix prefix;
    unsigned char header[WS_HEADER_OUT_MAX];
    char head[sizeof(header) + sizeof(prefix.text)];
    if (ch->state == CHANNEL_ENDED || ch->socket->is_slow || ch->socket->has_left)
        return CONN_DROPPED;
    write_prefix(&prefix, ch->number, ch->has_greeted ? BYTES_NONE : ch->ref);
    size_t len = ws_frame_header(header, WS_TEXT, prefix.len + f.len);
    memcpy(head, header, len);
    memcpy(head + len, prefix.text, prefix.len);
    is_initial = is_initial || !ch->has_greeted;
    enum conn_sent sent = send_parts(ch, f, bytes_of(head, len + prefix.len), &prefix, is_initial);
    if (!ch->has_greeted)
        (void)client_position(ch->client, 0, &ch->told);
    ch->has_greeted = ch->has_spoken = true;
    return sent;
}

bool channel_tell_position(struct channel *ch, uint64_t now_ms) {
    char id[MESSAGE_ID_TEXT];
    bool has_spoken = ch->has_spoken;
    struct message_id position;
    struct buf text = {0};
    if (has_spoken)
        ch->spoken_ms = now_ms;
    ch->has_spoken = false;
    if (has_spoken || ch->state != CHANNEL_OPENED ||
        !client_position(ch->client, ch->spoken_ms, &position) ||
        message_id_compare(position, ch->told) <= 0)
        return false;
    ch->told = position;
    v1_position(&text, bytes_str(message_id_format(position, id)));
    channel_say(ch->socket, ch->number, BYTES_NONE, buf_bytes(&text));
    buf_deinit(&text);
    return true;
}

/* ---- the end */

static void forget_waiting(struct channel *ch) {
    struct waiting *w;
    while ((w = STAILQ_FIRST(&ch->waiting)) != NULL) {
        STAILQ_REMOVE_HEAD(&ch->waiting, link);
        memory_add(MEMORY_incoming, -(int64_t)w->message.cap);
        buf_deinit(&w->message);
        free(w);
    }
    ch->socket->waiting_bytes -= ch->waiting_bytes;
    ch->waiting_bytes = 0;
}

static void say_closed(struct channel *ch, const struct transport_end *e) {
    struct buf text = {0};
    v1_closed(&text, e->code, e->reason, e->is_for_good ? 0 : v1_retry_ms());
    channel_say(ch->socket, ch->number, BYTES_NONE, buf_bytes(&text));
    buf_deinit(&text);
}

/* Its client leaves now; the rest goes in a later turn. */
static void end(struct channel *ch, const struct transport_end *e) {
    up->on_leaving(ch->client);
    ch->held = 0;
    forget_waiting(ch);
    say_closed(ch, e);
    ch->state = CHANNEL_ENDED;
    look_later(ch, 0);
}

static void end_left(struct channel *ch) {
    struct transport_end e = transport_end_for(CLOSE_NORMAL);
    end(ch, &e);
}

static void close_channel(void *carrier, const struct transport_end *e) {
    struct channel *ch = carrier;
    if (ch->state == CHANNEL_ENDED || ch->socket->has_left)
        return;
    if (ch->state == CHANNEL_LEAVING) {
        end_left(ch); /* the client was first */
        return;
    }
    up->on_ending(ch->client, ENDED_BY_SERVER, e->code, e->reason);
    end(ch, e);
}

/* The queue is the socket's, and so is its end. */
static void close_slow(void *carrier) {
    struct channel *ch = carrier;
    ch->socket->is_slow = true;
    ch->socket->wake(ch->socket, 0);
}

bool channel_ask_for_bye(struct channel *ch) {
    bool has_said = ch->said_ms != 0 && now_of(ch) - ch->said_ms < BYE_AFTER_SAID_MS;
    if (!ch->awaits_bye && ch->state != CHANNEL_ENDED)
        ch->awaits_bye = has_said && up->ask_for_bye(ch->client);
    return ch->awaits_bye;
}

/* Everything it said was handed on. */
static void await_bye(struct channel *ch) {
    if (!channel_ask_for_bye(ch)) {
        end_left(ch);
        return;
    }
    ch->leaving_ms = now_of(ch);
    look_later(ch, TICK_MS);
}

void channel_leave(struct channel *ch) {
    ch->state = CHANNEL_LEAVING;
    up->on_ending(ch->client, ENDED_BY_CLIENT, close_reason_code(CLOSE_NORMAL), BYTES_NONE);
    if (STAILQ_EMPTY(&ch->waiting))
        await_bye(ch);
}

void channel_end_with_socket(struct channel *ch, const struct transport_end *told) {
    ch->held = 0;
    forget_waiting(ch);
    up->on_leaving(ch->client);
    if (told != NULL && ch->state == CHANNEL_OPENED)
        say_closed(ch, told);
}

/* ---- in */

static void hand_on(struct channel *ch, struct bytes message) {
    ch->said_ms = now_of(ch);
    (void)up->on_message(ch->client, false, message);
}

static bool may_wait(const struct channel *ch, size_t bytes) {
    const struct channel_socket *s = ch->socket;
    return (ch->waiting_bytes == 0 || ch->waiting_bytes + bytes <= CHANNEL_WAITING_MAX) &&
           (s->waiting_bytes == 0 || s->waiting_bytes + bytes <= CHANNELS_WAITING_MAX);
}

static void wait(struct channel *ch, struct bytes message) {
    struct waiting *w = mem_zalloc(sizeof(*w));
    buf_append(&w->message, message);
    memory_add(MEMORY_incoming, (int64_t)w->message.cap);
    ch->waiting_bytes += message.len;
    ch->socket->waiting_bytes += message.len;
    STAILQ_INSERT_TAIL(&ch->waiting, w, link);
}

bool channel_take(struct channel *ch, struct bytes message) {
    bool goes_on = ch->held == 0 && STAILQ_EMPTY(&ch->waiting);
    if (!goes_on && !may_wait(ch, message.len))
        return false;
    if (goes_on)
        hand_on(ch, message);
    else
        wait(ch, message);
    return true;
}

static void hand_on_waiting(struct channel *ch) {
    struct waiting *w;
    while (ch->held == 0 && (w = STAILQ_FIRST(&ch->waiting)) != NULL) {
        STAILQ_REMOVE_HEAD(&ch->waiting, link);
        ch->waiting_bytes -= w->message.len;
        ch->socket->waiting_bytes -= w->message.len;
        hand_on(ch, buf_bytes(&w->message));
        memory_add(MEMORY_incoming, -(int64_t)w->message.cap);
        buf_deinit(&w->message);
        free(w);
    }
}

/* ---- its turn */

static bool is_bye_over(const struct channel *ch, uint64_t now_ms) {
    return !ch->awaits_bye || now_ms - ch->leaving_ms >= BYE_MS;
}

bool channel_look_at(struct channel *ch, uint64_t now_ms) {
    struct transport_end unavailable = transport_end_for(CLOSE_UNAVAILABLE);
    look_no_more(ch);
    if (ch->state != CHANNEL_ENDED)
        hand_on_waiting(ch);
    if (ch->state == CHANNEL_LEAVING && STAILQ_EMPTY(&ch->waiting)) {
        if (ch->leaving_ms == 0)
            await_bye(ch);
        else if (is_bye_over(ch, now_ms))
            end_left(ch);
    }
    if (ch->held != 0 && now_ms - ch->held_ms >= HOLD_MAX_MS)
        close_channel(ch, &unavailable);
    if (ch->state != CHANNEL_ENDED && (ch->held != 0 || ch->state == CHANNEL_LEAVING))
        look_later(ch, TICK_MS);
    return ch->state != CHANNEL_ENDED;
}

static void on_bye(void *carrier) {
    struct channel *ch = carrier;
    if (!ch->awaits_bye)
        return;
    ch->awaits_bye = false;
    ch->socket->byes -= ch->socket->byes > 0;
    look_later(ch, 0);
}

static void hold(void *carrier, enum hold why) {
    struct channel *ch = carrier;
    if (ch->state == CHANNEL_ENDED || ch->socket->has_left)
        return;
    if (ch->held == 0)
        ch->held_ms = now_of(ch);
    ch->held |= (unsigned)why;
    look_later(ch, TICK_MS);
}

static void release(void *carrier, enum hold why) {
    struct channel *ch = carrier;
    if ((ch->held & (unsigned)why) == 0)
        return;
    ch->held &= ~(unsigned)why;
    if (ch->held == 0)
        look_later(ch, 0);
}

/* ---- begin, and memory */

static const struct transport channel_transport = {.send = send_frame,
                                                   .close = close_channel,
                                                   .close_slow = close_slow,
                                                   .on_bye = on_bye,
                                                   .hold = hold,
                                                   .release = release};

struct channel *channel_new(struct channel_socket *s, uint64_t number, struct client *client,
                            struct bytes ref) {
    struct channel *ch = mem_zalloc(sizeof(*ch) + ref.len);
    memcpy(ch->text, ref.ptr, ref.len);
    ch->socket = s;
    ch->number = number;
    ch->client = client;
    ch->ref = bytes_of(ch->text, ref.len);
    STAILQ_INIT(&ch->waiting);
    client_carry(client, &channel_transport, ch, s->conn);
    metrics_add(METRIC_channels, 1);
    metrics_add(METRIC_channels_opened, 1);
    return ch;
}

void channel_free(struct channel *ch) {
    look_no_more(ch);
    forget_waiting(ch);
    up->on_gone(ch->client);
    free(ch);
    metrics_add(METRIC_channels, -1);
}
