/*
 * admin_conn.h - one connection of the admin listener: requests in (http_conn.h), replies out.
 *
 *     a whole request ─▶ owner's `handle` ─▶ admin_conn_reply, or _error
 *                              └ needs Redis ─▶ admin_conn_wait … admin_job_reply, or _error
 *
 * To read first: admin_conn_accept, then the table http_events of admin_conn.c.
 */
#ifndef SIGNALBOX_ADMIN_ADMIN_CONN_H
#define SIGNALBOX_ADMIN_ADMIN_CONN_H

#include <stdbool.h>
#include <sys/queue.h>
#include <uv.h>

#include "common/base/buf.h"
#include "common/base/ip.h"
#include "common/http/http_conn.h"
#include "common/net/stream.h"

struct admin_conn;
struct admin_job;

LIST_HEAD(admin_conn_list, admin_conn);

/* What all connections of a listener have in common. */
struct admin_conns {
    uv_loop_t *loop;
    size_t max_body_bytes;
    /* Answers the request of `c`, now or later. */
    void (*handle)(struct admin_conn *c, void *ctx);
    /* The last connection has gone: may be called more than once. */
    void (*on_empty)(void *ctx);
    void *ctx;
    struct admin_conn_list list;
    unsigned count;
};

/* Fields are read by the owner's `handle`, and written here only. */
struct admin_conn {
    struct admin_conns *set;
    struct buf raw; /* the request being answered: head and body are slices of it */
    struct http_head head;
    struct bytes body;
    /* Private from here. */
    LIST_ENTRY(admin_conn) in_list;
    struct stream stream;
    struct http_conn http;
    struct buf out;
    size_t out_at;
    struct admin_job *job;
    uint64_t moved_ms; /* when the last byte went either way, or a request began or ended */
    bool is_closed;
};

/* Takes a waiting connection of the listener. Beyond ADMIN_CONNS_MAX the one that has been idle for
 * longest is dropped, or, when all wait for answers, the new one. */
enum { ADMIN_CONNS_MAX = 64, ADMIN_HEAD_MAX = 16384 };
void admin_conn_accept(struct admin_conns *set, uv_stream_t *listener);
/* Ends every connection at once. */
void admin_conns_abort(struct admin_conns *set);
/* Call it every second: ends connections on which nothing moves. */
void admin_conns_check(struct admin_conns *set, uint64_t now_ms);

/* The peer's; not known on a unix socket. */
struct ip admin_conn_address(const struct admin_conn *c);

void admin_conn_reply(struct admin_conn *c, int status, const char *content_type,
                      struct bytes body);
/* {"error":"…"}, and the connection ends. */
void admin_conn_error(struct admin_conn *c, int status, const char *text);
/* The same with 405 and the method that is right. */
void admin_conn_not_allowed(struct admin_conn *c, const char *method);

/*
 * A request that is answered later. The job outlives the connection; exactly one of the replies
 * ends it, unless `cancel` did when the client went away.
 */
struct admin_job {
    struct admin_conn *conn; /* NULL: the client went away */
    struct buf out;          /* the reply as it grows */
    bool has_rows;
    /* Gives up what the job waits for, after which no answer comes; NULL when that is not possible.
     */
    void (*cancel)(void *work);
    void *work;
};
struct admin_job *admin_conn_wait(struct admin_conn *c);
/* 200 (or another status) with the content of `out`, as JSON. */
void admin_job_reply(struct admin_job *job, int status);
void admin_job_error(struct admin_job *job, int status, const char *text);

#endif
