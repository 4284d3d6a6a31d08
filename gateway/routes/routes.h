/*
 * routes.h - what the routes of a gateway work with. The process fills it at its start; a request
 * brings it along (request->routes).
 */
#ifndef SIGNALBOX_GATEWAY_ROUTES_ROUTES_H
#define SIGNALBOX_GATEWAY_ROUTES_ROUTES_H

#include <sys/queue.h>
#include <uv.h>

#include "common/app/app.h"
#include "gateway/conn/peers.h"

struct bus;
struct clients;
struct endpoints;
struct http_proxies;
struct ingest;
struct join;
struct message_frames;
struct posts;
struct registry;
struct settings;
struct client_host;

/* Joins that read from the history what their clients missed; join.c's own. */
struct replays {
    unsigned running;
    bool is_starting; /* those that wait, one after the other */
    TAILQ_HEAD(, join) waiting;
};

struct routes {
    uv_loop_t *loop;
    const struct settings *settings;
    struct bus *bus;
    struct registry *registry;
    struct ingest *ingest;
    struct app *const *app; /* the current one */
    const struct endpoints *endpoints;
    struct clients *clients;
    struct peers *peers;
    const struct http_proxies *proxies;
    struct message_frames *frames;
    const struct client_host *client_host;
    struct posts *posts; /* client messages by POST */
    struct replays replays;
    uint64_t last_number; /* of a connection of this process */
    unsigned references;  /* being looked up (reference.h) */
};

/* A handler that worked for this address has ended. */
static inline void routes_worked(const struct routes *routes, struct ip ip) {
    peers_work(routes->peers, ip, app_used_us(*routes->app), uv_now(routes->loop));
}

static inline const struct registrations *routes_registrations(const struct routes *routes) {
    return app_registrations(*routes->app);
}

#endif
