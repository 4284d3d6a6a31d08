/*
 * wire.h - how what a client is sent looks on the wire: as it is, or in the JSON of the subprotocol
 * signalbox.v1; and as which bytes its transport carries it: WebSocket frames or events, and these
 * in chunks (HTTP/1.1) or not.
 *
 * Clients of one wire get the same frames, so a message is encoded once for each of them.
 */
#ifndef SIGNALBOX_GATEWAY_SESSION_WIRE_H
#define SIGNALBOX_GATEWAY_SESSION_WIRE_H

#include "common/bus/log/envelope.h"
#include "gateway/codec/frame.h"

struct identity;

#define WIRE_V1_SUBPROTOCOL "signalbox.v1"

enum wire {
    WIRE_WS,
    WIRE_WS_V1,
    WIRE_SSE,
    WIRE_SSE_V1,
    WIRE_SSE_CHUNKED,
    WIRE_SSE_CHUNKED_V1,
    WIRE_COUNT
};

static inline bool wire_is_v1(enum wire wire) {
    return wire == WIRE_WS_V1 || wire == WIRE_SSE_V1 || wire == WIRE_SSE_CHUNKED_V1;
}
static inline bool wire_is_sse(enum wire wire) {
    return wire >= WIRE_SSE && wire <= WIRE_SSE_CHUNKED_V1;
}
static inline bool wire_is_chunked(enum wire wire) {
    return wire == WIRE_SSE_CHUNKED || wire == WIRE_SSE_CHUNKED_V1;
}
/* Whether it tells the client first who it is (wire_hello). */
static inline bool wire_has_hello(enum wire wire) {
    return wire != WIRE_WS;
}
/* The wire of an event stream. */
static inline enum wire wire_of_sse(bool is_chunked, bool is_v1) {
    return is_chunked ? (is_v1 ? WIRE_SSE_CHUNKED_V1 : WIRE_SSE_CHUNKED)
                      : (is_v1 ? WIRE_SSE_V1 : WIRE_SSE);
}

/* Of a WebSocket: a text or a binary message as a frame, with one reference for the caller. The
 * frame ends with the payload as it stands. */
struct frame wire_frame(struct frame_arena *arena, bool is_binary, struct bytes payload);

/* Of an event stream: what sse_append made, which is changed, as a frame likewise. */
struct frame wire_event(enum wire wire, struct frame_arena *arena, struct buf *event);

enum wire_recovered { WIRE_NOT_ASKED, WIRE_RECOVERED, WIRE_NOT_RECOVERED };

/* Appends {"type":"hello",…}, the first text of signalbox.v1. position: where the connection's
 * messages begin. */
void wire_hello(struct buf *out, const struct identity *who, struct message_id position,
                enum wire_recovered recovered);

/* Appends {"type":"message",…}. An id of none is a message without a place in a log ("id":null). */
void wire_message(struct buf *out, struct bytes name, struct message_id id, unsigned flags,
                  struct bytes data);

#endif
