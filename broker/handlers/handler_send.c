/* handler_send.c - see handler_send.h. Read send_message: the order of its checks is the seed's. */
#include "broker/handlers/handler_send.h"

#include "broker/broker.h"
#include "broker/handlers/handler_run.h"
#include "broker/entry/tracing.h"
#include "common/base/clock.h"
#include "common/base/metrics.h"

static const char no_handler[] = "this is possible in a handler only, not while the app file loads";

/* The client's mistake, not the app's. */
static const char not_understood[] = "to whom the message goes is not understood";

struct handler_run *handler_run_of(struct app_call *call) {
    return call != NULL ? app_call_ctx(call) : NULL;
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
    tracing_verdict(r->outcome, TRACED_ALLOWED, BYTES_NONE);
    if (r->kind == HANDLER_RUN_SIGNAL)
        return handler_run_to_one(r, &sender, d, error_out);
    buf_append_str(error_out, "mode \"direct\" needs a current connection, there is none here");
    return APP_FAILED;
}

static enum app_outcome send_message(void *ctx, struct app_call *call, const struct app_send *send,
                                     struct buf *error_out) {
    struct broker *b = ctx;
    struct handler_run *r = handler_run_of(call);
    if (r == NULL) {
        buf_append_str(error_out, no_handler);
        return APP_FAILED;
    }
    bool minds_event = r->kind == HANDLER_RUN_SIGNAL && !send->ignores_event;
    struct delivery d = send->what;
    d.ts_ms = r->state == HANDLER_RUN_NOW ? r->entry->entry.ts_ms : clock_wall_ms();
    d.from = r->entry->entry.client_id;
    if (send->is_direct || (minds_event && r->message.is_direct))
        return send_direct(r, &d, error_out);
    if (minds_event && r->message.has_unknown) {
        buf_printf(error_out, "%.*s: %s", BYTES_FMT(buf_bytes(&r->message.error)), not_understood);
        app_call_excuse(call, not_understood);
        return APP_FAILED;
    }
    if (minds_event)
        fill_in(&d, &r->message);
    if (!broadcast_is_allowed(b, &d, error_out)) {
        metrics_add(METRIC_refused_level, 1);
        tracing_verdict(r->outcome, TRACED_REFUSED, buf_bytes(error_out));
        return APP_FAILED;
    }
    tracing_verdict(r->outcome, TRACED_ALLOWED, BYTES_NONE);
    return handler_run_broadcast(r, &d, error_out);
}

static enum app_outcome close_clients(void *ctx, struct app_call *call,
                                      const struct delivery *close, struct buf *error_out) {
    struct handler_run *r = handler_run_of(call);
    (void)ctx;
    if (r == NULL) {
        buf_append_str(error_out, no_handler);
        return APP_FAILED;
    }
    struct delivery d = *close;
    d.ts_ms = clock_wall_ms();
    return handler_run_broadcast(r, &d, error_out);
}

static struct json_value handled(void *ctx, struct app_call *call) {
    const struct handler_run *r = handler_run_of(call);
    (void)ctx;
    return r != NULL && r->kind == HANDLER_RUN_SIGNAL ? r->message.message : (struct json_value){0};
}

static void on_first_wait(void *ctx, struct app_call *call) {
    struct handler_run *r = handler_run_of(call);
    (void)ctx;
    if (r != NULL) {
        r->call = call;
        handler_run_wait(r);
    }
}

const struct app_host handler_send_host = {
    .send = send_message,
    .close = close_clients,
    .on_first_wait = on_first_wait,
    .handled = handled,
};
