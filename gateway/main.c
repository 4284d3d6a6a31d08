/*
 * main.c - signalbox-gateway: a table of contents. start() makes the parts from the bottom up,
 * end() takes them down in the opposite order.
 *
 *     signalbox-gateway APP [--redis URL] [--listen URL]… [--admin ADDR:PORT]
 */
#include <errno.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/bus/cluster/ticket_keys.h"
#include "common/bus/log/follower.h"
#include "common/bus/log/ingest.h"
#include "common/net/tls_tickets.h"
#include "gateway/conn/turn.h"
#include "gateway/gateway.h"
#include "gateway/routes/dispatch.h"
#include "gateway/routes/handler_send.h"
#include "gateway/routes/post.h"

enum { DESCRIPTORS_KEPT = 64 /* for Redis, files, listeners */, LAST_MS = 3000 };

/* ---- hooks between the parts */

static void on_room(void *ctx) {
    struct gateway *g = ctx;
    uplink_on_room(&g->uplink);
}

static void on_ticket_key(void *ctx, uint64_t period, const unsigned char *key) {
    struct gateway *g = ctx;
    tls_tickets_set(g->endpoints.tickets, period, key);
}

static void on_flushed(struct conns *set) {
    struct gateway *g = container_of(set, struct gateway, conns);
    downlink_on_flushed(&g->downlink);
}

static void on_proxied(struct conns *set, struct conn *c) {
    struct gateway *g = container_of(set, struct gateway, conns);
    listeners_admit(&g->listeners, c);
}

/* ---- start and end */

static uint64_t sweep_ms(const struct settings *s) {
    int64_t least = s->ping_ms < s->pong_timeout_ms ? s->ping_ms : s->pong_timeout_ms;
    least = least < s->head_timeout_ms ? least : s->head_timeout_ms;
    return least / 4 > 1000 ? 1000 : (uint64_t)least / 4;
}

static size_t max_connections(const struct gateway *g) {
    size_t all = g->daemon.descriptors, wanted = (size_t)g->daemon.settings.max_connections;
    size_t possible = all > 2 * DESCRIPTORS_KEPT ? all - DESCRIPTORS_KEPT : all / 2;
    return wanted == 0 || wanted > possible ? possible : wanted;
}

static void open_parts(struct gateway *g) {
    struct daemon *d = &g->daemon;
    const struct settings *s = &d->settings;
    message_frames_init(&g->frames);
    message_frames_compress(&g->frames, (size_t)s->compress_min_bytes);
    peers_init(&g->peers, s, &g->proxies.trusted, max_connections(g));
    conns_init(&g->conns, &d->loop, (size_t)s->max_queue_bytes, sweep_ms(s));
    g->conns.on_flushed = on_flushed;
    g->conns.peers = &g->peers;
    g->conns.on_proxied = on_proxied;
    turn_start(&g->conns);
    g->ingest = ingest_new(d->bus, "", (size_t)s->max_uplink_bytes, on_room, g);
    g->follower = follower_new(d->bus, &downlink_events, &g->downlink);
    clients_init(&g->clients, d->bus, g->follower, &d->app.app);
    uplink_init(&g->uplink, d->bus, g->ingest, &d->trace);
    downlink_init(&g->downlink, d->bus, &g->clients, &g->frames, &d->trace);
    g->downlink.registry = d->registry;
    g->client_host = (struct client_host){.settings = s,
                                          .registry = d->registry,
                                          .frames = &g->frames,
                                          .events = &uplink_events,
                                          .ctx = &g->uplink};
    g->routes = (struct routes){.loop = &d->loop,
                                .settings = s,
                                .bus = d->bus,
                                .registry = d->registry,
                                .ingest = g->ingest,
                                .app = &d->app.app,
                                .endpoints = &g->endpoints,
                                .clients = &g->clients,
                                .peers = &g->peers,
                                .proxies = &g->proxies,
                                .frames = &g->frames,
                                .client_host = &g->client_host};
    g->routes.posts = posts_new(&d->loop, d->bus, &g->client_host, POST_WAIT_MS);
    TAILQ_INIT(&g->routes.replays.waiting);
    g->http_host = (struct http_host){.settings = s,
                                      .proxies = &g->proxies,
                                      .on_request = dispatch,
                                      .on_refused = dispatch_refused,
                                      .routes = &g->routes};
    reconcile_init(&g->reconcile, d->bus, d->registry, &g->clients);
    restore_init(&g->restore, d->bus, d->registry, &g->clients, &g->reconcile);
    drain_init(&g->drain, d, &g->conns, &g->listeners, g->ingest);
}

static int open_listeners(struct gateway *g) {
    char *error = NULL;
    int result = endpoints_init(&g->endpoints, &g->daemon.settings,
                                app_registrations(g->daemon.app.app), &error);
    if (result < 0)
        return daemon_complain(&g->daemon, error, result == -EINVAL ? DAEMON_USAGE : DAEMON_FAILED);
    g->ticket_keys = ticket_keys_new(g->daemon.bus, tls_tickets_period_ms(g->endpoints.tickets),
                                     TLS_TICKET_KEY, on_ticket_key, g);
    struct listeners_options options = {.loop = &g->daemon.loop,
                                        .conns = &g->conns,
                                        .http = &g->http_host,
                                        .endpoints = &g->endpoints,
                                        .fleet = bus_fleet(g->daemon.bus),
                                        .max_connections = max_connections(g),
                                        .connects_per_second =
                                            (uint64_t)g->daemon.settings.max_connects_per_second};
    if (listeners_open(&g->listeners, &options, &error) < 0)
        return daemon_complain(&g->daemon, error, DAEMON_FAILED);
    return 0;
}

/* 0, or what main returns. */
static int start(struct gateway *g) {
    struct buf urls = {0};
    char *error = NULL;
    int exit_code;
    if (http_proxies_init(&g->proxies, &g->daemon.settings, &error) < 0)
        return daemon_complain(&g->daemon, error, DAEMON_USAGE);
    if ((exit_code = daemon_open(&g->daemon)) != 0)
        return exit_code;
    open_parts(g);
    if ((exit_code = daemon_load_app(&g->daemon, &handler_send_host, &g->routes)) != 0)
        return exit_code;
    if ((exit_code = open_listeners(g)) != 0)
        return exit_code;
    endpoints_append_urls(&urls, &g->endpoints);
    exit_code = daemon_start(&g->daemon, buf_bytes(&urls));
    buf_deinit(&urls);
    if (exit_code != 0)
        return exit_code;
    log_info("gateway", "started id=%s version=%s max_connections=%zu", bus_id(g->daemon.bus),
             SIGNALBOX_VERSION, max_connections(g));
    return 0;
}

static void end(struct gateway *g) {
    daemon_hang_up(&g->daemon);
    listeners_close(&g->listeners);
    drain_deinit(&g->drain);
    posts_free(g->routes.posts);
    clients_deinit(&g->clients);
    follower_free(g->follower);
    ingest_free(g->ingest);
    ticket_keys_free(g->ticket_keys);
    daemon_close(&g->daemon);
    /* A client that reads slowly gets no longer than this. */
    for (uint64_t until_ms = clock_ms() + LAST_MS; g->conns.unfreed > 0 && clock_ms() < until_ms;)
        uv_run(&g->daemon.loop, UV_RUN_ONCE);
    endpoints_deinit(&g->endpoints);
    downlink_deinit(&g->downlink);
    uplink_deinit(&g->uplink);
    turn_stop(&g->conns);
    conns_deinit(&g->conns);
    peers_deinit(&g->peers);
    http_proxies_deinit(&g->proxies);
    message_frames_deinit(&g->frames);
    daemon_deinit(&g->daemon);
}

int main(int argc, char **argv) {
    static struct gateway gateway;
    struct gateway *g = &gateway;
    int exit_code;
    if (!daemon_read_arguments(&g->daemon, &gateway_kind, g, argc, argv, &exit_code))
        return exit_code;
    if ((exit_code = start(g)) != 0)
        return exit_code;
    if (daemon_run(&g->daemon)) {
        end(g);
        log_info("gateway", "ended");
    }
    return g->daemon.exit_code;
}
