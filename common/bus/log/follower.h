/*
 * follower.h - follows the logs of Names: each message once, in the order of the ids, with gaps
 * filled from the history or reported.
 *
 * A Name has two logs: its own (h:<name>, channel n:<name>) and the partition's log for every Name
 * (h*, n*). Ids increase over both, so the follower merges them by id, live and in replay.
 *
 *     follower_follow ─▶ SUBSCRIBING ─ both channels are confirmed ─▶ LIVE ◀───────────────┐
 *                             ▲                                        │ a gap             │
 *     the feed is lost ───────┘                                        ▼                   │
 *     (in any state)                                                 QUEUED ─▶ CATCHING_UP ┘
 *                                                      XRANGE of both logs from the position;
 *                                                      live messages are held meanwhile
 *
 * A gap that the history cannot fill is reported by on_gap: the owner closes the clients of the
 * Name, or goes on. Three things show a gap: a message whose predecessor is later than the
 * position; the key l:<name>, which knows that a later message was published, also when no other
 * follows it (both gap.h); and a position that today's data set does not know, because Redis fell
 * back behind what was read (lineage.h).
 */
#ifndef SIGNALBOX_BUS_LOG_FOLLOWER_H
#define SIGNALBOX_BUS_LOG_FOLLOWER_H

#include "common/bus/log/gap.h"

struct bus;
struct follower;
struct follow; /* one followed Name */

struct follower_events {
    /* The next message for `owner` (what follower_follow was given). A message to every Name comes
     * once per followed Name, with the same `m`. Borrowed until return. */
    void (*on_message)(void *ctx, void *owner, const struct message *m);
    void (*on_gap)(void *ctx, void *owner, enum gap gap);
};

struct follower *follower_new(struct bus *bus, const struct follower_events *events, void *ctx);
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
/* *id_out: a position up to which nothing is missing. follow_position may be later than a message
 * that the feed lost without a sign; this one never is, and a client may resume from it. False:
 * whether it includes all that was published up to since_ms (uv_now) is not known. 0: whatever. */
bool follow_settled(const struct follow *w, uint64_t since_ms, struct message_id *id_out);
/* A registration was asked for when the follow stood at `then`, and says that the partition stands
 * at `position`: before `then` only if Redis fell back, which is looked into. */
void follow_compare(struct follow *w, struct message_id then, struct message_id position);
/* The owner has no clients any more: UNSUBSCRIBE. The follow is freed. */
void follower_stop(struct follower *f, struct follow *w);

#endif
