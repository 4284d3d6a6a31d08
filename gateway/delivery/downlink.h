/*
 * downlink.h - from a message of a log to the clients of its Name.
 *
 * A message is encoded once for each kind of wire (plain; signalbox.v1), however many clients there
 * are; a message to every Name once for all of them.
 */
#ifndef SIGNALBOX_GATEWAY_DELIVERY_DOWNLINK_H
#define SIGNALBOX_GATEWAY_DELIVERY_DOWNLINK_H

#include "common/bus/log/envelope.h"
#include "gateway/codec/frame.h"

struct follower_events;
struct gateway;
struct identity;

struct downlink {
    struct gateway *gateway;
    struct frame_arena arena;
    struct frame last; /* the plain frame made last, and of which message */
    struct message_id last_id;
    unsigned last_flags;
    uint32_t last_header;
    struct buf text; /* scratch for v1 */
};

void downlink_init(struct downlink *d, struct gateway *g);
void downlink_deinit(struct downlink *d);
/* At the end of each turn: lets go of the frame kept for other Names. */
void downlink_on_flushed(struct downlink *d);

/* For follower_new: owner is a struct name_entry. */
extern const struct follower_events downlink_events;

/* Whether a message is for this connection. */
bool downlink_is_for(const struct message *m, const struct identity *who);
/* The message as a frame, with one reference for the caller. */
struct frame downlink_frame(struct downlink *d, const struct message *m,
                            const struct identity *who);

#endif
