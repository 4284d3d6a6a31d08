/*
 * uplink.h - from a client's message to the partition of its Name: an entry, handed to ingest.
 *
 * When ingest is full (Redis is away or slow), a message waits here and its sender is held; a
 * sender that is held for 10 s is closed with 1013. A client is also held while its messages that
 * Redis has not confirmed are more than an eighth of what ingest holds, or 1 MiB, so that no client
 * fills it alone. Messages of a client that left meanwhile are still handed on.
 */
#ifndef SIGNALBOX_GATEWAY_DELIVERY_UPLINK_H
#define SIGNALBOX_GATEWAY_DELIVERY_UPLINK_H

#include <sys/queue.h>

#include "common/base/buf.h"

struct blocked;
struct bus;
struct ingest;
struct trace;
struct client;
struct client_events;

TAILQ_HEAD(blocked_list, blocked);

struct uplink {
    struct bus *bus;
    struct ingest *ingest;
    struct trace *trace;
    struct buf entry; /* scratch */
    struct blocked_list blocked;
    size_t orphan_bytes; /* of blocked messages whose senders have left */
};

void uplink_init(struct uplink *u, struct bus *bus, struct ingest *ingest, struct trace *trace);
void uplink_deinit(struct uplink *u);

/* The messages of clients go here; ctx is the uplink. A message is handed on, or kept while its
 * client is held. What a client said stays when it ends. */
extern const struct client_events uplink_events;
/* Ingest has room again. */
void uplink_on_room(struct uplink *u);

#endif
