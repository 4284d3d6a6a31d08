/*
 * post.h - the way up of a client that has an event stream: a POST to a route that converts, with
 * the headers X-PODE-SIGNAL-CLIENT-ID (and -NAME), at any gateway. Its body is a client message.
 *
 *     POST ─ the route runs up to web:convert ─ reference.h ─▶ post_take
 *          ─ uplink, as if a WebSocket had said it ─▶ broker ─ its outcome ─▶ 202, or a refusal
 *
 * The route runs so that it can turn away whom it would not let connect; what it converts to has to
 * be the connection that the headers name. The messages of one connection are taken one after the
 * other, each when the one before is answered.
 *
 *     202  {"id":"5-7"}: handled; the id of the first message that it led to in its Name's
 *          partition. {"id":null}: there is none, or it is not known within POST_WAIT_MS
 *     400  not UTF-8; 403  the route is of another connection, a level; 413  too big
 *     429  over --max-messages-per-second, or POSTS_WAITING_MAX wait
 *     503  there was no room for POST_WAIT_MS; 504  Redis may have it, or not
 */
#ifndef SIGNALBOX_GATEWAY_ROUTES_POST_H
#define SIGNALBOX_GATEWAY_ROUTES_POST_H

#include <stdbool.h>
#include <uv.h>

struct bus;
struct client_host;
struct posts;
struct request;
struct upgrade_options;

enum { POSTS_WAITING_MAX = 100, POST_WAIT_MS = 10000 };

/* A gateway has one. All is borrowed for life. wait_ms: POST_WAIT_MS, but for tests. */
struct posts *posts_new(uv_loop_t *loop, struct bus *bus, const struct client_host *host,
                        uint64_t wait_ms);
/* No connection is left. The loop must run once more. */
void posts_free(struct posts *p);

/* A POST that refers to a connection. */
bool post_is(const struct request *r);
/* Its connection is found (r->signal). Answers it now, or later. */
void post_take(struct posts *p, struct request *r, const struct upgrade_options *o);

#endif
