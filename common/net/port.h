/*
 * port.h - who has a TCP port of this host, so that only gateways of one fleet share it.
 *
 * SO_REUSEPORT lets any two processes of one user listen on a port, and the kernel then deals the
 * clients out to both. That is wanted for gateways of one fleet and a silent split for any others.
 * So a gateway that listens also holds a claim, an abstract unix socket that is named after the
 * port, the address and the fleet. The kernel lists those names in /proc/net/unix, drops them with
 * their process, and keeps them where it keeps ports: in the network namespace.
 *
 *     lock = port_lock(port);                one starter at a time looks, listens and claims
 *     port_check(&place, fleet, why)         free, or all who listen there are of our fleet
 *     bind with SO_REUSEPORT, listen, port_claim_new
 *     port_unlock(lock);
 */
#ifndef SIGNALBOX_NET_PORT_H
#define SIGNALBOX_NET_PORT_H

#include <stdbool.h>
#include <sys/socket.h>
#include <uv.h>

#include "common/base/must.h"

struct port_claim;

struct port_place {
    struct sockaddr_storage address; /* IPv4 or IPv6, with the port */
    bool is_any;                     /* IPv6's wildcard, open for IPv4 too */
};

enum { PORT_WHY_MAX = 200 };

/* Waits until nobody else checks this port, for 3 s at most, and returns what port_unlock takes. A
 * lock that somebody holds longer is ignored: it only protects from starts at the same moment. */
int port_lock(int port);
void port_unlock(int lock);

/* 0: nobody listens where we would, or only gateways of this fleet (a name without '/', at most 28
 * bytes). -EPERM: gateways that may not share with us do; -EADDRINUSE: another program does. Then
 * one line about who and what to do is in why_out. Another negative errno, and "": the address
 * cannot be bound at all. */
MUST_CHECK int port_check(const struct port_place *place, const char *fleet,
                          char why_out[PORT_WHY_MAX]);

/* Says that we listen there, until it is freed. NULL when the kernel refuses (logged): others will
 * then take us for a stranger. */
struct port_claim *port_claim_new(uv_loop_t *loop, const struct port_place *place,
                                  const char *fleet);
/* At once; the memory goes when the loop has turned. NULL is legal. */
void port_claim_free(struct port_claim *c);

#endif
