/* receipts.c - see receipts.h. How many gateways follow the Name is Redis' count of its channel's
 * subscribers. */
#include "tools/receipts.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/base/buf.h"
#include "common/base/random.h"
#include "common/bus/bus.h"
#include "common/bus/log/watch.h"

/* Reports are a courtesy: a message goes out also when they cannot be heard in this time. */
enum { LISTEN_MS = 1000 };

struct receipts {
    struct bus *bus;
    struct bytes name;
    const struct receipts_events *events;
    void *ctx;
    char token[37];
    enum { LISTENING, IDLE, AWAITING_ID, COLLECTING } state;
    bool is_deaf;         /* this user of Redis may not hear reports */
    struct message_id id; /* none: not reported yet */
    size_t expected;      /* reports; 0: unknown, or nobody follows the Name */
    size_t reports;
    struct receipt sum;
    struct gateway_receipt *rows;
    size_t count;
    uv_timer_t timer;
};

static void on_timer_closed(uv_handle_t *handle) {
    struct receipts *r = container_of((uv_timer_t *)handle, struct receipts, timer);
    free(r->rows);
    free(r);
}

void receipts_drop(struct receipts *r) {
    if (r == NULL)
        return;
    watch_receipts_end(r->bus, r->token);
    uv_close((uv_handle_t *)&r->timer, on_timer_closed);
}

static void go_on(struct receipts *r) {
    char text[MESSAGE_ID_TEXT];
    bool is_known = !message_id_is_none(r->id);
    switch (r->state) {
    case LISTENING:
        r->state = IDLE;
        r->events->on_listening(r->ctx);
        return;
    case AWAITING_ID:
        r->state = IDLE;
        r->events->on_id(r->ctx, is_known ? bytes_str(message_id_format(r->id, text)) : BYTES_NONE);
        return;
    case COLLECTING:
        r->events->on_end(r->ctx, &r->sum, r->rows, r->count);
        receipts_drop(r);
        return;
    case IDLE: return;
    }
}

static void on_time(uv_timer_t *timer) {
    go_on(container_of(timer, struct receipts, timer));
}

/* On a turn of its own: we may be inside a callback of the link. */
static void go_on_within(struct receipts *r, uint64_t ms) {
    MUST(uv_timer_start(&r->timer, on_time, ms, 0) == 0);
}

static void end_if_complete(struct receipts *r) {
    if (r->state == COLLECTING && r->expected > 0 && r->reports >= r->expected)
        go_on_within(r, 0);
}

static struct gateway_receipt *row_of(struct receipts *r, struct bytes gateway) {
    for (size_t i = 0; i < r->count; i++)
        if (bytes_equal_str(gateway, r->rows[i].gateway))
            return &r->rows[i];
    r->rows = mem_realloc(r->rows, (r->count + 1) * sizeof(*r->rows));
    struct gateway_receipt *row = &r->rows[r->count++];
    *row = (struct gateway_receipt){0};
    snprintf(row->gateway, sizeof(row->gateway), "%.*s", BYTES_FMT(gateway));
    return row;
}

static void add(struct receipt *sum, const struct receipt *more) {
    sum->matched += more->matched;
    sum->written += more->written;
    sum->queued += more->queued;
    sum->dropped += more->dropped;
}

static void on_report(void *ctx, struct bytes text) {
    struct receipts *r = ctx;
    struct bytes gateway;
    struct receipt more;
    if (message_id_is_none(r->id) && receipt_parse_id(text, &r->id) && r->state == AWAITING_ID)
        go_on_within(r, 0);
    if (!receipt_parse(text, &gateway, &more))
        return;
    add(&row_of(r, gateway)->receipt, &more);
    add(&r->sum, &more);
    r->reports++;
    end_if_complete(r);
}

static void on_followers(void *ctx, size_t followers) {
    struct receipts *r = ctx;
    r->expected = followers;
    go_on_within(r, 0);
}

/* After a reconnect reports in between are missed, as a receipt's may be. */
static void on_subscribed(void *ctx) {
    struct receipts *r = ctx;
    if (r->state != LISTENING)
        return;
    if (r->name.len > 0 && bus_can_send(r->bus))
        watch_count_followers(r->bus, r->name, on_followers, r);
    else
        go_on_within(r, 0);
}

static void on_refused(void *ctx, struct bytes error) {
    struct receipts *r = ctx;
    (void)error;
    r->is_deaf = true;
    if (r->state == LISTENING)
        go_on_within(r, 0);
}

struct receipts *receipts_listen(struct bus *bus, struct bytes name,
                                 const struct receipts_events *events, void *ctx) {
    static const struct channel_events channel_events = {on_subscribed, on_report, on_refused};
    struct receipts *r = mem_zalloc(sizeof(*r));
    *r = (struct receipts){.bus = bus, .name = name, .events = events, .ctx = ctx};
    random_uuid(r->token);
    MUST(uv_timer_init(bus_loop(bus), &r->timer) == 0);
    go_on_within(r, LISTEN_MS);
    bus_open_feed(bus);
    watch_receipts(bus, r->token, &channel_events, r);
    return r;
}

void receipts_await_id(struct receipts *r, uint64_t within_ms) {
    r->state = AWAITING_ID;
    go_on_within(r, message_id_is_none(r->id) && !r->is_deaf ? within_ms : 0);
}

const char *receipts_token(const struct receipts *r) {
    return r->token;
}

void receipts_collect(struct receipts *r, uint64_t within_ms) {
    r->state = COLLECTING;
    go_on_within(r, within_ms);
    end_if_complete(r);
}
