/*
 * listener.h - the listening sockets, and the limits at the door.
 *
 * Several gateways share a port by SO_REUSEPORT. A connection over the limits is still taken when a
 * descriptor is to be had, and told 503 with Retry-After; beyond that it is dropped.
 */
#ifndef SIGNALBOX_GATEWAY_LISTENER_H
#define SIGNALBOX_GATEWAY_LISTENER_H

#include <stddef.h>
#include <uv.h>

#include "common/base/must.h"

struct conn;
struct conns;
struct endpoint_run;
struct endpoints;
struct listener;
struct remote;

struct listeners {
    uv_loop_t *loop;
    struct conns *conns;
    size_t max_connections, max_per_address;
    struct listener **items;
    size_t count;
    struct remote *remotes; /* uthash: open connections of each address, while counted */
    uv_prepare_t turn;
    unsigned taken_this_turn;
};

/* Opens a socket for every address of every endpoint. -1 with one line in *error_out. */
MUST_CHECK int listeners_open(struct listeners *l, uv_loop_t *loop, struct conns *conns,
                              const struct endpoints *endpoints, size_t max_connections,
                              size_t max_per_address, char **error_out);
/* No more connections are taken. Idempotent; the loop must run once more. */
void listeners_close(struct listeners *l);
/* To be called when a connection ends. */
void listeners_forget(struct listeners *l, struct conn *c);

#endif
