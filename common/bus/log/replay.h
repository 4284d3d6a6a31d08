/*
 * replay.h - what a Name's logs retain between two ids, and whether that is everything: for clients
 * that resume.
 *
 * It is everything when the first id belongs to today's data set (lineage.h) and each log shows an
 * unbroken chain:
 *
 *     the first message read   names a predecessor that is not later than the id
 *     each further one         names a predecessor that was read
 *     behind the last          nothing follows up to the end of the reading: the key l:<name> says
 *                              so, or the predecessor of the first message beyond
 *
 * Otherwise nothing is claimed.
 */
#ifndef SIGNALBOX_BUS_LOG_REPLAY_H
#define SIGNALBOX_BUS_LOG_REPLAY_H

#include "common/bus/log/envelope.h"

struct bus;
struct replay;

struct replay_events {
    /* In id order, both logs merged. Borrowed until return. */
    void (*on_message)(void *ctx, const struct message *m);
    /* status 0, or -ENOTCONN when Redis went away. The replay is gone after this. */
    void (*on_done)(void *ctx, int status, bool is_complete);
};

/* after < id <= until. */
struct replay_range {
    struct bytes name;
    struct message_id after, until;
};

/* Never calls back inside. bus_can_send must hold. */
struct replay *replay_start(struct bus *bus, const struct replay_range *range,
                            const struct replay_events *events, void *ctx);
/* No more callbacks; NULL is legal. */
void replay_cancel(struct replay *r);

#endif
