/*
 * replay.h - what a Name's logs retain between two ids, and whether that is everything: for clients
 * that resume.
 *
 * A log proves that nothing is missing after an id when its first retained message is not later, or
 * says that its predecessor was not later; or, when nothing is retained, when the key l:<name> (no
 * message of this log has a later id) is not later. Otherwise nothing is claimed.
 */
#ifndef SIGNALBOX_BUS_REPLAY_H
#define SIGNALBOX_BUS_REPLAY_H

#include "common/bus/envelope.h"

struct bus;
struct replay;

struct replay_events {
    /* In id order, both logs merged. Borrowed until return. */
    void (*on_message)(void *ctx, const struct message *m);
    /* status 0, or -ENOTCONN when Redis went away. The replay is gone after this. */
    void (*on_done)(void *ctx, int status, bool is_complete);
};

/* after < id <= until. Never calls back inside. bus_can_send must hold. */
struct replay *replay_start(struct bus *bus, struct bytes name, struct message_id after,
                            struct message_id until, const struct replay_events *events, void *ctx);
/* No more callbacks; NULL is legal. */
void replay_cancel(struct replay *r);

#endif
