/* host.c - see host.h. */
#include "gateway/routes/handler_send.h"

#include <errno.h>
#include <stdlib.h>

#include "common/app/app.h"
#include "common/base/clock.h"
#include "common/base/metrics.h"
#include "common/base/settings.h"
#include "common/bus/bus.h"
#include "common/bus/log/ingest.h"
#include "common/bus/partition.h"
#include "gateway/conn/conn.h"
#include "gateway/routes/routes.h"
#include "gateway/session/client.h"
#include "gateway/conn/request.h"
#include "gateway/session/wire.h"

enum { ACCEPT_MS = 10000 };

/* A handler's entries on their way to Redis. Freed when all are answered and the timer is closed.
 */
struct publish {
    struct app_call *call; /* NULL: nobody waits (any more) */
    size_t left;
    int status; /* the first that was not 0 */
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
    p->call = call;
    p->is_timer_open = true;
    MUST(uv_timer_init(routes->loop, &p->patience) == 0);
    MUST(uv_timer_start(&p->patience, on_patience_over, ACCEPT_MS, 0) == 0);
    return p;
}

/* ---- one entry for each partition concerned */

static int push(struct routes *routes, struct publish *p, unsigned partition,
                const struct entry *e) {
    struct buf text = {0};
    entry_encode(&text, e);
    int status = ingest_push(routes->ingest, partition, buf_bytes(&text), on_accepted, p);
    if (status == 0)
        p->left++;
    buf_deinit(&text);
    return status;
}

static int push_named(struct routes *routes, struct publish *p, struct entry *e,
                      struct bytes_list names) {
    unsigned partitions = bus_partitions(routes->bus);
    struct bytes *here = mem_alloc(names.count * sizeof(*here));
    int status = 0;
    for (unsigned partition = 0; partition < partitions && status == 0; partition++) {
        size_t count = 0;
        for (size_t i = 0; i < names.count; i++)
            if (partition_of(names.items[i], partitions) == partition)
                here[count++] = names.items[i];
        if (count == 0)
            continue;
        e->names = (struct bytes_list){.items = here, .count = count};
        status = push(routes, p, partition, e);
    }
    free(here);
    return status;
}

static int push_every(struct routes *routes, struct publish *p, struct entry *e) {
    int status = 0;
    e->flags |= FLAG_EVERY;
    for (unsigned partition = 0; partition < bus_partitions(routes->bus) && status == 0;
         partition++)
        status = push(routes, p, partition, e);
    return status;
}

static enum app_outcome publish(struct routes *routes, struct app_call *call, struct entry *e,
                                struct bytes_list names, struct buf *error_out) {
    struct publish *p = publish_new(routes, call);
    e->ts_ms = clock_wall_ms();
    int status =
        bytes_list_is_given(names) ? push_named(routes, p, e, names) : push_every(routes, p, e);
    if (status < 0) { /* what was pushed goes out all the same */
        p->call = NULL;
        answer(p, NULL);
        buf_append_str(error_out, why_not(status));
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
    if (bytes_lists_are_nobody(send->what.names, send->what.groups, send->what.clients))
        return APP_DONE;
    if (is_local && !send->ignores_event)
        return send_to_own(r->client, send);
    if (!levels_allow(routes_registrations(routes)->levels, send->what.names,
                      send->what.groups.count > 0, send->what.clients.count > 0, error_out)) {
        metrics_add(METRIC_refused_level, 1);
        return APP_FAILED;
    }
    struct entry e = {.kind = ENTRY_SEND,
                      .flags = FLAG_CHECKED | send->what.flags,
                      .body = send->what.data,
                      .groups = send->what.groups,
                      .clients = send->what.clients};
    return publish(routes, call, &e, send->what.names, error_out);
}

static enum app_outcome host_close(void *ctx, struct app_call *call, const struct delivery *close,
                                   struct buf *error_out) {
    if (bytes_lists_are_nobody(close->names, close->groups, close->clients))
        return APP_DONE;
    struct entry e = {.kind = ENTRY_CLOSE,
                      .flags = FLAG_CHECKED,
                      .body = close->data,
                      .groups = close->groups,
                      .clients = close->clients,
                      .code = close->code};
    return publish(ctx, call, &e, close->names, error_out);
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
