/*
 * outcome.h - where the entry being processed puts what it leads to.
 *
 * Made by the inbox for one entry; lives until that entry is processed, which is also as long as a
 * handler may send without waiting.
 */
#ifndef SIGNALBOX_BROKER_OUTCOME_H
#define SIGNALBOX_BROKER_OUTCOME_H

#include "common/bus/log/entry_reader.h"

struct broker;
struct asides;
struct forward;
struct log_writer;
struct run;
struct tracing;

/* More from one entry is a mistake in a handler. */
enum { OUTCOME_MAX = 9999 };

struct outcome {
    struct broker *broker;
    unsigned slot; /* partition, or the public stream: then everything is forwarded */
    struct in_entry *entry;
    struct log_writer *outlog;
    struct forward *forward;
    struct asides *asides;   /* what waits for an earlier handler of its connection */
    struct run **open_runs;  /* where a handler that waits is kept until its entry is committed */
    unsigned count;          /* outputs and forwards so far */
    struct tracing *tracing; /* NULL: nobody traces (tracing.h) */
    struct message_id first_id; /* of the first message to clients in this partition, or none */
};

#endif
