/*
 * link.h - one connection to Redis that heals itself for ever.
 *
 *     IDLE ─▶ CONNECT ─▶ LOGIN ─▶ READY ─┐
 *                ▲                       │ any error
 *                └──────── BACKOFF ◀─────┘ (also from CONNECT and LOGIN)
 *
 * CONNECT is connector.h, LOGIN is login.h, and how long BACKOFF lasts is attempts.h. With Sentinel
 * the first connection goes to a sentinel and asks for the master, at every attempt. What
 * Redis answers is read by reply_reader.h.
 *
 * Error rule, three kinds:
 *   dropped    READONLY, UNBLOCKED, LOADING, MASTERDOWN, CLUSTERDOWN, MOVED, NOSCRIPT, NOAUTH, any
 *              error during the login, a protocol error on either side, or a reply that does not
 *              come within the deadline: this is not the Redis, or not the state of it, that we
 *              need. The connection is made anew.
 *   held off   every other error (OOM, MISCONF, NOREPLICAS, BUSY, NOPERM, WRONGTYPE …) goes to the
 *              caller, who asks again later on the same connection and reports it through
 *              bus_refused; a link that is good for one thing only gives up with link_refused.
 *   for good   what no later attempt can change, because of one message: see capacity.h.
 */
#ifndef SIGNALBOX_BUS_REDIS_LINK_H
#define SIGNALBOX_BUS_REDIS_LINK_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "common/bus/redis/command.h"
#include "common/bus/redis/reply.h"

struct link;
struct redis_url;

enum link_kind {
    LINK_COMMANDS, /* replies in order to their commands; a PING when idle for 1 s; deadline 2 s */
    LINK_TOOL,     /* the same without scripts, which its user need not be allowed to load */
    LINK_FEED,     /* every reply goes to on_push; a PING every 1 s, its answer within 3 s */
    LINK_BLOCKING  /* one command at a time that may block; deadline 4 s; no PING, no scripts */
};

struct link_events {
    /* READY was reached: the connection is new and remembers nothing. */
    void (*on_ready)(void *ctx);
    /* READY was left. Called after the callbacks of all unanswered commands got NULL. */
    void (*on_down)(void *ctx, const char *why);
    /* LINK_FEED only. Borrowed until return. */
    void (*on_push)(void *ctx, struct redisReply *reply);
};

/* url is borrowed for the life of the link. Starts at once; `name` is for logs ("commands", "feed",
 * "in 7"). */
struct link *link_new(uv_loop_t *loop, const struct redis_url *url, enum link_kind kind,
                      const char *name, const struct link_events *events, void *ctx);
/* Drops the connection without on_down and without callbacks; memory goes when libuv is done. NULL
 * is legal. */
void link_close(struct link *l);
/* The same, after every callback that is owed had its NULL: for an owner whose callbacks hold
 * something. They may not send any more. */
void link_hang_up(struct link *l);

bool link_is_ready(const struct link *l);
/* The server and its data set (server_info.h): equal on two connections that go to the same (""
 * before READY). */
const char *link_server(const struct link *l);
/* Why it is not READY, one line; "" while it is. The text stays where it is for the life of the
 * link. */
const char *link_trouble(const struct link *l);

/* Sends and remembers the callback. Must be READY (LINK_FEED: fn NULL). All commands of one loop
 * turn go out in one write. Takes the command's buffer. */
void link_send(struct link *l, struct command *c, reply_fn *fn, void *ctx);
/* capacity.h: bytes of the largest argument that this Redis takes, SIZE_MAX while none is known;
 * whether one of so many bytes may go out now, or has to wait; what is known from elsewhere. */
size_t link_largest(const struct link *l);
bool link_takes_now(const struct link *l, size_t bytes);
void link_set_largest(struct link *l, size_t bytes);
/* Bytes written to the link and not yet taken by the socket. */
size_t link_backlog(const struct link *l);
/* Drops the connection as if it had broken, for trouble that only the caller sees. */
void link_break(struct link *l, const char *why);
/* Likewise, because Redis answered `command` with this error. */
void link_refused(struct link *l, const char *command, const struct redisReply *error);

#endif
