/* watch.c - see watch.h. */
#include "common/bus/log/watch.h"

#include <stdlib.h>

#include "common/bus/bus_send.h"

void watch_log(struct bus *bus, unsigned partition, struct bytes name,
               const struct channel_events *events, void *ctx) {
    struct buf channel = {0};
    bus_subscribe(bus,
                  channel_of(&channel, partition,
                             name.len > 0 ? CHANNEL_MESSAGES : CHANNEL_MESSAGES_TO_ALL, name),
                  events, ctx);
    buf_deinit(&channel);
}

static struct bytes with_token(struct buf *out, enum fleet_channel channel, const char *token) {
    buf_append_str(out, fleet_channel(channel));
    buf_append_str(out, token);
    return buf_bytes(out);
}

void watch_trace(struct bus *bus, const char *token, const struct channel_events *events,
                 void *ctx) {
    struct buf channel = {0};
    bus_subscribe(bus, with_token(&channel, CHANNEL_TRACE, token), events, ctx);
    buf_deinit(&channel);
}

void watch_receipts(struct bus *bus, const char *token, const struct channel_events *events,
                    void *ctx) {
    struct buf channel = {0};
    bus_subscribe(bus, with_token(&channel, CHANNEL_RECEIPT, token), events, ctx);
    buf_deinit(&channel);
}

void watch_receipts_end(struct bus *bus, const char *token) {
    struct buf channel = {0};
    bus_unsubscribe(bus, with_token(&channel, CHANNEL_RECEIPT, token));
    buf_deinit(&channel);
}

void watch_public_channel(struct bus *bus, const struct channel_events *events, void *ctx) {
    bus_subscribe(bus, bytes_str(fleet_channel(CHANNEL_PUBLIC_SEND)), events, ctx);
}

void watch_takes(struct bus *bus, const struct channel_events *events, void *ctx) {
    bus_subscribe(bus, bytes_str(fleet_channel(CHANNEL_TAKEN)), events, ctx);
}

/* --- followers: PUBSUB NUMSUB answers [channel, count] --- */

struct counting {
    watch_count_fn *fn;
    void *ctx;
};

static void on_counted(void *ctx, struct redisReply *reply) {
    struct counting *c = ctx;
    c->fn(c->ctx, (size_t)reply_number(reply_at(reply, 1), 0));
    free(c);
}

void watch_count_followers(struct bus *bus, struct bytes name, watch_count_fn *fn, void *ctx) {
    unsigned partition = partition_of(name, bus_partitions(bus));
    struct buf channel = {0};
    struct command c = command_begin("PUBSUB");
    command_text(&c, "NUMSUB");
    command_bytes(&c, channel_of(&channel, partition, CHANNEL_MESSAGES, name));
    buf_deinit(&channel);
    struct counting *counting = mem_alloc(sizeof(*counting));
    *counting = (struct counting){fn, ctx};
    bus_send(bus, partition, &c, on_counted, counting);
}
