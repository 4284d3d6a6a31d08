/* connector.c - see connector.h. Read connector_start first. */
#include "common/bus/redis/connector.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/log.h"
#include "common/net/tls.h"

enum { RESOLVE_MS = 5000, CONNECT_MS = 2000, WHY_MAX = 400 };

struct lookup {
    uv_getaddrinfo_t req;
    struct connector *connector; /* NULL: it is gone */
    struct redis_host host;
};

static void resolve(struct connector *c);
static void try_address(struct connector *c);

static PRINTF_LIKE(2, 3) void fail(struct connector *c, const char *format, ...) {
    char why[WHY_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(why, sizeof(why), format, args);
    va_end(args);
    connector_abort(c);
    c->events->on_failed(c, why);
}

static bool has_path(const struct connector *c) {
    return c->url->path[0] != '\0';
}

/* ---- the stream ---- */

static void fail_connect(struct connector *c, const char *why) {
    if (has_path(c))
        fail(c, "connect %s: %s", c->url->path, why);
    else
        fail(c, "connect %s:%d: %s", c->host.host, c->host.port, why);
}

static void try_next(struct connector *c, int status) {
    MUST(c->state == CONNECTOR_CONNECTING);
    c->address_at++;
    if (c->address_at < c->address_count)
        stream_abort(&c->stream); /* on_closed goes on */
    else
        fail_connect(c, stream_error_text(&c->stream, status));
}

static struct connector *owner_of(struct stream *s) {
    return container_of(s, struct connector, stream);
}

static void on_open(struct stream *s, int status) {
    struct connector *c = owner_of(s);
    if (status < 0) {
        try_next(c, status);
        return;
    }
    c->state = CONNECTOR_OPEN;
    c->events->on_open(c);
}

static void on_bytes(struct stream *s, struct bytes in) {
    struct connector *c = owner_of(s);
    c->events->on_bytes(c, in);
}

static void on_end(struct stream *s, int status) {
    fail(owner_of(s), "the connection ended: %s", stream_error_text(s, status));
}

static void on_writable(struct stream *s) {
    struct connector *c = owner_of(s);
    c->events->on_writable(c);
}

static void on_closed(struct stream *s) {
    struct connector *c = owner_of(s);
    c->has_stream = false;
    if (c->state == CONNECTOR_WAITING)
        resolve(c);
    else if (c->state == CONNECTOR_CONNECTING)
        try_address(c);
    else if (c->state == CONNECTOR_CLOSED)
        c->events->on_closed(c);
}

/* ---- CONNECTING ---- */

/* The context is made when it is needed first, so that a file may appear later, and made anew when
 * a file was replaced; if the new one is wrong, the old context stays. */
static bool need_tls(struct connector *c) {
    struct redis_access_stamp now;
    char *error = NULL;
    if (!c->url->is_tls)
        return true;
    redis_access_stamp(c->url, &now);
    if (c->tls != NULL && memcmp(&now, &c->tls_stamp, sizeof(now)) == 0)
        return true;
    struct tls_context *fresh = redis_access_tls(c->url, &error);
    if (fresh != NULL) {
        tls_context_unref(c->tls);
        c->tls = fresh;
        c->tls_stamp = now;
    } else if (c->tls != NULL) {
        log_warn("redis", "kept_certificates link=%s reason=%s", c->name,
                 LOG_TEXT(bytes_str(error)));
    } else {
        fail_connect(c, error);
    }
    free(error);
    return c->tls != NULL;
}

static void try_address(struct connector *c) {
    static const struct stream_events events = {.on_open = on_open,
                                                .on_bytes = on_bytes,
                                                .on_end = on_end,
                                                .on_writable = on_writable,
                                                .on_closed = on_closed};
    c->silent_ms = 0;
    if (!need_tls(c))
        return;
    stream_init(&c->stream, c->loop, &events);
    c->has_stream = true;
    struct sockaddr *address = (struct sockaddr *)&c->addresses[c->address_at];
    int r = has_path(c) ? stream_connect_pipe(&c->stream, c->url->path)
                        : stream_connect_tcp(&c->stream, address, c->tls, c->host.host);
    if (r < 0)
        try_next(c, r);
}

static void start_connecting(struct connector *c) {
    c->state = CONNECTOR_CONNECTING;
    c->address_at = 0;
    try_address(c);
}

/* ---- RESOLVING ---- */

static void add_address(struct connector *c, const struct sockaddr *address, size_t len) {
    if (c->address_count == CONNECTOR_ADDRESSES_MAX || len > sizeof(c->addresses[0]))
        return;
    memcpy(&c->addresses[c->address_count++], address, len);
}

static void looked_up(struct connector *c, const struct redis_host *host, int status,
                      const struct addrinfo *list) {
    c->lookup = NULL;
    if (c->state != CONNECTOR_RESOLVING)
        return;
    if (host->port != c->host.port || strcmp(host->host, c->host.host) != 0) {
        resolve(c); /* it was an earlier attempt's */
        return;
    }
    for (; list != NULL; list = list->ai_next)
        add_address(c, list->ai_addr, list->ai_addrlen);
    if (c->address_count > 0)
        start_connecting(c);
    else if (status < 0)
        fail(c, "look up %s: %s", host->host, uv_strerror(status));
    else
        fail(c, "look up %s: it has no address", host->host);
}

static void on_looked_up(uv_getaddrinfo_t *req, int status, struct addrinfo *list) {
    struct lookup *lookup = container_of(req, struct lookup, req);
    if (lookup->connector != NULL)
        looked_up(lookup->connector, &lookup->host, status, list);
    uv_freeaddrinfo(list);
    free(lookup);
}

static void look_up(struct connector *c) {
    if (c->lookup != NULL)
        return; /* an earlier attempt's: its end goes on here */
    char port[16];
    snprintf(port, sizeof(port), "%d", c->host.port);
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct lookup *lookup = mem_zalloc(sizeof(*lookup));
    lookup->connector = c;
    lookup->host = c->host;
    int r = uv_getaddrinfo(c->loop, &lookup->req, on_looked_up, c->host.host, port, &hints);
    if (r == 0) {
        c->lookup = lookup;
        return;
    }
    free(lookup);
    fail(c, "look up %s: %s", c->host.host, uv_strerror(r));
}

static void resolve(struct connector *c) {
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    c->state = CONNECTOR_RESOLVING;
    c->silent_ms = 0;
    c->address_count = 0;
    if (has_path(c))
        c->address_count = 1;
    else if (uv_ip4_addr(c->host.host, c->host.port, &v4) == 0)
        add_address(c, (struct sockaddr *)&v4, sizeof(v4));
    else if (uv_ip6_addr(c->host.host, c->host.port, &v6) == 0)
        add_address(c, (struct sockaddr *)&v6, sizeof(v6));
    if (c->address_count > 0)
        start_connecting(c);
    else
        look_up(c);
}

/* ---- life ---- */

void connector_init(struct connector *c, uv_loop_t *loop, const struct redis_url *url,
                    const char *name, const struct connector_events *events) {
    *c = (struct connector){.loop = loop, .url = url, .name = name, .events = events};
}

void connector_abort(struct connector *c) {
    if (c->has_stream)
        stream_abort(&c->stream);
    c->state = CONNECTOR_IDLE;
}

void connector_start(struct connector *c, const struct redis_host *host) {
    if (host != NULL)
        c->host = *host;
    connector_abort(c);
    c->state = CONNECTOR_WAITING;
    if (!c->has_stream)
        resolve(c);
}

void connector_tick(struct connector *c, unsigned passed_ms) {
    c->silent_ms += passed_ms;
    if (c->state == CONNECTOR_RESOLVING && c->silent_ms >= RESOLVE_MS)
        fail(c, "look up: no answer for %u ms", c->silent_ms);
    else if (c->state == CONNECTOR_CONNECTING && c->silent_ms >= CONNECT_MS)
        try_next(c, UV_ETIMEDOUT);
}

void connector_close(struct connector *c) {
    connector_abort(c);
    c->state = CONNECTOR_CLOSED;
}

bool connector_is_closed(const struct connector *c) {
    return c->state == CONNECTOR_CLOSED && !c->has_stream;
}

void connector_deinit(struct connector *c) {
    if (c->lookup != NULL) {
        c->lookup->connector = NULL;
        uv_cancel((uv_req_t *)&c->lookup->req);
    }
    tls_context_unref(c->tls);
}
