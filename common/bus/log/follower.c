/*
 * follower.c - see follower.h: all followed Names, what the feed brings them, and the search for
 * what it did not bring. One Name is follow.c. Read on_own_message, then on_feed_passed.
 */
#include "common/bus/log/follower.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/log.h"
#include "common/base/metrics.h"
#include "common/bus/bus_send.h"
#include "common/bus/log/follow.h"
#include "common/bus/redis/feed.h"
#include "common/bus/redis/server_info.h"

struct follower {
    struct bus *bus;
    struct follow_shared shared;
    TAILQ_HEAD(, follow) follows;
    unsigned count;
    struct follow_partition *partitions;
    struct gap_audit *audit;
    struct follow *next_audited;       /* NULL: the first */
    char server[SERVER_IDENTITY_TEXT]; /* that the commands went to last */
    bool is_freed;
};

static void look_at_all_again(struct follower *f) {
    struct follow *w;
    TAILQ_FOREACH (w, &f->follows, link)
        follow_look_again(w);
}

/* --- the audit --- */

static void on_audited(void *subject, const struct gap_audited *audited) {
    follow_on_audited(subject, audited);
}

static void audit(struct follower *f) {
    unsigned left = f->count;
    while (left-- > 0 && bus_can_send(f->bus) && gap_audit_has_room(f->audit)) {
        struct follow *w = f->next_audited != NULL ? f->next_audited : TAILQ_FIRST(&f->follows);
        f->next_audited = TAILQ_NEXT(w, link);
        if (w->state == LIVE && w->has_start)
            gap_audit_ask(f->audit, follow_name(w), w);
    }
}

/* --- lineages: whether Redis fell back under standing connections, and what it had before --- */

/* True when all the follows stand in the data of this lineage. */
static bool have_all_read(struct follow_partition *p, const struct lineage *l) {
    struct follow *w;
    bool have_all = true;
    LIST_FOREACH (w, &p->list, in_partition) {
        bool is_elsewhere = w->has_start && lineage_find(l, w->position) == LINEAGE_ELSEWHERE;
        have_all = have_all && w->state == LIVE && !is_elsewhere;
        if (is_elsewhere)
            follow_look_again(w);
    }
    return have_all;
}

static void on_lineage(void *ctx, struct redisReply *reply) {
    struct follow_partition *p = ctx;
    struct lineage now;
    if (reply_is_error(reply, NULL))
        bus_refused(p->shared->bus, "HMGET", reply);
    if (lineage_read(&now, reply) && now.has_owner && have_all_read(p, &now))
        p->known = now;
}

static void ask_lineages(struct follower *f) {
    for (unsigned i = 0; i < bus_partitions(f->bus) && bus_can_send(f->bus); i++) {
        if (f->partitions[i].count == 0)
            continue;
        struct command c = lineage_ask(i);
        bus_send(f->bus, i, &c, on_lineage, &f->partitions[i]);
    }
}

/* What was published before this heartbeat was sent has come. */
static void on_feed_passed(void *ctx, uint64_t beat) {
    struct follower *f = ctx;
    struct gap_suspicion *s;
    if (f->is_freed)
        return;
    while ((s = gap_next_certain(&f->shared.suspicions, beat)) != NULL)
        follow_on_certain(container_of(s, struct follow, suspicion));
    audit(f);
    ask_lineages(f);
}

/* --- the feed --- */

/* False: it cannot be read. */
static bool begin_dispatch(struct follow_shared *s, struct bytes payload, struct message *m_out) {
    if (message_decode(payload, m_out) != PARSE_OK) {
        log_error("follower", "received_bad_message bytes=%zu", payload.len);
        return false;
    }
    metrics_add(METRIC_feed_messages, 1);
    s->dispatching++;
    return true;
}

static void end_dispatch(struct follow_shared *s, struct message *m) {
    s->dispatching--;
    message_free(m);
    follow_free_stopped(s);
}

static void on_own_message(void *ctx, struct bytes payload) {
    struct follow *w = ctx;
    struct follow_shared *s = w->shared;
    struct message m;
    if (!begin_dispatch(s, payload, &m))
        return;
    follow_on_live(w, LOG_OWN, &m, payload);
    end_dispatch(s, &m);
}

static void on_own_subscribed(void *ctx) {
    struct follow *w = ctx;
    w->is_confirmed = true;
    follow_on_confirmed(w);
}

static void on_every_message(void *ctx, struct bytes payload) {
    struct follow_partition *p = ctx;
    struct follow *w;
    struct message m;
    if (!begin_dispatch(p->shared, payload, &m))
        return;
    m.is_to_every = true;
    LIST_FOREACH (w, &p->list, in_partition)
        follow_on_live(w, LOG_EVERY, &m, payload);
    end_dispatch(p->shared, &m);
}

static void on_every_subscribed(void *ctx) {
    struct follow_partition *p = ctx;
    struct follow *w, *next;
    p->is_confirmed = true;
    for (w = LIST_FIRST(&p->list); w != NULL; w = next) {
        next = LIST_NEXT(w, in_partition);
        follow_on_confirmed(w);
    }
}

static void on_feed_lost(void *ctx, const char *why) {
    struct follower *f = ctx;
    struct follow *w;
    (void)why;
    for (unsigned i = 0; i < bus_partitions(f->bus); i++)
        f->partitions[i].is_confirmed = false;
    TAILQ_FOREACH (w, &f->follows, link)
        follow_on_feed_lost(w);
}

static void on_feed_skipped(void *ctx) {
    struct follower *f = ctx;
    if (f->is_freed)
        return;
    log_warn("follower", "missed_probe names=%u: the feed was deaf for a while; reading again",
             f->count);
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
    catch_ups_start(&f->shared.catch_ups);
}

static void on_forgotten(void *ctx) {
    struct follower *f = ctx;
    if (!f->is_freed)
        look_at_all_again(f);
}

/* --- life --- */

struct follower *follower_new(struct bus *bus, const struct follower_events *events, void *ctx) {
    static const struct bus_events listener = {.on_commands = on_commands,
                                               .on_feed_lost = on_feed_lost,
                                               .on_feed_skipped = on_feed_skipped,
                                               .on_feed_passed = on_feed_passed,
                                               .on_forgotten = on_forgotten};
    struct follower *f = mem_zalloc(sizeof(*f));
    f->bus = bus;
    follow_shared_init(&f->shared, bus, events, ctx);
    TAILQ_INIT(&f->follows);
    f->audit = gap_audit_new(bus, on_audited);
    f->partitions = mem_zalloc(bus_partitions(bus) * sizeof(*f->partitions));
    for (unsigned i = 0; i < bus_partitions(bus); i++) {
        f->partitions[i] = (struct follow_partition){.shared = &f->shared, .number = i};
        LIST_INIT(&f->partitions[i].list);
    }
    bus_listen(bus, &listener, f);
    return f;
}

static void on_soon_closed(uv_handle_t *handle) {
    struct follower *f = container_of((uv_timer_t *)handle, struct follower, shared.soon);
    gap_audit_free(f->audit);
    free(f->partitions);
    free(f);
}

static void on_pause_closed(uv_handle_t *handle) {
    struct follower *f =
        container_of((uv_timer_t *)handle, struct follower, shared.catch_ups.pause);
    uv_close((uv_handle_t *)&f->shared.soon, on_soon_closed);
}

void follower_free(struct follower *f) {
    if (f == NULL)
        return;
    f->is_freed = true;
    while (!TAILQ_EMPTY(&f->follows))
        follower_stop(f, TAILQ_FIRST(&f->follows));
    follow_free_stopped(&f->shared);
    uv_close((uv_handle_t *)&f->shared.catch_ups.pause, on_pause_closed);
}

struct follow *follower_follow(struct follower *f, struct bytes name, void *owner) {
    static const struct channel_events own_events = {.on_subscribed = on_own_subscribed,
                                                     .on_message = on_own_message};
    static const struct channel_events every_events = {.on_subscribed = on_every_subscribed,
                                                       .on_message = on_every_message};
    struct follow_partition *p = &f->partitions[partition_of(name, bus_partitions(f->bus))];
    struct follow *w = follow_new(p, name, owner);
    struct buf channel = {0};
    TAILQ_INSERT_TAIL(&f->follows, w, link);
    f->count++;
    if (p->count++ == 0)
        bus_subscribe(f->bus, channel_of(&channel, p->number, CHANNEL_MESSAGES_TO_ALL, BYTES_NONE),
                      &every_events, p);
    bus_subscribe(f->bus, channel_of(&channel, p->number, CHANNEL_MESSAGES, name), &own_events, w);
    buf_deinit(&channel);
    return w;
}

void follower_stop(struct follower *f, struct follow *w) {
    struct follow_partition *p = w->partition;
    struct buf channel = {0};
    follow_stop(w);
    gap_audit_forget(f->audit, w);
    if (f->next_audited == w)
        f->next_audited = TAILQ_NEXT(w, link);
    TAILQ_REMOVE(&f->follows, w, link);
    f->count--;
    bus_unsubscribe(f->bus, channel_of(&channel, p->number, CHANNEL_MESSAGES, follow_name(w)));
    if (--p->count == 0) {
        p->is_confirmed = false;
        p->known = (struct lineage){.has_owner = false};
        bus_unsubscribe(f->bus,
                        channel_of(&channel, p->number, CHANNEL_MESSAGES_TO_ALL, BYTES_NONE));
    }
    buf_deinit(&channel);
    follow_free_stopped(&f->shared);
    if (!f->is_freed)
        catch_ups_start(&f->shared.catch_ups); /* it may have been one of those that were reading */
}
