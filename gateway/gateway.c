/* gateway.c - see gateway.h: what the chassis (common/daemon) asks of a gateway and tells it. */
#include "gateway/gateway.h"

#include <stdlib.h>

#include "common/base/clock.h"
#include "common/bus/cluster/report.h"
#include "common/bus/cluster/ticket_keys.h"
#include "common/bus/notice.h"

static const char *trouble(void *ctx) {
    const struct gateway *g = ctx;
    return g->conns.is_draining ? "draining" : "";
}

static void on_second(void *ctx) {
    struct gateway *g = ctx;
    clients_sweep(&g->clients);
    restore_probe(&g->restore);
    endpoints_tick(&g->endpoints);
    ticket_keys_tick(g->ticket_keys, clock_wall_ms());
}

static void on_stop(void *ctx, bool is_again) {
    struct gateway *g = ctx;
    if (is_again)
        daemon_abandon(&g->daemon);
    else
        (void)drain_start(&g->drain, (uint64_t)g->daemon.settings.drain_ms, DRAIN_ENDS);
}

static void on_reload(void *ctx, bool is_loaded, struct report *report) {
    struct gateway *g = ctx;
    if (is_loaded)
        clients_reload(&g->clients);
    endpoints_reload(&g->endpoints, &g->daemon.settings,
                     is_loaded ? app_registrations(g->daemon.app.app) : NULL, report);
}

static void on_notice(void *ctx, const struct notice *n) {
    struct gateway *g = ctx;
    const struct notice_drain *to_drain = &n->drain;
    const char *id = bus_id(g->daemon.bus);
    struct report report = {0};
    char *error = NULL;
    bool is_drain = n->kind == NOTICE_drain && bytes_equal_str(to_drain->id, id);
    bool is_undrain = n->kind == NOTICE_undrain && bytes_equal_str(n->undrain.id, id);
    if (!is_drain && !is_undrain)
        return;
    if (is_drain &&
        !drain_start(&g->drain, to_drain->over_ms, to_drain->exits ? DRAIN_ENDS : DRAIN_STAYS))
        report_error(&report, "the process is ending already");
    if (is_undrain && drain_stop(&g->drain, &error) < 0)
        report_error(&report, "%s", error);
    free(error);
    report_send(&report, g->daemon.bus, is_drain ? to_drain->token : n->undrain.token);
    report_deinit(&report);
}

const struct daemon_kind gateway_kind = {
    .program = "signalbox-gateway",
    .name = "gateway",
    .usage = "APP [--redis URL] [--listen URL]... [--admin ADDR:PORT]\n\n"
             "Serves the endpoints, routes and connections of an app: a file app.lua or its "
             "folder.\n",
    .who = FOR_GATEWAY,
    .bus_kind = BUS_GATEWAY,
    .trouble = trouble,
    .on_second = on_second,
    .on_stop = on_stop,
    .on_reload = on_reload,
    .on_notice = on_notice,
};
