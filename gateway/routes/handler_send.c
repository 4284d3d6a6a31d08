/* handler_send.c - see handler_send.h. */
#include "gateway/routes/handler_send.h"

#include <errno.h>
#include <stdlib.h>

#include "common/app/app.h"
#include "common/base/clock.h"
#include "common/base/metrics.h"
#include "common/base/settings.h"
#include "common/bus/bus.h"
#include "common/bus/log/ingest.h"
#include "gateway/conn/conn.h"
#include "gateway/routes/routes.h"
#include "gateway/session/client.h"
#include "gateway/conn/request.h"
#include "gateway/session/wire.h"

enum { ACCEPT_MS = 10000 };

/* A handler's entries on their way to Redis. Freed when all are answered and the timer is closed.
 */
struct publish {
    struct ingest *ingest;
    struct app_call *call; /* NULL: nobody waits (any more) */
    size_t left;
    int status; /* of pushing and of the answers: the first that was not 0 */
    bool is_timer_open;
    uv_timer_t patience;
};

static void free_if_done(struct publish *p) {
    if (p->left == 0 && !p->is_timer_open)
        free(p);
}

static void on_patience_closed(uv_handle_t *handle) {
    struct publish *p = container_of((uv_timer_t *)handle, struct publish, patience);
    p->is_timer_open = false;
    free_if_done(p);
}

/* The handler goes on; answers that come later are for nobody. */
static void answer(struct publish *p, const char *error) {
    struct app_call *call = p->call;
    p->call = NULL;
    uv_close((uv_handle_t *)&p->patience, on_patience_closed);
    if (call == NULL)
        return;
    if (error == NULL)
        app_resume_ok(call, NULL, NULL);
    else
        app_resume_error(call, error);
}

static void on_patience_over(uv_timer_t *timer) {
    answer(container_of(timer, struct publish, patience),
           "not accepted: Redis did not answer within 10 s; the message may still go out");
}

/* Why ingest did not take it; NULL: it did. */
static const char *why_not(int status) {
    return status == 0           ? NULL
           : status == -EMSGSIZE ? "not accepted: the data is larger than Redis takes"
           : status == -ENOBUFS  ? "not accepted: too much waits for Redis already"
                                 : "not accepted: the gateway lost its place in the cluster";
}

static void on_accepted(void *ctx, int status) {
    struct publish *p = ctx;
    p->left--;
    if (p->status == 0)
        p->status = status;
    if (p->left > 0)
        return;
    if (uv_is_closing((uv_handle_t *)&p->patience))
        free_if_done(p);
    else
        answer(p, why_not(p->status));
}

static struct publish *publish_new(struct routes *routes, struct app_call *call) {
    struct publish *p = mem_zalloc(sizeof(*p));
    p->ingest = routes->ingest;
    p->call = call;
    p->is_timer_open = true;
    MUST(uv_timer_init(routes->loop, &p->patience) == 0);
    MUST(uv_timer_start(&p->patience, on_patience_over, ACCEPT_MS, 0) == 0);
    return p;
}

/* ---- one entry for each partition concerned */

static void push_share(void *ctx, unsigned partition, struct bytes_list names, struct bytes entry) {
    struct publish *p = ctx;
    (void)names;
    if (p->status == 0)
        p->status = ingest_push(p->ingest, partition, entry, on_accepted, p);
    if (p->status == 0)
        p->left++;
}

static enum app_outcome publish(struct routes *routes, struct app_call *call,
                                const struct delivery *what, struct buf *error_out) {
    struct publish *p = publish_new(routes, call);
    struct delivery d = *what;
    d.ts_ms = clock_wall_ms();
    delivery_split(&d, bus_partitions(routes->bus), push_share, p);
    if (p->status < 0) { /* what was pushed goes out all the same */
        buf_append_str(error_out, why_not(p->status));
        p->call = NULL;
        answer(p, NULL);
        return APP_FAILED;
    }
    return call == NULL ? APP_DONE : APP_WAITING;
}

/* ---- the two functions */

static enum app_outcome failed(struct buf *error_out, const char *why) {
    buf_append_str(error_out, why);
    return APP_FAILED;
}

static enum app_outcome send_to_own(struct client *client, const struct app_send *send) {
    if (client != NULL && client_is_open(client))
        client_send(client, send->what.flags, send->what.data);
    return APP_DONE;
}

static struct request *request_of(struct app_call *call) {
    const struct handler *handler = app_call_ctx(call);
    return handler == NULL ? NULL : handler->request;
}

static enum app_outcome host_send(void *ctx, struct app_call *call, const struct app_send *send,
                                  struct buf *error_out) {
    struct routes *routes = ctx;
    struct request *r = request_of(call);
    bool is_converted = r != NULL && request_is_converted(r) && r->signal != NULL;
    bool is_local = is_converted && r->signal->is_local;
    if (send->is_direct && !is_converted)
        return failed(error_out, "direct: the request is no signal connection");
    if (send->is_direct)
        return send_to_own(r->client, send);
    if (delivery_is_for_nobody(&send->what))
        return APP_DONE;
    if (is_local && !send->ignores_event)
        return send_to_own(r->client, send);
    if (!delivery_is_allowed(&send->what, routes_registrations(routes)->levels, error_out)) {
        metrics_add(METRIC_refused_level, 1);
        return APP_FAILED;
    }
    return publish(routes, call, &send->what, error_out);
}

static enum app_outcome host_close(void *ctx, struct app_call *call, const struct delivery *close,
                                   struct buf *error_out) {
    if (delivery_is_for_nobody(close))
        return APP_DONE;
    return publish(ctx, call, close, error_out);
}

static void host_signing_context(void *ctx, struct app_call *call,
                                 struct signing_context *who_out) {
    const struct request *r = request_of(call);
    (void)ctx;
    if (r == NULL)
        return;
    who_out->user_agent = http_head_find(&r->head, "User-Agent");
    who_out->remote_address = bytes_str(r->remote_address);
}

const struct app_host handler_send_host = {
    .send = host_send, .close = host_close, .signing_context = host_signing_context};
