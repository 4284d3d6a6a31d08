/* downlink.h - from a message of a log to the clients of its Name. */
#ifndef SIGNALBOX_GATEWAY_DELIVERY_DOWNLINK_H
#define SIGNALBOX_GATEWAY_DELIVERY_DOWNLINK_H

struct follower_events;

/* For follower_new: owner is a struct name_entry. */
extern const struct follower_events downlink_events;

#endif
