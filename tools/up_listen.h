/*
 * up_listen.h - where each gateway of `up` listens: gateway 1 at the app's endpoints or at
 * --listen, gateway k at the same with ports k-1 higher.
 */
#ifndef SIGNALBOX_TOOLS_UP_LISTEN_H
#define SIGNALBOX_TOOLS_UP_LISTEN_H

#include <stdbool.h>
#include <stddef.h>

struct buf;
struct endpoint;

/* The --listen URL for an endpoint of the app, its port `up_by` higher. NUL-terminated. */
void up_listen_of_endpoint(const struct endpoint *e, int up_by, struct buf *out);
/* The same for a --listen URL. 0, or -1 when it has no place for a port. */
int up_listen_shift(const char *url, int up_by, struct buf *out);
/* What people open: "http://localhost:8091/" for any address of this host. NUL-terminated. */
void up_listen_show(const char *url, struct buf *out);

/* False when gateways listen there that may not share the port with this fleet's (port.h); one line
 * about them is in why_out. Everything else, other programs that may be about to end among it, is
 * left to the gateway. */
bool up_listen_may_share(const char *url, const char *fleet, char why_out[200]);

#endif
