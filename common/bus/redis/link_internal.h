/*
 * link_internal.h - what link.c (traffic), link_connect.c (finding and reaching Redis) and
 * link_login.c (AUTH, ROLE, LOAD) share. Nobody else includes it.
 */
#ifndef SIGNALBOX_BUS_REDIS_LINK_INTERNAL_H
#define SIGNALBOX_BUS_REDIS_LINK_INTERNAL_H

#include <netinet/in.h>

#include "common/bus/redis/capacity.h"
#include "common/bus/redis/link.h"
#include "common/bus/redis/redis_access.h"
#include "common/bus/redis/server_info.h"
#include "common/net/stream.h"

struct redisReader;
struct lookup;
struct tls_context;

enum link_state {
    LINK_IDLE,
    LINK_RESOLVE, /* looking up the name of the target */
    LINK_CONNECT, /* trying its addresses in turn */
    LINK_ASK,     /* the target is a sentinel: asking it for the master, which is RESOLVEd next */
    LINK_AUTH,
    LINK_ROLE,
    LINK_LOAD,
    LINK_READY,
    LINK_BACKOFF,
    LINK_CLOSED
};

enum { LINK_ADDRESSES_MAX = 8 };

/* A command that waits for its reply. */
struct waiter {
    reply_fn *fn; /* NULL: nobody cares */
    void *ctx;
    uint64_t end;   /* how many bytes had been queued with it: it is sent when so many are */
    size_t largest; /* bytes of its largest argument */
};

struct link {
    uv_loop_t *loop;
    const struct redis_url *url;
    enum link_kind kind;
    char *name;
    const struct link_events *events;
    void *ctx;
    enum link_state state;
    char trouble[256];
    struct server_info server;
    int64_t client_id; /* Redis' number of this connection, or of the one before it; 0: none */

    struct stream stream; /* one after the other: to a sentinel, to Redis, to Redis again */
    bool has_stream;      /* until on_closed */
    uv_timer_t timer;     /* BACKOFF: the wait; else a tick */
    uv_idle_t turn;       /* runs once after something was queued, before the loop sleeps */
    unsigned handles;     /* of the two above, those libuv still holds */
    struct redisReader *reader;

    struct lookup *lookup; /* a getaddrinfo under way, kept over attempts: it cannot be cancelled */
    struct redis_host master;
    bool is_master_known;
    unsigned sentinel;       /* asked in this attempt */
    unsigned sentinels_left; /* to ask before the next wait */
    struct sockaddr_storage addresses[LINK_ADDRESSES_MAX];
    unsigned address_count, address_at;
    struct tls_context *tls;
    struct redis_access_stamp tls_stamp; /* the files it was made of */

    struct buf out; /* not yet taken by the stream from out_at on */
    size_t out_at;
    uint64_t queued, sent;  /* bytes on this connection */
    struct waiter *waiters; /* a ring */
    size_t waiters_cap, waiters_at, waiters_len;
    unsigned login_replies; /* still to come in this state of the login */

    struct capacity capacity;

    uint64_t ticked_ms;
    unsigned silent_ms, since_ping_ms; /* counted in ticks */
    char break_why[200];               /* set by link_break, done on the next turn */
    bool is_due;                       /* the wait is over, the old stream is not */
    unsigned failures;                 /* since a connection proved useful */
    unsigned ready_ms;                 /* READY for so long, counted in ticks */
    bool has_succeeded;                /* this connection had an answer that is no error */
    bool is_proven;                    /* and has been READY for long enough */
    bool was_refused;                  /* it ends because of what Redis answered */
    bool was_ready, is_warned;
    uint64_t warned_ms;
    char warned[256]; /* the trouble that was logged last, until it is proven again */
};

void link_set_state(struct link *l, enum link_state to);
/* The connection is no good: tells the owner, waits, begins anew. From the loop only. */
void link_fail(struct link *l, const char *format, ...) PRINTF_LIKE(2, 3);
/* Queues a command without a waiter: for the login. */
void link_queue(struct link *l, struct command *c);

/* link_connect.c */
void link_begin(struct link *l);
void link_connect_timeout(struct link *l);
/* From ASK: to the master that link->master names, over a new stream. */
void link_go_to_master(struct link *l);
void link_connect_deinit(struct link *l);

/* link_login.c */
void link_login(struct link *l);
void link_login_reply(struct link *l, struct redisReply *reply);

/* link.c, for the stream that link_connect.c makes and the login that link_login.c ends. */
void link_start_ticking(struct link *l);
void link_connected(struct link *l);
void link_drop_connection(struct link *l);
void link_became_ready(struct link *l);
void link_on_bytes(struct link *l, struct bytes in);
void link_on_writable(struct link *l);
void link_on_stream_closed(struct link *l);

#endif
