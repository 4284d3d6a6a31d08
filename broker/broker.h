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
#include "common/base/supervisor.h"
#include "common/bus/log/trace.h"

struct about;
struct bus;
struct admin;
struct inbox;
struct ingest;
struct conn_queues;
struct lease;
struct reaper;
struct registry;
struct report;
struct rules;
struct schedules;
struct settings;
struct receipt_ids;
struct traced_output;

enum { FREE_SENDS_BYTES = 64 * 1024 * 1024 };

/* A rule of the cluster as it was told last, for an app that is loaded later. */
struct rule_copy {
    struct rule_copy *next;
    char *field, *value;
};

struct broker {
    uv_loop_t *loop;
    const struct settings *settings;
    const char *app_path;
    struct bus *bus;
    struct registry *registry;
    struct rules *rules;
    struct rule_copy *rule_copies;
    struct buf secret; /* of the cluster, once it is known */
    struct app *app;
    struct app_environment environment;
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
    struct about *about;
    struct supervisor supervisor;
    uv_timer_t second;   /* for the supervisor */
    struct admin *admin; /* NULL: none was asked for */
    uv_timer_t patience; /* says what the broker waits for; later, when to stop waiting */
    char waits_for[400]; /* what bus_trouble said last */
    uint64_t left_ms;
    bool is_stopping, is_leaving, is_closed;
    int exit_code;
};

/* 0, or an exit code after one line on standard error. */
int broker_init(struct broker *b, uv_loop_t *loop, const struct settings *settings,
                const char *app_path);
void broker_deinit(struct broker *b);
/* Finishes batches, gives everything back; the loop ends. A second call ends at once. */
void broker_stop(struct broker *b);
/* Loads the app file anew; an error is logged, is in the report, and leaves the old one. */
void broker_reload(struct broker *b, struct report *report);

/* An inbox gave its slot up (it is closed already). is_fenced: it was taken from us. */
void broker_on_inbox_end(struct broker *b, unsigned slot, bool is_fenced);

const struct registrations *broker_registrations(const struct broker *b);
bool broker_owns(const struct broker *b, unsigned partition);

#endif
