/*
 * look_back.h - what a Name's logs retain, the newest first: for clients that want the last
 * messages, and for those who read the history.
 *
 * Nothing is claimed about what is missing: what the bounds of the history, its end or a Redis that
 * was nearly full took away is simply not there.
 */
#ifndef SIGNALBOX_BUS_LOG_LOOK_BACK_H
#define SIGNALBOX_BUS_LOG_LOOK_BACK_H

#include "common/bus/log/envelope.h"

struct bus;
struct look_back;

/* As many messages as anybody may ask for: with convert's `last`, and of the history at once. */
enum { LOOK_BACK_MAX = 1000 };

struct look_back_events {
    /* The next older message, both logs merged. Borrowed until return. False: that is enough. */
    bool (*on_message)(void *ctx, const struct message *m);
    /* status 0; -ENOTCONN when Redis went away; -ESTALE when `before` is doubted and belongs to
     * data that was given up (lineage.h). The reading is over, and gone after this. */
    void (*on_done)(void *ctx, int status);
};

struct look_back_range {
    struct bytes name;
    struct message_id before; /* not itself; MESSAGE_ID_NONE: from the end */
    bool is_doubted;          /* `before` came from outside */
    unsigned wanted;          /* messages that the caller hopes for, more than 0 */
};

/* Never calls back inside. bus_can_send must hold. */
struct look_back *look_back_start(struct bus *bus, const struct look_back_range *range,
                                  const struct look_back_events *events, void *ctx);
/* No more callbacks; NULL is legal. */
void look_back_cancel(struct look_back *l);

#endif
