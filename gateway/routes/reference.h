/*
 * reference.h - the request headers X-PODE-SIGNAL-CLIENT-ID, -NAME and -GROUP: an ordinary request
 * that refers to a live Global connection anywhere in the cluster (decisions D3, D4).
 *
 * A value is UTF-8, or ISO 8859-1 if it is not valid UTF-8: scripts of browsers write bytes over
 * 0x7F that way. If no connection is found under what the fields say, they are read once more, as
 * percent-encoded.
 */
#ifndef SIGNALBOX_GATEWAY_ROUTES_REFERENCE_H
#define SIGNALBOX_GATEWAY_ROUTES_REFERENCE_H

#include <stdbool.h>

#include "common/base/buf.h"

struct http_head;
struct request;

/* Without a client id the other two headers mean nothing. */
bool reference_is_there(const struct request *r);
/* Asks the registry; then calls on_found with r->signal set, or refuses the request:
 *     404  no such connection
 *     400  its signature does not hold, the id alone is not enough, or a field came twice
 *     503  the registry cannot be reached */
typedef void request_fn(struct request *r);
void reference_look_up(struct request *r, request_fn *on_found);

/* Sets *out to the text of a header's value; is_encoded: it is percent-encoded. */
void reference_read(struct bytes value, bool is_encoded, struct buf *out);
/* Whether the group of a connection is among those of the headers, without regard to case. Without
 * such a header any group fits. Each header is one group, which may have commas in it, or a list of
 * them with commas between. */
bool reference_group_fits(const struct http_head *head, struct bytes group);

#endif
