/*
 * gateway.h - the process: everything it is made of, and the few questions that all its parts ask.
 *
 * main.c fills it from top to bottom and empties it from bottom to top.
 */
#ifndef SIGNALBOX_GATEWAY_GATEWAY_H
#define SIGNALBOX_GATEWAY_GATEWAY_H

#include <uv.h>

#include "common/base/supervisor.h"
#include "common/bus/log/trace.h"
#include "gateway/session/clients.h"
#include "gateway/session/message_frames.h"
#include "gateway/cluster.h"
#include "gateway/conn/conn.h"
#include "gateway/conn/http.h"
#include "gateway/conn/ws.h"
#include "gateway/drain.h"
#include "gateway/endpoints.h"
#include "gateway/listener.h"
#include "gateway/delivery/receipts.h"
#include "gateway/delivery/reconcile.h"
#include "gateway/delivery/uplink.h"

struct about;
struct admin;
struct app;
struct bus;
struct follower;
struct ingest;
struct registry;
struct report;
struct rules;
struct settings;

struct gateway {
    uv_loop_t *loop;
    const struct settings *settings;
    const char *app_path;
    struct bus *bus;
    struct registry *registry;
    struct rules *rules;
    struct follower *follower;
    struct ingest *ingest;
    struct app *app;
    struct conns conns;
    struct ws_host ws_host;
    struct http_host http_host;
    struct clients clients;
    struct uplink uplink;
    struct message_frames frames;
    struct receipts receipts;
    struct trace trace;
    struct cluster cluster;
    struct reconcile reconcile;
    struct endpoints endpoints;
    struct listeners listeners;
    struct drain drain;
    struct about *about;
    struct supervisor supervisor;
    struct admin *admin;
    uv_timer_t second;
    bool has_ended; /* the parts are being freed: no handler goes on */
    uint64_t last_number;
};

/* "" when it does its job now; else one line. */
const char *gateway_trouble(const struct gateway *g);
/* Loads the app file and the certificates anew; what is wrong, or needs a restart, is logged, stays
 * as it was, and is in the report. */
void gateway_reload(struct gateway *g, struct report *report);

#endif
