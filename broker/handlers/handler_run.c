/* handler_run.c - see handler_run.h. Read handler_run_start, then handler_run_broadcast. */
#include "broker/handlers/handler_run.h"

#include <stdarg.h>
#include <stdlib.h>
#include <utlist.h>

#include "broker/entry/broadcast.h"
#include "broker/entry/shares.h"
#include "common/bus/bus.h"
#include "common/bus/log/ingest.h"
#include "common/bus/partition.h"

/* An entry for a partition, not pushed yet. */
struct held_send {
    struct held_send *next;
    unsigned partition;
    struct buf entry;
};

struct handler_run *handler_run_new(struct processing *p, enum handler_run_kind kind,
                                    const char *label_format, ...) {
    struct handler_run *r = mem_zalloc(sizeof(*r));
    struct buf label = {0};
    va_list args;
    r->parts = p->parts;
    r->kind = kind;
    r->entry = in_entry_ref(p->entry);
    r->processing = p;
    r->slot = p->slot;
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

static void leave_queue(struct handler_run *r) {
    if (r->queue != NULL)
        conn_queues_leave(r->queue);
    r->queue = NULL;
}

static void free_run(struct handler_run *r) {
    leave_queue(r);
    if (r->open_runs != NULL)
        DL_DELETE(*r->open_runs, r);
    drop_held(r);
    client_message_unref(r->message);
    session_free(&r->session);
    conn_details_free(&r->details);
    in_entry_unref(r->entry);
    free(r->route_path);
    free(r->route_endpoint);
    free(r->label);
    free(r);
}

struct handler_run *handler_run_of(struct app_call *call) {
    return call != NULL ? app_call_ctx(call) : NULL;
}

struct json_value handler_run_message(const struct handler_run *r) {
    return r != NULL && r->message != NULL ? r->message->message : (struct json_value){0};
}

/* --- from start to end --- */

/* Before it leaves its queue, so that what waits there goes on waiting if it has to. */
static void charge(struct handler_run *r) {
    if (r->kind != HANDLER_RUN_TICK)
        shares_charge(r->parts->shares, r->slot, r->entry, app_used_us(*r->parts->app));
}

static void on_end(void *ctx, struct app_call *call, const char *error) {
    (void)call;
    (void)error; /* was logged and counted by the app */
    charge(ctx);
    free_run(ctx);
}

enum app_outcome handler_run_start(struct handler_run *r, int function, int arguments,
                                   app_push_fn *push_args, struct buf *error_out) {
    struct app_handler handler = {function, arguments, r->label, push_args, on_end, r};
    struct app_call *call = NULL;
    char *error = NULL;
    enum app_outcome outcome = app_call(*r->parts->app, &handler, &call, &error);
    if (outcome == APP_WAITING) {
        r->call = call;
        handler_run_wait(r);
        return outcome;
    }
    if (outcome == APP_FAILED && error != NULL)
        buf_append_str(error_out, error);
    free(error);
    charge(r);
    free_run(r);
    return outcome;
}

void handler_run_wait(struct handler_run *r) {
    if (r->state != HANDLER_RUN_NOW)
        return;
    r->state = HANDLER_RUN_OPEN;
    r->open_runs = &r->processing->batch->open_runs;
    DL_APPEND(*r->open_runs, r);
    if (r->kind != HANDLER_RUN_TICK)
        r->queue = conn_queues_enter(r->parts->queues, r->slot, r->entry);
    r->processing = NULL;
}

/* --- sends after the first wait --- */

static void resume(struct handler_run *r, const char *error) {
    if (error != NULL)
        app_resume_error(r->call, error);
    else
        app_resume_ok(r->call, NULL, NULL);
}

static void on_pushed(void *ctx, int status) {
    struct handler_run *r = ctx;
    r->was_refused = r->was_refused || status != 0;
    if (--r->unanswered == 0)
        resume(r, r->was_refused ? "the broker ends" : NULL);
}

static void push_held(struct handler_run *r) {
    r->was_refused = false;
    for (struct held_send *h = r->held; h != NULL; h = h->next)
        if (ingest_push(r->parts->free_sends, h->partition, NULL, buf_bytes(&h->entry), on_pushed,
                        r) == 0)
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
        return APP_WAITING; /* settle sends it, or fails */
    size_t unsent = ingest_bytes(r->parts->free_sends);
    bool has_room = unsent == 0 || unsent + r->held_bytes <= HANDLER_RUN_UNSENT_BYTES;
    if (r->state == HANDLER_RUN_FREE && has_room) {
        push_held(r);
        if (r->unanswered > 0)
            return APP_WAITING;
    }
    drop_held(r);
    buf_append_str(error_out, r->state == HANDLER_RUN_VOID ? "the event is handled again elsewhere"
                                                           : "too many messages wait for Redis");
    return APP_FAILED;
}

static void settle(struct handler_run *r, enum handler_run_state to) {
    struct buf error = {0};
    MUST(r->state == HANDLER_RUN_OPEN);
    DL_DELETE(*r->open_runs, r);
    r->open_runs = NULL;
    r->state = to;
    if (to == HANDLER_RUN_VOID)
        leave_queue(r); /* its entry runs again */
    if (r->held != NULL && send_held(r, &error) == APP_FAILED) {
        buf_append_char(&error, '\0');
        resume(r, error.ptr);
    }
    buf_deinit(&error);
}

void handler_run_committed(struct batch *batch, struct message_id cursor) {
    struct handler_run *r, *next;
    DL_FOREACH_SAFE (batch->open_runs, r, next)
        if (message_id_compare(r->entry->id, cursor) <= 0)
            settle(r, HANDLER_RUN_FREE);
}

void handler_run_lost(struct batch *batch) {
    while (batch->open_runs != NULL)
        settle(batch->open_runs, HANDLER_RUN_VOID);
}

/* --- sends --- */

static enum app_outcome refuse_more(struct buf *error_out) {
    buf_printf(error_out,
               "this handler sends too much for one event: at most %d messages and %zu bytes",
               PROCESSING_OUTPUTS_MAX, PROCESSING_BYTES_MAX);
    return APP_FAILED;
}

enum app_outcome handler_run_broadcast(struct handler_run *r, const struct delivery *d,
                                       struct buf *error_out) {
    if (delivery_is_for_nobody(d))
        return APP_DONE;
    if (!delivery_fits(d, r->parts->bus, error_out))
        return APP_FAILED;
    if (r->state == HANDLER_RUN_NOW)
        return broadcast(r->processing, d) ? APP_DONE : refuse_more(error_out);
    delivery_split(d, bus_partitions(r->parts->bus), hold, r);
    return send_held(r, error_out);
}

enum app_outcome handler_run_to_one(struct handler_run *r, const struct recipient *to,
                                    const struct delivery *d, struct buf *error_out) {
    if (!delivery_fits(d, r->parts->bus, error_out))
        return APP_FAILED;
    unsigned partition = partition_of(to->name, bus_partitions(r->parts->bus));
    if (r->state == HANDLER_RUN_NOW && partition == r->processing->slot)
        return broadcast_to_one(r->processing, to, d) ? APP_DONE : refuse_more(error_out);
    struct buf entry = {0};
    delivery_encode_to_one(&entry, to, d);
    hold(r, partition, (struct bytes_list){0}, buf_bytes(&entry));
    buf_deinit(&entry);
    handler_run_wait(r); /* the connection of another event, in another partition */
    return send_held(r, error_out);
}
