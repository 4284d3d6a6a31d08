/*
 * gap.h - where a gap in the logs of a Name is noticed.
 *
 * A follow stands at one id in each of the two logs. Two things show that it has missed a message:
 *
 *     prev        A message names a predecessor that is later than where the follow stands
 *                 (gap_is_before). This is certain.
 *     l:<name>    Redis says that a later message was published. Each catch-up reads this key, and
 *                 the audit asks for it, a few Names a second in turn, since nothing else shows the
 *                 loss of a log's last message. That message may still be on its way over the feed,
 *                 so this is a suspicion first:
 *
 *     gap_suspect ─ a heartbeat sent later comes back over the feed ─▶ gap_next_certain: read the
 *                                          logs ─▶ gap_settle: the log is still later? It is lost.
 *
 * A third kind of loss, a position that today's data set does not know, is lineage.h's.
 */
#ifndef SIGNALBOX_BUS_LOG_GAP_H
#define SIGNALBOX_BUS_LOG_GAP_H

#include <sys/queue.h>

#include "common/bus/log/log_reader.h"

struct bus;

/* What follower_events.on_gap reports. */
enum gap {
    GAP_LOST,    /* messages between the last on_message and the next one are lost for good */
    GAP_REWOUND, /* Redis fell back: messages may have been lost, and positions later than
                    follow_position mean nothing, since the ids that come may be smaller */
    GAP_NONE     /* Redis fell back, but nothing was lost */
};

/* Whether a message with this predecessor shows a gap behind `at`. A predecessor with seq 0 is no
 * message (register.lua): the log began after it, or Redis lost what was before. */
bool gap_is_before(struct message_id at, struct message_id prev);

/* --- suspicions: a log may have a message up to `last` that did not come --- */

struct gap_suspicion {
    bool is_open;    /* in the list */
    bool is_certain; /* the missing message is not on its way any more */
    struct message_id last[LOG_COUNT];
    uint64_t beat;
    TAILQ_ENTRY(gap_suspicion) link;
};
TAILQ_HEAD(gap_suspicions, gap_suspicion); /* by heartbeat */

/* Whether somebody who stands at `at` lacks messages that the logs may have up to `last`. */
bool gap_is_behind(const struct message_id at[LOG_COUNT], const struct message_id last[LOG_COUNT]);
/* beat: the next heartbeat to be sent. An open suspicion stays as it is: its end looks at all. */
void gap_suspect(struct gap_suspicions *all, struct gap_suspicion *s,
                 const struct message_id last[LOG_COUNT], uint64_t beat);
void gap_forget(struct gap_suspicions *all, struct gap_suspicion *s);
/* The next one whose heartbeat has come back, closed; NULL when there is none. */
struct gap_suspicion *gap_next_certain(struct gap_suspicions *all, uint64_t beat);
/* The logs were read to their ends. True when messages were lost; `at` is moved behind them. */
bool gap_settle(struct gap_suspicion *s, struct message_id at[LOG_COUNT]);

/* --- the audit: asks Redis in rounds which id the logs of each Name may have reached --- */

struct gap_audit;
enum { GAP_AUDIT_ROUND = 256 };

/* No message of the Name's own log, and of the log for every Name, has a later id; 0-0: not known.
 * `own` was so a little before `every`, both after asked_ms (uv_now). subject is what gap_audit_ask
 * was given. */
struct gap_audited {
    struct message_id last[LOG_COUNT];
    uint64_t asked_ms;
};
typedef void gap_audit_fn(void *subject, const struct gap_audited *a);

struct gap_audit *gap_audit_new(struct bus *bus, gap_audit_fn *fn);
void gap_audit_free(struct gap_audit *a);
/* Whether this round has room for another question. The next round begins when all are answered. */
bool gap_audit_has_room(const struct gap_audit *a);
/* There must be room, and bus_can_send must hold. */
void gap_audit_ask(struct gap_audit *a, struct bytes name, void *subject);
/* The subject is gone: its answer is dropped. */
void gap_audit_forget(struct gap_audit *a, const void *subject);

#endif
