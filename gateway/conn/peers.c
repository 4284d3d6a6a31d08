/* peers.c - see peers.h. An entry and the wider one that it is in are walked by `wider`. */
#include "gateway/conn/peers.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/log.h"
#include "common/base/settings.h"
#include "common/base/table.h"
#include "gateway/conn/rate.h"

enum {
    TOLD_PER_ADDRESS_MAX = 8,
    IDLE_MS = (PEER_BURST_SECONDS + 1) * 1000, /* after so long a rate has recovered */
    FORGOTTEN_AT_ONCE = 4,
    SAID_EVERY_MS = 10000
};

struct peer {
    struct ip_network network; /* the key */
    struct peer *wider;        /* held by this one; or NULL */
    unsigned holders;
    bool is_local;
    uint64_t idle_ms; /* since when without holders */
    uint64_t refused; /* since it was last logged */
    uint64_t said_ms; /* when that was; 0: never */
    uint64_t counts[PEER_COUNTS];
    struct rate rates[PEER_RATES];
    TAILQ_ENTRY(peer) in_idle;
    UT_hash_handle hh;
};

static const struct refusal count_refusals[PEER_COUNTS] = {
    [PEER_CONNECTIONS] = {503, "too many connections from this address",
                          "max-connections-per-address", METRIC_refused_address_connections},
    [PEER_WEBSOCKETS] = {503, "too many WebSockets from this address", "max-websockets-per-address",
                         METRIC_refused_address_websockets},
    [PEER_HANDSHAKES] = {503, "too many TLS handshakes from this address",
                         "max-handshakes-per-address", METRIC_refused_address_handshakes},
    [PEER_TOLD] = {503, "too many connections from this address", NULL, METRIC_refused_dropped},
};

static const struct refusal rate_refusals[PEER_RATES] = {
    [PEER_CONNECTING] = {429, "too many new connections from this address",
                         "max-connects-per-second-per-address", METRIC_refused_address_connects},
    [PEER_HANDSHAKING] = {429, "too many TLS handshakes from this address",
                          "max-handshakes-per-second-per-address",
                          METRIC_refused_address_handshakes},
    [PEER_REQUESTING] = {429, "too many requests from this address",
                         "max-requests-per-second-per-address", METRIC_refused_address_requests},
    [PEER_WORKING] = {429, "requests from this address take too long to answer",
                      "max-handler-ms-per-second-per-address", METRIC_refused_address_handlers},
};

/* ---- limits */

bool peers_is_spared(const struct settings *s, const int64_t *limit, bool is_local) {
    return is_local && settings_is_default(s, limit);
}

static uint64_t limit_of(const struct settings *s, const int64_t *limit, bool is_local) {
    return peers_is_spared(s, limit, is_local) ? 0 : (uint64_t)*limit;
}

static struct peer_limits limits_of(const struct settings *s, bool is_local) {
    return (struct peer_limits){
        .most = {[PEER_CONNECTIONS] = limit_of(s, &s->max_connections_per_address, is_local),
                 [PEER_WEBSOCKETS] = limit_of(s, &s->max_websockets_per_address, is_local),
                 [PEER_HANDSHAKES] = limit_of(s, &s->max_handshakes_per_address, is_local),
                 [PEER_TOLD] = TOLD_PER_ADDRESS_MAX},
        .per_second = {
            [PEER_CONNECTING] = limit_of(s, &s->max_connects_per_second_per_address, is_local),
            [PEER_HANDSHAKING] = limit_of(s, &s->max_handshakes_per_second_per_address, is_local),
            [PEER_REQUESTING] = limit_of(s, &s->max_requests_per_second_per_address, is_local),
            [PEER_WORKING] = limit_of(s, &s->max_handler_ms_per_second_per_address, is_local)}};
}

void peers_init(struct peers *p, const struct settings *s, const struct ip_networks *proxies,
                size_t max_connections) {
    *p = (struct peers){.limits = limits_of(s, false),
                        .local_limits = limits_of(s, true),
                        .proxies = proxies,
                        .ipv6_bits = (unsigned)s->ipv6_prefix_bits};
    uint64_t *most = &p->limits.most[PEER_CONNECTIONS], half = max_connections / 2 + 1;
    if (settings_is_default(s, &s->max_connections_per_address) && *most > half)
        *most = half;
    TAILQ_INIT(&p->idle);
}

/* ---- entries */

static void forget(struct peers *p, struct peer *peer) {
    TAILQ_REMOVE(&p->idle, peer, in_idle);
    p->idle_count--;
    HASH_DEL(p->table, peer);
    free(peer);
}

/* A few for each that comes: the table shrinks faster than it can grow. */
static void forget_old(struct peers *p, uint64_t now_ms) {
    for (int i = 0; i < FORGOTTEN_AT_ONCE; i++) {
        struct peer *oldest = TAILQ_FIRST(&p->idle);
        if (oldest == NULL ||
            (now_ms - oldest->idle_ms < IDLE_MS && p->idle_count <= PEERS_IDLE_MAX))
            return;
        forget(p, oldest);
    }
}

static void let_go(struct peers *p, struct peer *peer, uint64_t now_ms) {
    for (; peer != NULL && --peer->holders == 0; peer = peer->wider) {
        peer->idle_ms = now_ms;
        TAILQ_INSERT_TAIL(&p->idle, peer, in_idle);
        p->idle_count++;
    }
}

static struct peer *take(struct peers *p, struct ip ip, unsigned bits, uint64_t now_ms) {
    struct ip_network network = ip_network_of(ip, bits);
    struct peer *peer;
    HASH_FIND(hh, p->table, &network, sizeof(network), peer);
    if (peer == NULL) {
        forget_old(p, now_ms);
        peer = mem_zalloc(sizeof(*peer));
        peer->network = network;
        peer->is_local = ip_is_local(network.base);
        HASH_ADD(hh, p->table, network, sizeof(network), peer);
    } else if (peer->holders == 0) {
        TAILQ_REMOVE(&p->idle, peer, in_idle);
        p->idle_count--;
    }
    if (peer->holders++ == 0)
        peer->wider =
            bits > PEER_WIDER_BITS && !ip_is_v4(ip) ? take(p, ip, PEER_WIDER_BITS, now_ms) : NULL;
    return peer;
}

/* ::1 is a host by itself: its network has no others. */
static unsigned bits_of(const struct peers *p, struct ip ip) {
    return ip_is_v4(ip) || ip_is_loopback(ip) ? IP_BITS : p->ipv6_bits;
}

void peers_hold(struct peers *p, struct peer_hold *hold, struct ip ip, uint64_t now_ms) {
    peers_release(p, hold, now_ms);
    if (ip_is_known(ip) && !ip_networks_have(p->proxies, ip))
        hold->peer = take(p, ip, bits_of(p, ip), now_ms);
}

void peers_release(struct peers *p, struct peer_hold *hold, uint64_t now_ms) {
    for (unsigned what = 0; what < PEER_COUNTS; what++)
        peers_uncount(hold, what);
    if (hold->peer != NULL)
        let_go(p, hold->peer, now_ms);
    *hold = (struct peer_hold){0};
}

void peers_deinit(struct peers *p) {
    struct peer *peer, *next;
    HASH_ITER (hh, p->table, peer, next) {
        HASH_DEL(p->table, peer);
        free(peer);
    }
    *p = (struct peers){0};
}

/* ---- what counts */

/* An address that floods is named once in a while. */
static const struct refusal *refuse(struct peer *peer, const struct refusal *why, uint64_t now_ms) {
    char address[IP_TEXT_SIZE];
    if (why->limit == NULL)
        return why; /* it was refused, and counted, before */
    metrics_add(why->metric, 1);
    peer->refused++;
    if (peer->said_ms != 0 && now_ms - peer->said_ms < SAID_EVERY_MS)
        return why;
    ip_show(peer->network.base, address);
    size_t len = strlen(address);
    if (!ip_is_v4(peer->network.base))
        snprintf(address + len, sizeof(address) - len, "/%u", peer->network.bits);
    log_warn("peers", "refused address=%s limit=--%s refused=%" PRIu64, address, why->limit,
             peer->refused);
    peer->said_ms = now_ms;
    peer->refused = 0;
    return why;
}

static const struct peer_limits *limits_for(const struct peers *p, const struct peer *peer) {
    return peer->is_local ? &p->local_limits : &p->limits;
}

const struct refusal *peers_count(struct peers *p, struct peer_hold *hold, enum peer_count what,
                                  uint64_t now_ms) {
    unsigned bit = 1U << what, factor = 1;
    if (hold->peer == NULL || (hold->counted & bit) != 0)
        return NULL;
    uint64_t most = limits_for(p, hold->peer)->most[what];
    for (struct peer *i = hold->peer; most > 0 && i != NULL; i = i->wider, factor *= PEER_WIDER)
        if (i->counts[what] >= most * factor)
            return refuse(i, &count_refusals[what], now_ms);
    hold->counted |= bit;
    for (struct peer *i = hold->peer; i != NULL; i = i->wider)
        i->counts[what]++;
    return NULL;
}

void peers_uncount(struct peer_hold *hold, enum peer_count what) {
    unsigned bit = 1U << what;
    if ((hold->counted & bit) == 0)
        return;
    hold->counted &= ~bit;
    for (struct peer *i = hold->peer; i != NULL; i = i->wider)
        i->counts[what]--;
}

const struct refusal *peers_spend(struct peers *p, struct peer_hold *hold, enum peer_rate what,
                                  uint64_t now_ms) {
    unsigned factor = 1;
    if (hold->peer == NULL)
        return NULL;
    uint64_t most = limits_for(p, hold->peer)->per_second[what];
    for (struct peer *i = hold->peer; most > 0 && i != NULL; i = i->wider, factor *= PEER_WIDER)
        if (!rate_try(&i->rates[what], now_ms * 1000, most * factor,
                      most * factor * PEER_BURST_SECONDS))
            return refuse(i, &rate_refusals[what], now_ms);
    return NULL;
}

/* So many us of rest for each us of work. */
void peers_work(struct peers *p, struct ip ip, uint64_t used_us, uint64_t now_ms) {
    struct peer_hold hold = {0};
    uint64_t factor = 1;
    if (used_us < PEER_WORK_MIN_US)
        return;
    peers_hold(p, &hold, ip, now_ms);
    if (hold.peer == NULL)
        return;
    uint64_t most_ms = limits_for(p, hold.peer)->per_second[PEER_WORKING];
    for (struct peer *i = hold.peer; most_ms > 0 && i != NULL; i = i->wider, factor *= PEER_WIDER)
        rate_charge(&i->rates[PEER_WORKING], now_ms * 1000, used_us * 1000 / (most_ms * factor),
                    PEER_BURST_SECONDS * UINT64_C(1000000));
    peers_release(p, &hold, now_ms);
}

const struct refusal *peers_may_work(struct peers *p, struct peer_hold *hold, uint64_t now_ms) {
    if (hold->peer == NULL || limits_for(p, hold->peer)->per_second[PEER_WORKING] == 0)
        return NULL;
    for (struct peer *i = hold->peer; i != NULL; i = i->wider)
        if (rate_is_over(&i->rates[PEER_WORKING], now_ms * 1000,
                         PEER_WORK_BURST_SECONDS * UINT64_C(1000000)))
            return refuse(i, &rate_refusals[PEER_WORKING], now_ms);
    return NULL;
}
