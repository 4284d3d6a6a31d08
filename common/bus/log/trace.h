/*
 * trace.h - for `signalbox trace`: which messages somebody wants to follow, and an event for each
 * of their hops.
 *
 *     tool     notice "trace" on the control channel (notices.def), every 5 s; 0 ms when it ends
 *     process  trace_on_notice remembers it for that time; trace_of_… says who wants a message;
 *              trace_tell publishes to CHANNEL_TRACE<token>
 *
 * Bounded: TRACES_MAX at a time, TRACE_EVENTS_MAX events a second; the rest is not reported. While
 * nobody traces, trace_is_on is all that a message costs. Events have sizes, never payloads.
 */
#ifndef SIGNALBOX_BUS_LOG_TRACE_H
#define SIGNALBOX_BUS_LOG_TRACE_H

#include "common/base/buf.h"

struct bus;
struct notice_trace;

enum { TRACES_MAX = 8, TRACE_TOKEN_MAX = 40, TRACE_LIFE_MAX_MS = 60000, TRACE_EVENTS_MAX = 1000 };

/* One that somebody wants. */
struct traced {
    char token[TRACE_TOKEN_MAX + 1]; /* "": this place is free */
    uint64_t until_ms;
    bool is_client;
    struct buf text; /* the client id or Name */
};

struct trace {
    struct bus *bus;
    const char *process; /* "gateway", "broker" */
    unsigned count;
    struct traced all[TRACES_MAX];
    uint64_t second; /* TRACE_EVENTS_MAX counts in it */
    unsigned told;
};

struct trace_event {
#define TEXT(member, name)   struct bytes member;
#define NUMBER(member, name) int64_t member;
#include "common/bus/log/trace.def"
#undef TEXT
#undef NUMBER
};

/* process is kept by pointer. */
void trace_init(struct trace *t, struct bus *bus, const char *process);
void trace_deinit(struct trace *t);
void trace_on_notice(struct trace *t, const struct notice_trace *n);

static inline bool trace_is_on(const struct trace *t) {
    return t->count > 0;
}
/* Who traces this client, this Name: a bit for each place in `all`. */
unsigned trace_of_client(struct trace *t, struct bytes client_id);
unsigned trace_of_name(struct trace *t, struct bytes name);
/* All who trace some Name: a message to all Names is for each of them. */
unsigned trace_of_every_name(struct trace *t);

/* An event of which nothing but the hop is known. */
struct trace_event trace_event_of(const char *hop);
/* Publishes to the traces of the mask, with process and time. At most once; not while Redis is
 * away. */
void trace_tell(struct trace *t, unsigned mask, const struct trace_event *e);
/* The same for an event that was encoded before. */
void trace_tell_encoded(struct trace *t, unsigned mask, struct bytes event);

void trace_event_encode(struct buf *out, const struct trace_event *e);
/* Borrows from the text, and skips what it does not know. False: it is no event. */
bool trace_event_decode(struct bytes text, struct trace_event *e_out);

#endif
