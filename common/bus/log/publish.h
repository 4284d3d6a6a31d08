/*
 * publish.h - the durable public entrance: XADD signalbox:send, for the CLI and the HTTP API.
 *
 * The message is the JSON that redis-cli users write:
 *
 *     {"name","group","clientId","data","binary","id"}
 *     {"op":"close","name",…,"code","reason"}
 *
 * Its reader is the broker that owns the public stream.
 */
#ifndef SIGNALBOX_BUS_LOG_PUBLISH_H
#define SIGNALBOX_BUS_LOG_PUBLISH_H

#include "common/base/buf.h"
#include "common/bus/log/envelope.h"

struct bus;

/* status 0: Redis has it, id is the stream entry's; else negative, id is one line why not.
 * -EMSGSIZE: this Redis does not take a message of that size. */
typedef void publish_done_fn(void *ctx, int status, struct bytes id);
/* bus_can_send must hold, and publish_check be 0. */
void publish_json(struct bus *bus, struct bytes json, publish_done_fn *fn, void *ctx);
/* 0; -EMSGSIZE when Redis does not take a text of so many bytes, -ENOBUFS while too much waits in
 * the public stream (backlog.h). error_out says why. */
int publish_check(struct bus *bus, size_t bytes, struct buf *error_out);
/* Whether Redis takes a text of so many bytes, as far as is known; error_out says why not. */
bool publish_fits(const struct bus *bus, size_t bytes, struct buf *error_out);

/*
 * A gateway's report about one message that asked for it, to the channel CHANNEL_RECEIPT<token>:
 *
 *     <gid> <matched> <written> <queued> <dropped>
 *
 *     matched   connections that were addressed
 *     written   the kernel had all of it at the end of the loop turn
 *     queued    it waits in their queue
 *     dropped   their `slow` policy dropped it, or they were closed
 */
struct receipt {
    size_t matched, written, queued, dropped;
};
/* At most once; nothing happens while Redis is away. */
void publish_receipt(struct bus *bus, struct bytes token, const struct receipt *r);
/* A broker's report to the same channel, "id <message id>": the message was published under this
 * id. At most once, and not for a repetition. */
void publish_receipt_id(struct bus *bus, struct bytes token, struct message_id id);
bool receipt_parse_id(struct bytes text, struct message_id *id_out);

/*
 * A broker's report of what became of a client's message that came by a request of its own, to
 * the gateway that took it: entry.reply is "<token>:<number>", the report to the channel of
 * the token is
 *
 *     <number> <HTTP status> <message id, or -> <text>
 *
 * The id is that of the first message that it led to in the partition of its sender. At most once,
 * after the commit; status 202 has no text, any other one line.
 */
struct outcome {
    uint64_t number;
    int status;
    struct message_id id; /* or none */
    struct bytes text;
};
void publish_outcome(struct bus *bus, struct bytes reply, int status, struct message_id id,
                     struct bytes text);
/* The text borrows. */
bool outcome_parse(struct bytes text, struct outcome *o_out);

/* Reads a gateway's report; gid borrows from the text. */
bool receipt_parse(struct bytes text, struct bytes *gid_out, struct receipt *r_out);

#endif
