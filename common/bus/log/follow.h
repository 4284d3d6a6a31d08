/*
 * follow.h - one followed Name: where it stands, whether a message is next, its catching up. For
 * follower.c, which knows all followed Names and hands each what concerns it; the calls of the
 * gateway are in follower.h.
 */
#ifndef SIGNALBOX_BUS_LOG_FOLLOW_H
#define SIGNALBOX_BUS_LOG_FOLLOW_H

#include <sys/queue.h>
#include <uv.h>

#include "common/bus/log/catch_up.h"
#include "common/bus/log/follower.h"
#include "common/bus/log/gap.h"
#include "common/bus/log/lineage.h"

enum follow_state {
    SUBSCRIBING, /* not both channels are confirmed */
    LIVE,
    QUEUED, /* both are confirmed; waits for its turn to catch up */
    CATCHING_UP
};

struct follow_waiter;
TAILQ_HEAD(follow_waiters, follow_waiter);

/* What all follows of a process share. */
struct follow_shared {
    struct bus *bus;
    const struct follower_events *events;
    void *ctx; /* of the events */
    struct catch_ups catch_ups;
    struct gap_suspicions suspicions;
    unsigned dispatching; /* depth of callbacks: follows are not freed meanwhile */
    SLIST_HEAD(, follow) stopped;
    struct follow_waiters ready; /* their callbacks are due */
    uv_timer_t soon;             /* calls them; the owner closes it */
};

/* A partition in which Names are followed: its log for every Name. */
struct follow_partition {
    struct follow_shared *shared;
    unsigned number;
    unsigned count; /* of the follows that are not stopped */
    bool is_confirmed;
    struct lineage known; /* of the data that all the follows have read */
    LIST_HEAD(, follow) list;
};

struct follow {
    struct follow_shared *shared;
    struct follow_partition *partition;
    void *owner;
    enum follow_state state;
    bool is_confirmed; /* the own channel */
    bool has_start;    /* follow_start_at was called: from then on gaps count */
    bool was_lost;     /* the feed broke before has_start */
    bool is_stopped;
    bool is_stale;    /* catch up once more: this reading may have begun too early */
    bool begins_anew; /* Redis lost everything: ids may be smaller than those that were read */
    /* position: the partition has published everything up to here; of the data set we follow. */
    struct message_id at[LOG_COUNT], position;
    /* Nothing up to settled is missing, whatever the feed lost without a sign; all that was
     * published before settled_ms is among that. From the audits, the last of which was asked for
     * at audited_ms and named `every` as the last id of LOG_EVERY. */
    struct message_id settled, every;
    uint64_t settled_ms, audited_ms;
    struct gap_suspicion suspicion;
    struct log_reader *reader;
    struct catch_up catch_up;
    struct held_messages held;
    struct follow_waiters waiters;
    LIST_ENTRY(follow) in_partition;
    SLIST_ENTRY(follow) in_stopped;
    TAILQ_ENTRY(follow) link; /* of the follower's list */
    size_t name_len;
    char name[];
};

void follow_shared_init(struct follow_shared *s, struct bus *bus,
                        const struct follower_events *events, void *ctx);

struct follow *follow_new(struct follow_partition *p, struct bytes name, void *owner);
/* Nothing more happens to it; it is freed by follow_free_stopped. */
void follow_stop(struct follow *w);
/* Frees what was stopped, unless callbacks are running. */
void follow_free_stopped(struct follow_shared *s);

static inline struct bytes follow_name(const struct follow *w) {
    return bytes_of(w->name, w->name_len);
}

/* One of its two channels is confirmed. */
void follow_on_confirmed(struct follow *w);
/* A message of the feed. */
void follow_on_live(struct follow *w, enum which_log log, const struct message *m,
                    struct bytes blob);
void follow_on_feed_lost(struct follow *w);
/* Something may have been missed that nothing shows yet. */
void follow_look_again(struct follow *w);
/* The keys l: of its logs say this. */
void follow_on_audited(struct follow *w, const struct gap_audited *audited);
/* What it was suspected to lack is not on its way over the feed any more. */
void follow_on_certain(struct follow *w);

#endif
