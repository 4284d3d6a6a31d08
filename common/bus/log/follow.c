/*
 * follow.c - one followed Name, see follower.h. Read take (is a message in order?), then on_begin,
 * on_entry and on_done (catching up), then settle.
 *
 * A follow stands at two ids, one per log: everything at or before it is done. A message whose
 * `prev` is later than where we stand shows a gap. prev 0-0 says that the predecessor is not known,
 * and prev <term>-0 that the message is the first of its log in this data set: nothing to compare.
 *
 * A doubt: l:<name> is later than where we stand. The message may still be on its way over the
 * feed. It is not when a heartbeat that was sent after the answer has come back (on_feed_passed):
 * then the follow catches up, and what even that does not bring was lost.
 */
#include "common/bus/log/follower_internal.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/log.h"
#include "common/base/metrics.h"
#include "common/bus/bus_send.h"

/* --- ready callbacks, always from the timer --- */

static bool is_ready(const struct follow *w) {
    return w->state != SUBSCRIBING;
}

static void fire_ready(uv_timer_t *timer) {
    waiters_fire(&container_of(timer, struct follower, soon)->ready);
}

static void wake(struct follow *w) {
    TAILQ_CONCAT(&w->follower->ready, &w->waiters, link);
    uv_timer_start(&w->follower->soon, fire_ready, 0, 0);
}

void follow_when_ready(struct follow *w, follow_ready_fn *fn, void *ctx) {
    waiters_add(&w->waiters, w, fn, ctx);
    if (is_ready(w))
        wake(w);
}

void follow_cancel(struct follow *w, void *ctx) {
    waiters_drop(&w->waiters, w, ctx);
    waiters_drop(&w->follower->ready, w, ctx);
}

/* --- one message --- */

static void tell_gap(struct follow *w, enum gap gap) {
    if (w->is_stopped)
        return;
    if (gap == GAP_NONE) {
        w->follower->events->on_gap(w->owner, gap);
        return;
    }
    metrics_add(METRIC_feed_gaps_unclosed, 1);
    log_warn("follower", "lost_messages name=%s: %s", LOG_TEXT(follow_name(w)),
             gap == GAP_LOST ? "history does not reach back far enough"
                             : "Redis fell back behind what was read");
    w->follower->events->on_gap(w->owner, gap);
}

/* The first message after Redis lost everything: its clock may have been set back. */
static void begin_anew(struct follow *w, struct message_id id) {
    w->begins_anew = false;
    if (message_id_compare(id, w->position) > 0)
        return;
    w->position = id;
    tell_gap(w, GAP_REWOUND);
}

static void deliver(struct follow *w, enum which_log log, const struct message *m) {
    if (w->is_stopped)
        return;
    if (w->begins_anew)
        begin_anew(w, m->id);
    w->at[log] = m->id;
    if (message_id_compare(m->id, w->position) > 0)
        w->position = m->id;
    w->follower->events->on_message(w->owner, m);
}

/* A prev with seq 0 is no message (register.lua): the log began after it, or Redis lost what was
 * before. */
static bool shows_gap(const struct follow *w, enum which_log log, const struct message *m) {
    return w->has_start && m->prev.seq != 0 && message_id_compare(m->prev, w->at[log]) > 0;
}

static void queue_catch_up(struct follow *w) {
    w->state = QUEUED;
    TAILQ_INSERT_TAIL(&w->follower->queue, w, in_queue);
    follower_start_queued(w->follower);
}

/* Something may have been missed that nothing shows yet. */
void follow_look_again(struct follow *w) {
    if (w->state == LIVE && w->has_start)
        queue_catch_up(w);
    else if (w->state == CATCHING_UP)
        w->is_stale = true;
    else if (w->state == LIVE)
        w->was_lost = true;
}

/* A live message, or a held one. */
static void take(struct follow *w, enum which_log log, const struct message *m, struct bytes blob) {
    if (message_id_compare(m->id, w->at[log]) <= 0)
        return;
    if (!shows_gap(w, log, m)) {
        deliver(w, log, m);
        return;
    }
    if (w->has_caught_up) {
        tell_gap(w, GAP_LOST);
        deliver(w, log, m);
        return;
    }
    metrics_add(METRIC_feed_gaps, 1);
    holding_add(&w->held, log, blob);
    queue_catch_up(w);
}

/* --- doubts --- */

static void forget_doubt(struct follow *w) {
    doubt_forget(&w->follower->doubts, &w->doubt);
}

void follow_doubt(struct follow *w, const struct message_id last[LOG_COUNT]) {
    struct follower *f = w->follower;
    if (doubt_is_behind(w->at, last))
        doubt_open(&f->doubts, &w->doubt, last, bus_next_beat(f->bus));
}

void follow_end_doubt(struct follow *w) {
    w->doubt.is_certain = w->state == LIVE && doubt_is_behind(w->at, w->doubt.last);
    if (!w->doubt.is_certain)
        return;
    metrics_add(METRIC_feed_gaps, 1);
    queue_catch_up(w);
}

/* A doubt about what cannot be: it would lead beyond all that comes. */
static void drop_strange_doubt(struct follow *w, const struct lineage *today) {
    for (int i = 0; i < LOG_COUNT; i++)
        if (lineage_is_strange(today, w->doubt.last[i]))
            w->doubt.last[i] = MESSAGE_ID_NONE;
}

/* The logs were read to their ends, and `view` says what those are. */
static void settle(struct follow *w, const struct log_view *view) {
    drop_strange_doubt(w, &view->lineage);
    if (doubt_settle(&w->doubt, w->at))
        tell_gap(w, GAP_LOST);
    if (view->lineage.has_owner && message_id_compare(view->lineage.last, w->position) > 0)
        w->position = view->lineage.last;
    follow_doubt(w, view->last);
}

/* --- catching up --- */

static void stand_at(struct follow *w, struct message_id id) {
    for (int i = 0; i < LOG_COUNT; i++)
        w->at[i] = id;
}

static void cancel_reader(struct follow *w) {
    if (w->reader == NULL)
        return;
    log_reader_cancel(w->reader);
    w->reader = NULL;
    w->follower->catching_up--;
}

/* Ids shall rise also for those who go on. The owner of the partition takes a later term. */
static void raise_floor(struct follow *w) {
    struct buf key = {0};
    struct command c = command_script(SCRIPT_raise_floor, 1);
    command_bytes(&c, key_of(&key, w->partition, "own", BYTES_NONE));
    command_number(&c, (int64_t)w->position.term);
    buf_deinit(&key);
    bus_send(w->follower->bus, w->partition, &c, NULL, NULL);
}

/* Redis fell back behind what was read, and what it has up to there was read before: nothing is
 * missing, and what comes is later, or will be. */
static void stand_back(struct follow *w, const struct lineage *today) {
    bool are_ids_smaller = w->position.term > today->term;
    if (are_ids_smaller) {
        raise_floor(w);
        stand_at(w, today->last);
    }
    w->position = today->last;
    if (are_ids_smaller)
        tell_gap(w, GAP_NONE);
}

/* … and has messages that were not read: from where it stands. */
static void rewind_to(struct follow *w, const struct lineage *today) {
    forget_doubt(w);
    w->begins_anew = false;
    if (w->position.term > today->term)
        raise_floor(w);
    stand_at(w, today->last);
    w->position = today->last;
    cancel_reader(w);
    queue_catch_up(w);
    tell_gap(w, GAP_REWOUND);
}

static void on_elsewhere(struct follow *w, const struct lineage *today) {
    const struct lineage *before = &w->follower->partitions[w->partition].known;
    char read[MESSAGE_ID_TEXT], has[MESSAGE_ID_TEXT];
    struct message_id common = lineage_up_to(today, w->position);
    bool is_known = lineage_contains(before, common);
    log_warn("follower", "fell_back name=%s read=%s redis=%s missed=%s", LOG_TEXT(follow_name(w)),
             message_id_format(w->position, read), message_id_format(common, has),
             is_known ? "nothing" : "some");
    if (is_known)
        stand_back(w, today);
    else
        rewind_to(w, today);
}

/* Nothing was ever published in this data set: whatever comes is new. */
static bool is_empty(const struct log_view *view) {
    return !view->lineage.has_owner && view->last[LOG_OWN].seq == 0 &&
           view->last[LOG_EVERY].seq == 0;
}

static void on_begin(void *ctx, const struct log_view *view) {
    struct follow *w = ctx;
    w->follower->dispatching++;
    if (is_empty(view)) {
        raise_floor(w);
        stand_at(w, MESSAGE_ID_NONE);
        w->begins_anew = true;
    } else if (view->lineage.has_owner &&
               lineage_find(&view->lineage, w->position) == LINEAGE_ELSEWHERE) {
        on_elsewhere(w, &view->lineage);
    }
    w->follower->dispatching--;
}

static void on_entry(void *ctx, enum which_log log, const struct message *m) {
    struct follow *w = ctx;
    if (message_id_compare(m->id, w->at[log]) <= 0)
        return;
    if (shows_gap(w, log, m))
        tell_gap(w, GAP_LOST);
    deliver(w, log, m);
}

static void take_held(struct follow *w) {
    struct held *h;
    w->has_caught_up = true;
    while (w->state == LIVE && !w->is_stopped && (h = holding_take(&w->held)) != NULL) {
        struct message m;
        if (message_decode(bytes_of(h->blob, h->len), &m) == PARSE_OK) {
            take(w, h->log, &m, bytes_of(h->blob, h->len));
            message_free(&m);
        }
        free(h);
    }
    w->has_caught_up = false;
}

static void on_done(void *ctx, int status, const struct log_view *view) {
    struct follow *w = ctx;
    struct follower *f = w->follower;
    f->catching_up--;
    w->reader = NULL;
    f->dispatching++;
    if (w->state != CATCHING_UP) {
        /* the feed was lost meanwhile: begins again when it is confirmed */
    } else if (status != 0) {
        w->state = QUEUED;
        TAILQ_INSERT_TAIL(&f->queue, w, in_queue);
        follower_pause(f);
    } else if (w->held.has_overflowed || w->is_stale) {
        w->held.has_overflowed = w->is_stale = false;
        queue_catch_up(w);
    } else {
        w->state = LIVE;
        settle(w, view);
        take_held(w);
    }
    f->dispatching--;
    follower_bury_stopped(f);
    follower_start_queued(f);
}

void follow_catch_up(struct follow *w) {
    static const struct log_reader_events events = {on_begin, on_entry, on_done};
    struct follower *f = w->follower;
    MUST(w->state == QUEUED);
    TAILQ_REMOVE(&f->queue, w, in_queue);
    w->state = CATCHING_UP;
    f->catching_up++;
    w->reader = log_reader_start(f->bus, follow_name(w), w->at, MESSAGE_ID_NONE, &events, w);
}

/* --- the feed --- */

void follow_on_feed_lost(struct follow *w) {
    if (w->state == QUEUED)
        TAILQ_REMOVE(&w->follower->queue, w, in_queue);
    cancel_reader(w);
    forget_doubt(w);
    w->state = SUBSCRIBING;
    w->is_confirmed = w->is_stale = false;
    w->was_lost = !w->has_start;
    holding_clear(&w->held);
}

void follow_on_live(struct follow *w, enum which_log log, const struct message *m,
                    struct bytes blob) {
    if (w->is_stopped || w->state == SUBSCRIBING)
        return;
    if (w->state == LIVE)
        take(w, log, m, blob);
    else
        holding_add(&w->held, log, blob);
}

/* Both channels stand: live from here, after what was missed. */
void follow_on_confirmed(struct follow *w) {
    if (w->state != SUBSCRIBING || !w->is_confirmed ||
        !w->follower->partitions[w->partition].is_confirmed)
        return;
    if (w->has_start)
        queue_catch_up(w);
    else
        w->state = LIVE;
    wake(w);
}

/* --- positions --- */

void follow_start_at(struct follow *w, struct message_id position) {
    bool may_miss = !w->has_start && w->was_lost && w->state == LIVE;
    w->has_start = true;
    for (int i = 0; i < LOG_COUNT; i++)
        if (message_id_compare(w->at[i], position) < 0)
            w->at[i] = position;
    if (message_id_compare(w->position, position) < 0)
        w->position = position;
    if (may_miss)
        queue_catch_up(w);
}

struct message_id follow_position(const struct follow *w) {
    return w->position;
}

void follow_compare(struct follow *w, struct message_id then, struct message_id position) {
    if (message_id_compare(position, then) < 0)
        follow_look_again(w);
}

/* --- its end --- */

void follow_stop(struct follow *w) {
    if (w->state == QUEUED)
        TAILQ_REMOVE(&w->follower->queue, w, in_queue);
    cancel_reader(w);
    forget_doubt(w);
    w->is_stopped = true;
}

void follow_free(struct follow *w) {
    follow_cancel(w, NULL);
    holding_clear(&w->held);
    free(w->channel);
    free(w);
}
