/*
 * follow.c - see follow.h. Read take (is a message next?), then on_begin, on_entry and on_done
 * (catching up), then settle.
 *
 * A follow stands at two ids, one for each log: everything at or before them is done. gap.h says
 * what shows that something is missing; then the follow catches up, and what even that does not
 * bring is lost.
 */
#include "common/bus/log/follow.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/log.h"
#include "common/base/metrics.h"
#include "common/bus/bus_send.h"

/* --- ready callbacks, always from the timer --- */

struct follow_waiter {
    TAILQ_ENTRY(follow_waiter) link;
    const struct follow *follow;
    follow_ready_fn *fn;
    void *ctx;
};

static void on_soon(uv_timer_t *timer) {
    struct follow_shared *s = container_of(timer, struct follow_shared, soon);
    struct follow_waiter *waiter;
    while ((waiter = TAILQ_FIRST(&s->ready)) != NULL) {
        TAILQ_REMOVE(&s->ready, waiter, link);
        waiter->fn(waiter->ctx, 0);
        free(waiter);
    }
}

static void wake(struct follow *w) {
    TAILQ_CONCAT(&w->shared->ready, &w->waiters, link);
    uv_timer_start(&w->shared->soon, on_soon, 0, 0);
}

void follow_when_ready(struct follow *w, follow_ready_fn *fn, void *ctx) {
    struct follow_waiter *waiter = mem_alloc(sizeof(*waiter));
    *waiter = (struct follow_waiter){.follow = w, .fn = fn, .ctx = ctx};
    TAILQ_INSERT_TAIL(&w->waiters, waiter, link);
    if (w->state != SUBSCRIBING)
        wake(w);
}

/* ctx NULL: all of the follow. */
static void drop_waiters(struct follow_waiters *list, const struct follow *w, const void *ctx) {
    struct follow_waiter *waiter, *next;
    for (waiter = TAILQ_FIRST(list); waiter != NULL; waiter = next) {
        next = TAILQ_NEXT(waiter, link);
        if (waiter->follow != w || (ctx != NULL && waiter->ctx != ctx))
            continue;
        TAILQ_REMOVE(list, waiter, link);
        free(waiter);
    }
}

void follow_cancel(struct follow *w, void *ctx) {
    drop_waiters(&w->waiters, w, ctx);
    drop_waiters(&w->shared->ready, w, ctx);
}

/* --- one message --- */

static void tell_gap(struct follow *w, enum gap gap) {
    if (w->is_stopped)
        return;
    if (gap != GAP_NONE) {
        metrics_add(METRIC_feed_gaps_unclosed, 1);
        log_warn("follow", "lost_messages name=%s: %s", LOG_TEXT(follow_name(w)),
                 gap == GAP_LOST ? "history does not reach back far enough"
                                 : "Redis fell back behind what was read");
    }
    w->shared->events->on_gap(w->shared->ctx, w->owner, gap);
}

static void unsettle(struct follow *w) {
    w->settled = w->every = MESSAGE_ID_NONE;
    w->settled_ms = w->audited_ms = 0;
}

/* The first message after Redis lost everything: its clock may have been set back. */
static void begin_anew(struct follow *w, struct message_id id) {
    w->begins_anew = false;
    if (message_id_compare(id, w->position) > 0)
        return;
    unsettle(w);
    w->position = id;
    tell_gap(w, GAP_REWOUND);
}

static void move_to(struct follow *w, enum which_log log, struct message_id id) {
    if (w->begins_anew)
        begin_anew(w, id);
    w->at[log] = id;
    if (message_id_compare(id, w->position) > 0)
        w->position = id;
}

static void deliver(struct follow *w, enum which_log log, const struct message *m) {
    if (w->is_stopped)
        return;
    if (message_has_place(m))
        move_to(w, log, m->id);
    w->shared->events->on_message(w->shared->ctx, w->owner, m);
}

static bool shows_gap(const struct follow *w, enum which_log log, const struct message *m) {
    return w->has_start && gap_is_before(w->at[log], m->prev);
}

static void queue_catch_up(struct follow *w) {
    w->state = QUEUED;
    catch_ups_add(&w->shared->catch_ups, &w->catch_up);
}

void follow_look_again(struct follow *w) {
    if (w->state == LIVE && w->has_start)
        queue_catch_up(w);
    else if (w->state == CATCHING_UP)
        w->is_stale = true;
    else if (w->state == LIVE)
        w->was_lost = true;
}

/* A live message, or a held one. has_caught_up: the gap in front of it was looked up, so what is
 * missing now is lost. */
static void take(struct follow *w, enum which_log log, const struct message *m, struct bytes blob,
                 bool has_caught_up) {
    if (message_id_compare(m->id, w->at[log]) <= 0)
        return;
    bool is_gap = shows_gap(w, log, m);
    if (is_gap && !has_caught_up) {
        metrics_add(METRIC_feed_gaps, 1);
        catch_up_hold(&w->held, log, m->id, blob);
        queue_catch_up(w);
        return;
    }
    if (is_gap)
        tell_gap(w, GAP_LOST);
    deliver(w, log, m);
}

/* --- suspicions --- */

static void forget_suspicion(struct follow *w) {
    gap_forget(&w->shared->suspicions, &w->suspicion);
}

static void suspect(struct follow *w, const struct message_id last[LOG_COUNT]) {
    struct follow_shared *s = w->shared;
    if (gap_is_behind(w->at, last))
        gap_suspect(&s->suspicions, &w->suspicion, last, bus_next_beat(s->bus));
}

/* The feed may have brought a message and lost an earlier one of the other log, so that `position`
 * is beyond what is missing. Within a log each message names the one before it: a log that has
 * nothing later than where the follow stands has come as a whole. `own` was read before `every`,
 * which may have got on between the two: only what was its last before both is certain. */
static void settle_at(struct follow *w, const struct gap_audited *a) {
    struct message_id own = a->last[LOG_OWN], every = a->last[LOG_EVERY], id = every;
    if (message_id_compare(id, w->every) > 0)
        id = w->every;
    if (message_id_compare(id, own) < 0)
        id = own;
    w->settled_ms = message_id_compare(every, id) <= 0 ? a->asked_ms : w->audited_ms;
    if (message_id_compare(id, w->settled) > 0)
        w->settled = id;
    w->every = every;
    w->audited_ms = a->asked_ms;
}

void follow_on_audited(struct follow *w, const struct gap_audited *audited) {
    const struct message_id *last = audited->last;
    if (w->state != LIVE)
        return;
    suspect(w, last);
    bool is_known = !message_id_is_none(last[LOG_OWN]) && !message_id_is_none(last[LOG_EVERY]);
    if (is_known && !gap_is_behind(w->at, last))
        settle_at(w, audited);
}

void follow_on_certain(struct follow *w) {
    w->suspicion.is_certain = w->state == LIVE && gap_is_behind(w->at, w->suspicion.last);
    if (!w->suspicion.is_certain)
        return;
    metrics_add(METRIC_feed_gaps, 1);
    queue_catch_up(w);
}

/* The logs were read to their ends, and `view` says what those are. */
static void settle(struct follow *w, const struct log_view *view) {
    /* No output has an id of a term that was never given out; it would lead beyond all that comes.
     */
    for (int i = 0; i < LOG_COUNT; i++)
        if (lineage_is_strange(&view->lineage, w->suspicion.last[i]))
            w->suspicion.last[i] = MESSAGE_ID_NONE;
    if (gap_settle(&w->suspicion, w->at))
        tell_gap(w, GAP_LOST);
    if (view->lineage.has_owner && message_id_compare(view->lineage.last, w->position) > 0)
        w->position = view->lineage.last;
    suspect(w, view->last);
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
    catch_ups_done(&w->shared->catch_ups);
}

/* Ids shall rise also for a follow that goes on. The owner of the partition takes a later term. */
static void raise_floor(struct follow *w) {
    struct buf key = {0};
    struct command c = command_script(SCRIPT_raise_floor, 1);
    command_bytes(&c, key_of(&key, w->partition->number, KEY_OWN, BYTES_NONE));
    command_number(&c, (int64_t)w->position.term);
    buf_deinit(&key);
    bus_send(w->shared->bus, w->partition->number, &c, NULL, NULL);
}

/* Whether something may have been published after the id that no history has: Redis had forgotten
 * that somebody has joined the Name. */
static bool is_since(const struct log_view *view, struct message_id id) {
    return message_id_compare(view->since, id) > 0;
}

/* Redis fell back behind what was read, and what it has up to there was read before: nothing is
 * missing, and what comes is later, or will be. */
static void stand_back(struct follow *w, const struct lineage *today) {
    bool are_ids_smaller = w->position.term > today->term;
    if (are_ids_smaller) {
        raise_floor(w);
        stand_at(w, today->last);
    }
    unsettle(w);
    w->position = today->last;
    if (are_ids_smaller)
        tell_gap(w, GAP_NONE);
}

/* Redis fell back, and has messages that were not read: from where it stands. */
static void rewind_to(struct follow *w, const struct lineage *today) {
    forget_suspicion(w);
    w->begins_anew = false;
    if (w->position.term > today->term)
        raise_floor(w);
    stand_at(w, today->last);
    unsettle(w);
    w->position = today->last;
    cancel_reader(w);
    queue_catch_up(w);
    tell_gap(w, GAP_REWOUND);
}

static void on_elsewhere(struct follow *w, const struct log_view *view) {
    const struct lineage *before = &w->partition->known, *today = &view->lineage;
    char read[MESSAGE_ID_TEXT], has[MESSAGE_ID_TEXT];
    struct message_id common = lineage_up_to(today, w->position);
    bool is_known = lineage_contains(before, common) && !is_since(view, common);
    log_warn("follow", "fell_back name=%s read=%s redis=%s missed=%s", LOG_TEXT(follow_name(w)),
             message_id_format(w->position, read), message_id_format(common, has),
             is_known ? "nothing" : "some");
    if (is_known)
        stand_back(w, today);
    else
        rewind_to(w, today);
}

/* Of the first message of those held, unless the history has an earlier one. */
static bool first_held_prev(const struct follow *w, enum which_log log, const struct log_view *view,
                            struct message_id *prev_out) {
    const struct held_message *h;
    struct message m;
    STAILQ_FOREACH (h, &w->held.list, link) {
        if (h->log != log || message_id_compare(h->id, w->at[log]) <= 0)
            continue;
        if (view->has_first[log] && message_id_compare(h->id, view->first[log]) >= 0)
            return false;
        if (message_decode(bytes_of(h->blob, h->len), &m) != PARSE_OK)
            continue;
        bool has_place = message_has_place(&m);
        *prev_out = m.prev;
        message_free(&m);
        if (has_place)
            return true;
    }
    return false;
}

/* What the first message that is there, of the history or of those held, names as its predecessor;
 * 0-0 when there is none. */
static struct message_id first_prev(const struct follow *w, const struct log_view *view,
                                    enum which_log log) {
    struct message_id prev = MESSAGE_ID_NONE;
    if (first_held_prev(w, log, view, &prev))
        return prev;
    return view->has_first[log] ? view->first_prev[log] : MESSAGE_ID_NONE;
}

/* A hole at the beginning is told before messages of the other log that are later. */
static void look_for_lost(struct follow *w, const struct log_view *view) {
    bool is_lost = false;
    for (int i = 0; i < LOG_COUNT; i++) {
        struct message_id prev = first_prev(w, view, (enum which_log)i);
        if (!gap_is_before(w->at[i], prev))
            continue;
        w->at[i] = prev;
        is_lost = true;
    }
    if (is_lost)
        tell_gap(w, GAP_LOST);
}

static void on_begin(void *ctx, const struct log_view *view) {
    struct follow *w = ctx;
    /* Nothing was ever published in this data set: whatever comes is new. */
    bool is_empty =
        !view->lineage.has_owner && view->last[LOG_OWN].seq == 0 && view->last[LOG_EVERY].seq == 0;
    w->shared->dispatching++;
    if (is_empty) {
        raise_floor(w);
        stand_at(w, MESSAGE_ID_NONE);
        w->begins_anew = true;
    } else if (view->lineage.has_owner &&
               lineage_find(&view->lineage, w->position) == LINEAGE_ELSEWHERE) {
        on_elsewhere(w, view);
    } else if (is_since(view, w->position)) {
        w->position = view->since;
        tell_gap(w, GAP_LOST);
    } else {
        look_for_lost(w, view);
    }
    w->shared->dispatching--;
}

/* It becomes ours. What was before it has been read. */
static void take_one_held(struct follow *w, struct held_message *h) {
    struct message m;
    if (message_decode(bytes_of(h->blob, h->len), &m) == PARSE_OK) {
        m.is_to_every = h->log == LOG_EVERY;
        take(w, h->log, &m, bytes_of(h->blob, h->len), true);
        message_free(&m);
    }
    free(h);
}

/* A history may lack what the feed has brought meanwhile (log_writer.h): ids rise over both. */
static void on_entry(void *ctx, enum which_log log, const struct message *m) {
    struct follow *w = ctx;
    struct held_message *h;
    while (!w->is_stopped && (h = catch_up_take_held_before(&w->held, m->id)) != NULL)
        take_one_held(w, h);
    if (message_id_compare(m->id, w->at[log]) <= 0)
        return;
    if (shows_gap(w, log, m))
        tell_gap(w, GAP_LOST);
    deliver(w, log, m);
}

static void take_held(struct follow *w) {
    struct held_message *h;
    while (w->state == LIVE && !w->is_stopped && (h = catch_up_take_held(&w->held)) != NULL)
        take_one_held(w, h);
}

static void on_done(void *ctx, int status, const struct log_view *view) {
    struct follow *w = ctx;
    struct follow_shared *s = w->shared;
    catch_ups_done(&s->catch_ups);
    w->reader = NULL;
    s->dispatching++;
    if (w->state != CATCHING_UP) {
        /* the feed was lost meanwhile: begins again when it is confirmed */
    } else if (status != 0) {
        w->state = QUEUED;
        catch_ups_retry(&s->catch_ups, &w->catch_up);
    } else if (w->held.has_overflowed || w->is_stale) {
        w->held.has_overflowed = w->is_stale = false;
        queue_catch_up(w);
    } else {
        w->state = LIVE;
        settle(w, view);
        take_held(w);
    }
    s->dispatching--;
    follow_free_stopped(s);
    catch_ups_start(&s->catch_ups);
}

static void on_turn(struct catch_up *c) {
    static const struct log_reader_events events = {on_begin, on_entry, on_done};
    struct follow *w = container_of(c, struct follow, catch_up);
    MUST(w->state == QUEUED);
    w->state = CATCHING_UP;
    struct log_range range = {.name = follow_name(w)};
    memcpy(range.from, w->at, sizeof(range.from));
    w->reader = log_reader_start(w->shared->bus, &range, &events, w);
}

/* --- the feed --- */

static void end_catch_up(struct follow *w) {
    if (w->state == QUEUED)
        catch_ups_remove(&w->shared->catch_ups, &w->catch_up);
    cancel_reader(w);
    forget_suspicion(w);
}

void follow_on_feed_lost(struct follow *w) {
    end_catch_up(w);
    w->state = SUBSCRIBING;
    w->is_confirmed = w->is_stale = false;
    w->was_lost = !w->has_start;
    catch_up_drop_held(&w->held);
}

void follow_on_live(struct follow *w, enum which_log log, const struct message *m,
                    struct bytes blob) {
    if (w->is_stopped || w->state == SUBSCRIBING)
        return;
    if (w->state == LIVE)
        take(w, log, m, blob, false);
    else
        catch_up_hold(&w->held, log, m->id, blob);
}

/* Both channels stand: live from here, after what was missed. */
void follow_on_confirmed(struct follow *w) {
    if (w->state != SUBSCRIBING || !w->is_confirmed || !w->partition->is_confirmed)
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

bool follow_settled(const struct follow *w, uint64_t since_ms, struct message_id *id_out) {
    *id_out = w->settled;
    return since_ms == 0 || w->settled_ms > since_ms;
}

void follow_compare(struct follow *w, struct message_id then, struct message_id position) {
    if (message_id_compare(position, then) < 0)
        follow_look_again(w);
}

/* --- life --- */

void follow_shared_init(struct follow_shared *s, struct bus *bus,
                        const struct follower_events *events, void *ctx) {
    s->bus = bus;
    s->events = events;
    s->ctx = ctx;
    catch_ups_init(&s->catch_ups, bus, on_turn);
    TAILQ_INIT(&s->suspicions);
    SLIST_INIT(&s->stopped);
    TAILQ_INIT(&s->ready);
    MUST(uv_timer_init(bus_loop(bus), &s->soon) == 0);
}

struct follow *follow_new(struct follow_partition *p, struct bytes name, void *owner) {
    struct follow *w = mem_zalloc(sizeof(*w) + name.len + 1);
    w->shared = p->shared;
    w->partition = p;
    w->owner = owner;
    w->state = SUBSCRIBING;
    w->name_len = name.len;
    memcpy(w->name, name.ptr, name.len);
    catch_up_init_held(&w->held);
    TAILQ_INIT(&w->waiters);
    LIST_INSERT_HEAD(&p->list, w, in_partition);
    return w;
}

/* It is not freed yet: while callbacks run, the loop over the partition's list may stand on it. */
void follow_stop(struct follow *w) {
    end_catch_up(w);
    w->is_stopped = true;
    SLIST_INSERT_HEAD(&w->shared->stopped, w, in_stopped);
}

void follow_free_stopped(struct follow_shared *s) {
    struct follow *w;
    while (s->dispatching == 0 && (w = SLIST_FIRST(&s->stopped)) != NULL) {
        SLIST_REMOVE_HEAD(&s->stopped, in_stopped);
        LIST_REMOVE(w, in_partition);
        follow_cancel(w, NULL);
        catch_up_drop_held(&w->held);
        free(w);
    }
}
