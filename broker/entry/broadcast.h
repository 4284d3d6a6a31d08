/*
 * broadcast.h - address and data become messages in the logs of this partition, and entries for
 * other partitions.
 */
#ifndef SIGNALBOX_BROKER_ENTRY_BROADCAST_H
#define SIGNALBOX_BROKER_ENTRY_BROADCAST_H

#include "common/send/delivery.h"

struct broker;
struct processing;

/* One of its lists is empty, so that it is done without anything being sent. */
bool broadcast_is_for_nobody(const struct delivery *d);
/* Whether the levels allow it, every Name checked; error_out gets the text when not. What is for
 * nobody breaks no level. */
bool broadcast_is_allowed(const struct broker *b, const struct delivery *d, struct buf *error_out);

/* Whether Redis takes what this becomes, as far as it is known (capacity.h); error_out says why
 * not. */
bool broadcast_fits(const struct broker *b, const struct delivery *d, struct buf *error_out);

/* To everybody addressed. false, and nothing was done: one entry would lead to too much. */
bool broadcast(struct processing *p, const struct delivery *d);
/* To the part of it that lies in this partition: d is a share that was forwarded here. */
bool broadcast_share(struct processing *p, const struct delivery *d);
bool broadcast_to_one(struct processing *p, const struct recipient *to, const struct delivery *d);
/* Other kinds of messages to one connection: BYE, NOTE. */
bool broadcast_message(struct processing *p, const struct recipient *to, enum message_kind kind,
                       struct bytes data);

/* The entries that carry a delivery to its partitions, one call each. Encoded entry: borrowed. */
typedef void broadcast_share_fn(void *ctx, unsigned partition, struct bytes_list names,
                                struct bytes entry);
void broadcast_split(const struct delivery *d, unsigned partitions, broadcast_share_fn *fn,
                     void *ctx);
/* The same for one connection: the result is appended. */
void broadcast_encode_to_one(struct buf *out, const struct recipient *to, const struct delivery *d);

#endif
