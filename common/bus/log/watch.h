/*
 * watch.h - for the CLI, and for gateways that wait for outcomes: listening to what processes
 * publish, without following it (follower.h).
 * What was published before the subscription or while the feed was away does not come.
 *
 * Listeners: feed.h. A tool calls bus_open_feed first; events and ctx are borrowed until the bus is
 * closed, or until watch_receipts_end.
 */
#ifndef SIGNALBOX_BUS_LOG_WATCH_H
#define SIGNALBOX_BUS_LOG_WATCH_H

#include <stdint.h>

#include "common/base/bytes.h"
#include "common/bus/redis/feed.h"

struct bus;

/* Messages to a Name, or with an empty name those to every Name, which come over all partitions
 * alike: payloads are for message_decode. */
void watch_log(struct bus *bus, unsigned partition, struct bytes name,
               const struct channel_events *events, void *ctx);
/* The events of a trace (trace.h). */
void watch_trace(struct bus *bus, const char *token, const struct channel_events *events,
                 void *ctx);
/* Reports under this token about one message, or about several (publish.h). */
void watch_receipts(struct bus *bus, const char *token, const struct channel_events *events,
                    void *ctx);
void watch_receipts_end(struct bus *bus, const char *token);
/* Messages that are published to the channel signalbox:send. */
void watch_public_channel(struct bus *bus, const struct channel_events *events, void *ctx);
/* "<slot> <term>" of each lease that a broker takes (cluster/lease.h), in the order of everything
 * else that is published. */
void watch_takes(struct bus *bus, const struct channel_events *events, void *ctx);

/* How many gateways follow a Name; 0 also when Redis does not say. bus_can_send must hold. */
typedef void watch_count_fn(void *ctx, size_t followers);
void watch_count_followers(struct bus *bus, struct bytes name, watch_count_fn *fn, void *ctx);

#endif
