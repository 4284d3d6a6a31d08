/*
 * peers.h - what each remote address has here, and how fast it comes: the limits that keep one
 * address from taking what the others need.
 *
 * An IPv4 address counts by itself, an IPv6 address as its network of --ipv6-prefix-bits, and that
 * network once more within its /48, which may have PEER_WIDER times as much: a host that is given
 * a whole /48 is not 65,536 clients. Connections hold the entry of
 * their address (struct peer_hold); one that nobody holds is kept until its rates have recovered,
 * and no longer than there is room.
 * Finding an entry is one look-up under a hash with a secret key, once a connection, or once a
 * request behind a proxy. Nothing here is touched by a message.
 */
#ifndef SIGNALBOX_GATEWAY_CONN_PEERS_H
#define SIGNALBOX_GATEWAY_CONN_PEERS_H

#include <stdint.h>
#include <sys/queue.h>

#include "common/base/ip.h"
#include "common/base/metrics.h"

struct peer;
struct settings;

enum { PEER_WIDER = 16, PEER_WIDER_BITS = 48, PEER_BURST_SECONDS = 10, PEERS_IDLE_MAX = 16384 };

/* What an address has at the same time, … */
enum peer_count {
    PEER_CONNECTIONS,
    PEER_WEBSOCKETS,
    PEER_HANDSHAKES, /* of TLS, under way */
    PEER_TOLD,       /* connections that are only told that they are too many */
    PEER_COUNTS
};
/* … what it begins a second, and how many ms its handlers use. */
enum peer_rate { PEER_CONNECTING, PEER_HANDSHAKING, PEER_REQUESTING, PEER_WORKING, PEER_RATES };
/* Handlers that take less are not looked at; and what handlers may use at once. */
enum { PEER_WORK_MIN_US = 2000, PEER_WORK_BURST_SECONDS = 3 };

/* Why somebody is sent away, and what he is told. */
struct refusal {
    int status;        /* of HTTP */
    const char *text;  /* one line */
    const char *limit; /* the setting, for the log; NULL: it is not logged */
    enum metric metric;
};

struct peer_limits { /* 0: none */
    uint64_t most[PEER_COUNTS];
    uint64_t per_second[PEER_RATES]; /* and PEER_BURST_SECONDS times as many at once */
};

struct peers {
    struct peer_limits limits;         /* of public addresses, … */
    struct peer_limits local_limits;   /* … and of loopback and private ones */
    const struct ip_networks *proxies; /* whose connections count for nobody */
    unsigned ipv6_bits;
    struct peer *table;
    TAILQ_HEAD(, peer) idle; /* that nobody holds, the longest first */
    size_t idle_count;
};

/* The address that something is counted for. Begins as {0}, which counts for nobody. */
struct peer_hold {
    struct peer *peer;
    unsigned counted; /* which of enum peer_count, as bits */
};

/* max_connections: what the process can have; while the limit of an address has its default, it is
 * half of that at most. */
void peers_init(struct peers *p, const struct settings *s, const struct ip_networks *proxies,
                size_t max_connections);
void peers_deinit(struct peers *p);

/* Whether a limit, given by its place in *s, does not hold for such an address (ip_is_local): while
 * nobody sets it, it spares loopback and private networks, where proxies and colleagues are. */
bool peers_is_spared(const struct settings *s, const int64_t *limit, bool is_local);

/* Counts for this address from now on, and for no other. For nobody when it is unknown, or a
 * proxy's. */
void peers_hold(struct peers *p, struct peer_hold *hold, struct ip ip, uint64_t now_ms);
void peers_release(struct peers *p, struct peer_hold *hold, uint64_t now_ms);

/* One more. NULL, or why not: then it is not counted. Idempotent for one hold. */
MUST_CHECK const struct refusal *peers_count(struct peers *p, struct peer_hold *hold,
                                             enum peer_count what, uint64_t now_ms);
void peers_uncount(struct peer_hold *hold, enum peer_count what);
/* A handler has worked for this address. What it used is known only now, when its connection may
 * be gone. */
void peers_work(struct peers *p, struct ip ip, uint64_t used_us, uint64_t now_ms);
/* NULL, or why no handler should work for it now. */
MUST_CHECK const struct refusal *peers_may_work(struct peers *p, struct peer_hold *hold,
                                                uint64_t now_ms);
/* Now. NULL, or why not. Of the other rates. */
MUST_CHECK const struct refusal *peers_spend(struct peers *p, struct peer_hold *hold,
                                             enum peer_rate what, uint64_t now_ms);

#endif
