/*
 * proto.h - what a connection speaks, as a table of callbacks: HTTP (http.c) until a 101, WebSocket
 * (ws.c) after.
 *
 * The table is switched once, by conn_switch. To add a protocol: a table of these functions, and
 * the place that switches to it.
 */
#ifndef SIGNALBOX_GATEWAY_CONN_PROTO_H
#define SIGNALBOX_GATEWAY_CONN_PROTO_H

#include <stdint.h>

#include "common/base/bytes.h"

struct conn;

/* Which memory is short, so that a connection that keeps much of it has to give it back. */
enum pressure { PRESSURE_IN, PRESSURE_OUT };

struct conn_proto {
    const char *name;
    /* Bytes came. Writable memory, valid until return. */
    void (*on_bytes)(struct conn *c, struct bytes in);
    /* The peer ended, and no more bytes will come. status 0: in good order; negative: broken. */
    void (*on_end)(struct conn *c, int status);
    /* Everything queued was handed to the socket. */
    void (*on_drained)(struct conn *c);
    /* The time of conn_set_deadline is over. */
    void (*on_deadline)(struct conn *c);
    /* Every second or so, for pings and time-outs. */
    void (*on_sweep)(struct conn *c, uint64_t now_ms);
    /* The process ends: end in good order. False: it is about to end already. */
    bool (*on_shutdown)(struct conn *c);
    /* Memory is short, and this connection keeps the most: close it, or drop what waits. */
    void (*on_pressure)(struct conn *c, enum pressure why);
    /* It was not read for this long because memory was short; its peer is not to blame. */
    void (*on_unread)(struct conn *c, uint64_t ms);
    /* Who it is, for the log; NULL: nobody has said. */
    struct bytes (*client_id)(const struct conn *c);
    /* The connection is over: free what c->proto_state holds. Called once; c stays valid until
     * return. */
    void (*on_gone)(struct conn *c);
};

#endif
