/*
 * v1.h - what a transport itself says and hears in the subprotocol signalbox.v1: signs of life and
 * the end. All are the text of one JSON object. What is about messages is session/wire.h.
 */
#ifndef SIGNALBOX_GATEWAY_CONN_V1_H
#define SIGNALBOX_GATEWAY_CONN_V1_H

#include "common/base/buf.h"

struct settings;

#define V1_LIVE "{\"type\":\"live\"}"
#define V1_PONG "{\"type\":\"pong\"}"

/* After so long a silence the next sweep, which comes within a second, sends a sign of life. */
enum { SILENCE_MAX_MS = 14000 };
unsigned v1_silence_ms(const struct settings *s);
/* How long a client hears nothing at most; hello says so. */
unsigned v1_ping_ms(const struct settings *s);

/* Whether a message is {"type":"ping"} and nothing else. */
bool v1_is_ping(struct bytes message);

#endif
