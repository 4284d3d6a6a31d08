/*
 * tracing.h - for `signalbox trace`: the hops of a message in a broker (common/bus/log/trace.h).
 *
 *     tracing_begin ─▶ address, rule, verdict, outputs are noted ─▶ tracing_end: processed, verdict
 *                                          the batch is committed ─▶ tracing_committed: published
 *
 * An entry is noted only while somebody traces: o->tracing is NULL otherwise, and all of this does
 * nothing.
 */
#ifndef SIGNALBOX_BROKER_TRACING_H
#define SIGNALBOX_BROKER_TRACING_H

#include "broker/outcome.h"

struct delivery;
struct traced_output;

/* The worst that was said stands. */
enum traced_verdict {
    TRACED_NONE,
    TRACED_ALLOWED,
    TRACED_WAITING,
    TRACED_IGNORED,
    TRACED_FAILED,
    TRACED_REFUSED
};

/* Before and after an entry is processed. */
void tracing_begin(struct outcome *o);
void tracing_end(struct outcome *o);

/* Read by the inline functions below. */
void tracing_note_rule(struct outcome *o, const char *rule);
void tracing_note_verdict(struct outcome *o, enum traced_verdict verdict, struct bytes why);
void tracing_note_address(struct outcome *o, const struct delivery *d);
void tracing_note_output(struct outcome *o, struct bytes name, const struct message *m,
                         struct message_id id);

static inline void tracing_rule(struct outcome *o, const char *rule) {
    if (o->tracing != NULL)
        tracing_note_rule(o, rule);
}
/* o: NULL for a handler that has waited. */
static inline void tracing_verdict(struct outcome *o, enum traced_verdict verdict,
                                   struct bytes why) {
    if (o != NULL && o->tracing != NULL)
        tracing_note_verdict(o, verdict, why);
}
/* What the entry says is for these. */
static inline void tracing_address(struct outcome *o, const struct delivery *d) {
    if (o->tracing != NULL)
        tracing_note_address(o, d);
}
static inline void tracing_output(struct outcome *o, struct bytes name, const struct message *m,
                                  struct message_id id) {
    if (o->tracing != NULL)
        tracing_note_output(o, name, m, id);
}

/* The outputs of a slot's batch are in their logs / will never be. */
void tracing_committed(struct broker *b, unsigned slot);
void tracing_lost(struct broker *b, unsigned slot);

#endif
