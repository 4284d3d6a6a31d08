/*
 * follower.c - see follower.h. Read on_feed_message (live), take (one message in order?) and
 * catch_up (the gap).
 *
 * A follow stands at two ids, one per log: everything at or before it is done. A message whose
 * `prev` is later than where we stand shows a gap. prev 0-0 says that the log keeps no history, and
 * prev <term>-0 that the message is the first of its log in this data set: nothing to compare.
 */
#include "common/bus/follower.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <sys/queue.h>
#include <uthash.h>
#include <uv.h>

#include "common/base/log.h"
#include "common/base/metrics.h"
#include "common/bus/bus.h"
#include "common/bus/log_reader.h"
#include "common/bus/partition.h"

enum { HELD_MAX_BYTES = 8 * 1024 * 1024, CATCH_UPS_MAX = 500, REFUSED_PAUSE_MS = 100 };

enum follow_state {
    SUBSCRIBING, /* not both channels are confirmed */
    LIVE,
    QUEUED, /* both confirmed; waits for its turn to catch up */
    CATCHING_UP
};

struct waiter {
    TAILQ_ENTRY(waiter) link;
    struct follow *follow;
    follow_ready_fn *fn;
    void *ctx;
};
TAILQ_HEAD(waiters, waiter);

struct held {
    STAILQ_ENTRY(held) link;
    enum which_log log;
    size_t len;
    char blob[];
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
    bool overflowed;    /* held messages were dropped: catch up once more */
    struct message_id at[LOG_COUNT], position;
    struct log_reader *reader;
    STAILQ_HEAD(, held) held;
    size_t held_bytes;
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
    char channel[FLEET_NAME_MAX];
    size_t channel_len;
    unsigned follows;
    bool is_confirmed;
    LIST_HEAD(, follow) list;
    UT_hash_handle hh;
};

struct follower {
    struct bus *bus;
    const struct follower_events *events;
    struct follow *follows; /* by channel */
    struct every *everies;  /* by channel */
    struct every *partitions;
    TAILQ_HEAD(, follow) queue; /* QUEUED */
    unsigned catching_up;
    unsigned dispatching; /* depth of callbacks: follows are not freed meanwhile */
    SLIST_HEAD(, follow) stopped;
    struct waiters ready; /* their callbacks are due */
    uv_timer_t soon;      /* fires them */
    uv_timer_t again;     /* a refused catch-up is asked for again after a pause */
    bool is_pausing;
    bool is_freed;
};

static void start_queued(struct follower *f);

static struct bytes name_of(const struct follow *w) {
    return bytes_of(w->name, w->name_len);
}

/* --- ready callbacks, always from the timer --- */

static bool is_ready(const struct follow *w) {
    return w->state != SUBSCRIBING;
}

static void fire_ready(uv_timer_t *timer) {
    struct follower *f = container_of(timer, struct follower, soon);
    struct waiter *waiter;
    while ((waiter = TAILQ_FIRST(&f->ready)) != NULL) {
        TAILQ_REMOVE(&f->ready, waiter, link);
        waiter->fn(waiter->ctx, 0);
        free(waiter);
    }
}

static void wake(struct follow *w) {
    TAILQ_CONCAT(&w->follower->ready, &w->waiters, link);
    uv_timer_start(&w->follower->soon, fire_ready, 0, 0);
}

void follow_when_ready(struct follow *w, follow_ready_fn *fn, void *ctx) {
    struct waiter *waiter = mem_alloc(sizeof(*waiter));
    *waiter = (struct waiter){.follow = w, .fn = fn, .ctx = ctx};
    TAILQ_INSERT_TAIL(&w->waiters, waiter, link);
    if (is_ready(w))
        wake(w);
}

/* Those of follow w and of this ctx; ctx NULL: all of the follow. */
static void drop_waiters(struct waiters *list, const struct follow *w, const void *ctx) {
    struct waiter *waiter, *next;
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
    drop_waiters(&w->follower->ready, w, ctx);
}

/* --- held messages --- */

static void drop_held(struct follow *w) {
    struct held *h;
    while ((h = STAILQ_FIRST(&w->held)) != NULL) {
        STAILQ_REMOVE_HEAD(&w->held, link);
        free(h);
    }
    w->held_bytes = 0;
}

static void hold(struct follow *w, enum which_log log, struct bytes blob) {
    if (w->overflowed || w->held_bytes + blob.len > HELD_MAX_BYTES) {
        drop_held(w);
        w->overflowed = true;
        return;
    }
    struct held *h = mem_alloc(sizeof(*h) + blob.len);
    *h = (struct held){.log = log, .len = blob.len};
    memcpy(h->blob, blob.ptr, blob.len);
    STAILQ_INSERT_TAIL(&w->held, h, link);
    w->held_bytes += blob.len;
}

/* --- one message --- */

static void deliver(struct follow *w, enum which_log log, const struct message *m) {
    if (w->is_stopped)
        return;
    w->at[log] = m->id;
    if (message_id_compare(m->id, w->position) > 0)
        w->position = m->id;
    w->follower->events->on_message(w->owner, m);
}

static void tell_gap(struct follow *w) {
    if (w->is_stopped)
        return;
    metrics_add(METRIC_feed_gaps_unclosed, 1);
    log_warn("follower", "lost_messages name=%s: history does not reach back far enough",
             LOG_TEXT(name_of(w)));
    w->follower->events->on_gap(w->owner);
}

/* A prev with seq 0 is no message (conn.lua): the log began after it, or Redis lost what was
 * before. */
static bool shows_gap(const struct follow *w, enum which_log log, const struct message *m) {
    return w->has_start && m->prev.seq != 0 && message_id_compare(m->prev, w->at[log]) > 0;
}

static void queue_catch_up(struct follow *w) {
    w->state = QUEUED;
    TAILQ_INSERT_TAIL(&w->follower->queue, w, in_queue);
    start_queued(w->follower);
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
        tell_gap(w);
        deliver(w, log, m);
        return;
    }
    metrics_add(METRIC_feed_gaps, 1);
    hold(w, log, blob);
    queue_catch_up(w);
}

/* --- catching up --- */

static void on_entry(void *ctx, enum which_log log, const struct message *m) {
    struct follow *w = ctx;
    if (message_id_compare(m->id, w->at[log]) <= 0)
        return;
    if (shows_gap(w, log, m))
        tell_gap(w);
    deliver(w, log, m);
}

static void take_held(struct follow *w) {
    struct held *h;
    w->has_caught_up = true;
    while (w->state == LIVE && !w->is_stopped && (h = STAILQ_FIRST(&w->held)) != NULL) {
        struct message m;
        STAILQ_REMOVE_HEAD(&w->held, link);
        w->held_bytes -= h->len;
        if (message_decode(bytes_of(h->blob, h->len), &m) == PARSE_OK) {
            take(w, h->log, &m, bytes_of(h->blob, h->len));
            message_free(&m);
        }
        free(h);
    }
    w->has_caught_up = false;
}

static void bury_stopped(struct follower *f);

static void on_again(uv_timer_t *timer) {
    struct follower *f = container_of(timer, struct follower, again);
    f->is_pausing = false;
    start_queued(f);
}

static void on_done(void *ctx, int status) {
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
        uv_timer_start(&f->again, on_again, REFUSED_PAUSE_MS, 0);
        f->is_pausing = true;
    } else if (w->overflowed) {
        w->overflowed = false;
        queue_catch_up(w);
    } else {
        w->state = LIVE;
        take_held(w);
    }
    f->dispatching--;
    bury_stopped(f);
    start_queued(f);
}

static void start_queued(struct follower *f) {
    static const struct log_reader_events events = {on_entry, on_done};
    struct follow *w;
    while (!f->is_pausing && bus_can_send(f->bus) && f->catching_up < CATCH_UPS_MAX &&
           (w = TAILQ_FIRST(&f->queue)) != NULL) {
        TAILQ_REMOVE(&f->queue, w, in_queue);
        w->state = CATCHING_UP;
        f->catching_up++;
        w->reader = log_reader_start(f->bus, name_of(w), w->at, MESSAGE_ID_NONE, &events, w);
    }
}

/* Both channels stand: live from here, after what was missed. */
static void on_confirmed(struct follow *w) {
    if (w->state != SUBSCRIBING || !w->is_confirmed ||
        !w->follower->partitions[w->partition].is_confirmed)
        return;
    if (w->has_start)
        queue_catch_up(w);
    else
        w->state = LIVE;
    wake(w);
}

/* --- the feed --- */

static void on_live(struct follow *w, enum which_log log, const struct message *m,
                    struct bytes blob) {
    if (w->is_stopped || w->state == SUBSCRIBING)
        return;
    if (w->state == LIVE)
        take(w, log, m, blob);
    else
        hold(w, log, blob);
}

static void on_payload(struct follower *f, struct follow *w, struct every *every,
                       struct bytes payload) {
    struct message m;
    if (message_decode(payload, &m) != PARSE_OK) {
        log_error("follower", "received_bad_message bytes=%zu", payload.len);
        return;
    }
    metrics_add(METRIC_feed_messages, 1);
    f->dispatching++;
    if (w != NULL)
        on_live(w, LOG_OWN, &m, payload);
    else
        LIST_FOREACH(w, &every->list, in_partition)
    on_live(w, LOG_EVERY, &m, payload);
    f->dispatching--;
    message_free(&m);
    bury_stopped(f);
}

static void on_subscribed(struct follower *f, struct follow *w, struct every *every) {
    if (w != NULL) {
        w->is_confirmed = true;
        on_confirmed(w);
        return;
    }
    every->is_confirmed = every->follows > 0;
    struct follow *next;
    for (w = LIST_FIRST(&every->list); w != NULL; w = next) {
        next = LIST_NEXT(w, in_partition);
        on_confirmed(w);
    }
    (void)f;
}

static void on_feed_message(void *ctx, struct bytes kind, struct bytes channel,
                            struct bytes payload) {
    struct follower *f = ctx;
    struct follow *w;
    struct every *every = NULL;
    HASH_FIND(hh, f->follows, channel.ptr, channel.len, w);
    if (w == NULL)
        HASH_FIND(hh, f->everies, channel.ptr, channel.len, every);
    if (f->is_freed || (w == NULL && every == NULL))
        return;
    if (bytes_equal(kind, BYTES_LIT("message")))
        on_payload(f, w, every, payload);
    else if (bytes_equal(kind, BYTES_LIT("subscribe")))
        on_subscribed(f, w, every);
}

static void on_feed_lost(void *ctx) {
    struct follower *f = ctx;
    struct follow *w, *next;
    for (unsigned p = 0; p < bus_partitions(f->bus); p++)
        f->partitions[p].is_confirmed = false;
    HASH_ITER(hh, f->follows, w, next) {
        if (w->state == QUEUED)
            TAILQ_REMOVE(&f->queue, w, in_queue);
        if (w->state == CATCHING_UP) {
            log_reader_cancel(w->reader);
            w->reader = NULL;
            f->catching_up--;
        }
        w->state = SUBSCRIBING;
        w->is_confirmed = false;
        w->was_lost = !w->has_start;
        w->overflowed = false;
        drop_held(w);
    }
}

static void on_commands(void *ctx) {
    start_queued(ctx);
}

/* --- life --- */

struct follower *follower_new(struct bus *bus, const struct follower_events *events) {
    static const struct bus_events listener = {.on_commands = on_commands,
                                               .on_feed_lost = on_feed_lost,
                                               .on_feed_message = on_feed_message};
    struct follower *f = mem_zalloc(sizeof(*f));
    struct buf key = {0};
    f->bus = bus;
    f->events = events;
    TAILQ_INIT(&f->queue);
    SLIST_INIT(&f->stopped);
    TAILQ_INIT(&f->ready);
    f->partitions = mem_zalloc(bus_partitions(bus) * sizeof(*f->partitions));
    for (unsigned p = 0; p < bus_partitions(bus); p++) {
        struct every *every = &f->partitions[p];
        struct bytes channel = channel_of(&key, p, "n*", BYTES_NONE);
        MUST(channel.len < sizeof(every->channel));
        memcpy(every->channel, channel.ptr, channel.len);
        every->channel_len = channel.len;
        LIST_INIT(&every->list);
        HASH_ADD_KEYPTR(hh, f->everies, every->channel, every->channel_len, every);
    }
    buf_deinit(&key);
    MUST(uv_timer_init(bus_loop(bus), &f->soon) == 0);
    MUST(uv_timer_init(bus_loop(bus), &f->again) == 0);
    bus_listen(bus, &listener, f);
    return f;
}

static void free_follow(struct follow *w) {
    follow_cancel(w, NULL);
    drop_held(w);
    free(w->channel);
    free(w);
}

static void bury_stopped(struct follower *f) {
    struct follow *w;
    while (f->dispatching == 0 && (w = SLIST_FIRST(&f->stopped)) != NULL) {
        SLIST_REMOVE_HEAD(&f->stopped, in_stopped);
        LIST_REMOVE(w, in_partition);
        free_follow(w);
    }
}

static void on_timer_closed(uv_handle_t *handle) {
    struct follower *f = container_of((uv_timer_t *)handle, struct follower, soon);
    HASH_CLEAR(hh, f->everies);
    free(f->partitions);
    free(f);
}

static void on_first_timer_closed(uv_handle_t *handle) {
    struct follower *f = container_of((uv_timer_t *)handle, struct follower, again);
    uv_close((uv_handle_t *)&f->soon, on_timer_closed);
}

void follower_free(struct follower *f) {
    struct follow *w, *next;
    if (f == NULL)
        return;
    f->is_freed = true;
    HASH_ITER(hh, f->follows, w, next) follower_stop(f, w);
    bury_stopped(f);
    uv_close((uv_handle_t *)&f->again, on_first_timer_closed);
}

struct follow *follower_follow(struct follower *f, struct bytes name, void *owner) {
    struct buf key = {0};
    struct follow *w = mem_zalloc(sizeof(*w) + name.len + 1);
    w->follower = f;
    w->owner = owner;
    w->state = SUBSCRIBING;
    w->partition = partition_of(name, bus_partitions(f->bus));
    w->name_len = name.len;
    memcpy(w->name, name.ptr, name.len);
    STAILQ_INIT(&w->held);
    TAILQ_INIT(&w->waiters);
    struct bytes channel = channel_of(&key, w->partition, "n:", name);
    w->channel = bytes_dup(channel);
    w->channel_len = channel.len;
    buf_deinit(&key);
    HASH_ADD_KEYPTR(hh, f->follows, w->channel, w->channel_len, w);
    struct every *every = &f->partitions[w->partition];
    LIST_INSERT_HEAD(&every->list, w, in_partition);
    if (every->follows++ == 0)
        bus_subscribe(f->bus, bytes_of(every->channel, every->channel_len));
    bus_subscribe(f->bus, bytes_of(w->channel, w->channel_len));
    return w;
}

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

void follower_stop(struct follower *f, struct follow *w) {
    struct every *every = &f->partitions[w->partition];
    if (w->state == QUEUED)
        TAILQ_REMOVE(&f->queue, w, in_queue);
    if (w->reader != NULL) {
        log_reader_cancel(w->reader);
        f->catching_up--;
    }
    w->reader = NULL;
    w->is_stopped = true;
    HASH_DEL(f->follows, w);
    bus_unsubscribe(f->bus, bytes_of(w->channel, w->channel_len));
    if (--every->follows == 0) {
        every->is_confirmed = false;
        bus_unsubscribe(f->bus, bytes_of(every->channel, every->channel_len));
    }
    /* While callbacks run, the loop over the partition's list may stand on it. */
    SLIST_INSERT_HEAD(&f->stopped, w, in_stopped);
    bury_stopped(f);
}
