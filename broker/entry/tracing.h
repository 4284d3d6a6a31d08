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

void tracing_rule(struct processing *p, const char *rule);
/* p: NULL when no entry is being processed: a handler has waited, a message is of the channel. */
void tracing_verdict(struct processing *p, enum traced_verdict verdict, struct bytes why);
/* The addressees that the entry names. */
void tracing_address(struct processing *p, const struct delivery *d);
void tracing_output(struct processing *p, struct bytes name, const struct message *m,
                    struct message_id id);

/* The outputs of a batch are in their logs. / They will never be. */
void tracing_committed(struct batch *batch, struct trace *t);
void tracing_lost(struct batch *batch);

#endif
