/*
 * uplink.h - from a client's message to the partition of its Name: an entry, handed to ingest.
 *
 * When ingest is full (Redis is away or slow) the message waits here and its sender is not read;
 * after BLOCKED_MAX_MS the sender is closed with 1013. So is one of whose messages Redis has not
 * confirmed an eighth of what ingest holds, so that nobody fills it alone. What was read from a
 * client that went away meanwhile is still handed on.
 */
#ifndef SIGNALBOX_GATEWAY_DELIVERY_UPLINK_H
#define SIGNALBOX_GATEWAY_DELIVERY_UPLINK_H

#include <sys/queue.h>

#include "common/base/buf.h"

struct blocked;
struct bus;
struct ingest;
struct registry;
struct trace;
struct client;
struct client_events;

TAILQ_HEAD(blocked_list, blocked);

struct uplink {
    struct bus *bus;
    struct ingest *ingest;
    struct registry *registry;
    struct trace *trace;
    struct buf entry; /* scratch */
    struct blocked_list blocked;
    size_t orphan_bytes; /* of blocked messages whose senders are gone */
};

void uplink_init(struct uplink *u, struct bus *bus, struct ingest *ingest,
                 struct registry *registry, struct trace *trace);
void uplink_deinit(struct uplink *u);

/* The messages of clients go here; ctx is the uplink. A message is handed on, or kept while its
 * client is held. What a client said stays when it ends. */
extern const struct client_events uplink_events;
/* Ingest has room again. */
void uplink_on_room(struct uplink *u);

#endif
