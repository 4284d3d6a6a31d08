/*
 * tracing.h - for `signalbox trace`: the hops of a message in a broker (common/bus/log/trace.h).
 *
 *     tracing_begin ─▶ address, rule, verdict, outputs are noted ─▶ tracing_end: processed, verdict
 *                                          the batch is committed ─▶ tracing_committed: published
 *
 * While nobody traces p->tracing is NULL, and all of this does nothing.
 */
#ifndef SIGNALBOX_BROKER_ENTRY_TRACING_H
#define SIGNALBOX_BROKER_ENTRY_TRACING_H

#include "broker/entry/processing.h"

struct delivery;

/* The last in this order that was noted for an entry stands. */
enum traced_verdict {
    TRACED_NONE,
    TRACED_ALLOWED,
    TRACED_WAITING,
    TRACED_IGNORED,
    TRACED_FAILED,
    TRACED_REFUSED
};

/* Before and after an entry is processed. */
void tracing_begin(struct processing *p);
void tracing_end(struct processing *p);

/* Read by the inline functions below. */
void tracing_note_rule(struct processing *p, const char *rule);
void tracing_note_verdict(struct processing *p, enum traced_verdict verdict, struct bytes why);
void tracing_note_address(struct processing *p, const struct delivery *d);
void tracing_note_output(struct processing *p, struct bytes name, const struct message *m,
                         struct message_id id);

static inline void tracing_rule(struct processing *p, const char *rule) {
    if (p->tracing != NULL)
        tracing_note_rule(p, rule);
}
/* p: NULL when no entry is being processed: a handler has waited, a message is of the channel. */
static inline void tracing_verdict(struct processing *p, enum traced_verdict verdict,
                                   struct bytes why) {
    if (p != NULL && p->tracing != NULL)
        tracing_note_verdict(p, verdict, why);
}
/* The addressees that the entry names. */
static inline void tracing_address(struct processing *p, const struct delivery *d) {
    if (p->tracing != NULL)
        tracing_note_address(p, d);
}
static inline void tracing_output(struct processing *p, struct bytes name, const struct message *m,
                                  struct message_id id) {
    if (p->tracing != NULL)
        tracing_note_output(p, name, m, id);
}

/* The outputs of a batch are in their logs. / They will never be. */
void tracing_committed(struct batch *batch, struct trace *t);
void tracing_lost(struct batch *batch);

#endif
