/* request_session.h - what the broker's handlers may know of a request (struct session). */
#ifndef SIGNALBOX_GATEWAY_ROUTES_REQUEST_SESSION_H
#define SIGNALBOX_GATEWAY_ROUTES_REQUEST_SESSION_H

#include "common/base/bytes.h"

struct buf;
struct request;

/* Appends the encoded session: path, URL, headers. The protocol is ws or wss of a handshake, http
 * or https of any other request. data: what the app keeps with the connection, as JSON; or
 * empty. */
void request_session_encode(struct buf *out, const struct request *r, struct bytes data);

#endif
