/*
 * broadcast.h - a delivery becomes messages in the logs of this partition, and entries for other
 * partitions. Levels are checked before (level_check.h).
 */
#ifndef SIGNALBOX_BROKER_ENTRY_BROADCAST_H
#define SIGNALBOX_BROKER_ENTRY_BROADCAST_H

#include "broker/entry/processing.h"
#include "common/send/delivery.h"

/* To everybody addressed. False, and nothing was done: one entry would lead to too much. */
MUST_CHECK bool broadcast(struct processing *p, const struct delivery *d);
/* To the part of it that lies in this partition: d is a share that was forwarded here. */
MUST_CHECK bool broadcast_share(struct processing *p, const struct delivery *d);
MUST_CHECK bool broadcast_to_one(struct processing *p, const struct recipient *to,
                                 const struct delivery *d);
/* Other kinds of messages to the connection of the entry: BYE, NOTE. */
bool broadcast_reply(struct processing *p, enum message_kind kind, struct bytes data);

#endif
