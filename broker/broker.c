/*
 * broker.c - see broker.h: the parts put together. What Redis tells (listen), what the lease tells
 * (taking and giving back partitions), the app file, the end.
 */
#include "broker/broker.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/handlers/handler_send.h"
#include "broker/inbox.h"
#include "broker/entry/conn_queues.h"
#include "broker/public_entrance.h"
#include "broker/reaper.h"
#include "broker/schedules.h"
#include "common/admin/admin.h"
#include "common/app/app.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/metrics.h"
#include "common/base/settings.h"
#include "common/bus/cluster/about.h"
#include "common/bus/bus.h"
#include "common/bus/notice.h"
#include "common/bus/log/watch.h"
#include "common/bus/log/ingest.h"
#include "common/bus/cluster/store.h"
#include "common/bus/cluster/lease.h"
#include "common/bus/cluster/registry.h"
#include "common/bus/cluster/report.h"
#include "common/bus/cluster/rules.h"

enum { PATIENCE_MS = 5000, GIVE_BACK_MS = 5000, LINGER_MS = 2000, SPARE_MS = 10000 };

/* --- questions --- */

const struct registrations *broker_registrations(const struct broker *b) {
    return app_registrations(b->app);
}

bool broker_owns(const struct broker *b, unsigned partition) {
    return b->inboxes[partition] != NULL;
}

/* --- partitions come and go --- */

static void on_taken(void *ctx, unsigned slot, const struct lease_grant *grant) {
    struct broker *b = ctx;
    bool is_public = slot == lease_public(b->lease);
    b->inboxes[slot] =
        inbox_new(b, slot, grant, is_public ? public_entrance_process : inbox_process_entry);
    if (!is_public)
        reaper_on_taken(b->reaper, slot);
}

static uint64_t on_ask_stuck(void *ctx, unsigned slot) {
    const struct broker *b = ctx;
    return b->inboxes[slot] != NULL ? inbox_stuck_ms(b->inboxes[slot]) : 0;
}

static void drop_inbox(struct broker *b, unsigned slot) {
    inbox_close(b->inboxes[slot]);
    b->inboxes[slot] = NULL;
}

static void on_lost(void *ctx, unsigned slot, const char *why) {
    (void)why;
    drop_inbox(ctx, slot);
}

static void on_give_back(void *ctx, unsigned slot) {
    struct broker *b = ctx;
    if (b->inboxes[slot] != NULL)
        inbox_end(b->inboxes[slot]);
    else
        lease_give_back(b->lease, slot);
}

void broker_on_inbox_end(struct broker *b, unsigned slot, bool is_fenced) {
    b->inboxes[slot] = NULL;
    if (is_fenced)
        lease_drop(b->lease, slot);
    else
        lease_give_back(b->lease, slot);
}

static void finish(struct broker *b);
static void on_reload_notice(struct broker *b, struct bytes token);
static void on_secret(void *ctx, int status, struct bytes secret);

static void on_released(void *ctx) {
    struct broker *b = ctx;
    if (b->is_stopping)
        finish(b);
    else
        notice_send(b->bus, &(struct notice){.kind = NOTICE_lease});
}

/* --- Redis --- */

static void on_commands(void *ctx) {
    struct broker *b = ctx;
    log_info("broker", "reached_redis id=%s", bus_id(b->bus));
    lease_on_commands(b->lease);
    store_server_secret(b->bus, on_secret, b);
}

/* Whatever is under way may have been carried out or not: everything is forgotten and taken anew,
 * under new terms. Redis may be another one now. */
static void on_commands_lost(void *ctx) {
    struct broker *b = ctx;
    log_warn("broker", "lost_redis partitions=%zu", lease_held_count(b->lease));
    for (unsigned slot = 0; slot <= lease_public(b->lease); slot++)
        drop_inbox(b, slot);
    lease_on_commands_lost(b->lease);
    reaper_on_commands_lost(b->reaper);
    if (b->is_stopping)
        finish(b);
}

static void on_published(void *ctx, struct bytes payload) {
    struct broker *b = ctx;
    if (!b->is_stopping)
        public_entrance_on_published(b, payload);
}

static void on_mismatch(void *ctx, const char *why) {
    struct broker *b = ctx;
    log_error("broker", "refused_to_start why=\"%s\"", why);
    b->exit_code = 1;
    broker_stop(b);
}

static void on_notice(void *ctx, const struct notice *n) {
    struct broker *b = ctx;
    if (n->kind == NOTICE_lease)
        lease_hurry(b->lease, n->lease.leaver);
    else if (n->kind == NOTICE_reload)
        on_reload_notice(b, n->reload.token);
    else if (n->kind == NOTICE_trace)
        trace_on_notice(&b->trace, &n->trace);
}

/* --- rules --- */

static struct rule_copy *find_rule(struct broker *b, struct bytes field) {
    struct rule_copy *c = b->rule_copies;
    while (c != NULL && !bytes_equal_str(field, c->field))
        c = c->next;
    return c;
}

static void on_rule(void *ctx, struct bytes field, struct bytes value) {
    struct broker *b = ctx;
    struct rule_copy *c = find_rule(b, field);
    if (c == NULL) {
        c = mem_zalloc(sizeof(*c));
        c->field = bytes_dup(field);
        c->next = b->rule_copies;
        b->rule_copies = c;
    }
    free(c->value);
    c->value = bytes_dup(value);
    app_apply_rule(b->app, field, value);
}

static void free_rules(struct broker *b) {
    while (b->rule_copies != NULL) {
        struct rule_copy *c = b->rule_copies;
        b->rule_copies = c->next;
        free(c->field);
        free(c->value);
        free(c);
    }
}

/* --- the app --- */

/* What the cluster said before it was loaded. */
static void tell_app(struct broker *b) {
    for (struct rule_copy *c = b->rule_copies; c != NULL; c = c->next)
        app_apply_rule(b->app, bytes_str(c->field), bytes_str(c->value));
    if (b->secret.len > 0)
        app_set_server_secret(b->app, buf_bytes(&b->secret));
}

static void on_secret(void *ctx, int status, struct bytes secret) {
    struct broker *b = ctx;
    if (status != 0 || b->is_closed)
        return;
    buf_clear(&b->secret);
    buf_append(&b->secret, secret);
    app_set_server_secret(b->app, secret);
}

static struct app *load_app(struct broker *b, char **error_out) {
    b->environment = (struct app_environment){.loop = b->loop,
                                              .settings = b->settings,
                                              .bus = b->bus,
                                              .registry = b->registry,
                                              .rules = b->rules,
                                              .host = &handler_send_host,
                                              .host_ctx = b,
                                              .has_ended = &b->is_closed};
    return app_load(b->app_path, &b->environment, error_out);
}

static void reload_access(struct broker *b, struct report *report) {
    char *error = bus_reload(b->bus);
    if (error != NULL)
        report_error(report, "%s; what was read before stays", error);
    free(error);
}

void broker_reload(struct broker *b, struct report *report) {
    char *error = NULL;
    supervisor_reloading(&b->supervisor);
    struct app *app = load_app(b, &error);
    if (app == NULL) {
        report_error(report, "%s; the old app stays", error);
        free(error);
    } else {
        app_release(b->app);
        b->app = app;
        tell_app(b);
        schedules_begin_anew(b->schedules);
        log_info("broker", "reloaded app=%s", b->app_path);
    }
    reload_access(b, report);
    report_log(report, "broker");
    supervisor_reloaded(&b->supervisor);
}

/* "reload [<token>]", answered by a report. */
static void on_reload_notice(struct broker *b, struct bytes token) {
    struct report report = {0};
    broker_reload(b, &report);
    report_send(&report, b->bus, token);
    report_deinit(&report);
}

/* --- patience: says what is waited for --- */

static void on_patience(uv_timer_t *timer) {
    struct broker *b = container_of(timer, struct broker, patience);
    metrics_set(METRIC_handlers_waiting, (int64_t)app_waiting(b->app));
    /* What else may be wrong is in the log already (troubles.h). */
    const char *trouble = bus_can_send(b->bus) ? "" : bus_trouble(b->bus);
    if (*trouble != '\0' && strcmp(trouble, b->waits_for) != 0)
        log_warn("broker", "waits for=%s", LOG_TEXT(bytes_str(trouble)));
    snprintf(b->waits_for, sizeof(b->waits_for), "%s", trouble);
}

/* --- life --- */

static const char *trouble(void *ctx) {
    const struct broker *b = ctx;
    return b->is_stopping ? "stopping" : bus_trouble(b->bus);
}

static void on_second(uv_timer_t *timer) {
    struct broker *b = container_of(timer, struct broker, second);
    supervisor_tick(&b->supervisor, trouble(b));
}

static const char *note(void *ctx) {
    const struct broker *b = ctx;
    return bus_note(b->bus);
}

static void set_gauges(void *ctx) {
    const struct broker *b = ctx;
    metrics_set(METRIC_partitions_owned, (int64_t)lease_held_count(b->lease));
    metrics_set(METRIC_handlers_waiting, (int64_t)app_waiting(b->app));
}

static int open_admin(struct broker *b) {
    struct admin_host host = {.loop = b->loop,
                              .settings = b->settings,
                              .bus = b->bus,
                              .registry = b->registry,
                              .trouble = trouble,
                              .note = note,
                              .before_metrics = set_gauges,
                              .ctx = b};
    return admin_open(&host, &b->admin);
}

static void start_parts(struct broker *b) {
    static const struct channel_events published_events = {.on_message = on_published};
    static const struct lease_events lease_events = {on_taken, on_give_back, on_lost, on_released};
    static const struct bus_events bus_events = {.on_commands = on_commands,
                                                 .on_commands_lost = on_commands_lost,
                                                 .on_mismatch = on_mismatch};
    b->free_sends = ingest_new(b->bus, "b", FREE_SENDS_BYTES, NULL, NULL);
    b->lease = lease_new(b->bus, (uint64_t)b->settings->lease_ms, &lease_events, b);
    lease_ask_stuck(b->lease, on_ask_stuck);
    b->queues = conn_queues_new(b);
    b->reaper = reaper_new(b);
    b->schedules = schedules_new(b);
    bus_listen(b->bus, &bus_events, b);
    trace_init(&b->trace, b->bus, "broker");
    b->about = about_new(b->bus, BYTES_NONE, b->settings->admin);
    rules_on_notice(b->rules, on_notice, b);
    watch_public_channel(b->bus, &published_events, b);
    MUST(uv_timer_init(b->loop, &b->patience) == 0);
    MUST(uv_timer_start(&b->patience, on_patience, PATIENCE_MS / 5, PATIENCE_MS) == 0);
    supervisor_init(&b->supervisor);
    MUST(uv_timer_init(b->loop, &b->second) == 0);
    MUST(uv_timer_start(&b->second, on_second, 1000, 1000) == 0);
    bus_start(b->bus);
}

int broker_init(struct broker *b, uv_loop_t *loop, const struct settings *settings,
                const char *app_path) {
    char *error = NULL;
    *b = (struct broker){.loop = loop, .settings = settings, .app_path = app_path};
    b->bus = bus_new(loop, settings, BUS_BROKER);
    if (b->bus == NULL)
        return 2;
    b->registry = registry_new(b->bus);
    b->rules = rules_new(b->bus, on_rule, b);
    b->app = load_app(b, &error);
    if (b->app == NULL) {
        fprintf(stderr, "signalbox-broker: %s\n", error);
        free(error);
        return 1;
    }
    size_t slots = bus_partitions(b->bus) + 1;
    b->inboxes = mem_zalloc(slots * sizeof(*b->inboxes));
    b->survived = mem_zalloc(slots * sizeof(*b->survived));
    if (open_admin(b) < 0)
        return 1;
    start_parts(b);
    log_info("broker", "started id=%s app=%s partitions=%u", bus_id(b->bus), app_path,
             bus_partitions(b->bus));
    return 0;
}

/* --- the end: batches, leases, goodbye, what is still on its way, links --- */

static void close_all(struct broker *b) {
    if (b->is_closed)
        return;
    b->is_closed = true;
    bus_hang_up(b->bus);
    for (unsigned slot = 0; slot <= lease_public(b->lease); slot++)
        drop_inbox(b, slot);
    admin_close(b->admin);
    schedules_free(b->schedules);
    reaper_free(b->reaper);
    conn_queues_end(b->queues);
    lease_free(b->lease);
    app_release(b->app);
    ingest_free(b->free_sends);
    about_free(b->about);
    trace_deinit(&b->trace);
    rules_free(b->rules);
    registry_free(b->registry);
    uv_close((uv_handle_t *)&b->patience, NULL);
    uv_close((uv_handle_t *)&b->second, NULL);
    bus_close(b->bus);
}

static void on_linger(uv_timer_t *timer) {
    struct broker *b = container_of(timer, struct broker, patience);
    bool is_idle = ingest_count(b->free_sends) == 0 && app_waiting(b->app) == 0;
    if (is_idle || clock_ms() - b->left_ms >= LINGER_MS)
        close_all(b);
}

static void on_left(void *ctx) {
    struct broker *b = ctx;
    b->left_ms = clock_ms();
    MUST(uv_timer_start(&b->patience, on_linger, 0, 20) == 0);
}

/* Nothing is ours any more: the others may take it at once. */
static void finish(struct broker *b) {
    if (b->is_closed || b->is_leaving)
        return;
    b->is_leaving = true;
    struct notice n = {.kind = NOTICE_lease, .lease = {.leaver = bytes_str(bus_id(b->bus))}};
    notice_send(b->bus, &n);
    log_info("broker", "stopped");
    bus_leave(b->bus, on_left, b);
}

static void on_give_back_timeout(uv_timer_t *timer) {
    struct broker *b = container_of(timer, struct broker, patience);
    log_warn("broker", "left batches behind: Redis did not take them");
    finish(b);
}

void broker_stop(struct broker *b) {
    if (b->is_stopping) {
        close_all(b);
        return;
    }
    b->is_stopping = true;
    supervisor_stopping(&b->supervisor, GIVE_BACK_MS + LINGER_MS + SPARE_MS);
    MUST(uv_timer_start(&b->patience, on_give_back_timeout, GIVE_BACK_MS, 0) == 0);
    lease_shutdown(b->lease);
    if (!bus_can_send(b->bus) || !lease_is_busy(b->lease))
        finish(b);
}

void broker_deinit(struct broker *b) {
    free_rules(b);
    conn_queues_free(b->queues);
    buf_deinit(&b->secret);
    supervisor_deinit(&b->supervisor);
    free(b->inboxes);
    free(b->survived);
}
