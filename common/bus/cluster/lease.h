/*
 * lease.h - which partitions are ours.
 *
 *     FREE ─ranked first─▶ TAKING ─▶ HELD ─another ranked first, or shutdown─▶ ENDING ─▶ RELEASING
 *       ▲                               │ fenced, lease gone, Redis lost                     │
 *       └───────────────────────────────┴────────────────────────────────────────────────────┘
 *
 * Slots 0 … P-1 are the partitions, slot P (lease_public) is the reading of the public stream.
 * Living brokers are ranked per slot by rendezvous hash; the first takes the lease
 * (take_partition.lua) under a new term. The lease only says when a take-over may be tried: the
 * term fences every write.
 *
 * A broker that has not been heard for LATE_MS is not waited for: the next one in rank asks for its
 * slots, learns how long their leases last, and asks again when they run out. So a take-over takes
 * as long as the lease, counted from its last renewal, and a broker that is only late keeps what it
 * renews.
 *
 * A broker that cannot do its work with some slot (it may not take it, it cannot connect to read)
 * calls itself unfit in its heartbeat for a while: it is ranked behind those that are fit, and
 * gives them the slots that do not work.
 *
 * The owner of this module tells it about the commands link (lease_on_commands, …_lost).
 */
#ifndef SIGNALBOX_BUS_CLUSTER_LEASE_H
#define SIGNALBOX_BUS_CLUSTER_LEASE_H

#include "common/bus/log/envelope.h"

struct bus;
struct lease;
struct redisReply;

struct lease_grant {
    uint64_t term;
    struct message_id cursor; /* everything in the stream up to here is done */
    struct message_id last;   /* the partition's last output */
    uint64_t generation;      /* of the stream's ids: rises when they begin again */
    /* This process was cut off, or lost the slot: Redis may have lost who has joined which Name.
     * For --history-seconds the owner keeps the logs of all. */
    bool is_doubtful;
};

struct lease_events {
    void (*on_taken)(void *ctx, unsigned slot, const struct lease_grant *grant);
    /* The slot is to be given back: finish what runs, then call lease_give_back. */
    void (*on_give_back)(void *ctx, unsigned slot);
    /* The slot is not ours any more: drop everything of it at once. Not called for lease_drop. */
    void (*on_lost)(void *ctx, unsigned slot, const char *why);
    /* All slots under release are free now: tell the others to try. */
    void (*on_released)(void *ctx);
};

struct lease *lease_new(struct bus *bus, uint64_t lease_ms, const struct lease_events *events,
                        void *ctx);
void lease_free(struct lease *l);

unsigned lease_public(const struct lease *l);
/* "partition 3", "the public stream". */
enum { LEASE_LABEL = 24 };
void lease_label(const struct lease *l, unsigned slot, char text_out[LEASE_LABEL]);
bool lease_is_held(const struct lease *l, unsigned slot);
/* Held, and its lease cannot have run out: Redis granted it less than a lease ago. A process that
 * was stopped may hold what is another's by now; it finds out with its next renewal. */
bool lease_is_certain(const struct lease *l, unsigned slot);
size_t lease_held_count(const struct lease *l);
/* Whether any slot is held, being taken or being given back. */
bool lease_is_busy(const struct lease *l);
/* Whether a broker is in the heartbeat hash, alive or not. */
bool lease_lists_broker(const struct lease *l, struct bytes broker);

void lease_on_commands(struct lease *l);
/* Every slot is forgotten, without on_lost: the owner drops everything itself. */
void lease_on_commands_lost(struct lease *l);

/* Counts a try of this entry of a held slot (count_try.lua); the reply is the number of tries, or
 * FENCED.
 */
void lease_try(struct lease *l, unsigned slot, const char *entry,
               void (*fn)(void *ctx, struct redisReply *reply), void *ctx);
/* Lets the stream of a held slot begin again (restart_stream.lua). The reply is 1 when it does:
 * drop the slot and take it again; 0 when there is no need, or when entries wait; or FENCED. */
void lease_restart_stream(struct lease *l, unsigned slot, const char *cursor, uint64_t ahead_ms,
                          void (*fn)(void *ctx, struct redisReply *reply), void *ctx);
/* The answer to on_give_back. */
void lease_give_back(struct lease *l, unsigned slot);
/* For how long the owner of a held slot has not been able to work, for a reason that may be this
 * process' own. It is asked each second. */
typedef uint64_t lease_stuck_fn(void *ctx, unsigned slot);
void lease_ask_stuck(struct lease *l, lease_stuck_fn *fn);
/* The owner of the slot was fenced (or Redis went back in time): it forgot the slot, so do we. */
void lease_drop(struct lease *l, unsigned slot);
/* Somebody gave leases back: try at once. leaver: a broker that ends, or empty. */
void lease_hurry(struct lease *l, struct bytes leaver);
/* From now on nothing is taken, everything is given back. */
void lease_shutdown(struct lease *l);

/* Exposed for tests: the rank of a broker for a slot; the highest takes it. */
uint64_t lease_rank(struct bytes broker, unsigned slot);

#endif
