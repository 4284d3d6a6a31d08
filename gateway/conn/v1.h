/* v1.h - the JSON texts that the gateway itself makes for the subprotocol signalbox.v1
 * (decisions, section 4). */
#ifndef SIGNALBOX_GATEWAY_CONN_V1_H
#define SIGNALBOX_GATEWAY_CONN_V1_H

#include "common/bus/log/envelope.h"

struct identity;

#define V1_SUBPROTOCOL "signalbox.v1"

enum v1_recovered { V1_NOT_ASKED, V1_RECOVERED, V1_NOT_RECOVERED };

/* {"type":"hello",…}: the first frame. position: where the connection's messages begin. */
void v1_hello(struct buf *out, const struct identity *who, struct message_id position,
              enum v1_recovered recovered);

/* {"type":"message",…}. id none: a message that has no place in a log ("id":null). */
void v1_message(struct buf *out, struct bytes name, struct message_id id, unsigned flags,
                struct bytes data);

#endif
