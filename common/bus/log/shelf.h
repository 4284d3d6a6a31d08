/*
 * shelf.h - what one stream of a log may keep: the bounds of a history (history.h), which shrink
 * for a new one while Redis is nearly full.
 */
#ifndef SIGNALBOX_BUS_LOG_SHELF_H
#define SIGNALBOX_BUS_LOG_SHELF_H

#include "common/bus/log/history.h"

struct bus;

/* Zeroed: empty. */
struct shelf {
    struct history history;
    bool is_late; /* it began while Redis was nearly full */
};

struct shelf_item {
    struct message_id id;
    size_t len;   /* bytes of the message, encoded */
    bool is_sure; /* it will be there: its bytes are counted at once (bus_add_memory) */
};

/* Takes the next message; the oldest that stays is history_first then. False, and the shelf is what
 * it was: the message is too large for what Redis has left, which is counted. */
bool shelf_add(struct shelf *s, struct bus *bus, const struct history_bounds *bounds,
               const struct shelf_item *item);

struct redisReply;
/* What measure_log.lua has found: [last id, first id of a chunk, messages, bytes, …, "kept", first
 * id of a chunk, …]; of a hostile stream what makes sense. */
void shelf_read(struct shelf *history, struct shelf *kept, const struct history_bounds *bounds,
                const struct redisReply *reply);

#endif
