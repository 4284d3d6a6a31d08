/*
 * downlink.h - from a message of a log to the clients of its Name; and, for a message that asks
 * what became of it, the receipt: how many connections here had it written, have it queued, or lost
 * it. That is known at the end of the loop turn, when every dirty connection was written once.
 */
#ifndef SIGNALBOX_GATEWAY_DELIVERY_DOWNLINK_H
#define SIGNALBOX_GATEWAY_DELIVERY_DOWNLINK_H

#include <sys/queue.h>

struct bus;
struct clients;
struct follower_events;
struct message_frames;
struct registry;
struct pending_receipt;
struct trace;

struct downlink {
    struct bus *bus; /* where receipts go */
    struct clients *clients;
    struct message_frames *frames;
    struct trace *trace;
    TAILQ_HEAD(, pending_receipt) pending;
    struct registry *registry; /* set by the owner; NULL: groups that were missed stay unknown */
};

void downlink_init(struct downlink *d, struct bus *bus, struct clients *clients,
                   struct message_frames *frames, struct trace *trace);
void downlink_deinit(struct downlink *d);

/* For follower_new: ctx is the downlink, owner a struct name_entry. */
extern const struct follower_events downlink_events;

/* At the end of each turn: sends the receipts, and releases the frame kept for other Names. */
void downlink_on_flushed(struct downlink *d);

#endif
