/*
 * v1.h - what a transport itself says and hears in the subprotocol signalbox.v1: signs of life and
 * the end. All are the text of one JSON object. What is about messages is session/wire.h.
 */
#ifndef SIGNALBOX_GATEWAY_CONN_V1_H
#define SIGNALBOX_GATEWAY_CONN_V1_H

#include "common/base/buf.h"

struct conn;
struct settings;
struct transport_events;

#define V1_LIVE "{\"type\":\"live\"}"
#define V1_PONG "{\"type\":\"pong\"}"

enum { SILENCE_MAX_MS = 13000 };
/* How long a client hears nothing at most; hello says so. */
unsigned v1_ping_ms(const struct settings *s);
/* For each sweep: whether a sign of life is due, because nothing was said for SILENCE_MAX_MS, or
 * --ping-ms, and nothing waits to be. *told_ms: no message was for it since; first the time of its
 * beginning. */
bool v1_is_silence_over(struct conn *c, const struct settings *s, uint64_t *told_ms,
                        uint64_t now_ms);

/* When a client that lost its connection should come back: each at a time of its own, so that they
 * do not all come at once. */
unsigned v1_retry_ms(void);

/* Appends {"type":"position",…}: from there the client resumes if it hears nothing more. */
void v1_position(struct buf *out, const struct transport_events *events, void *client);
/* Appends {"type":"closed",…}. retry_ms 0: it should not come back. */
void v1_closed(struct buf *out, int code, struct bytes reason, unsigned retry_ms);

/* Whether a message is {"type":"ping"} and nothing else. */
bool v1_is_ping(struct bytes message);

#endif
