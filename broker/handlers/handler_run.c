/* handler_run.c - see handler_run.h. */
#include "broker/handlers/handler_run.h"

#include <stdarg.h>
#include <stdlib.h>
#include <utlist.h>

#include "broker/broker.h"
#include "broker/entry/conn_queues.h"
#include "common/bus/bus.h"
#include "common/bus/log/ingest.h"
#include "common/bus/partition.h"

static const char too_many[] = "this handler sends too much for one event";

struct handler_run *handler_run_new(struct processing *p, enum handler_run_kind kind,
                                    const char *label_format, ...) {
    struct handler_run *r = mem_zalloc(sizeof(*r));
    struct buf label = {0};
    va_list args;
    r->broker = p->broker;
    r->kind = kind;
    r->entry = in_entry_ref(p->entry);
    r->outcome = p;
    va_start(args, label_format);
    buf_vprintf(&label, label_format, args);
    va_end(args);
    r->label = buf_take(&label);
    return r;
}

static void drop_held(struct handler_run *r) {
    while (r->held != NULL) {
        struct held_send *next = r->held->next;
        buf_deinit(&r->held->entry);
        free(r->held);
        r->held = next;
    }
    r->held_bytes = 0;
}

static void leave_lane(struct handler_run *r) {
    if (r->lane != NULL)
        conn_queues_leave(r->lane);
    r->lane = NULL;
}

static void free_run(struct handler_run *r) {
    leave_lane(r);
    if (r->open_runs != NULL)
        DL_DELETE(*r->open_runs, r);
    drop_held(r);
    client_message_deinit(&r->message);
    session_free(&r->session);
    in_entry_unref(r->entry);
    free(r->route_path);
    free(r->route_endpoint);
    free(r->label);
    free(r);
}

/* --- from start to end --- */

static void on_end(void *ctx, struct app_call *call, const char *error) {
    (void)call;
    (void)error; /* was logged and counted by the app */
    free_run(ctx);
}

enum app_outcome handler_run_start(struct handler_run *r, int function, int arguments,
                                   app_push_fn *push_args, struct buf *error_out) {
    struct app_handler handler = {function, arguments, r->label};
    struct app_call *call = NULL;
    char *error = NULL;
    enum app_outcome outcome =
        app_call(r->broker->app, &handler, push_args, on_end, r, &call, &error);
    if (outcome == APP_WAITING) {
        r->call = call;
        handler_run_wait(r);
        return outcome;
    }
    if (outcome == APP_FAILED && error != NULL)
        buf_append_str(error_out, error);
    free(error);
    free_run(r);
    return outcome;
}

void handler_run_wait(struct handler_run *r) {
    if (r->state != HANDLER_RUN_NOW)
        return;
    r->state = HANDLER_RUN_OPEN;
    r->open_runs = r->outcome->open_runs;
    DL_APPEND(*r->open_runs, r);
    if (r->kind != HANDLER_RUN_TICK)
        r->lane = conn_queues_enter(r->broker->queues, r->outcome->slot, r->entry);
    r->outcome = NULL;
}

/* --- sends after the first wait --- */

static void resume(struct handler_run *r, const char *error) {
    struct app_call *call = r->call;
    if (error != NULL)
        app_resume_error(call, error);
    else
        app_resume_ok(call, NULL, NULL);
}

static void on_pushed(void *ctx, int status) {
    struct handler_run *r = ctx;
    r->was_refused = r->was_refused || status != 0;
    if (--r->unanswered == 0)
        resume(r, r->was_refused ? "the broker ends" : NULL);
}

static bool has_room(const struct handler_run *r) {
    size_t waiting = ingest_bytes(r->broker->free_sends);
    return waiting == 0 || waiting + r->held_bytes <= FREE_SENDS_BYTES;
}

static const char no_room[] = "too many messages wait for Redis";

static void push_held(struct handler_run *r) {
    r->was_refused = false;
    for (struct held_send *h = r->held; h != NULL; h = h->next)
        if (ingest_push(r->broker->free_sends, h->partition, buf_bytes(&h->entry), on_pushed, r) ==
            0)
            r->unanswered++;
        else
            r->was_refused = true;
    drop_held(r);
}

static void hold(void *ctx, unsigned partition, struct bytes_list names, struct bytes entry) {
    struct handler_run *r = ctx;
    struct held_send *h = mem_zalloc(sizeof(*h));
    (void)names;
    h->partition = partition;
    buf_append(&h->entry, entry);
    r->held_bytes += entry.len;
    LL_APPEND(r->held, h);
}

static enum app_outcome send_held(struct handler_run *r, struct buf *error_out) {
    if (r->state == HANDLER_RUN_OPEN)
        return APP_WAITING; /* handler_run_settle goes on */
    if (r->state == HANDLER_RUN_FREE && has_room(r)) {
        push_held(r);
        if (r->unanswered > 0)
            return APP_WAITING;
    }
    drop_held(r);
    buf_append_str(error_out,
                   r->state == HANDLER_RUN_VOID ? "the event is handled again elsewhere" : no_room);
    return APP_FAILED;
}

void handler_run_settle(struct handler_run *r, bool is_committed) {
    MUST(r->state == HANDLER_RUN_OPEN);
    DL_DELETE(*r->open_runs, r);
    r->open_runs = NULL;
    r->state = is_committed ? HANDLER_RUN_FREE : HANDLER_RUN_VOID;
    if (r->state == HANDLER_RUN_VOID)
        leave_lane(r); /* its entry runs again */
    if (r->held == NULL)
        return;
    struct buf error = {0};
    if (send_held(r, &error) == APP_FAILED) {
        char *text = buf_take(&error);
        resume(r, text);
        free(text);
    }
    buf_deinit(&error);
}

/* --- sends --- */

enum app_outcome handler_run_broadcast(struct handler_run *r, const struct delivery *d,
                                       struct buf *error_out) {
    if (broadcast_is_for_nobody(d))
        return APP_DONE;
    if (!broadcast_fits(r->broker, d, error_out))
        return APP_FAILED;
    if (r->state != HANDLER_RUN_NOW) {
        broadcast_split(d, bus_partitions(r->broker->bus), hold, r);
        return send_held(r, error_out);
    }
    if (broadcast(r->outcome, d))
        return APP_DONE;
    buf_append_str(error_out, too_many);
    return APP_FAILED;
}

enum app_outcome handler_run_to_one(struct handler_run *r, const struct recipient *to,
                                    const struct delivery *d, struct buf *error_out) {
    if (!broadcast_fits(r->broker, d, error_out))
        return APP_FAILED;
    unsigned partition = partition_of(to->name, bus_partitions(r->broker->bus));
    if (r->state == HANDLER_RUN_NOW && partition == r->outcome->slot) {
        if (broadcast_to_one(r->outcome, to, d))
            return APP_DONE;
        buf_append_str(error_out, too_many);
        return APP_FAILED;
    }
    struct buf entry = {0};
    broadcast_encode_to_one(&entry, to, d);
    hold(r, partition, (struct bytes_list){0}, buf_bytes(&entry));
    buf_deinit(&entry);
    if (r->state == HANDLER_RUN_NOW)
        handler_run_wait(r); /* the connection of another event, in another partition */
    return send_held(r, error_out);
}
