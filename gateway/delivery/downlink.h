/* downlink.h - from a message of a log to the clients of its Name. */
#ifndef SIGNALBOX_GATEWAY_DELIVERY_DOWNLINK_H
#define SIGNALBOX_GATEWAY_DELIVERY_DOWNLINK_H

struct follower_events;
struct message_frames;
struct receipts;
struct trace;

/* What it works with; not its own. */
struct downlink {
    struct message_frames *frames;
    struct receipts *receipts;
    struct trace *trace;
};

/* For follower_new: ctx is the downlink, owner a struct name_entry. */
extern const struct follower_events downlink_events;

#endif
