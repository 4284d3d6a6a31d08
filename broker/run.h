/*
 * run.h - one running handler of the app, and where its sends go.
 *
 *     NOW ─first wait─▶ OPEN ─its entry was committed─▶ FREE
 *                         └──the partition was lost───▶ VOID
 *
 * NOW: what it sends commits together with its entry, exactly once. FREE: it is an ordinary
 * publisher, its sends go through an ingest and it waits until Redis has them. OPEN: it is between
 * the two; its send is held until it is known which. VOID: its entry runs again elsewhere; this run
 * may not send any more.
 */
#ifndef SIGNALBOX_BROKER_RUN_H
#define SIGNALBOX_BROKER_RUN_H

#include "broker/broadcast.h"
#include "broker/client_message.h"
#include "broker/outcome.h"
#include "common/app/app.h"

enum run_kind { RUN_SIGNAL, RUN_EVENT, RUN_TICK };
enum run_state { RUN_NOW, RUN_OPEN, RUN_FREE, RUN_VOID };

/* An entry for a partition, not pushed yet. */
struct held {
    struct held *next;
    unsigned partition;
    struct buf entry;
};

struct lane;

struct run {
    struct broker *broker;
    enum run_kind kind;
    enum run_state state;
    struct in_entry *entry;
    struct outcome *outcome; /* NOW only */
    char *label;
    /* RUN_SIGNAL */
    struct client_message message;
    struct session session;
    char *route_path, *route_endpoint;
    /* OPEN and later */
    struct lane *lane; /* NULL: of no connection, or left */
    struct app_call *call;
    struct run **open_runs, *prev, *next;
    struct held *held;
    size_t held_bytes;
    unsigned unanswered;
    bool was_refused;
};

struct run *run_new(struct outcome *o, enum run_kind kind, const char *label_format, ...)
    PRINTF_LIKE(3, 4);
/* Calls the handler; the run is freed when it ends. APP_FAILED: its text is appended to error_out.
 */
enum app_outcome run_start(struct run *r, int function, int arguments, app_push_fn *push_args,
                           struct buf *error_out);

/* The handler is about to wait for the first time (again is harmless). */
void run_wait(struct run *r);
/* Its entry was committed, or the partition was lost. */
void run_settle(struct run *r, bool is_committed);

/* APP_FAILED: error_out says why. APP_WAITING: the call is resumed later. */
enum app_outcome run_broadcast(struct run *r, const struct delivery *d, struct buf *error_out);
enum app_outcome run_to_one(struct run *r, const struct recipient *to, const struct delivery *d,
                            struct buf *error_out);

#endif
