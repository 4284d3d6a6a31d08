/* handler_send.c - see handler_send.h. Read on_send: the order of its checks is the seed's. */
#include "broker/handlers/handler_send.h"

#include "broker/entry/level_check.h"
#include "broker/entry/tracing.h"
#include "broker/handlers/handler_run.h"
#include "common/base/clock.h"

/* The client's mistake, not the app's. */
static const char not_understood[] = "to whom the message goes is not understood";

static enum app_outcome refuse(struct buf *error_out, const char *why) {
    buf_append_str(error_out, why);
    return APP_FAILED;
}

static enum app_outcome refuse_outside(struct buf *error_out) {
    return refuse(error_out, "this is possible in a handler only, not while the app file loads");
}

/* What the send does not say comes from the message that is handled. */
static void fill_in(struct delivery *d, const struct client_message *m) {
    if (!bytes_list_is_given(d->names))
        d->names = texts_list(&m->names);
    if (!bytes_list_is_given(d->groups))
        d->groups = texts_list(&m->groups);
    if (!bytes_list_is_given(d->clients))
        d->clients = texts_list(&m->clients);
}

static enum app_outcome send_direct(struct handler_run *r, const struct delivery *d,
                                    struct buf *error_out) {
    const struct entry *e = &r->entry->entry;
    struct recipient sender = {e->name, e->conn};
    tracing_verdict(r->processing, TRACED_ALLOWED, BYTES_NONE);
    if (r->kind != HANDLER_RUN_SIGNAL)
        return refuse(error_out, "mode \"direct\" needs a current connection, there is none here");
    return handler_run_to_one(r, &sender, d, error_out);
}

static enum app_outcome on_send(void *ctx, struct app_call *call, const struct app_send *send,
                                struct buf *error_out) {
    struct handler_run *r = handler_run_of(call);
    (void)ctx;
    if (r == NULL)
        return refuse_outside(error_out);
    const struct entry *e = &r->entry->entry;
    struct client_message *m = send->ignores_event ? NULL : r->message;
    struct delivery d = send->what;
    d.ts_ms = r->state == HANDLER_RUN_NOW ? e->ts_ms : clock_wall_ms();
    d.from = e->client_id;
    if (m != NULL && m->is_uncompressed)
        d.flags |= FLAG_UNCOMPRESSED;
    if (send->is_direct || (m != NULL && m->is_direct))
        return send_direct(r, &d, error_out);
    if (m != NULL && m->has_unknown) {
        buf_append(error_out, buf_bytes(&m->error));
        buf_append_str(error_out, ": ");
        app_call_excuse(call, not_understood);
        return refuse(error_out, not_understood);
    }
    if (m != NULL)
        fill_in(&d, m);
    if (!level_check(r->parts, &d, error_out)) {
        level_check_refused(r->processing, buf_bytes(error_out));
        return APP_FAILED;
    }
    tracing_verdict(r->processing, TRACED_ALLOWED, BYTES_NONE);
    return handler_run_broadcast(r, &d, error_out);
}

static enum app_outcome on_close(void *ctx, struct app_call *call, const struct delivery *close,
                                 struct buf *error_out) {
    struct handler_run *r = handler_run_of(call);
    (void)ctx;
    if (r == NULL)
        return refuse_outside(error_out);
    struct delivery d = *close;
    d.ts_ms = clock_wall_ms();
    return handler_run_broadcast(r, &d, error_out);
}

static struct json_value on_handled(void *ctx, struct app_call *call) {
    (void)ctx;
    return handler_run_message(handler_run_of(call));
}

static void on_first_wait(void *ctx, struct app_call *call) {
    struct handler_run *r = handler_run_of(call);
    (void)ctx;
    if (r != NULL) {
        r->call = call;
        handler_run_wait(r);
    }
}

const struct app_host handler_send_functions = {
    .send = on_send,
    .close = on_close,
    .on_first_wait = on_first_wait,
    .handled = on_handled,
};
