/* listener.c - see listener.h. */
#include "gateway/listener.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/log.h"
#include "common/base/memory_budget.h"
#include "common/base/metrics.h"
#include "common/net/port.h"
#include "gateway/conn/conn.h"
#include "gateway/conn/endpoints.h"
#include "gateway/conn/http.h"

enum { BACKLOG = 4096, ACCEPTS_PER_TURN = 128, TOLD_MAX = 32 };

struct listener {
    struct listeners *owner;
    const struct endpoint_run *endpoint;
    bool has_waiting; /* the bound of this turn was reached with a connection in hand */
    struct port_place place;
    struct port_claim *claim;
    uv_tcp_t tcp;
};

/* ---- how many a second */

static bool is_resting(const struct listeners *l) {
    return conns_now(l->o.conns) < l->wait_until_ms;
}

static void on_wake(uv_timer_t *timer) {
    (void)timer; /* on_turn follows */
}

/* One more was welcome. */
static void pace(struct listeners *l) {
    uint64_t now_ms = conns_now(l->o.conns);
    if (l->o.connects_per_second == 0)
        return;
    uint64_t wait_us = rate_take(&l->rate, now_ms * 1000, l->o.connects_per_second);
    if (wait_us == 0)
        return;
    l->wait_until_ms = now_ms + (wait_us + 999) / 1000;
    MUST(uv_timer_start(&l->wake, on_wake, l->wait_until_ms - now_ms, 0) == 0);
}

/* ---- limits */

static bool is_full(const struct listeners *l) {
    const struct conns *set = l->o.conns;
    return set->count + set->unfreed - set->refused > l->o.max_connections;
}

/* Of the process. NULL: there is room for one more. */
static const struct refusal *room(const struct listeners *l) {
    static const struct refusal full = {503, "the gateway is full", NULL, METRIC_refused_full};
    static const struct refusal short_of_memory = {503, "memory is short, try again later", NULL,
                                                   METRIC_refused_memory};
    const struct refusal *why = is_full(l) ? &full : memory_is_over() ? &short_of_memory : NULL;
    if (why != NULL)
        metrics_add(why->metric, 1);
    return why;
}

/* NULL: it is welcome. */
static const struct refusal *judge(struct listeners *l, struct conn *c, bool is_tls) {
    struct peers *peers = l->o.conns->peers;
    uint64_t now_ms = conns_now(l->o.conns);
    const struct refusal *why = peers_spend(peers, &c->hold, PEER_CONNECTING, now_ms);
    if (why == NULL)
        why = room(l);
    if (why == NULL && is_tls)
        why = peers_spend(peers, &c->hold, PEER_HANDSHAKING, now_ms);
    if (why == NULL && is_tls)
        why = peers_count(peers, &c->hold, PEER_HANDSHAKES, now_ms);
    if (why == NULL)
        why = peers_count(peers, &c->hold, PEER_CONNECTIONS, now_ms);
    return why;
}

void listeners_admit(struct listeners *l, struct conn *c) {
    struct conns *set = l->o.conns;
    bool is_tls = c->endpoint->is_tls;
    peers_hold(set->peers, &c->hold, c->ip, conns_now(set));
    const struct refusal *why = judge(l, c, is_tls);
    if (why == NULL) {
        pace(l);
        return;
    }
    bool is_told = !is_tls && set->told < TOLD_MAX &&
                   peers_count(set->peers, &c->hold, PEER_TOLD, conns_now(set)) == NULL;
    metrics_add(METRIC_refused_dropped, !is_told);
    conn_refuse(c, why, is_told);
}

/* Whoever is no proxy could name any client. */
static void send_away(struct conn *c) {
    char address[IP_TEXT_SIZE];
    ip_show(c->ip, address);
    log_warn("listener",
             "refused address=%s: the endpoint speaks the PROXY protocol, and this is "
             "none of --trusted-proxies",
             address);
    metrics_add(METRIC_refused_proxy, 1);
    conn_drop(c);
}

static void take(struct listener *listener) {
    struct listeners *l = listener->owner;
    struct conn *c = http_accept(l->o.conns, (uv_stream_t *)&listener->tcp, listener->endpoint->tls,
                                 &listener->endpoint->at, l->o.http);
    if (c == NULL)
        return;
    metrics_add(METRIC_accepted, 1);
    if (c->endpoint->proxy == PROXY_NONE)
        listeners_admit(l, c);
    else if (!ip_networks_have(l->o.conns->peers->proxies, c->ip))
        send_away(c);
}

/* ---- accepting */

/* Whether this turn takes one more. What is not taken stays with libuv, which then accepts none. */
static bool may_take(struct listener *listener) {
    struct listeners *l = listener->owner;
    return l->taken_this_turn < ACCEPTS_PER_TURN && !is_resting(l) &&
           (listener->endpoint->tls == NULL || handshakes_have_room(&l->o.conns->handshakes));
}

static void on_connection(uv_stream_t *server, int status) {
    struct listener *listener = container_of((uv_tcp_t *)server, struct listener, tcp);
    if (status < 0) {
        log_warn("listener", "failed to accept reason=%s", uv_strerror(status));
        return;
    }
    if (!may_take(listener)) {
        listener->has_waiting = true;
        return;
    }
    listener->owner->taken_this_turn++;
    take(listener);
}

static void on_turn(uv_prepare_t *handle) {
    struct listeners *l = container_of(handle, struct listeners, turn);
    l->taken_this_turn = 0;
    for (size_t i = 0; i < l->count; i++) {
        if (!l->items[i]->has_waiting || !may_take(l->items[i]))
            continue;
        l->items[i]->has_waiting = false;
        l->taken_this_turn++;
        take(l->items[i]);
    }
}

/* ---- opening */

static int bind_socket(const struct addrinfo *a, bool is_any) {
    int one = 1, zero = 0;
    int fd = socket(a->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    if (a->ai_family == AF_INET6)
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, is_any ? &zero : &one, sizeof(one));
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 ||
        setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one)) < 0 ||
        bind(fd, a->ai_addr, a->ai_addrlen) < 0) {
        int error = -errno;
        close(fd);
        return error;
    }
    return fd;
}

static void on_listener_closed(uv_handle_t *handle) {
    free(container_of((uv_tcp_t *)handle, struct listener, tcp));
}

static int add_listener(struct listeners *l, const struct endpoint_run *endpoint,
                        const struct port_place *place, int fd) {
    struct listener *item = mem_zalloc(sizeof(*item));
    *item = (struct listener){.owner = l, .endpoint = endpoint, .place = *place};
    MUST(uv_tcp_init(l->o.loop, &item->tcp) == 0);
    int status = uv_tcp_open(&item->tcp, fd);
    if (status == 0)
        status = uv_listen((uv_stream_t *)&item->tcp, BACKLOG, on_connection);
    if (status < 0) {
        uv_close((uv_handle_t *)&item->tcp, on_listener_closed);
        return status;
    }
    item->claim = port_claim_new(l->o.loop, place, l->o.fleet);
    l->items = mem_realloc(l->items, (l->count + 1) * sizeof(struct listener *));
    l->items[l->count++] = item;
    return 0;
}

/* The kernel would spread the clients over both endpoints, whatever each of them speaks. */
static bool is_taken_by_us(const struct listeners *l, const struct endpoint_run *e,
                           const struct port_place *place, char why_out[PORT_WHY_MAX]) {
    for (size_t i = 0; i < l->count; i++) {
        const struct listener *other = l->items[i];
        if (other->endpoint == e || e->at.port == 0 ||
            memcmp(&other->place.address, &place->address, sizeof(place->address)) != 0)
            continue;
        snprintf(why_out, PORT_WHY_MAX,
                 "another endpoint of this gateway listens there: make them one, as in "
                 "http+ws://ADDRESS:PORT");
        return true;
    }
    return false;
}

/* Nobody else may start on the port between the check and our claim. why_out: "", or what the
 * status alone does not say. */
static int open_place(struct listeners *l, const struct endpoint_run *e, const struct addrinfo *a,
                      char why_out[PORT_WHY_MAX]) {
    struct port_place place = {.is_any =
                                   strcmp(e->at.address, "*") == 0 && a->ai_family == AF_INET6};
    memcpy(&place.address, a->ai_addr, a->ai_addrlen);
    if (is_taken_by_us(l, e, &place, why_out))
        return UV_EADDRINUSE;
    int lock = port_lock(e->at.port);
    int status = port_check(&place, l->o.fleet, why_out);
    if (status == 0)
        status = bind_socket(a, place.is_any);
    if (status >= 0)
        status = add_listener(l, e, &place, status);
    port_unlock(lock);
    return status;
}

static int open_address(struct listeners *l, const struct endpoint_run *e, const char *host,
                        int family, char why_out[PORT_WHY_MAX]) {
    struct addrinfo hints = {
        .ai_family = family, .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    struct addrinfo *found, *a;
    char port[16];
    int opened = 0, status = UV_EADDRNOTAVAIL;
    snprintf(port, sizeof(port), "%d", e->at.port);
    if (getaddrinfo(host, port, &hints, &found) != 0)
        return UV_EAI_NONAME;
    for (a = found; a != NULL; a = a->ai_next) {
        status = open_place(l, e, a, why_out);
        if (status == 0)
            opened++;
        else if (status != UV_EADDRNOTAVAIL && status != UV_EAFNOSUPPORT)
            break;
    }
    freeaddrinfo(found);
    return opened > 0 && a == NULL ? 0 : status;
}

static int open_endpoint(struct listeners *l, const struct endpoint_run *e,
                         char why_out[PORT_WHY_MAX]) {
    why_out[0] = '\0';
    if (strcmp(e->at.address, "*") != 0)
        return open_address(l, e, e->at.address, AF_UNSPEC, why_out);
    int status = open_address(l, e, NULL, AF_INET6, why_out);
    return status == UV_EAFNOSUPPORT || status == UV_EADDRNOTAVAIL || status == UV_EAI_NONAME
               ? open_address(l, e, NULL, AF_INET, why_out)
               : status;
}

int listeners_resume(struct listeners *l, char **error_out) {
    for (size_t i = 0; i < l->o.endpoints->count; i++) {
        const struct endpoint_run *e = &l->o.endpoints->items[i];
        char why[PORT_WHY_MAX];
        int status = open_endpoint(l, e, why);
        if (status < 0) {
            struct buf text = {0};
            buf_printf(&text, "cannot listen on %s port %d: %s", e->at.address, e->at.port,
                       why[0] != '\0' ? why : uv_strerror(status));
            *error_out = buf_take(&text);
            listeners_pause(l);
            return -1;
        }
        log_info("listener", "opened protocol=%s address=%s port=%d",
                 endpoint_scheme(e->at.is_http, e->at.is_ws, e->at.is_tls), e->at.address,
                 e->at.port);
    }
    return 0;
}

int listeners_open(struct listeners *l, const struct listeners_options *options, char **error_out) {
    *l = (struct listeners){.o = *options};
    MUST(uv_prepare_init(l->o.loop, &l->turn) == 0);
    MUST(uv_prepare_start(&l->turn, on_turn) == 0);
    uv_unref((uv_handle_t *)&l->turn);
    MUST(uv_timer_init(l->o.loop, &l->wake) == 0);
    uv_unref((uv_handle_t *)&l->wake);
    if (listeners_resume(l, error_out) == 0)
        return 0;
    listeners_close(l);
    return -1;
}

void listeners_pause(struct listeners *l) {
    for (size_t i = 0; i < l->count; i++) {
        port_claim_free(l->items[i]->claim);
        uv_close((uv_handle_t *)&l->items[i]->tcp, on_listener_closed);
    }
    free(l->items);
    l->items = NULL;
    l->count = 0;
}

void listeners_close(struct listeners *l) {
    listeners_pause(l);
    if (uv_is_closing((uv_handle_t *)&l->turn))
        return;
    uv_close((uv_handle_t *)&l->turn, NULL);
    uv_close((uv_handle_t *)&l->wake, NULL);
}
