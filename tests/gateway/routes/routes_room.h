/*
 * routes_room.h - for tests: the floors of a gateway up to its routes, in this process, with an app,
 * a Redis of the test's own if it is wanted, and plain sockets as clients.
 */
#ifndef SIGNALBOX_TESTS_GATEWAY_ROUTES_ROOM_H
#define SIGNALBOX_TESTS_GATEWAY_ROUTES_ROOM_H

#include "common/bus/log/follower.h"
#include "common/http/http_forwarded.h"
#include "gateway/conn/conn.h"
#include "gateway/conn/endpoints.h"
#include "gateway/conn/http.h"
#include "gateway/routes/routes.h"
#include "gateway/session/client.h"
#include "gateway/session/clients.h"
#include "gateway/session/message_frames.h"
#include "tests/common/bus/bus_room.h"

enum { ROUTES_ROOM_PARTITIONS = 4 };
/* How long a posted message waits for its outcome. */
enum { ROUTES_ROOM_POST_MS = 1500 };

struct routes_room {
    struct bus_room bus_room; /* its loop and settings; its Redis only with has_redis */
    bool has_redis;
    char folder[64]; /* of the app */
    struct bus *bus;
    struct app *app;
    struct registry *registry;
    struct ingest *ingest;
    struct follower *follower;
    struct clients clients;
    struct message_frames frames;
    struct http_proxies proxies;
    struct peers peers;
    struct conns conns;
    struct endpoint_run endpoint;
    struct endpoints endpoints;
    struct client_host client_host;
    struct http_host http_host;
    struct routes routes;
    uv_tcp_t server;
    int port;
    size_t callers;        /* connected, and not hung up */
    struct client *client; /* the last one that sent something; a reference */
    struct buf heard;      /* what clients sent, each with a blank after it */
    struct buf reply;      /* of what was sent last: struct said */
    struct buf once;       /* likewise */
    bool was_binary;       /* likewise */
    bool keeps_messages;   /* what is sent waits for room, and can be taken back */
    unsigned left;         /* clients */
};

/* The app's text; REDIS: reached before this returns, otherwise it never is. */
enum routes_room_bus { WITHOUT_REDIS, WITH_REDIS };
void routes_room_init(struct routes_room *room, const char *app, enum routes_room_bus bus);
/* All clients must have been closed. */
void routes_room_deinit(struct routes_room *room);

/* A file in the folder of the app. */
void routes_room_file(const struct routes_room *room, const char *name, struct bytes content);
/* Another app takes the place of the one before. */
void routes_room_load(struct routes_room *room, const char *app);

/* A connected client, which the caller closes. */
int routes_room_connect(struct routes_room *room);
void routes_room_say(struct routes_room *room, int fd, struct bytes text);
/* Turns until the client has received `what`, and returns what came up to and with it, or up to the
 * end of the connection; static. "": only the end. */
struct bytes routes_room_hear(struct routes_room *room, int fd, const char *what);
/* Says it as a new client, and returns all that came until the gateway closed; static. */
struct bytes routes_room_ask(struct routes_room *room, const char *request);
/* One request, that of a client which says "Connection: close". fields: more lines, each with its
 * end. */
struct bytes routes_room_get(struct routes_room *room, const char *method, const char *target,
                             const char *fields);
/* A client that got its 101, which is in *head_out (static) unless that is NULL. */
int routes_room_upgrade(struct routes_room *room, const char *target, const char *fields,
                        struct bytes *head_out);
void routes_room_hang_up(struct routes_room *room, int fd);

/* Of an answer. */
int routes_room_status(struct bytes answer);
/* The value of its first field of this name; BYTES_NONE without one. */
struct bytes routes_room_field(struct bytes answer, const char *name);
struct bytes routes_room_body(struct bytes answer);
/* Fails unless the status is this one, and the body too unless that is NULL. */
void routes_room_expect(struct bytes answer, int status, const char *body);

/* As if it came over the feed, or was lost there; for those that are joining this Name. */
void routes_room_deliver(struct routes_room *room, const char *name, const struct message *m);
void routes_room_lose(struct routes_room *room, const char *name, enum gap gap);

/* Whether an entry in the partition of this Name has this text in it. */
bool routes_room_sent(struct routes_room *room, const char *name, const char *text);
/* Of all partitions. */
unsigned routes_room_entries(struct routes_room *room);

#define ROUTES_ROOM_UPGRADE                                                                        \
    "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"                   \
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"

#endif
