/*
 * tracing.h - for `signalbox trace`: the hops of a message in a gateway (common/bus/log/trace.h).
 * Callers ask trace_is_on first, so that tracing costs nothing while nobody uses it.
 */
#ifndef SIGNALBOX_GATEWAY_DELIVERY_TRACING_H
#define SIGNALBOX_GATEWAY_DELIVERY_TRACING_H

#include <stdbool.h>

#include "common/bus/log/envelope.h"

struct name_entry;
struct trace;
struct traced_message;
struct client;

/* A client's message was read, and goes to the broker as of sent_ms. NULL when nobody traces it;
 * otherwise the caller hands it to tracing_accepted, which frees it. */
struct traced_message *tracing_received(struct trace *t, const struct client *client,
                                        bool is_binary, size_t bytes, uint64_t sent_ms);
/* Redis has the message, or status is negative. NULL is legal. */
void tracing_accepted(struct traced_message *m, int status);
/* A message was queued to so many connections of a Name. */
void tracing_delivered(struct trace *t, struct name_entry *e, const struct message *m,
                       size_t connections);

#endif
