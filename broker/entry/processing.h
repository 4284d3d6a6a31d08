/*
 * processing.h - where the entry being processed puts what it leads to.
 *
 * Made by the inbox for one entry; lives until that entry is processed, which is also as long as a
 * handler may send without waiting.
 */
#ifndef SIGNALBOX_BROKER_ENTRY_PROCESSING_H
#define SIGNALBOX_BROKER_ENTRY_PROCESSING_H

#include "common/bus/log/entry_reader.h"

struct broker;
struct deferred_batch;
struct forward;
struct log_writer;
struct handler_run;
struct tracing;

/* More from one entry is a mistake in a handler. */
enum { PROCESSING_OUTPUTS_MAX = 9999 };

struct processing {
    struct broker *broker;
    unsigned slot; /* partition, or the public stream: then everything is forwarded */
    struct in_entry *entry;
    struct log_writer *writer;
    struct forward *forward;
    struct deferred_batch *deferred; /* what waits for an earlier handler of its connection */
    struct handler_run *
        *open_runs;          /* where a handler that waits is kept until its entry is committed */
    unsigned count;          /* outputs and forwards so far */
    struct tracing *tracing; /* NULL: nobody traces (tracing.h) */
    struct message_id first_id; /* of the first message to clients in this partition, or none */
};

#endif
