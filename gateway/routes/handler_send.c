/* handler_send.c - see handler_send.h. Read on_send. */
#include "gateway/routes/handler_send.h"

#include <errno.h>
#include <stdlib.h>

#include "common/app/app.h"
#include "common/base/clock.h"
#include "common/base/metrics.h"
#include "common/bus/bus.h"
#include "common/bus/log/ingest.h"
#include "common/send/delivery.h"
#include "gateway/conn/request.h"
#include "gateway/routes/routes.h"
#include "gateway/session/client.h"

enum { ACCEPT_MS = 10000 };

/* The entries of one send on their way to Redis. Freed when all are answered and the timer is
 * closed. */
struct sending {
    struct routes *routes;
    struct app_call *call; /* NULL: nobody waits for it, or not any more */
    size_t unanswered;
    int status; /* the first that was not 0 */
    bool is_timer_open;
    uv_timer_t deadline;
};

static void free_if_done(struct sending *s) {
    if (s->unanswered == 0 && !s->is_timer_open)
        free(s);
}

static void on_timer_closed(uv_handle_t *handle) {
    struct sending *s = container_of((uv_timer_t *)handle, struct sending, deadline);
    s->is_timer_open = false;
    free_if_done(s);
}

/* The handler goes on; answers of Redis that come later change nothing. */
static void end(struct sending *s, const char *error) {
    struct app_call *call = s->call;
    s->call = NULL;
    uv_close((uv_handle_t *)&s->deadline, on_timer_closed);
    if (call == NULL)
        return;
    if (error == NULL)
        app_resume_ok(call, NULL, NULL);
    else
        app_resume_error(call, error);
}

static void on_deadline(uv_timer_t *timer) {
    end(container_of(timer, struct sending, deadline),
        "not accepted: Redis did not answer within 10 s; the message may still go out");
}

/* NULL: ingest took it. */
static const char *why_not(int status) {
    return status == 0           ? NULL
           : status == -EMSGSIZE ? "not accepted: the data is larger than Redis takes"
           : status == -ENOBUFS  ? "not accepted: too much waits for Redis already"
                                 : "not accepted: the gateway lost its place in the cluster";
}

static void on_accepted(void *ctx, int status) {
    struct sending *s = ctx;
    s->unanswered--;
    if (s->status == 0)
        s->status = status;
    if (s->unanswered > 0)
        return;
    if (uv_is_closing((uv_handle_t *)&s->deadline))
        free_if_done(s);
    else
        end(s, why_not(s->status));
}

/* After a failure the rest is not sent; what was pushed before goes out all the same. */
static void push_share(void *ctx, unsigned partition, struct bytes_list names, struct bytes entry) {
    struct sending *s = ctx;
    (void)names;
    if (s->status == 0)
        s->status = ingest_push(s->routes->ingest, partition, NULL, entry, on_accepted, s);
    if (s->status == 0)
        s->unanswered++;
}

static enum app_outcome push(struct routes *routes, struct app_call *call,
                             const struct delivery *what, struct buf *error_out) {
    if (!delivery_fits(what, routes->bus, error_out))
        return APP_FAILED;
    struct sending *s = mem_zalloc(sizeof(*s));
    struct delivery d = *what;
    d.ts_ms = clock_wall_ms();
    s->routes = routes;
    s->is_timer_open = true;
    MUST(uv_timer_init(routes->loop, &s->deadline) == 0);
    MUST(uv_timer_start(&s->deadline, on_deadline, ACCEPT_MS, 0) == 0);
    delivery_split(&d, bus_partitions(routes->bus), push_share, s);
    if (s->status < 0) {
        buf_append_str(error_out, why_not(s->status));
        end(s, NULL);
        return APP_FAILED;
    }
    s->call = call;
    return call == NULL ? APP_DONE : APP_WAITING;
}

/* ---- what the app's functions call */

static struct request *request_of(struct app_call *call) {
    const struct handler *handler = app_call_ctx(call);
    return handler == NULL ? NULL : handler->request;
}

static enum app_outcome send_to_own(struct client *client, const struct delivery *d) {
    if (client != NULL && client_is_open(client))
        client_send(client, d->flags, d->data);
    return APP_DONE;
}

static enum app_outcome on_send(void *ctx, struct app_call *call, const struct app_send *send,
                                struct buf *error_out) {
    struct routes *routes = ctx;
    struct request *r = request_of(call);
    bool is_converted = r != NULL && request_is_converted(r) && r->signal != NULL;
    if (send->is_direct && !is_converted) {
        buf_append_str(error_out, "direct: the request is no signal connection");
        return APP_FAILED;
    }
    if (send->is_direct)
        return send_to_own(r->client, &send->what);
    if (delivery_is_for_nobody(&send->what))
        return APP_DONE;
    if (is_converted && r->signal->is_local && !send->ignores_event)
        return send_to_own(r->client, &send->what);
    if (!delivery_is_allowed(&send->what, routes_registrations(routes)->levels, error_out)) {
        metrics_add(METRIC_refused_level, 1);
        return APP_FAILED;
    }
    return push(routes, call, &send->what, error_out);
}

static enum app_outcome on_close(void *ctx, struct app_call *call, const struct delivery *close,
                                 struct buf *error_out) {
    return delivery_is_for_nobody(close) ? APP_DONE : push(ctx, call, close, error_out);
}

static void signing_context(void *ctx, struct app_call *call, struct signing_context *who_out) {
    const struct request *r = request_of(call);
    (void)ctx;
    if (r == NULL)
        return;
    who_out->user_agent = http_head_find(&r->head, "User-Agent");
    who_out->remote_address = bytes_str(r->remote_address);
}

const struct app_host handler_send_host = {
    .send = on_send, .close = on_close, .signing_context = signing_context};
