/*
 * broker.h - one broker process: what its parts share.
 *
 * The parts, in the order a message meets them: inbox (a partition's entries, in order),
 * client_message and signal_routes (what a client wants), run and host (the app's handlers),
 * broadcast (to whom), then the inbox again, which commits. Beside them: events, schedule, pump
 * (public entrances), reaper (dead gateways).
 */
#ifndef SIGNALBOX_BROKER_BROKER_H
#define SIGNALBOX_BROKER_BROKER_H

#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

#include "common/app/app.h"
#include "common/daemon/daemon.h"
#include "common/bus/log/trace.h"

struct bus;
struct inbox;
struct ingest;
struct conn_queues;
struct lease;
struct reaper;
struct registry;
struct schedules;
struct settings;
struct receipt_ids;
struct traced_output;

enum { FREE_SENDS_BYTES = 64 * 1024 * 1024 };

enum broker_state {
    BROKER_RUNS,
    BROKER_GIVES_BACK, /* finishes batches and gives the partitions back */
    BROKER_LEAVES      /* nothing is ours any more */
};

struct broker {
    struct daemon daemon;
    enum broker_state state;
    /* The daemon's, for the parts that are given the whole broker. */
    uv_loop_t *loop;
    const struct settings *settings;
    struct bus *bus;
    struct registry *registry;
    struct app *app;
    struct ingest *free_sends; /* of handlers that have waited, and of PUBLISH */
    struct lease *lease;
    struct conn_queues *queues;
    struct inbox **inboxes; /* by slot: partitions, then the public stream; NULL: not ours */
    struct inbox *alone;    /* runs a doubtful entry (inbox.c); no other inbox does meanwhile */
    struct message_id *survived; /* by slot: the last entry this process ran and outlived */
    struct reaper *reaper;
    struct schedules *schedules;
    struct trace trace;
    struct traced_output *traced_outputs; /* not committed yet */
    struct receipt_ids *published;        /* the same: who is to learn the id of a message */
    uv_timer_t patience; /* says what the broker waits for; later, when to stop waiting */
    char waits_for[400]; /* what bus_trouble said last */
    uint64_t left_ms;
};

extern const struct daemon_kind broker_kind;

/* Makes the parts, once the app is loaded. */
void broker_open(struct broker *b);
void broker_close(struct broker *b);
/* After the loop has turned. */
void broker_deinit(struct broker *b);

/* An inbox gave its slot up (it is closed already). is_fenced: it was taken from us. */
void broker_on_inbox_end(struct broker *b, unsigned slot, bool is_fenced);

const struct registrations *broker_registrations(const struct broker *b);
bool broker_owns(const struct broker *b, unsigned partition);

#endif
