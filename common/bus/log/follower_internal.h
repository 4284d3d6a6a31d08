/*
 * follower_internal.h - what follower.c (all followed Names, the feed, the audit) and follow.c (one
 * of them: where it stands, its gaps, its catching up) share. Nobody else includes it.
 */
#ifndef SIGNALBOX_BUS_LOG_FOLLOWER_INTERNAL_H
#define SIGNALBOX_BUS_LOG_FOLLOWER_INTERNAL_H

#include <sys/queue.h>
#include <uthash.h>
#include <uv.h>

#include "common/bus/log/audit.h"
#include "common/bus/log/doubt.h"
#include "common/bus/log/follower.h"
#include "common/bus/log/holding.h"
#include "common/bus/log/log_reader.h"
#include "common/bus/partition.h"
#include "common/bus/redis/server_info.h"
#include "common/bus/log/waiters.h"

enum follow_state {
    SUBSCRIBING, /* not both channels are confirmed */
    LIVE,
    QUEUED, /* both confirmed; waits for its turn to catch up */
    CATCHING_UP
};

struct follow {
    struct follower *follower;
    void *owner;
    enum follow_state state;
    bool is_confirmed; /* the own channel */
    bool has_start;    /* follow_start_at was called: from then on gaps count */
    bool was_lost;     /* the feed broke before has_start */
    bool is_stopped;
    bool has_caught_up; /* the gap that is in the way was looked up: what is missing now is lost */
    bool is_stale;      /* catch up once more: this reading may have begun too early */
    bool begins_anew;   /* Redis lost everything: ids may be smaller than those that were told */
    /* position: the partition has published everything up to here; of the data set we follow. */
    struct message_id at[LOG_COUNT], position;
    struct doubt doubt;
    struct log_reader *reader;
    struct holding held;
    struct waiters waiters;
    LIST_ENTRY(follow) in_partition;
    SLIST_ENTRY(follow) in_stopped;
    TAILQ_ENTRY(follow) in_queue;
    UT_hash_handle hh;
    unsigned partition;
    char *channel;
    size_t channel_len;
    size_t name_len;
    char name[];
};

struct every {
    struct follower *follower;
    char channel[FLEET_NAME_MAX];
    size_t channel_len;
    unsigned follows;
    bool is_confirmed;
    struct lineage known; /* of the data that all the follows have read */
    LIST_HEAD(, follow) list;
};

struct follower {
    struct bus *bus;
    const struct follower_events *events;
    struct follow *follows; /* by channel */
    struct every *partitions;
    TAILQ_HEAD(, follow) queue; /* QUEUED */
    struct doubts doubts;
    struct audit *audit;
    struct follow *next_audited;       /* NULL: the first */
    char server[SERVER_IDENTITY_TEXT]; /* that the commands went to last */
    unsigned catching_up;
    unsigned dispatching; /* depth of callbacks: follows are not freed meanwhile */
    SLIST_HEAD(, follow) stopped;
    struct waiters ready; /* their callbacks are due */
    uv_timer_t soon;      /* fires them */
    uv_timer_t again;     /* a refused catch-up is asked for again after a pause */
    bool is_pausing;
    bool is_freed;
};

/* follow.c */
static inline struct bytes follow_name(const struct follow *w) {
    return bytes_of(w->name, w->name_len);
}
/* A message of the feed. */
void follow_on_live(struct follow *w, enum which_log log, const struct message *m,
                    struct bytes blob);
/* Its turn has come. */
void follow_catch_up(struct follow *w);
/* One of its two channels is confirmed. */
void follow_on_confirmed(struct follow *w);
void follow_on_feed_lost(struct follow *w);
/* Something may have been missed that nothing shows yet. */
void follow_look_again(struct follow *w);
/* The keys l: of its logs. */
void follow_doubt(struct follow *w, const struct message_id last[LOG_COUNT]);
/* What the doubt is about is not on its way any more. */
void follow_end_doubt(struct follow *w);
/* Nothing more happens to it. */
void follow_stop(struct follow *w);
void follow_free(struct follow *w);

/* follower.c */
/* Catch-ups that wait for their turn begin, as many as may. */
void follower_start_queued(struct follower *f);
/* They begin no earlier than after a pause: Redis refused one. */
void follower_pause(struct follower *f);
/* Frees what was stopped while callbacks ran. */
void follower_bury_stopped(struct follower *f);

#endif
