/*
 * handler_run.h - one running handler of the app, and where its sends go.
 *
 *     NOW ─first wait─▶ OPEN ─its entry was committed─▶ FREE
 *                         └──the partition was lost───▶ VOID
 *
 * NOW: what it sends commits together with its entry, exactly once. FREE: it is an ordinary
 * publisher, its sends go through an ingest and it waits until Redis has them. OPEN: it is between
 * the two; its send is held until it is known which. VOID: its entry runs again elsewhere; this run
 * may not send any more.
 */
#ifndef SIGNALBOX_BROKER_HANDLERS_HANDLER_RUN_H
#define SIGNALBOX_BROKER_HANDLERS_HANDLER_RUN_H

#include "broker/entry/broadcast.h"
#include "broker/handlers/client_message.h"
#include "broker/entry/processing.h"
#include "common/app/app.h"

enum handler_run_kind { HANDLER_RUN_SIGNAL, HANDLER_RUN_EVENT, HANDLER_RUN_TICK };
enum handler_run_state { HANDLER_RUN_NOW, HANDLER_RUN_OPEN, HANDLER_RUN_FREE, HANDLER_RUN_VOID };

/* An entry for a partition, not pushed yet. */
struct held_send {
    struct held_send *next;
    unsigned partition;
    struct buf entry;
};

struct conn_queue;

struct handler_run {
    struct broker *broker;
    enum handler_run_kind kind;
    enum handler_run_state state;
    struct in_entry *entry;
    struct processing *outcome; /* NOW only */
    char *label;
    /* HANDLER_RUN_SIGNAL */
    struct client_message message;
    struct session session;
    char *route_path, *route_endpoint;
    /* OPEN and later */
    struct conn_queue *lane; /* NULL: of no connection, or left */
    struct app_call *call;
    struct handler_run **open_runs, *prev, *next;
    struct held_send *held;
    size_t held_bytes;
    unsigned unanswered;
    bool was_refused;
};

struct handler_run *handler_run_new(struct processing *p, enum handler_run_kind kind,
                                    const char *label_format, ...) PRINTF_LIKE(3, 4);
/* Calls the handler; the run is freed when it ends. APP_FAILED: its text is appended to error_out.
 */
enum app_outcome handler_run_start(struct handler_run *r, int function, int arguments,
                                   app_push_fn *push_args, struct buf *error_out);

/* The handler is about to wait for the first time (again is harmless). */
void handler_run_wait(struct handler_run *r);
/* Its entry was committed, or the partition was lost. */
void handler_run_settle(struct handler_run *r, bool is_committed);

/* APP_FAILED: error_out says why. APP_WAITING: the call is resumed later. */
enum app_outcome handler_run_broadcast(struct handler_run *r, const struct delivery *d,
                                       struct buf *error_out);
enum app_outcome handler_run_to_one(struct handler_run *r, const struct recipient *to,
                                    const struct delivery *d, struct buf *error_out);

#endif
