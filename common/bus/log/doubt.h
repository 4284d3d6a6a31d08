/*
 * doubt.h - for follower.c: a log is said to have a later message than the last that came. Either
 * it is on its way over the feed, or it was lost.
 *
 *     doubt_open ─ a heartbeat sent after that comes back ─▶ doubts_end: is_certain, read the logs
 *                                                            ─▶ doubt_settle: still behind? Lost
 */
#ifndef SIGNALBOX_BUS_LOG_DOUBT_H
#define SIGNALBOX_BUS_LOG_DOUBT_H

#include <sys/queue.h>

#include "common/bus/log/log_reader.h"

struct doubt {
    bool is_open;    /* in the list */
    bool is_certain; /* what is doubted is not on its way any more */
    struct message_id last[LOG_COUNT];
    uint64_t beat;
    TAILQ_ENTRY(doubt) link;
};
TAILQ_HEAD(doubts, doubt); /* by heartbeat */

/* Who stands at `at` in the two logs has not had what they may have up to `last`. */
bool doubt_is_behind(const struct message_id at[LOG_COUNT],
                     const struct message_id last[LOG_COUNT]);
/* beat: the next one to be sent. An open doubt stays as it is: its end looks at everything. */
void doubt_open(struct doubts *all, struct doubt *d, const struct message_id last[LOG_COUNT],
                uint64_t beat);
void doubt_forget(struct doubts *all, struct doubt *d);
/* The next whose heartbeat has come back, closed; NULL when there is none. */
struct doubt *doubts_end(struct doubts *all, uint64_t beat);
/* The logs were read to their ends. True when messages were lost; `at` is moved behind them. */
bool doubt_settle(struct doubt *d, struct message_id at[LOG_COUNT]);

#endif
