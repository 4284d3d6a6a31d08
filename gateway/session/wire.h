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
#include "gateway/codec/deflate.h"
#include "gateway/codec/frame.h"

struct identity;
struct settings;

#define WIRE_V1_SUBPROTOCOL "signalbox.v1"

/* The last ones are those of WebSockets that agreed on compression, one for each window. */
enum wire {
    WIRE_WS,
    WIRE_WS_V1,
    WIRE_SSE,
    WIRE_SSE_V1,
    WIRE_SSE_CHUNKED,
    WIRE_SSE_CHUNKED_V1,
    WIRE_CHANNEL, /* of a WebSocket that many share: see wire_channel_frame */
    WIRE_WS_DEFLATE,
    WIRE_WS_V1_DEFLATE = WIRE_WS_DEFLATE + DEFLATE_WINDOWS,
    WIRE_COUNT = WIRE_WS_V1_DEFLATE + DEFLATE_WINDOWS
};

static inline bool wire_is_v1(enum wire wire) {
    return wire == WIRE_WS_V1 || wire == WIRE_SSE_V1 || wire == WIRE_SSE_CHUNKED_V1 ||
           wire == WIRE_CHANNEL || wire >= WIRE_WS_V1_DEFLATE;
}
static inline bool wire_is_sse(enum wire wire) {
    return wire >= WIRE_SSE && wire <= WIRE_SSE_CHUNKED_V1;
}
static inline bool wire_is_chunked(enum wire wire) {
    return wire == WIRE_SSE_CHUNKED || wire == WIRE_SSE_CHUNKED_V1;
}
/* Whether it tells the client first who it is (wire_hello). */
static inline bool wire_has_hello(enum wire wire) {
    return wire_is_sse(wire) || wire_is_v1(wire);
}
/* The wire of an event stream. */
static inline enum wire wire_of_sse(bool is_chunked, bool is_v1) {
    return is_chunked ? (is_v1 ? WIRE_SSE_CHUNKED_V1 : WIRE_SSE_CHUNKED)
                      : (is_v1 ? WIRE_SSE_V1 : WIRE_SSE);
}

/* Of a WebSocket. window_bits: 0 without compression. */
static inline enum wire wire_of_ws(bool is_v1, int window_bits) {
    int first = is_v1 ? WIRE_WS_V1_DEFLATE : WIRE_WS_DEFLATE;
    if (window_bits == 0)
        return is_v1 ? WIRE_WS_V1 : WIRE_WS;
    return (enum wire)(first + window_bits - DEFLATE_WINDOW_MIN);
}
/* 0: nothing is compressed. */
static inline int wire_window_bits(enum wire wire) {
    int first = wire >= WIRE_WS_V1_DEFLATE ? WIRE_WS_V1_DEFLATE : WIRE_WS_DEFLATE;
    return wire < WIRE_WS_DEFLATE ? 0 : (int)wire - first + DEFLATE_WINDOW_MIN;
}
/* The same without compression, which is legal for any message. */
static inline enum wire wire_uncompressed(enum wire wire) {
    return wire < WIRE_WS_DEFLATE ? wire : wire_of_ws(wire_is_v1(wire), 0);
}

/* Of a WebSocket: a text or a binary message as a frame, with one reference for the caller. The
 * frame ends with the payload as it stands. */
struct frame wire_frame(struct frame_arena *arena, bool is_binary, struct bytes payload);
/* The same of a payload that is compressed (deflate.h). */
struct frame wire_compressed_frame(struct frame_arena *arena, bool is_binary, struct bytes payload);

/* Of a channel: a text of signalbox.v1 without its first brace, likewise. The transport puts the
 * header and {"channel":…, before it. */
struct frame wire_channel_frame(struct frame_arena *arena, struct bytes text);

/* Of an event stream: what sse_append made, which is changed, as a frame likewise. */
struct frame wire_event(enum wire wire, struct frame_arena *arena, struct buf *event);

enum wire_recovered { WIRE_NOT_ASKED, WIRE_RECOVERED, WIRE_NOT_RECOVERED };

/* What hello says. */
struct hello {
    const struct identity *who;
    struct bytes_list groups;        /* the oldest first */
    struct bytes data;               /* JSON, or empty */
    const struct settings *settings; /* of the limits */
    struct message_id position;      /* where the connection's messages begin */
    enum wire_recovered recovered;
    struct bytes resume;  /* a token (resume_token.h); empty: none */
    bool is_replay_ahead; /* what comes next was sent before; live says where that ends */
};

/* Appends {"type":"hello",…}, the first text of signalbox.v1. */
void wire_hello(struct buf *out, const struct hello *h);
/* Appends "maxMessageBytes":…,…, what a client may count on, without braces around it. */
void wire_limits(struct buf *out, const struct settings *s);

/* Appends {"type":"message",…}. An id of none is a message without a place in a log ("id":null). */
void wire_message(struct buf *out, struct bytes name, struct message_id id, unsigned flags,
                  struct bytes data);
/* Its parts: what is before the data, the data as a JSON value, and what is behind. */
void wire_message_begin(struct buf *out, struct bytes name, struct message_id id);
void wire_message_data(struct buf *out, unsigned flags, struct bytes data);
struct bytes wire_message_end(unsigned flags);

#endif
