/*
 * processing.h - one entry of a slot while it is processed, and where its effects go.
 *
 *     entry_parts   what the processing of every entry uses: the process has one
 *     batch         the effects of a slot's entries until they are committed: each inbox has one
 *     processing    one entry: made by the inbox, gone when the entry is processed. A handler may
 *                   send into it until it waits for the first time
 */
#ifndef SIGNALBOX_BROKER_ENTRY_PROCESSING_H
#define SIGNALBOX_BROKER_ENTRY_PROCESSING_H

#include "broker/entry/conn_queues.h"
#include "common/app/app.h"
#include "common/bus/log/entry_reader.h"

struct forward;
struct handler_run;
struct ingest;
struct log_writer;
struct receipt_id;
struct entry_outcome;
struct repeats;
struct shares;
struct trace;
struct traced_output;
struct tracing;

/* More from one entry is a mistake in a handler. */
enum { PROCESSING_OUTPUTS_MAX = 9999 };
/* All of it together, but for the first send, which may be as large as it was admitted. */
#define PROCESSING_BYTES_MAX ((size_t)64 * 1024 * 1024)

struct entry_parts {
    struct bus *bus;
    struct app *const *app; /* the current one: a reload changes it */
    size_t max_message_bytes;
    struct conn_queues *queues;
    struct shares *shares;     /* NULL: none is counted */
    struct ingest *free_sends; /* for the handlers that have waited */
    struct trace *trace;
};

struct batch {
    struct log_writer *writer;      /* messages for the logs of this partition */
    struct forward *forward;        /* entries for other partitions */
    struct deferred_batch deferred; /* what waits for an earlier handler of its connection */
    struct handler_run *open_runs;  /* handlers that wait, until their entries are committed */
    struct repeats *repeats;        /* messages with an id of their own; NULL: none is looked for */
    struct receipt_id *receipt_ids; /* publishers that wait for the id of their message */
    struct entry_outcome *outcomes; /* of client messages that came by requests */
    struct traced_output *traced;   /* messages that somebody traces */
};

struct processing {
    const struct entry_parts *parts;
    struct batch *batch;
    unsigned slot;  /* a partition, or the public stream: */
    bool is_public; /* then everything is forwarded */
    struct in_entry *entry;
    unsigned count;             /* outputs and forwards so far, */
    size_t bytes;               /* and their data */
    struct message_id first_id; /* of the first message to clients in this partition, or none */
    bool has_outcome;           /* outcomes_add was called */
    struct tracing *tracing;    /* NULL: nobody traces (tracing.h) */
};

static inline const struct registrations *
processing_registrations(const struct entry_parts *parts) {
    return app_registrations(*parts->app);
}

#endif
