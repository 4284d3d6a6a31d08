/*
 * admin_conn.h - one connection of the admin listener: HTTP/1.1 requests in, replies out, one after
 * the other.
 *
 *     READING ─complete─▶ admin_api_handle ─▶ admin_conn_reply ─▶ WRITING ─▶ READING, or closed
 *                            │ needs Redis                ▲
 *                            └▶ admin_conn_wait … admin_job_reply
 *
 * While a request is being answered nothing more is read.
 */
#ifndef SIGNALBOX_ADMIN_ADMIN_CONN_H
#define SIGNALBOX_ADMIN_ADMIN_CONN_H

#include <stdbool.h>
#include <uv.h>

#include "common/base/buf.h"

struct admin;
struct admin_conn;
struct http_head;
struct listing;
struct roster;

/* Takes a waiting connection of the listener; NULL when that fails. */
struct admin_conn *admin_conn_accept(struct admin *a, uv_stream_t *listener);
/* Idempotent. admin_on_closed tells its end. */
void admin_conn_abort(struct admin_conn *c);
/* Called every second: ends connections on which nothing moves. */
void admin_conn_check(struct admin_conn *c, uint64_t now_ms);

struct admin_conn *admin_conn_next(const struct admin_conn *c);
void admin_conn_set_next(struct admin_conn *c, struct admin_conn *next);

/* The request being handled: valid until it is answered. */
const struct http_head *admin_conn_head(const struct admin_conn *c);
struct bytes admin_conn_body(const struct admin_conn *c);
struct admin *admin_conn_admin(const struct admin_conn *c);
bool admin_conn_is_loopback(const struct admin_conn *c);

void admin_conn_reply(struct admin_conn *c, int status, const char *content_type,
                      struct bytes body);
/* For a reply 405: the method that is right. Kept by pointer. */
void admin_conn_set_allow(struct admin_conn *c, const char *method);
/* {"error":"…"}, and the connection ends. */
void admin_conn_error(struct admin_conn *c, int status, const char *text);

/*
 * A request that is answered later. The job outlives the connection; exactly one of the replies
 * ends it.
 */
struct admin_job {
    struct admin_conn *conn; /* NULL: the client went away */
    struct buf out;          /* the reply as it grows */
    bool has_rows;
    /* What it waits for, when that can be cancelled: it is, and the job freed, when the client goes
     * away. */
    struct roster *roster;
    struct listing *listing;
};
struct admin_job *admin_conn_wait(struct admin_conn *c);
/* 200 (or another status) with the content of `out`, as JSON. */
void admin_job_reply(struct admin_job *job, int status);
void admin_job_error(struct admin_job *job, int status, const char *text);

#endif
