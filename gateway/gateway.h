/*
 * gateway.h - everything that a gateway is made of. main.c fills it from top to bottom and empties
 * it from bottom to top; gateway.c is what the chassis (common/daemon) calls. Only these two see
 * the whole: each part is given what it uses.
 */
#ifndef SIGNALBOX_GATEWAY_GATEWAY_H
#define SIGNALBOX_GATEWAY_GATEWAY_H

#include "common/daemon/daemon.h"
#include "common/http/http_forwarded.h"
#include "gateway/conn/conn.h"
#include "gateway/conn/endpoints.h"
#include "gateway/conn/http.h"
#include "gateway/delivery/downlink.h"
#include "gateway/delivery/reconcile.h"
#include "gateway/delivery/uplink.h"
#include "gateway/drain.h"
#include "gateway/listener.h"
#include "gateway/restore.h"
#include "gateway/routes/routes.h"
#include "gateway/session/client.h"
#include "gateway/session/clients.h"
#include "gateway/session/message_frames.h"

struct follower;
struct ingest;
struct ticket_keys;

struct gateway {
    struct daemon daemon;
    struct message_frames frames;
    struct http_proxies proxies;
    struct peers peers;
    struct conns conns;
    struct ingest *ingest;
    struct follower *follower;
    struct clients clients;
    struct uplink uplink;
    struct downlink downlink;
    struct client_host client_host;
    struct routes routes;
    struct http_host http_host;
    struct reconcile reconcile;
    struct restore restore;
    struct drain drain;
    struct endpoints endpoints;
    struct ticket_keys *ticket_keys;
    struct listeners listeners;
};

extern const struct daemon_kind gateway_kind;

#endif
