/*
 * broker.c - see broker.h. Puts the parts together: read broker_open. The rest is what happens when
 * the lease gives or takes a slot, when Redis comes and goes, and at the end.
 */
#include "broker/broker.h"

#include <stdio.h>
#include <string.h>

#include "broker/entries.h"
#include "broker/entry/shares.h"
#include "broker/handlers/handler_run.h"
#include "broker/heard_takes.h"
#include "broker/inbox.h"
#include "broker/public_entrance.h"
#include "broker/reaper.h"
#include "broker/schedules.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/bus/bus.h"
#include "common/bus/notice.h"
#include "common/bus/log/watch.h"
#include "common/bus/log/ingest.h"
#include "common/bus/cluster/lease.h"
#include "common/bus/cluster/report.h"

enum { PATIENCE_MS = 5000, GIVE_BACK_MS = 5000, LINGER_MS = 2000, SPARE_MS = 10000 };

/* --- leaving: the notice, then what is still on its way --- */

static void on_linger(uv_timer_t *timer) {
    struct broker *b = container_of(timer, struct broker, patience);
    bool is_idle = ingest_count(b->parts.free_sends) == 0 && app_waiting(b->daemon.app.app) == 0;
    if (is_idle || clock_ms() - b->left_ms >= LINGER_MS)
        daemon_quit(&b->daemon);
}

static void on_left(void *ctx) {
    struct broker *b = ctx;
    b->left_ms = clock_ms();
    MUST(uv_timer_start(&b->patience, on_linger, 0, 20) == 0);
}

/* Nothing is ours any more: the others may take it at once. */
static void finish(struct broker *b) {
    if (b->state == BROKER_LEAVES)
        return;
    b->state = BROKER_LEAVES;
    struct notice n = {.kind = NOTICE_lease, .lease = {.leaver = bytes_str(bus_id(b->bus))}};
    notice_send(b->bus, &n);
    log_info("broker", "stopped");
    bus_leave(b->bus, on_left, b);
}

/* --- partitions come and go --- */

static void on_taken(void *ctx, unsigned slot, const struct lease_grant *grant) {
    struct broker *b = ctx;
    heard_takes_taken(b->heard, slot, grant->term);
    inboxes_take(b->inboxes, slot, grant);
    if (slot != lease_public(b->lease))
        reaper_on_taken(b->reaper, slot);
}

static uint64_t on_ask_stuck(void *ctx, unsigned slot) {
    const struct broker *b = ctx;
    return inboxes_stuck_ms(b->inboxes, slot);
}

static void on_lost(void *ctx, unsigned slot, const char *why) {
    struct broker *b = ctx;
    (void)why;
    inboxes_drop(b->inboxes, slot);
}

static void on_give_back(void *ctx, unsigned slot) {
    struct broker *b = ctx;
    if (!inboxes_give_back(b->inboxes, slot))
        lease_give_back(b->lease, slot);
}

static void on_inbox_end(void *ctx, unsigned slot, bool is_fenced) {
    struct broker *b = ctx;
    if (is_fenced)
        lease_drop(b->lease, slot);
    else
        lease_give_back(b->lease, slot);
}

static void on_released(void *ctx) {
    struct broker *b = ctx;
    if (b->state != BROKER_RUNS)
        finish(b);
    else
        notice_send(b->bus, &(struct notice){.kind = NOTICE_lease});
}

/* --- Redis --- */

static void on_commands(void *ctx) {
    struct broker *b = ctx;
    log_info("broker", "reached_redis id=%s", bus_id(b->bus));
    lease_on_commands(b->lease);
}

/* Each call that is under way may have been carried out or not, so everything is dropped and taken
 * again under new terms. It may be another Redis by then. */
static void on_commands_lost(void *ctx) {
    struct broker *b = ctx;
    log_warn("broker", "lost_redis partitions=%zu", lease_held_count(b->lease));
    for (unsigned slot = 0; slot <= lease_public(b->lease); slot++)
        inboxes_drop(b->inboxes, slot);
    lease_on_commands_lost(b->lease);
    reaper_on_commands_lost(b->reaper);
    if (b->state != BROKER_RUNS)
        finish(b);
}

static void on_published(void *ctx, struct bytes payload) {
    struct broker *b = ctx;
    if (b->state == BROKER_RUNS)
        public_entrance_on_published(&b->parts, b->lease, b->heard, payload);
}

static void on_feed_passed(void *ctx, uint64_t beat) {
    heard_takes_passed(((struct broker *)ctx)->heard, beat);
}

static void on_notice(void *ctx, const struct notice *n) {
    struct broker *b = ctx;
    if (n->kind == NOTICE_lease)
        lease_hurry(b->lease, n->lease.leaver);
}

/* --- waiting for Redis --- */

static void on_patience(uv_timer_t *timer) {
    struct broker *b = container_of(timer, struct broker, patience);
    /* What else may be wrong is in the log already (troubles.h). */
    const char *trouble = bus_can_send(b->bus) ? "" : bus_trouble(b->bus);
    if (*trouble != '\0' && strcmp(trouble, b->waits_for) != 0)
        log_warn("broker", "waits for=%s", LOG_TEXT(bytes_str(trouble)));
    snprintf(b->waits_for, sizeof(b->waits_for), "%s", trouble);
}

/* --- life --- */

static const char *trouble(void *ctx) {
    const struct broker *b = ctx;
    return b->state != BROKER_RUNS ? "stopping" : "";
}

static void on_reload(void *ctx, bool is_loaded, struct report *report) {
    struct broker *b = ctx;
    (void)report;
    if (is_loaded)
        schedules_forget_ticks(b->schedules);
}

void broker_open(struct broker *b) {
    static const struct channel_events published_events = {.on_message = on_published};
    static const struct lease_events lease_events = {on_taken, on_give_back, on_lost, on_released};
    static const struct bus_events bus_events = {.on_commands = on_commands,
                                                 .on_commands_lost = on_commands_lost,
                                                 .on_feed_passed = on_feed_passed};
    static const struct inbox_events inbox_events = {entries_process, public_entrance_process,
                                                     on_inbox_end};
    const struct settings *s = &b->daemon.settings;
    uv_loop_t *loop = &b->daemon.loop;
    b->bus = b->daemon.bus;
    b->lease = lease_new(b->bus, (uint64_t)s->lease_ms, &lease_events, b);
    lease_ask_stuck(b->lease, on_ask_stuck);
    b->parts = (struct entry_parts){
        .bus = b->bus,
        .app = &b->daemon.app.app,
        .max_message_bytes = (size_t)s->max_message_bytes,
        .queues = conn_queues_new(loop, b->bus),
        .free_sends = ingest_new(b->bus, "b", HANDLER_RUN_UNSENT_BYTES, NULL, NULL),
        .trace = &b->daemon.trace};
    b->parts.shares = shares_new(loop, b->parts.queues, (uint64_t)s->lua_budget_ms * 1000);
    struct inbox_options options = {.loop = loop,
                                    .settings = s,
                                    .lease = b->lease,
                                    .parts = &b->parts,
                                    .events = &inbox_events,
                                    .ctx = b};
    b->inboxes = inboxes_new(&options);
    b->reaper = reaper_new(loop, b->bus, b->lease, b->inboxes, (uint64_t)s->dead_after_ms);
    b->schedules = schedules_new(loop, &b->parts, b->inboxes);
    bus_listen(b->bus, &bus_events, b);
    b->heard = heard_takes_new(b->bus, lease_public(b->lease) + 1);
    watch_public_channel(b->bus, &published_events, b);
    MUST(uv_timer_init(loop, &b->patience) == 0);
    MUST(uv_timer_start(&b->patience, on_patience, PATIENCE_MS / 5, PATIENCE_MS) == 0);
}

/* --- the end: batches and leases first, then leaving --- */

static void on_give_back_timeout(uv_timer_t *timer) {
    struct broker *b = container_of(timer, struct broker, patience);
    log_warn("broker", "left batches behind: Redis did not take them");
    finish(b);
}

static void on_stop(void *ctx, bool is_again) {
    struct broker *b = ctx;
    if (is_again) {
        daemon_quit(&b->daemon);
        return;
    }
    b->state = BROKER_GIVES_BACK;
    supervisor_stopping(&b->daemon.supervisor, GIVE_BACK_MS + LINGER_MS + SPARE_MS);
    MUST(uv_timer_start(&b->patience, on_give_back_timeout, GIVE_BACK_MS, 0) == 0);
    lease_shutdown(b->lease);
    if (!bus_can_send(b->bus) || !lease_is_busy(b->lease))
        finish(b);
}

void broker_close(struct broker *b) {
    for (unsigned slot = 0; slot <= lease_public(b->lease); slot++)
        inboxes_drop(b->inboxes, slot);
    schedules_free(b->schedules);
    reaper_free(b->reaper);
    shares_end(b->parts.shares);
    conn_queues_end(b->parts.queues);
    lease_free(b->lease);
    ingest_free(b->parts.free_sends);
    uv_close((uv_handle_t *)&b->patience, NULL);
}

void broker_deinit(struct broker *b) {
    conn_queues_free(b->parts.queues);
    shares_free(b->parts.shares);
    heard_takes_free(b->heard);
    inboxes_free(b->inboxes);
}

const struct daemon_kind broker_kind = {
    .program = "signalbox-broker",
    .name = "broker",
    .usage = "APP [--redis URL] [SETTING…]\n\n"
             "APP is the app file or its folder. Runs signal routes, broadcasts, events and\n"
             "schedules. Any number of brokers share the work.\n",
    .who = FOR_BROKER,
    .bus_kind = BUS_BROKER,
    .trouble = trouble,
    .on_stop = on_stop,
    .on_reload = on_reload,
    .on_notice = on_notice,
};
