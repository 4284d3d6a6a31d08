/* channels.c - see channels.h. Read on_message (what comes in) and on_tick (what a turn does). */
#include "gateway/session/channels.h"

#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "common/base/settings.h"
#include "common/json/json_text.h"
#include "gateway/conn/conn.h"
#include "gateway/conn/v1.h"
#include "gateway/conn/ws.h"
#include "gateway/session/channel.h"
#include "gateway/session/channel_frame.h"
#include "gateway/session/client.h"

enum { BUSY_RETRY_MS = 1000 };

struct channels {
    struct channel_socket shared;
    struct ws *ws;
    const struct settings *settings;
    const struct channels_host *host;
    void *ctx;
    struct channel **items; /* by number */
    size_t count, cap;
    uint64_t last_number;
    bool is_leaving;  /* its end has begun */
    int end_code;     /* as the channels are told; 0: they are not, since the client has ended it */
    char *end_reason; /* or NULL */
    uv_timer_t tick;
    uint64_t tick_ms; /* when it is due; 0: it is not */
    uint64_t beat_ms; /* when the next sign of life is */
};

static const struct transport_events *const up = &client_transport_events;

/* ---- turns */

static void on_tick(uv_timer_t *timer);

void channels_wake(struct channels *s, unsigned in_ms) {
    uint64_t at_ms = conns_now(s->shared.conn->set) + in_ms;
    if (s->tick_ms != 0 && s->tick_ms <= at_ms)
        return;
    s->tick_ms = at_ms;
    MUST(uv_timer_start(&s->tick, on_tick, in_ms, 0) == 0);
}

static void wake(struct channel_socket *shared, unsigned in_ms) {
    channels_wake(container_of(shared, struct channels, shared), in_ms);
}

/* ---- out */

void channels_say(struct channels *s, struct bytes ref, struct bytes text) {
    channel_say(&s->shared, 0, ref, text);
}

void channels_refuse(struct channels *s, const struct channels_error *e) {
    struct buf text = {0};
    buf_printf(&text, "{\"type\":\"error\",\"code\":\"%s\",\"status\":%d,\"message\":", e->code,
               e->status);
    json_append_string(&text, e->message);
    if (e->retry_ms > 0)
        buf_printf(&text, ",\"retryMs\":%u", e->retry_ms);
    buf_append_char(&text, '}');
    channel_say(&s->shared, e->channel, e->ref, buf_bytes(&text));
    buf_deinit(&text);
}

static void refuse_frame(struct channels *s, const struct channel_frame *f, struct bytes why) {
    channels_refuse(s, &(struct channels_error){.channel = f->channel,
                                                .ref = f->ref,
                                                .code = "bad_request",
                                                .status = 400,
                                                .message = why});
}

/* Twice as often as it is promised, since something may have been said right after the last. */
static unsigned beat_ms(const struct channels *s) {
    return v1_ping_ms(s->settings) / 2;
}

/* What waits to be written says enough. */
static void beat(struct channels *s, uint64_t now_ms) {
    struct conn *c = s->shared.conn;
    bool has_spoken = c->has_spoken;
    s->beat_ms = now_ms + beat_ms(s);
    c->has_spoken = false;
    if (c->out.count > 0)
        return;
    for (size_t i = 0; i < s->count; i++)
        has_spoken = channel_tell_position(s->items[i], now_ms) || has_spoken;
    if (!has_spoken)
        channels_say(s, BYTES_NONE, BYTES_LIT(V1_PONG));
}

/* ---- its channels */

/* Its place in items, or that of the next one. */
static size_t place_of(const struct channels *s, uint64_t number) {
    size_t from = 0, to = s->count;
    while (from < to) {
        size_t middle = from + (to - from) / 2;
        if (s->items[middle]->number < number)
            from = middle + 1;
        else
            to = middle;
    }
    return from;
}

static struct channel *find(const struct channels *s, uint64_t number) {
    size_t place = place_of(s, number);
    return place < s->count && s->items[place]->number == number ? s->items[place] : NULL;
}

static struct channel *find_ref(const struct channels *s, struct bytes ref) {
    for (size_t i = s->count; i-- > 0;)
        if (bytes_equal(s->items[i]->ref, ref))
            return s->items[i];
    return NULL;
}

void channels_carry(struct channels *s, struct client *client, struct bytes ref) {
    if (s->count == s->cap) {
        s->cap = s->cap == 0 ? 4 : s->cap * 2;
        s->items = mem_realloc(s->items, s->cap * sizeof(struct channel *));
    }
    s->items[s->count++] = channel_new(&s->shared, ++s->last_number, client, ref);
}

static void remove_channel(struct channels *s, struct channel *ch) {
    size_t place = place_of(s, ch->number);
    s->count--;
    memmove(&s->items[place], &s->items[place + 1], (s->count - place) * sizeof(struct channel *));
    channel_free(ch);
}

size_t channels_count(const struct channels *s) {
    return s->count;
}

/* ---- in */

static void on_said(struct channels *s, struct bytes text, const struct channel_frame *f) {
    struct channel *ch = find(s, f->channel);
    struct buf message = {0};
    if (ch == NULL || ch->state != CHANNEL_OPENED) {
        refuse_frame(s, f, BYTES_LIT("there is no such channel"));
        return;
    }
    channel_frame_message(text, f, &message);
    if (!channel_take(ch, buf_bytes(&message)))
        channels_refuse(s, &(struct channels_error){
                               .channel = f->channel,
                               .ref = f->ref,
                               .code = "busy",
                               .status = 503,
                               .message = BYTES_LIT("too many messages of this channel wait"),
                               .retry_ms = BUSY_RETRY_MS});
    buf_deinit(&message);
}

/* A channel that was there and is not, or that ends already, has been told so, or will be. */
static void on_close(struct channels *s, const struct channel_frame *f) {
    if (f->channel == 0 && s->host->on_cancel(s->ctx, f->ref))
        return;
    struct channel *ch = f->channel != 0 ? find(s, f->channel) : find_ref(s, f->ref);
    bool was_there = ch != NULL || (f->channel != 0 && f->channel <= s->last_number);
    if (ch != NULL && ch->state == CHANNEL_OPENED)
        channel_leave(ch);
    else if (!was_there)
        refuse_frame(s, f, BYTES_LIT("there is no such channel, and no such open is under way"));
}

static void on_frame(struct channels *s, struct bytes text, const struct channel_frame *f) {
    switch (f->kind) {
    case CHANNEL_MESSAGE: on_said(s, text, f); break;
    case CHANNEL_OPEN: s->host->on_open(s->ctx, f); break;
    case CHANNEL_CLOSE: on_close(s, f); break;
    case CHANNEL_TOKEN: s->host->on_token(s->ctx, f); break;
    case CHANNEL_PING:
        if (s->shared.conn->out.bytes < PONG_QUEUE_MAX)
            channels_say(s, BYTES_NONE, BYTES_LIT(V1_PONG));
        break;
    }
}

static bool on_message(void *client, bool is_binary, struct bytes body) {
    struct channels *s = client;
    struct channel_frame f = {0};
    struct buf error = {0};
    if (s->is_leaving || s->shared.is_slow)
        return false;
    if (is_binary)
        refuse_frame(s, &f, BYTES_LIT("a binary message does not say its channel"));
    else if (channel_frame_read(body, &f, &error))
        on_frame(s, body, &f);
    else
        refuse_frame(s, &f, buf_bytes(&error));
    buf_deinit(&error);
    return true;
}

/* ---- what a turn does */

static void look_at_due(struct channels *s, uint64_t now_ms) {
    struct channel *ch;
    for (size_t left = s->shared.due_count; left > 0 && (ch = TAILQ_FIRST(&s->shared.due)) != NULL;
         left--)
        if (!channel_look_at(ch, now_ms))
            remove_channel(s, ch);
}

static void wake_for_beat(struct channels *s, uint64_t now_ms) {
    channels_wake(s, s->beat_ms > now_ms ? (unsigned)(s->beat_ms - now_ms) : 0);
}

static void on_tick(uv_timer_t *timer) {
    struct channels *s = container_of(timer, struct channels, tick);
    uint64_t now_ms = conns_now(s->shared.conn->set);
    s->tick_ms = 0;
    if (s->shared.has_left)
        return;
    if (s->shared.is_slow) {
        ws_transport.close_slow(s->ws);
        return;
    }
    look_at_due(s, now_ms);
    if (s->is_leaving) {
        if (s->shared.byes == 0)
            ws_transport.on_bye(s->ws);
        return;
    }
    if (now_ms >= s->beat_ms)
        beat(s, now_ms);
    wake_for_beat(s, now_ms);
    int next_ms = s->host->on_turn(s->ctx);
    if (next_ms >= 0)
        channels_wake(s, (unsigned)next_ms);
}

/* ---- the end of the socket */

static bool ask_for_bye(void *client) {
    struct channels *s = client;
    for (size_t i = 0; i < s->count; i++)
        s->shared.byes += channel_ask_for_bye(s->items[i]);
    return s->shared.byes > 0;
}

static void on_ending(void *client, enum ended_by by, int code, struct bytes reason) {
    struct channels *s = client;
    if (s->is_leaving)
        return;
    s->is_leaving = true;
    if (by == ENDED_BY_SERVER) {
        s->end_code = code;
        s->end_reason = bytes_dup(reason);
    }
    s->host->on_leaving(s->ctx);
    for (size_t i = 0; i < s->count; i++)
        up->on_ending(s->items[i]->client, by, code, reason);
}

/* Each channel is told before its socket's Close. */
static void on_leaving(void *client) {
    struct channels *s = client;
    struct transport_end told = {.code = s->end_code,
                                 .reason = bytes_str(s->end_reason),
                                 .is_for_good = close_code_is_for_good(s->end_code)};
    if (s->shared.has_left)
        return;
    for (size_t i = 0; i < s->count; i++)
        channel_end_with_socket(s->items[i], s->end_code != 0 ? &told : NULL);
    s->shared.has_left = true;
}

static void on_tick_closed(uv_handle_t *handle) {
    free(container_of((uv_timer_t *)handle, struct channels, tick));
}

static void on_gone(void *client) {
    struct channels *s = client;
    s->is_leaving = s->shared.has_left = true;
    s->host->on_leaving(s->ctx);
    for (size_t i = s->count; i-- > 0;)
        channel_free(s->items[i]);
    free(s->items);
    free(s->end_reason);
    s->host->on_gone(s->ctx);
    uv_close((uv_handle_t *)&s->tick, on_tick_closed);
}

/* ---- its begin */

static const struct transport_events events = {.on_message = on_message,
                                               .ask_for_bye = ask_for_bye,
                                               .on_ending = on_ending,
                                               .on_leaving = on_leaving,
                                               .on_gone = on_gone};

struct channels *channels_open(struct conn *c, const struct channels_options *options) {
    struct channels *s = mem_zalloc(sizeof(*s));
    s->shared.conn = c;
    s->shared.wake = wake;
    TAILQ_INIT(&s->shared.due);
    s->settings = options->settings;
    s->host = options->host;
    s->ctx = options->ctx;
    s->beat_ms = conns_now(c->set) + beat_ms(s);
    MUST(uv_timer_init(c->set->loop, &s->tick) == 0);
    struct ws_options ws = {.settings = options->settings,
                            .events = &events,
                            .client = s,
                            .client_id = BYTES_LIT("-"),
                            .name = BYTES_LIT("-"),
                            .rest = options->rest};
    s->ws = ws_open(c, &ws);
    wake_for_beat(s, conns_now(c->set));
    return s;
}
