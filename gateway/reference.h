/*
 * reference.h - the request headers X-PODE-SIGNAL-CLIENT-ID, -NAME and -GROUP: an ordinary request
 * that refers to a live Global connection anywhere in the cluster (decisions D3, D4).
 */
#ifndef SIGNALBOX_GATEWAY_REFERENCE_H
#define SIGNALBOX_GATEWAY_REFERENCE_H

#include <stdbool.h>

struct request;

/* Without a client id the other two headers mean nothing. */
bool reference_is_there(const struct request *r);
/* Asks the registry; then dispatch_route with r->signal set, or the request is refused: 404 no such
 * connection, 400 its signature does not hold or the id alone is not enough. */
void reference_look_up(struct request *r);

#endif
