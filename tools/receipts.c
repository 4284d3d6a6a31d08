/* receipts.c - see receipts.h. How many gateways follow the Name is Redis' count of its channel's
 * subscribers. */
#include "tools/receipts.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/base/buf.h"
#include "common/base/random.h"
#include "common/bus/bus.h"
#include "common/bus/link.h"
#include "common/bus/partition.h"

struct receipts {
    struct tool *tool;
    const char *name;
    const struct receipts_events *events;
    void *ctx;
    struct link *link;
    char token[37];
    bool is_collecting;
    size_t discount; /* followers that do not report */
    size_t expected; /* reports; 0: unknown, or nobody follows the Name */
    size_t reports;
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
    link_close(r->link);
    uv_close((uv_handle_t *)&r->timer, on_timer_closed);
}

static void end(struct receipts *r) {
    r->events->on_end(r->ctx, r->rows, r->count);
    receipts_drop(r);
}

static void on_time(uv_timer_t *timer) {
    end(container_of(timer, struct receipts, timer));
}

/* On a turn of its own: we may be inside a callback of the link. */
static void end_if_complete(struct receipts *r) {
    if (r->is_collecting && r->expected > 0 && r->reports >= r->expected)
        MUST(uv_timer_start(&r->timer, on_time, 0, 0) == 0);
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

static void on_report(struct receipts *r, struct bytes text) {
    struct bytes gateway;
    struct receipt more;
    if (!receipt_parse(text, &gateway, &more))
        return;
    struct receipt *sum = &row_of(r, gateway)->receipt;
    sum->matched += more.matched;
    sum->written += more.written;
    sum->queued += more.queued;
    sum->dropped += more.dropped;
    r->reports++;
    end_if_complete(r);
}

/* PUBSUB NUMSUB answers [channel, count]. */
static void on_followers(void *ctx, struct redisReply *reply) {
    struct receipts *r = ctx;
    size_t followers = (size_t)reply_number(reply_at(reply, 1), 0);
    r->expected = followers > r->discount ? followers - r->discount : 0;
    r->events->on_listening(r->ctx);
}

static void count_followers(struct receipts *r) {
    struct buf key = {0};
    struct bytes name = bytes_str(r->name);
    struct command c = command_begin("PUBSUB");
    command_text(&c, "NUMSUB");
    command_bytes(&c,
                  channel_of(&key, partition_of(name, bus_partitions(r->tool->bus)), "n:", name));
    buf_deinit(&key);
    link_send(bus_commands(r->tool->bus), &c, on_followers, r);
}

static void on_push(void *ctx, struct redisReply *reply) {
    struct receipts *r = ctx;
    struct bytes kind = reply_bytes(reply_at(reply, 0));
    if (bytes_equal_str(kind, "message"))
        on_report(r, reply_bytes(reply_at(reply, 2)));
    else if (!bytes_equal_str(kind, "subscribe") || r->is_collecting)
        return;
    else if (r->name != NULL && bus_can_send(r->tool->bus))
        count_followers(r);
    else
        r->events->on_listening(r->ctx);
}

/* It comes back by itself; reports in between are missed, as a receipt's may be. */
static void on_down(void *ctx, const char *why) {
    (void)ctx;
    (void)why;
}

static void on_ready(void *ctx) {
    struct receipts *r = ctx;
    struct command c = command_begin("SUBSCRIBE");
    struct buf channel = {0};
    buf_append_str(&channel, fleet_channel(CHANNEL_RECEIPT));
    buf_append_str(&channel, r->token);
    command_bytes(&c, buf_bytes(&channel));
    buf_deinit(&channel);
    link_send(r->link, &c, NULL, NULL);
}

struct receipts *receipts_listen(struct tool *t, const char *name,
                                 const struct receipts_events *events, void *ctx) {
    static const struct link_events link_events = {on_ready, on_down, on_push};
    struct receipts *r = mem_zalloc(sizeof(*r));
    *r = (struct receipts){.tool = t, .name = name, .events = events, .ctx = ctx};
    random_uuid(r->token);
    MUST(uv_timer_init(&t->loop, &r->timer) == 0);
    r->link = link_new(&t->loop, bus_url(t->bus), LINK_FEED, "receipts", &link_events, r);
    bus_watch(t->bus, r->link);
    return r;
}

void receipts_discount(struct receipts *r, size_t followers) {
    r->discount = followers;
}

const char *receipts_token(const struct receipts *r) {
    return r->token;
}

void receipts_collect(struct receipts *r, uint64_t within_ms) {
    r->is_collecting = true;
    MUST(uv_timer_start(&r->timer, on_time, within_ms, 0) == 0);
    end_if_complete(r);
}
