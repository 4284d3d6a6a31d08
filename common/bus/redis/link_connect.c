/*
 * link_connect.c - from IDLE or BACKOFF to a stream that is open; see link.h for the states.
 *
 * The target of an attempt is a unix socket, a host, or with Sentinel first a sentinel and then the
 * master it named. A target may have several addresses ("localhost" has two): they are tried in
 * turn. Read first: link_begin.
 */
#include "common/bus/redis/link_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/log.h"
#include "common/net/tls.h"

struct lookup {
    uv_getaddrinfo_t req;
    struct link *link; /* NULL: the link is gone */
    struct redis_host host;
};

static void resolve(struct link *l);
static void connect_next(struct link *l, int status);

/* ---- the stream ---- */

static struct link *owner_of(struct stream *s) {
    return container_of(s, struct link, stream);
}

static void on_open(struct stream *s, int status) {
    struct link *l = owner_of(s);
    if (status == 0)
        link_connected(l);
    else
        connect_next(l, status);
}

static void on_bytes(struct stream *s, struct bytes in) {
    link_on_bytes(owner_of(s), in);
}

static void on_end(struct stream *s, int status) {
    link_fail(owner_of(s), "the connection ended: %s", stream_error_text(s, status));
}

static void on_writable(struct stream *s) {
    link_on_writable(owner_of(s));
}

static bool has_target_name(const struct link *l) {
    return l->url->path[0] == '\0';
}

static const struct redis_host *target(const struct link *l) {
    if (l->url->master[0] == '\0')
        return &l->url->hosts[0];
    return l->is_master_known ? &l->master : &l->url->hosts[l->sentinel];
}

static void try_address(struct link *l);

static void on_closed(struct stream *s) {
    struct link *l = owner_of(s);
    l->has_stream = false;
    if (l->state == LINK_CONNECT)
        try_address(l);
    else if (l->state == LINK_ASK)
        resolve(l);
    else if (l->state == LINK_BACKOFF && l->is_due)
        link_begin(l);
    else if (l->state == LINK_CLOSED)
        link_on_stream_closed(l);
}

static const struct stream_events stream_events = {.on_open = on_open,
                                                   .on_bytes = on_bytes,
                                                   .on_end = on_end,
                                                   .on_writable = on_writable,
                                                   .on_closed = on_closed};

/* ---- CONNECT ---- */

static void fail_connect(struct link *l, const char *why) {
    if (has_target_name(l))
        link_fail(l, "connect %s:%d: %s", target(l)->host, target(l)->port, why);
    else
        link_fail(l, "connect %s: %s", l->url->path, why);
}

static void connect_next(struct link *l, int status) {
    MUST(l->state == LINK_CONNECT);
    l->address_at++;
    if (l->address_at >= l->address_count) {
        fail_connect(l, stream_error_text(&l->stream, status));
        return;
    }
    stream_abort(&l->stream); /* on_closed goes on */
}

/* Made at the first need, so that a file may appear later, and anew when a file was replaced; if
 * the new one is wrong, the old context stays. */
static bool need_tls(struct link *l) {
    struct redis_access_stamp now;
    char *error = NULL;
    if (!l->url->is_tls)
        return true;
    redis_access_stamp(l->url, &now);
    if (l->tls != NULL && memcmp(&now, &l->tls_stamp, sizeof(now)) == 0)
        return true;
    struct tls_context *fresh = redis_access_tls(l->url, &error);
    if (fresh != NULL) {
        tls_context_unref(l->tls);
        l->tls = fresh;
        l->tls_stamp = now;
    } else if (l->tls != NULL) {
        log_warn("redis", "kept_certificates link=%s reason=%s", l->name,
                 LOG_TEXT(bytes_str(error)));
    } else {
        fail_connect(l, error);
    }
    free(error);
    return l->tls != NULL;
}

static void try_address(struct link *l) {
    if (!need_tls(l))
        return;
    stream_init(&l->stream, l->loop, &stream_events);
    l->has_stream = true;
    int r = 0;
    if (has_target_name(l))
        r = stream_connect_tcp(&l->stream, (struct sockaddr *)&l->addresses[l->address_at], l->tls,
                               target(l)->host);
    else
        r = stream_connect_pipe(&l->stream, l->url->path);
    if (r < 0)
        connect_next(l, r);
}

static void start_connecting(struct link *l) {
    link_set_state(l, LINK_CONNECT);
    l->address_at = 0;
    try_address(l);
}

/* ---- RESOLVE ---- */

static void add_address(struct link *l, const struct sockaddr *address, size_t len) {
    if (l->address_count == LINK_ADDRESSES_MAX || len > sizeof(l->addresses[0]))
        return;
    memcpy(&l->addresses[l->address_count++], address, len);
}

static bool is_same_host(const struct redis_host *a, const struct redis_host *b) {
    return a->port == b->port && strcmp(a->host, b->host) == 0;
}

static void looked_up(struct link *l, const struct redis_host *host, int status,
                      const struct addrinfo *list) {
    l->lookup = NULL;
    if (l->state != LINK_RESOLVE)
        return;
    if (!is_same_host(host, target(l))) {
        resolve(l);
        return;
    }
    if (status < 0) {
        link_fail(l, "look up %s: %s", host->host, uv_strerror(status));
        return;
    }
    for (; list != NULL; list = list->ai_next)
        add_address(l, list->ai_addr, list->ai_addrlen);
    if (l->address_count > 0)
        start_connecting(l);
    else
        link_fail(l, "look up %s: it has no address", host->host);
}

static void on_looked_up(uv_getaddrinfo_t *req, int status, struct addrinfo *list) {
    struct lookup *lookup = container_of(req, struct lookup, req);
    if (lookup->link != NULL)
        looked_up(lookup->link, &lookup->host, status, list);
    uv_freeaddrinfo(list);
    free(lookup);
}

static void look_up(struct link *l, const struct redis_host *host) {
    if (l->lookup != NULL)
        return; /* still busy from an earlier attempt: its end goes on here */
    char port[16];
    snprintf(port, sizeof(port), "%d", host->port);
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct lookup *lookup = mem_zalloc(sizeof(*lookup));
    lookup->link = l;
    lookup->host = *host;
    int r = uv_getaddrinfo(l->loop, &lookup->req, on_looked_up, host->host, port, &hints);
    if (r == 0) {
        l->lookup = lookup;
        return;
    }
    free(lookup);
    link_fail(l, "look up %s: %s", host->host, uv_strerror(r));
}

static void resolve(struct link *l) {
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    if (l->state != LINK_RESOLVE)
        link_set_state(l, LINK_RESOLVE);
    l->address_count = 0;
    if (!has_target_name(l)) {
        l->address_count = 1;
        start_connecting(l);
        return;
    }
    const struct redis_host *host = target(l);
    if (uv_ip4_addr(host->host, host->port, &v4) == 0)
        add_address(l, (struct sockaddr *)&v4, sizeof(v4));
    else if (uv_ip6_addr(host->host, host->port, &v6) == 0)
        add_address(l, (struct sockaddr *)&v6, sizeof(v6));
    if (l->address_count > 0)
        start_connecting(l);
    else
        look_up(l, host);
}

void link_begin(struct link *l) {
    l->is_due = l->has_stream;
    if (l->has_stream)
        return; /* on_closed comes back here */
    l->is_master_known = false;
    link_start_ticking(l);
    resolve(l);
}

void link_connect_timeout(struct link *l) {
    l->silent_ms = 0;
    connect_next(l, UV_ETIMEDOUT);
}

void link_go_to_master(struct link *l) {
    l->is_master_known = true;
    link_drop_connection(l); /* on_closed goes on */
}

void link_connect_deinit(struct link *l) {
    if (l->lookup != NULL) {
        l->lookup->link = NULL;
        uv_cancel((uv_req_t *)&l->lookup->req);
    }
    tls_context_unref(l->tls);
}
