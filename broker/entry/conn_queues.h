/*
 * conn_queues.h - the handlers of one connection run one after the other, also when one waits.
 *
 *     an entry of a connection ─ no queue ─▶ is processed at once
 *                              └ a queue  ─▶ deferred in Redis ─ its turn ─▶ at the end of `in`
 *
 * A connection has a queue while one of its handlers waits, or entries wait for that. The key is
 * Name and client id: what a connection does comes before what one does that takes over its id.
 * Other connections do not notice. A deferred entry keeps its place by its `order`, the id that it
 * had when it first came.
 *
 * Bounds: CONN_QUEUE_MAX entries a queue, CONN_QUEUES_MAX and CONN_QUEUES_BYTES in the process.
 * A client's message beyond them is refused. Connect and Disconnect have twice as much, and then
 * run at once.
 *
 * A queue belongs to the process as long as its handler runs here; its entries to the owner of the
 * partition. Start with conn_queues_take_turn.
 */
#ifndef SIGNALBOX_BROKER_ENTRY_CONN_QUEUES_H
#define SIGNALBOX_BROKER_ENTRY_CONN_QUEUES_H

#include <uv.h>

#include "common/bus/log/deferred.h"
#include "common/bus/log/entry_reader.h"

struct conn_queue;
struct conn_queues;
struct processing;

enum { CONN_QUEUE_MAX = 10000, CONN_QUEUES_MAX = 100000, CONN_QUEUES_BYTES = 64 * 1024 * 1024 };

/* What a batch defers, to be stored before it is committed. Zeroed: empty. */
struct deferred_batch {
    struct deferred_item *items;
    size_t count, cap;
    struct message_id *done; /* entries that came back and have been processed */
    size_t done_count, done_cap;
};
void deferred_batch_deinit(struct deferred_batch *b);

struct conn_queues *conn_queues_new(uv_loop_t *loop, struct bus *bus);
/* Nothing is requeued any more; the memory goes in conn_queues_free, once the loop has ended:
 * handlers may wait until then. Both take NULL. */
void conn_queues_end(struct conn_queues *l);
void conn_queues_free(struct conn_queues *l);

/* --- handlers --- */

/* A handler of this entry waits / has ended. */
struct conn_queue *conn_queues_enter(struct conn_queues *l, unsigned slot,
                                     const struct in_entry *e);
void conn_queues_leave(struct conn_queue *q);
/* Whether a handler of this slot waits. */
bool conn_queues_are_busy(const struct conn_queues *l, unsigned slot);

/* --- entries --- */

enum conn_queue_turn {
    CONN_QUEUE_GO,       /* process it now */
    CONN_QUEUE_DEFERRED, /* leave it: it comes back */
    CONN_QUEUE_FULL      /* it has to be deferred, and there is no room for it */
};

/* Only for entries of a connection (client, bye, connect, disconnect). */
enum conn_queue_turn conn_queues_take_turn(struct processing *p);
/* A handler of this event waits: its other handlers, from this one on, come after it. */
void conn_queues_defer_rest(struct processing *p, unsigned handled);
/* An entry that came back was processed. */
void conn_queues_after(struct processing *p);
/* An entry that came back will never be processed: it became a dead letter. */
void conn_queues_give_up(struct processing *p);

/* --- a slot, for its inbox --- */

/* The slot is ours: the entries that were deferred there (rows of list_deferred.lua) wait here. */
void conn_queues_open(struct conn_queues *l, const struct deferred_place *place,
                      struct message_id cursor, const struct redisReply *list);
/* The entries of a batch were stored and the cursor has passed them. Empties the batch. */
void conn_queues_committed(struct conn_queues *l, unsigned slot, struct deferred_batch *batch,
                           struct message_id cursor);
/* The slot is not ours any more. */
void conn_queues_close(struct conn_queues *l, unsigned slot);

#endif
