/*
 * listener.h - the listening sockets, and the limits at the door.
 *
 * Several gateways of one fleet share a port by SO_REUSEPORT (port.h). A connection over a limit is
 * closed at once, except that a few, and fewer of one address, are taken to be told why; these are
 * counted apart and take nothing from the others. Past --max-connects-per-second connections wait
 * in the backlog of the socket.
 */
#ifndef SIGNALBOX_GATEWAY_LISTENER_H
#define SIGNALBOX_GATEWAY_LISTENER_H

#include <stddef.h>
#include <uv.h>

#include "common/base/must.h"
#include "gateway/conn/rate.h"

struct conn;
struct conns;
struct endpoint_run;
struct endpoints;
struct http_host;
struct listener;

struct listeners_options {
    uv_loop_t *loop;
    struct conns *conns;
    const struct http_host *http;
    const struct endpoints *endpoints;
    const char *fleet; /* who may share a port with us: bus_fleet */
    size_t max_connections;
    uint64_t connects_per_second; /* 0: no limit */
};

struct listeners {
    struct listeners_options o;
    struct listener **items;
    size_t count;
    uv_prepare_t turn;
    unsigned taken_this_turn;
    struct rate rate;       /* of connections that were welcome */
    uint64_t wait_until_ms; /* the rate is used up until then */
    uv_timer_t wake;
};

/* Opens a socket for every address of every endpoint. -1 with one line in *error_out, also when
 * another program than gateways of this fleet listens there. What the options name must live as
 * long as the listeners. */
MUST_CHECK int listeners_open(struct listeners *l, const struct listeners_options *options,
                              char **error_out);
/* Takes no more connections until listeners_resume. Idempotent. */
void listeners_pause(struct listeners *l);
/* Opens the sockets again. -1 with one line in *error_out: they stay closed. */
MUST_CHECK int listeners_resume(struct listeners *l, char **error_out);
/* It is known whom a connection of an endpoint with the PROXY protocol comes from. */
void listeners_admit(struct listeners *l, struct conn *c);
/* For good. Idempotent; the loop must run once more. */
void listeners_close(struct listeners *l);

#endif
