/*
 * main.c - signalbox-gateway: a table of contents. start() makes the parts from the bottom up,
 * end() takes them down in the opposite order.
 *
 *     signalbox-gateway APP [--redis URL] [--listen URL]… [--admin ADDR:PORT]
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/admin/admin.h"
#include "common/app/app.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/metrics.h"
#include "common/base/settings.h"
#include "common/bus/cluster/about.h"
#include "common/bus/bus.h"
#include "common/bus/log/follower.h"
#include "common/bus/log/ingest.h"
#include "common/bus/cluster/registry.h"
#include "common/bus/cluster/report.h"
#include "common/bus/cluster/rules.h"
#include "gateway/delivery/downlink.h"
#include "gateway/gateway.h"
#include "gateway/routes/dispatch.h"
#include "gateway/setup.h"

#define PROGRAM "signalbox-gateway"
enum { LAST_TURNS = 20, LAST_MS = 3000 };

struct process {
    struct gateway gateway;
    struct settings settings;
    uv_signal_t term, interrupt, hangup;
    unsigned stops; /* signals that asked for the end: the second is impatience */
};

static int fail(char *error) {
    fprintf(stderr, PROGRAM ": %s\n", error);
    free(error);
    return -1;
}

/* ---- signals */

static void on_stop(uv_signal_t *signal, int number) {
    struct gateway *g = signal->data;
    struct process *p = container_of(g, struct process, gateway);
    (void)number;
    if (++p->stops > 1)
        _exit(1);
    (void)drain_start(&g->drain, (uint64_t)g->settings->drain_ms, DRAIN_ENDS);
}

static void on_hangup(uv_signal_t *signal, int number) {
    (void)number;
    struct report report = {0};
    gateway_reload(signal->data, &report);
    report_deinit(&report);
}

static void open_signal(struct process *p, uv_signal_t *handle, int number, uv_signal_cb fn) {
    MUST(uv_signal_init(p->gateway.loop, handle) == 0);
    MUST(uv_signal_start(handle, fn, number) == 0);
    handle->data = &p->gateway;
    uv_unref((uv_handle_t *)handle);
}

static void open_signals(struct process *p) {
    signal(SIGPIPE, SIG_IGN);
    open_signal(p, &p->term, SIGTERM, on_stop);
    open_signal(p, &p->interrupt, SIGINT, on_stop);
    open_signal(p, &p->hangup, SIGHUP, on_hangup);
}

static void close_signals(struct process *p) {
    uv_close((uv_handle_t *)&p->term, NULL);
    uv_close((uv_handle_t *)&p->interrupt, NULL);
    uv_close((uv_handle_t *)&p->hangup, NULL);
}

/* ---- hooks between the parts */

static void on_room(void *ctx) {
    struct gateway *g = ctx;
    uplink_on_room(&g->uplink);
}

static void on_flushed(struct conns *set) {
    struct gateway *g = set->owner;
    message_frames_forget(&g->frames);
    receipts_report(&g->receipts);
}

static void on_conn_gone(struct conns *set, struct conn *c) {
    struct gateway *g = set->owner;
    listeners_forget(&g->listeners, c);
}

static const char *trouble(void *ctx) {
    return gateway_trouble(ctx);
}

static const char *note(void *ctx) {
    const struct gateway *g = ctx;
    return bus_note(g->bus);
}

static void set_gauges(void *ctx) {
    struct gateway *g = ctx;
    metrics_set(METRIC_redis_ready, bus_is_ready(g->bus));
    metrics_set(METRIC_uplink_bytes, (int64_t)ingest_bytes(g->ingest));
}

static void on_second(uv_timer_t *timer) {
    struct gateway *g = container_of(timer, struct gateway, second);
    set_gauges(g);
    supervisor_tick(&g->supervisor, gateway_trouble(g));
    clients_sweep(&g->clients);
    cluster_probe(&g->cluster);
}

/* ---- start and end */

static uint64_t sweep_ms(const struct settings *s) {
    int64_t least = s->ping_ms < s->pong_timeout_ms ? s->ping_ms : s->pong_timeout_ms;
    least = least < s->head_timeout_ms ? least : s->head_timeout_ms;
    return least / 4 > 1000 ? 1000 : (uint64_t)least / 4;
}

static int open_bus(struct gateway *g) {
    g->bus = bus_new(g->loop, g->settings, BUS_GATEWAY);
    if (g->bus == NULL)
        return -1;
    g->registry = registry_new(g->bus);
    g->rules = rules_new(g->bus, cluster_on_rule, &g->cluster);
    g->ingest = ingest_new(g->bus, "", (size_t)g->settings->max_uplink_bytes, on_room, g);
    g->follower = follower_new(g->bus, &downlink_events);
    return 0;
}

static void open_parts(struct gateway *g) {
    conns_init(&g->conns, g->loop, g, (size_t)g->settings->max_queue_bytes, sweep_ms(g->settings));
    g->conns.on_flushed = on_flushed;
    g->conns.on_conn_gone = on_conn_gone;
    g->http_host =
        (struct http_host){.settings = g->settings, .on_request = dispatch, .gateway = g};
    g->ws_host =
        (struct ws_host){.settings = g->settings, .events = &uplink_events, .ctx = &g->uplink};
    clients_init(&g->clients, g);
    uplink_init(&g->uplink, g);
    message_frames_init(&g->frames);
    receipts_init(&g->receipts, g);
    trace_init(&g->trace, g->bus, "gateway");
    cluster_init(&g->cluster, g);
    reconcile_init(&g->reconcile, g);
    drain_init(&g->drain, g);
    MUST(uv_timer_init(g->loop, &g->second) == 0);
    MUST(uv_timer_start(&g->second, on_second, 1000, 1000) == 0);
    uv_unref((uv_handle_t *)&g->second);
}

static int open_listeners(struct gateway *g, size_t max_connections, char **error_out) {
    struct listeners_options options = {.loop = g->loop,
                                        .conns = &g->conns,
                                        .http = &g->http_host,
                                        .endpoints = &g->endpoints,
                                        .fleet = bus_fleet(g->bus),
                                        .max_connections = max_connections,
                                        .max_per_address =
                                            (size_t)g->settings->max_connections_per_address};
    return listeners_open(&g->listeners, &options, error_out);
}

static void open_about(struct gateway *g) {
    struct buf urls = {0};
    endpoints_append_urls(&urls, &g->endpoints);
    g->about = about_new(g->bus, buf_bytes(&urls), g->settings->admin);
    buf_deinit(&urls);
}

static int open_admin(struct gateway *g) {
    struct admin_host host = {.loop = g->loop,
                              .settings = g->settings,
                              .bus = g->bus,
                              .registry = g->registry,
                              .trouble = trouble,
                              .note = note,
                              .before_metrics = set_gauges,
                              .ctx = g};
    return admin_open(&host, &g->admin);
}

static int start(struct process *p) {
    struct gateway *g = &p->gateway;
    char *error = NULL;
    size_t max_connections = setup_max_connections(g);
    supervisor_init(&g->supervisor);
    if (open_bus(g) < 0)
        return -1;
    open_parts(g);
    g->app = setup_load_app(g, &error);
    if (g->app == NULL)
        return fail(error);
    if (endpoints_init(&g->endpoints, g->settings, app_registrations(g->app), &error) < 0)
        return fail(error);
    if (open_listeners(g, max_connections, &error) < 0)
        return fail(error);
    open_about(g);
    if (open_admin(g) < 0)
        return -1;
    open_signals(p);
    bus_start(g->bus);
    log_info("gateway", "started id=%s version=%s max_connections=%zu", bus_id(g->bus),
             SIGNALBOX_VERSION, max_connections);
    return 0;
}

static void end(struct process *p) {
    struct gateway *g = &p->gateway;
    g->has_ended = true;
    bus_hang_up(g->bus);
    close_signals(p);
    admin_close(g->admin);
    listeners_close(&g->listeners);
    app_release(g->app);
    uv_close((uv_handle_t *)&g->second, NULL);
    drain_deinit(&g->drain);
    about_free(g->about);
    clients_deinit(&g->clients);
    follower_free(g->follower);
    ingest_free(g->ingest);
    rules_free(g->rules);
    registry_free(g->registry);
    bus_close(g->bus);
    /* Who reads slowly gets no longer than this. */
    for (uint64_t until_ms = clock_ms() + LAST_MS; g->conns.unfreed > 0 && clock_ms() < until_ms;)
        uv_run(g->loop, UV_RUN_ONCE);
    reconcile_deinit(&g->reconcile);
    cluster_deinit(&g->cluster);
    uplink_deinit(&g->uplink);
    receipts_deinit(&g->receipts);
    trace_deinit(&g->trace);
    message_frames_deinit(&g->frames);
    conns_deinit(&g->conns);
    endpoints_deinit(&g->endpoints);
    supervisor_deinit(&g->supervisor);
    /* Not to the last handle: a handler of the app may still sleep for long. */
    for (int i = 0; i < LAST_TURNS; i++)
        uv_run(g->loop, UV_RUN_NOWAIT);
}

static void usage(FILE *out) {
    fputs(
        "usage: " PROGRAM " APP [--redis URL] [--listen URL]... [--admin ADDR:PORT]\n\n"
        "Serves the endpoints, routes and connections of an app: a file app.lua or its folder.\n\n",
        out);
    settings_print_help(out, FOR_GATEWAY);
}

static int read_arguments(struct process *p, int argc, char **argv) {
    int rest;
    switch (settings_parse(&p->settings, FOR_GATEWAY, argc, argv, &rest)) {
    case SETTINGS_OK: break;
    case SETTINGS_HELP: usage(stdout); exit(0);
    case SETTINGS_VERSION: puts(PROGRAM " " SIGNALBOX_VERSION); exit(0);
    case SETTINGS_BAD: return -1;
    }
    if (rest != 1) {
        fputs(PROGRAM ": needs one APP: an app file or its folder (see --help)\n", stderr);
        return -1;
    }
    p->gateway.app_path = argv[1];
    return settings_apply_log(&p->settings, "gateway") ? 0 : -1;
}

int main(int argc, char **argv) {
    static struct process process;
    struct process *p = &process;
    if (read_arguments(p, argc, argv) < 0)
        return 1;
    p->gateway.settings = &p->settings;
    p->gateway.loop = uv_default_loop();
    if (start(p) < 0)
        return 1;
    uv_run(p->gateway.loop, UV_RUN_DEFAULT);
    end(p);
    log_info("gateway", "ended");
    return 0;
}
