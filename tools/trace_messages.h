/*
 * trace_messages.h - for trace: finds the events that are hops of the same message, by
 *
 *     received, accepted     sender and time of sending; the n-th of the same millisecond
 *     processed              the same, until it names its entry
 *     verdict, published     the entry
 *     delivered              the message's id in the log of its Name
 *
 * The last TRACE_MESSAGES_KEYS keys by which messages are recognised are remembered.
 */
#ifndef SIGNALBOX_TOOLS_TRACE_MESSAGES_H
#define SIGNALBOX_TOOLS_TRACE_MESSAGES_H

#include "common/bus/log/trace.h"

enum { TRACE_MESSAGES_KEYS = 4096 };

struct trace_messages;

struct trace_message {
    uint64_t number;  /* from 1 */
    int64_t first_ms; /* wall clock of its first event */
};

struct trace_messages *trace_messages_new(void);
void trace_messages_free(struct trace_messages *m);

/* The message of an event, a new one when the event is its first; learns the keys in the event.
 * To be called once for each event. */
struct trace_message trace_messages_of(struct trace_messages *m, const struct trace_event *e);
/* Whether the hop before this one has not come yet. */
bool trace_messages_awaits(struct trace_messages *m, const struct trace_event *e);

#endif
