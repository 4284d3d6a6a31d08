/*
 * follower.h - follows the logs of Names: each message once, in id order, gaps filled from history
 * or told.
 *
 * A Name has two logs: its own (h:<name>, channel n:<name>) and the partition's log for every Name
 * (h*, n*). Ids increase over both, so the follower merges them by id, live and in replay.
 *
 *   OFF ─follow▶ SUBSCRIBING ─both confirmed▶ LIVE ◀──────────────┐
 *                                              │ feed lost / prev > position: gap / doubt
 *                                              ▼
 *                                        CATCHING_UP: XRANGE both logs from the position, live
 * messages are held
 *
 * A gap that history cannot fill is on_gap: the owner closes the clients of the Name, or goes on.
 * Three things show a gap: a message whose predecessor is later than where we stand; the key
 * l:<name>, which knows that a later message was published, also when nothing follows it
 * (audit.h); and a position that the data set of today does not know (lineage.h), because Redis
 * fell back behind what was read.
 */
#ifndef SIGNALBOX_BUS_LOG_FOLLOWER_H
#define SIGNALBOX_BUS_LOG_FOLLOWER_H

#include "common/bus/log/envelope.h"

struct bus;
struct follower;
struct follow; /* one followed Name */

enum gap {
    GAP_LOST, /* messages were lost for good between what on_message told last and what is next */
    GAP_REWOUND, /* Redis fell back: messages may have been lost, and positions later than
                    follow_position mean nothing, since the ids that come may be smaller */
    GAP_NONE     /* … but nothing was lost */
};

struct follower_events {
    /* The next message for `owner` (what follower_follow was given). A message to every Name comes
     * once per followed Name, with the same `m`. Borrowed until return. */
    void (*on_message)(void *owner, const struct message *m);
    void (*on_gap)(void *owner, enum gap gap);
};

struct follower *follower_new(struct bus *bus, const struct follower_events *events);
void follower_free(struct follower *f);

/* ready: 0 once subscriptions stand (never inside the call). A follow that is LIVE already answers
 * on the next turn. While Redis is away it waits; follower_stop cancels. */
typedef void follow_ready_fn(void *ctx, int status);
struct follow *follower_follow(struct follower *f, struct bytes name, void *owner);
void follow_when_ready(struct follow *w, follow_ready_fn *fn, void *ctx);
/* Forgets pending follow_when_ready calls of this ctx. */
void follow_cancel(struct follow *w, void *ctx);
/* Where the first client's registration says the partition stands: what is at or before it is
 * nobody's business. */
void follow_start_at(struct follow *w, struct message_id position);
/* The partition has published everything up to here, as far as is known. */
struct message_id follow_position(const struct follow *w);
/* A registration was asked for when the follow stood at `then`, and says that the partition stands
 * at `position`: before `then` only if Redis fell back, which is looked into. */
void follow_compare(struct follow *w, struct message_id then, struct message_id position);
/* The owner has no clients any more: UNSUBSCRIBE. The follow is freed. */
void follower_stop(struct follower *f, struct follow *w);

#endif
