/*
 * ws.h - a WebSocket: the protocol of a connection after its 101, and a transport (transport.h) of
 * a Signal connection.
 *
 *     OPEN ─ we close ──────────────────▶ CLOSING ─ the peer's Close, or 2 s ─▶ gone
 *       │
 *       └─ the peer closes, or breaks the protocol ─▶ LEAVING ─ BYE is back ─▶ our Close ─▶ gone
 *
 * LEAVING: everything that the client's earlier messages caused has to arrive before our Close. So
 * an entry BYE follows those messages, and the client stays in its Name until BYE comes back from
 * there. In LEAVING and CLOSING the peer's messages are ignored.
 *
 * Back-pressure belongs to this file alone: while any hold is set, the socket is not read and what
 * was read already waits. A message is at most held for 10 s, then the client is closed with 1013.
 */
#ifndef SIGNALBOX_GATEWAY_CONN_WS_H
#define SIGNALBOX_GATEWAY_CONN_WS_H

#include "common/base/buf.h"
#include "gateway/conn/transport.h"

struct conn;
struct settings;
struct ws;

struct ws_options {
    const struct settings *settings;
    const struct transport_events *events;
    void *client;                 /* of the events */
    struct bytes client_id, name; /* for the log; they live as long as the client */
    bool deflates;                /* permessage-deflate was agreed on */
    bool is_v1;                   /* signalbox.v1 was */
    struct buf *rest;             /* what was read after the handshake; taken */
};

/* The 101 was queued: the connection changes over to WebSocket. What came along with the handshake
 * is read in a turn of its own. */
struct ws *ws_open(struct conn *c, const struct ws_options *options);

/* Its carrier is a struct ws. */
extern const struct transport ws_transport;

#endif
