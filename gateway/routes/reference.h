/*
 * reference.h - the request headers X-PODE-SIGNAL-CLIENT-ID, -NAME and -GROUP: an ordinary request
 * that refers to a live Global connection anywhere in the cluster (decisions D3, D4). Values are
 * UTF-8, ISO 8859-1 when they are not, or, when no connection is found so, percent-encoded.
 */
#ifndef SIGNALBOX_GATEWAY_ROUTES_REFERENCE_H
#define SIGNALBOX_GATEWAY_ROUTES_REFERENCE_H

#include <stdbool.h>

struct request;

/* Without a client id the other two headers mean nothing. */
bool reference_is_there(const struct request *r);
typedef void request_fn(struct request *r);
/* Asks the registry; then calls on_found with r->signal set, or refuses the request: 404 no such
 * connection, 400 its signature does not hold, the id alone is not enough, or a field came twice.
 */
void reference_look_up(struct request *r, request_fn *on_found);

#endif
