/*
 * v1.h - what a transport itself says and hears in the subprotocol signalbox.v1: signs of life and
 * the end. All are the text of one JSON object. What is about messages is session/wire.h.
 */
#ifndef SIGNALBOX_GATEWAY_CONN_V1_H
#define SIGNALBOX_GATEWAY_CONN_V1_H

#include <stdint.h>

#include "common/base/buf.h"

struct conn;
struct settings;

#define V1_LIVE "{\"type\":\"live\"}"
#define V1_PONG "{\"type\":\"pong\"}"

enum { SILENCE_MAX_MS = 13000 };
/* How long a client hears nothing at most; hello says so. */
unsigned v1_ping_ms(const struct settings *s);
/* Since when a client has heard nothing, as the sweeps see it; the lower halves of times. */
struct silence {
    uint32_t spoken_ms; /* no message was for it since, … */
    uint32_t told_ms;   /* … and no sign of life */
};
struct silence v1_silence_from(uint64_t now_ms);
/* For each sweep: whether a sign of life is due, because nothing was said for SILENCE_MAX_MS, or
 * --ping-ms, and nothing waits to be. */
bool v1_is_silence_over(struct silence *q, struct conn *c, const struct settings *s,
                        uint64_t now_ms);

/* When a client that lost its connection should come back: each at a time of its own, so that they
 * do not all come at once. */
unsigned v1_retry_ms(void);

/* The position event's since_ms: no message was for the client later. */
uint64_t v1_spoken_ms(const struct silence *q, uint64_t now_ms);
/* Appends {"type":"position",…}: from there the client resumes if it hears nothing more. Without an
 * id it is a mere sign of life, V1_PONG. */
void v1_position(struct buf *out, struct bytes id);
/* Appends {"type":"closed",…}. retry_ms 0: it should not come back. */
void v1_closed(struct buf *out, int code, struct bytes reason, unsigned retry_ms);

/* Whether a message is {"type":"ping"} and nothing else. */
bool v1_is_ping(struct bytes message);

#endif
