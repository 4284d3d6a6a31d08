/*
 * lanes.h - the handlers of one connection run one after the other, also when one waits.
 *
 *     an entry of a connection ─ no lane ─▶ is processed at once
 *                              └ a lane  ─▶ set aside in Redis ─ its turn ─▶ back at the end of
 * `in`
 *
 * A lane is there while a handler of its connection waits, or entries wait for it. Its key is Name
 * and client id: what a connection does comes before what one does that takes over its id. Other
 * connections do not notice. An entry that is set aside keeps its place by its `order`, the id that
 * it had when it first came.
 *
 * Bounds: LANE_MAX entries a lane, LANES_MAX and LANES_BYTES in the process. A client's message
 * beyond them is refused. Connect and Disconnect have twice as much, and then run at once.
 *
 * A lane belongs to the process as long as its handler runs here; its entries to whoever owns the
 * partition. Start with lanes_take_turn.
 */
#ifndef SIGNALBOX_BROKER_LANES_H
#define SIGNALBOX_BROKER_LANES_H

#include "common/bus/log/deferred.h"
#include "common/bus/log/entry_reader.h"

struct broker;
struct lane;
struct lanes;
struct lease_grant;
struct outcome;

enum { LANE_MAX = 10000, LANES_MAX = 100000, LANES_BYTES = 64 * 1024 * 1024 };

/* What a batch sets aside, to be stored before it is committed. Zeroed: empty. */
struct asides {
    struct deferred_item *items;
    size_t count, cap;
    struct message_id *done; /* entries that came back and are through */
    size_t done_count, done_cap;
};

struct lanes *lanes_new(struct broker *b);
/* Nothing is brought back any more; the memory goes in lanes_free, once the loop has ended:
 * handlers may wait until then. Both take NULL. */
void lanes_end(struct lanes *l);
void lanes_free(struct lanes *l);

/* --- handlers --- */

/* A handler of this entry waits / has ended. */
struct lane *lanes_enter(struct lanes *l, unsigned slot, const struct in_entry *e);
void lanes_leave(struct lane *lane);
/* Whether a handler of this slot waits. */
bool lanes_are_busy(const struct lanes *l, unsigned slot);

/* --- entries --- */

enum lane_turn {
    LANE_GO,    /* process it now */
    LANE_ASIDE, /* it was set aside: nothing is to be done */
    LANE_FULL   /* it would have to be set aside, but there is no room for it */
};

/* Only for entries of a connection (client, bye, connect, disconnect). */
enum lane_turn lanes_take_turn(struct outcome *o);
/* A handler of this event waits: its other handlers, from this one on, come after it. */
void lanes_put_rest_aside(struct outcome *o, unsigned handled);
/* An entry that came back was processed. */
void lanes_after(struct outcome *o);
/* An entry that came back will never be processed: it became a dead letter. */
void lanes_give_up(struct outcome *o);

/* --- a slot, for its inbox --- */

/* The slot is ours: what was set aside there (rows of list_deferred.lua) waits here. */
void lanes_open(struct lanes *l, unsigned slot, const struct lease_grant *grant,
                const struct redisReply *list);
/* The entries of a batch were stored and the cursor has passed them. Empties the batch. */
void lanes_committed(struct lanes *l, unsigned slot, struct asides *batch,
                     struct message_id cursor);
/* The slot is not ours any more. */
void lanes_close(struct lanes *l, unsigned slot);

void asides_deinit(struct asides *a);

#endif
