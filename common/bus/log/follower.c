/*
 * follower.c - see follower.h: all followed Names, what the feed brings them, and the looking after
 * what it may not have brought. One Name is follow.c. Read on_own_message, then on_feed_passed.
 */
#include "common/bus/log/follower.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/log.h"
#include "common/base/metrics.h"
#include "common/bus/bus_send.h"
#include "common/bus/log/follower_internal.h"
#include "common/bus/redis/feed.h"
#include "common/bus/redis/paging.h"

enum { CATCH_UPS_MAX = 500, REFUSED_PAUSE_MS = 100 };

/* --- catch-ups --- */

/* What Redis does not answer to one reader, it does not answer to five hundred at once either. */
static unsigned catch_ups_max(const struct follower *f) {
    const struct paging *p = bus_paging(f->bus);
    unsigned most = CATCH_UPS_MAX * p->most / p->top;
    return most > 0 ? most : 1;
}

void follower_start_queued(struct follower *f) {
    struct follow *w;
    while (!f->is_pausing && bus_is_on_one_server(f->bus) && f->catching_up < catch_ups_max(f) &&
           (w = TAILQ_FIRST(&f->queue)) != NULL)
        follow_catch_up(w);
}

static void on_again(uv_timer_t *timer) {
    struct follower *f = container_of(timer, struct follower, again);
    f->is_pausing = false;
    follower_start_queued(f);
}

void follower_pause(struct follower *f) {
    uv_timer_start(&f->again, on_again, REFUSED_PAUSE_MS, 0);
    f->is_pausing = true;
}

static void look_at_all_again(struct follower *f) {
    struct follow *w, *next;
    HASH_ITER (hh, f->follows, w, next)
        follow_look_again(w);
}

/* --- the audit --- */

static void on_audited(void *subject, struct message_id own, struct message_id every) {
    struct follow *w = subject;
    if (w->state == LIVE)
        follow_doubt(w, (struct message_id[LOG_COUNT]){own, every});
}

static void audit(struct follower *f) {
    size_t left = HASH_COUNT(f->follows);
    while (left-- > 0 && bus_can_send(f->bus) && audit_has_room(f->audit)) {
        struct follow *w = f->next_audited != NULL ? f->next_audited : f->follows;
        f->next_audited = w->hh.next;
        if (w->state == LIVE && w->has_start)
            audit_ask(f->audit, follow_name(w), w);
    }
}

/* --- lineages: whether Redis fell back under standing connections, and what it had before --- */

/* True when all the follows stand in the data of this lineage. */
static bool have_all_read(struct every *every, const struct lineage *l) {
    struct follow *w;
    bool have_all = true;
    LIST_FOREACH (w, &every->list, in_partition) {
        bool is_elsewhere = w->has_start && lineage_find(l, w->position) == LINEAGE_ELSEWHERE;
        have_all = have_all && w->state == LIVE && !is_elsewhere;
        if (is_elsewhere)
            follow_look_again(w);
    }
    return have_all;
}

static void on_lineage(void *ctx, struct redisReply *reply) {
    struct every *every = ctx;
    struct lineage now;
    if (reply_is_error(reply, NULL))
        bus_refused(every->follower->bus, "HMGET", reply);
    if (lineage_read(&now, reply) && now.has_owner && have_all_read(every, &now))
        every->known = now;
}

static void ask_lineages(struct follower *f) {
    for (unsigned p = 0; p < bus_partitions(f->bus) && bus_can_send(f->bus); p++) {
        if (f->partitions[p].follows == 0)
            continue;
        struct command c = lineage_ask(p);
        bus_send(f->bus, p, &c, on_lineage, &f->partitions[p]);
    }
}

/* What was published before this heartbeat was sent has come. */
static void on_feed_passed(void *ctx, uint64_t beat) {
    struct follower *f = ctx;
    struct doubt *d;
    if (f->is_freed)
        return;
    while ((d = doubts_end(&f->doubts, beat)) != NULL)
        follow_end_doubt(container_of(d, struct follow, doubt));
    audit(f);
    ask_lineages(f);
}

/* --- the feed --- */

/* False: it cannot be read. */
static bool begin_dispatch(struct follower *f, struct bytes payload, struct message *m_out) {
    if (message_decode(payload, m_out) != PARSE_OK) {
        log_error("follower", "received_bad_message bytes=%zu", payload.len);
        return false;
    }
    metrics_add(METRIC_feed_messages, 1);
    f->dispatching++;
    return true;
}

static void end_dispatch(struct follower *f, struct message *m) {
    f->dispatching--;
    message_free(m);
    follower_bury_stopped(f);
}

static void on_own_message(void *ctx, struct bytes payload) {
    struct follow *w = ctx;
    struct follower *f = w->follower;
    struct message m;
    if (!begin_dispatch(f, payload, &m))
        return;
    follow_on_live(w, LOG_OWN, &m, payload);
    end_dispatch(f, &m);
}

static void on_own_subscribed(void *ctx) {
    struct follow *w = ctx;
    w->is_confirmed = true;
    follow_on_confirmed(w);
}

static void on_every_message(void *ctx, struct bytes payload) {
    struct every *every = ctx;
    struct follow *w;
    struct message m;
    if (!begin_dispatch(every->follower, payload, &m))
        return;
    LIST_FOREACH (w, &every->list, in_partition)
        follow_on_live(w, LOG_EVERY, &m, payload);
    end_dispatch(every->follower, &m);
}

static void on_every_subscribed(void *ctx) {
    struct every *every = ctx;
    struct follow *w, *next;
    every->is_confirmed = true;
    for (w = LIST_FIRST(&every->list); w != NULL; w = next) {
        next = LIST_NEXT(w, in_partition);
        follow_on_confirmed(w);
    }
}

static void on_feed_lost(void *ctx, const char *why) {
    struct follower *f = ctx;
    (void)why;
    struct follow *w, *next;
    for (unsigned p = 0; p < bus_partitions(f->bus); p++)
        f->partitions[p].is_confirmed = false;
    HASH_ITER (hh, f->follows, w, next)
        follow_on_feed_lost(w);
}

static void on_feed_skipped(void *ctx) {
    struct follower *f = ctx;
    if (f->is_freed)
        return;
    log_warn("follower", "missed_probe names=%u: the feed was deaf for a while; reading again",
             HASH_COUNT(f->follows));
    look_at_all_again(f);
}

/* Another server, or one that fell back, may lack what was read. */
static void on_commands(void *ctx) {
    struct follower *f = ctx;
    const char *server = bus_server(f->bus);
    bool is_other = f->server[0] != '\0' && strcmp(f->server, server) != 0;
    if (f->is_freed)
        return;
    snprintf(f->server, sizeof(f->server), "%s", server);
    if (is_other)
        look_at_all_again(f);
    follower_start_queued(f);
}

static void on_forgotten(void *ctx) {
    struct follower *f = ctx;
    if (!f->is_freed)
        look_at_all_again(f);
}

/* --- life --- */

struct follower *follower_new(struct bus *bus, const struct follower_events *events) {
    static const struct bus_events listener = {.on_commands = on_commands,
                                               .on_feed_lost = on_feed_lost,
                                               .on_feed_skipped = on_feed_skipped,
                                               .on_feed_passed = on_feed_passed,
                                               .on_forgotten = on_forgotten};
    struct follower *f = mem_zalloc(sizeof(*f));
    struct buf key = {0};
    f->bus = bus;
    f->events = events;
    f->audit = audit_new(bus, on_audited);
    TAILQ_INIT(&f->queue);
    TAILQ_INIT(&f->doubts);
    SLIST_INIT(&f->stopped);
    TAILQ_INIT(&f->ready);
    f->partitions = mem_zalloc(bus_partitions(bus) * sizeof(*f->partitions));
    for (unsigned p = 0; p < bus_partitions(bus); p++) {
        struct every *every = &f->partitions[p];
        every->follower = f;
        struct bytes channel = channel_of(&key, p, "n*", BYTES_NONE);
        MUST(channel.len < sizeof(every->channel));
        memcpy(every->channel, channel.ptr, channel.len);
        every->channel_len = channel.len;
        LIST_INIT(&every->list);
    }
    buf_deinit(&key);
    MUST(uv_timer_init(bus_loop(bus), &f->soon) == 0);
    MUST(uv_timer_init(bus_loop(bus), &f->again) == 0);
    bus_listen(bus, &listener, f);
    return f;
}

void follower_bury_stopped(struct follower *f) {
    struct follow *w;
    while (f->dispatching == 0 && (w = SLIST_FIRST(&f->stopped)) != NULL) {
        SLIST_REMOVE_HEAD(&f->stopped, in_stopped);
        LIST_REMOVE(w, in_partition);
        follow_free(w);
    }
}

static void on_timer_closed(uv_handle_t *handle) {
    struct follower *f = container_of((uv_timer_t *)handle, struct follower, soon);
    audit_free(f->audit);
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
    HASH_ITER (hh, f->follows, w, next)
        follower_stop(f, w);
    follower_bury_stopped(f);
    uv_close((uv_handle_t *)&f->again, on_first_timer_closed);
}

struct follow *follower_follow(struct follower *f, struct bytes name, void *owner) {
    static const struct channel_events own_events = {.on_subscribed = on_own_subscribed,
                                                     .on_message = on_own_message};
    static const struct channel_events every_events = {.on_subscribed = on_every_subscribed,
                                                       .on_message = on_every_message};
    struct buf key = {0};
    struct follow *w = mem_zalloc(sizeof(*w) + name.len + 1);
    w->follower = f;
    w->owner = owner;
    w->state = SUBSCRIBING;
    w->partition = partition_of(name, bus_partitions(f->bus));
    w->name_len = name.len;
    memcpy(w->name, name.ptr, name.len);
    holding_init(&w->held);
    TAILQ_INIT(&w->waiters);
    struct bytes channel = channel_of(&key, w->partition, "n:", name);
    w->channel = bytes_dup(channel);
    w->channel_len = channel.len;
    buf_deinit(&key);
    HASH_ADD_KEYPTR(hh, f->follows, w->channel, w->channel_len, w);
    struct every *every = &f->partitions[w->partition];
    LIST_INSERT_HEAD(&every->list, w, in_partition);
    if (every->follows++ == 0)
        bus_subscribe(f->bus, bytes_of(every->channel, every->channel_len), &every_events, every);
    bus_subscribe(f->bus, bytes_of(w->channel, w->channel_len), &own_events, w);
    return w;
}

void follower_stop(struct follower *f, struct follow *w) {
    struct every *every = &f->partitions[w->partition];
    follow_stop(w);
    audit_forget(f->audit, w);
    if (f->next_audited == w)
        f->next_audited = w->hh.next;
    HASH_DEL(f->follows, w);
    bus_unsubscribe(f->bus, bytes_of(w->channel, w->channel_len));
    if (--every->follows == 0) {
        every->is_confirmed = false;
        every->known = (struct lineage){.has_owner = false};
        bus_unsubscribe(f->bus, bytes_of(every->channel, every->channel_len));
    }
    /* While callbacks run, the loop over the partition's list may stand on it. */
    SLIST_INSERT_HEAD(&f->stopped, w, in_stopped);
    follower_bury_stopped(f);
}
