/*
 * handler_run.h - one running handler of the app, and where its sends go.
 *
 *     NOW ─first wait─▶ OPEN ─its entry was committed─▶ FREE
 *                         └──the partition was lost───▶ VOID
 *
 *     NOW    what it sends is committed together with its entry, exactly once
 *     OPEN   its send is held until it is known which of the next two it becomes
 *     FREE   an ordinary publisher: its sends go through an ingest, and it waits for Redis
 *     VOID   its entry runs again elsewhere; this run may not send any more
 */
#ifndef SIGNALBOX_BROKER_HANDLERS_HANDLER_RUN_H
#define SIGNALBOX_BROKER_HANDLERS_HANDLER_RUN_H

#include "broker/entry/processing.h"
#include "broker/handlers/client_message.h"
#include "common/send/delivery.h"

enum handler_run_kind { HANDLER_RUN_SIGNAL, HANDLER_RUN_EVENT, HANDLER_RUN_TICK };
enum handler_run_state { HANDLER_RUN_NOW, HANDLER_RUN_OPEN, HANDLER_RUN_FREE, HANDLER_RUN_VOID };

/* What the handlers that have waited may leave unsent. */
enum { HANDLER_RUN_UNSENT_BYTES = 64 * 1024 * 1024 };

struct handler_run {
    const struct entry_parts *parts;
    enum handler_run_kind kind;
    enum handler_run_state state;
    struct in_entry *entry;
    struct processing *processing; /* NOW only */
    unsigned slot;
    char *label;
    /* HANDLER_RUN_SIGNAL */
    struct client_message *message;
    struct session session;
    struct conn_details details; /* EVENT: of the connection */
    char *route_path, *route_endpoint;
    /* OPEN and later */
    struct conn_queue *queue; /* NULL: of no connection, or left */
    struct app_call *call;
    struct handler_run **open_runs, *prev, *next; /* OPEN only: the batch's list */
    struct held_send *held;
    size_t held_bytes;
    unsigned unanswered;
    bool was_refused;
};

struct handler_run *handler_run_new(struct processing *p, enum handler_run_kind kind,
                                    const char *label_format, ...) PRINTF_LIKE(3, 4);
/* The run of a handler; NULL in the main chunk. */
struct handler_run *handler_run_of(struct app_call *call);
/* The value that it was called for; ABSENT unless that is a client's message. NULL is legal. */
struct json_value handler_run_message(const struct handler_run *r);

/* Calls the handler; the run is freed when it ends. APP_FAILED: its text is appended to error_out.
 */
enum app_outcome handler_run_start(struct handler_run *r, int function, int arguments,
                                   app_push_fn *push_args, struct buf *error_out);
/* The handler is about to wait for the first time (again is harmless). */
void handler_run_wait(struct handler_run *r);
/* The batch was committed up to this entry: handlers of its entries that wait are free now. */
void handler_run_committed(struct batch *batch, struct message_id cursor);
/* The batch was lost, with the partition. */
void handler_run_lost(struct batch *batch);

/* APP_FAILED: error_out says why. APP_WAITING: the call is resumed later. */
enum app_outcome handler_run_broadcast(struct handler_run *r, const struct delivery *d,
                                       struct buf *error_out);
enum app_outcome handler_run_to_one(struct handler_run *r, const struct recipient *to,
                                    const struct delivery *d, struct buf *error_out);

#endif
