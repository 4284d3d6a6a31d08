/*
 * http.h - the protocol of every connection until a 101: requests one after the other, each
 * complete before it is handled (http.c), then handed to dispatch.c.
 */
#ifndef SIGNALBOX_GATEWAY_CONN_HTTP_H
#define SIGNALBOX_GATEWAY_CONN_HTTP_H

#include <uv.h>

#include "common/base/buf.h"

struct conn;
struct conns;
struct endpoint;
struct http_proxies;
struct refusal;
struct routes;
struct request;
struct settings;
struct tls_context;

/* What all HTTP connections of a process have in common. */
struct http_host {
    const struct settings *settings;
    const struct http_proxies *proxies; /* who may tell us who asks */
    /* A request is complete: answers it, or sets to work what will. */
    void (*on_request)(struct request *r);
    /* A complete request that is one too many: refuses it. */
    void (*on_refused)(struct request *r, const struct refusal *why);
    struct routes *routes; /* for on_request: request->routes */
};

/* Takes a waiting connection of a listener; NULL when there was none. */
struct conn *http_accept(struct conns *set, uv_stream_t *server, struct tls_context *tls,
                         const struct endpoint *endpoint, const struct http_host *host);

/* The request becomes something else than HTTP: the protocol's state is freed, what was read past
 * the request is returned (the caller's). conn_switch must follow. */
struct buf http_leave(struct conn *c);

#endif
