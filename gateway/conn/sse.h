/*
 * sse.h - an event stream: the protocol of a connection after the head of a 200 that never ends
 * (codec/sse_codec.h), and a transport (transport.h) of a Signal connection.
 *
 *     OPEN ─ we close: the event close ─▶ finished ─ all is read ─▶ gone
 *       └─ the peer ends its side, or breaks ─────────────────────────▲
 *
 * The client says nothing here: its messages are requests of their own (routes/post.h). What it
 * sends all the same is thrown away, up to SSE_INPUT_MAX bytes. When it ends its side, it has left:
 * a client has no other way to say so, and one that is gone does the same.
 */
#ifndef SIGNALBOX_GATEWAY_CONN_SSE_H
#define SIGNALBOX_GATEWAY_CONN_SSE_H

#include "gateway/conn/transport.h"

struct conn;
struct settings;
struct sse;

enum { SSE_INPUT_MAX = 64 * 1024 };

struct sse_options {
    const struct settings *settings;
    const struct transport_events *events;
    void *client;                 /* of the events */
    struct bytes client_id, name; /* for the log; they live as long as the client */
    bool is_chunked, is_v1;       /* how the client's wire (session/wire.h) has it */
};

/* The head was queued: the connection changes over to events. */
struct sse *sse_open(struct conn *c, const struct sse_options *options);

/* Its carrier is a struct sse. */
extern const struct transport sse_transport;

#endif
