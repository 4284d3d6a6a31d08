/*
 * follower.h - follows the logs of Names: each message once, in id order, gaps filled from history
 * or told.
 *
 * A Name has two logs: its own (h:<name>, channel n:<name>) and the partition's log for every Name
 * (h*, n*). Ids increase over both, so the follower merges them by id, live and in replay.
 *
 *   OFF ─follow▶ SUBSCRIBING ─both confirmed▶ LIVE ◀──────────────┐
 *                                              │ feed lost / prev > position: gap
 *                                              ▼
 *                                        CATCHING_UP: XRANGE both logs from the position, live
 * messages are held
 *
 * A gap that history cannot fill is on_gap: the owner closes the clients of the Name, or goes on.
 */
#ifndef SIGNALBOX_BUS_FOLLOWER_H
#define SIGNALBOX_BUS_FOLLOWER_H

#include "common/bus/envelope.h"

struct bus;
struct follower;
struct follow; /* one followed Name */

struct follower_events {
    /* The next message for `owner` (what follower_follow was given). A message to every Name comes
     * once per followed Name, with the same `m`. Borrowed until return. */
    void (*on_message)(void *owner, const struct message *m);
    /* Messages were lost for good between what on_message told last and what it tells next. */
    void (*on_gap)(void *owner);
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
/* The last id given to on_message, or the start. */
struct message_id follow_position(const struct follow *w);
/* The owner has no clients any more: UNSUBSCRIBE. The follow is freed. */
void follower_stop(struct follower *f, struct follow *w);

#endif
