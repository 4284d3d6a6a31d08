/*
 * gateway.h - the process: everything it is made of, and the few questions that all its parts ask.
 *
 * main.c fills it from top to bottom and empties it from bottom to top.
 */
#ifndef SIGNALBOX_GATEWAY_GATEWAY_H
#define SIGNALBOX_GATEWAY_GATEWAY_H

#include <uv.h>

#include "common/daemon/daemon.h"
#include "common/bus/log/trace.h"
#include "gateway/session/clients.h"
#include "gateway/routes/routes.h"
#include "gateway/session/message_frames.h"
#include "gateway/conn/conn.h"
#include "gateway/conn/http.h"
#include "gateway/session/client.h"
#include "gateway/drain.h"
#include "gateway/conn/endpoints.h"
#include "gateway/listener.h"
#include "gateway/restore.h"
#include "gateway/delivery/downlink.h"
#include "gateway/delivery/reconcile.h"
#include "gateway/delivery/uplink.h"

struct follower;
struct ingest;

struct gateway {
    struct daemon daemon;
    /* The daemon's, for the parts that are given the whole gateway. */
    uv_loop_t *loop;
    const struct settings *settings;
    struct bus *bus;
    struct registry *registry;
    struct app *app;
    struct follower *follower;
    struct ingest *ingest;
    struct conns conns;
    struct client_host client_host;
    struct http_host http_host;
    struct clients clients;
    struct uplink uplink;
    struct message_frames frames;
    struct routes routes;
    struct downlink downlink;
    struct trace trace;
    struct restore restore;
    struct reconcile reconcile;
    struct endpoints endpoints;
    struct listeners listeners;
    struct drain drain;
};

extern const struct daemon_kind gateway_kind;

#endif
