/*
 * reference.h - the request headers X-PODE-SIGNAL-CLIENT-ID, -NAME and -GROUP: an ordinary request
 * that refers to a live Global connection anywhere in the cluster (decisions D3, D4).
 *
 * A value is UTF-8, or ISO 8859-1 if it is not valid UTF-8: scripts of browsers write bytes over
 * 0x7F that way. If no connection is found under what the fields say, they are read once more, as
 * percent-encoded.
 *
 * A connection is looked up when somebody wants to know it: a handler that reads web.signal or
 * converts, or an automatic upgrade. To everything else the headers cost nothing.
 */
#ifndef SIGNALBOX_GATEWAY_ROUTES_REFERENCE_H
#define SIGNALBOX_GATEWAY_ROUTES_REFERENCE_H

#include <stdbool.h>

#include "common/base/buf.h"

struct http_head;
struct request;

/* Whether the request refers to a connection / to one that was not looked up yet. Without a client
 * id the other two headers mean nothing. */
bool reference_is_given(const struct request *r);
bool reference_is_open(const struct request *r);
/*
 * Asks the registry, once for a request: a few commands. Then r->signal is set, or the request was
 * refused:
 *     404  no such connection
 *     400  its signature does not hold, the id alone is not enough, a field came twice, or a text
 *          has more than ADDRESS_BYTES_MAX bytes
 *     503  the registry cannot be reached, or REFERENCES_MAX are being looked up
 * False: it was refused, and fn is not called.
 */
enum { REFERENCES_MAX = 1000 };
typedef void reference_fn(void *ctx, bool is_found);
bool reference_look_up(struct request *r, reference_fn *fn, void *ctx);

/* Sets *out to the text of a header's value; is_encoded: it is percent-encoded. */
void reference_read(struct bytes value, bool is_encoded, struct buf *out);
/* Whether one of the groups of a connection is among those of the headers, without regard to case.
 * Without such a header any connection fits. Each header is one group, which may have commas in it,
 * or a list of them with commas between. */
bool reference_group_fits(const struct http_head *head, struct bytes_list groups);
/* Appends the value of the header X-PODE-SIGNAL-GROUP in a 101 or 200: one group as it is; of
 * several each percent-encoded as far as it needs to be, with commas between. */
void reference_write_groups(struct buf *out, struct bytes_list groups);

#endif
