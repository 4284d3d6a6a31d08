/*
 * ws_wire.h - the client's side of WebSocket and of HTTP answers, as bytes: what arrives is taken in
 * pieces of any size and comes out as events; frames to send are made here. Written from RFC 6455
 * and apart from the product's codec, so that an error in one is seen by the other.
 */
#ifndef SIGNALBOX_WORLD_WS_WIRE_H
#define SIGNALBOX_WORLD_WS_WIRE_H

#include <stdbool.h>
#include <stddef.h>

#include "tests/world/dice.h"

enum ws_what {
    WS_NOTHING, /* more bytes are needed */
    WS_ANSWER,  /* a whole HTTP answer; code: its status, bytes: its body; 101: frames follow */
    WS_TEXT,    /* a whole message; bytes */
    WS_BINARY,
    WS_PING,
    WS_PONG,
    WS_CLOSE, /* code (1005: none), bytes: the reason */
    WS_BROKEN /* not what the RFC allows; bytes: why */
};

struct ws_event {
    enum ws_what what;
    int code;
    const char *bytes; /* until the next call */
    size_t len;
};

/* All zero before its first use. */
struct ws_wire {
    char *in;
    size_t len, used, room;
    bool is_upgraded;
    char *message; /* fragments so far */
    size_t message_len;
    int message_opcode; /* 0: no message has begun */
};

void ws_wire_deinit(struct ws_wire *w);
void ws_wire_take(struct ws_wire *w, const char *bytes, size_t len);
struct ws_event ws_wire_next(struct ws_wire *w);

enum { WS_FRAME_HEAD_MAX = 14 };
enum { WS_OP_TEXT = 1, WS_OP_BINARY = 2, WS_OP_CLOSE = 8, WS_OP_PING = 9, WS_OP_PONG = 10 };

/* A masked frame, for free(); *len_out: its bytes. */
char *ws_frame(struct dice *d, bool is_final, int opcode, const char *bytes, size_t len,
               size_t *len_out);

#endif
