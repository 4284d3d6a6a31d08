/*
 * dispatch.c - see dispatch.h. A request is asked in this order, and the first "yes" decides:
 *
 *     is the host wrong, the path malformed?                    it is refused
 *     is it a WebSocket for many connections?                   multiplex
 *     is it a WebSocket for an endpoint with auto_upgrade?      upgrade
 *     does a route of the app fit?                              web_run
 *     does a static folder fit?                                 file_send
 *     does a page of another origin ask for leave?              cors
 *     is it the path of WebSockets for many connections?        426
 *     does the path have other methods?                         405, otherwise 404
 */
#include "gateway/routes/dispatch.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/memory_budget.h"
#include "common/base/metrics.h"
#include "common/http/http_authority.h"
#include "common/http/http_path.h"
#include "gateway/codec/ws_handshake.h"
#include "gateway/conn/conn.h"
#include "gateway/conn/endpoints.h"
#include "gateway/conn/peers.h"
#include "gateway/conn/request.h"
#include "gateway/routes/cors.h"
#include "gateway/routes/file_send.h"
#include "gateway/routes/multiplex.h"
#include "gateway/routes/post.h"
#include "gateway/routes/reference.h"
#include "gateway/routes/routes.h"
#include "gateway/routes/upgrade.h"
#include "gateway/routes/web.h"

/* ---- endpoints with auto_upgrade = true: the Name is the path in its canonical form, and no route
 * is needed (the seed's deprecated way) */

static void auto_upgrade(struct request *r) {
    struct upgrade_error error;
    struct upgrade_options options = {
        .name = bytes_str(r->path), .scope = SCOPE_GLOBAL, .is_automatic = true};
    if (upgrade(r, &options, &error) == UPGRADE_INVALID)
        request_refuse(r, error.status, error.text);
}

static void on_looked_up(void *ctx, bool is_found) {
    if (is_found)
        auto_upgrade(ctx);
}

/* ---- static folders */

static bool serve_file(struct request *r) {
    const struct registrations *registrations = routes_registrations(r->routes);
    const struct static_folder *best = NULL;
    if (!request_is_head(r) && !bytes_equal_str(r->head.method, "GET"))
        return false;
    for (size_t i = 0; i < registrations->static_folders.count; i++) {
        const struct static_folder *folder = &registrations->static_folders.items[i];
        if (file_send_below(r->path, folder->prefix) != NULL &&
            (best == NULL || strlen(folder->prefix) > strlen(best->prefix)))
            best = folder;
    }
    if (best == NULL)
        return false;
    struct buf file = {0};
    if (http_path_to_file(bytes_str(file_send_below(r->path, best->prefix)), &file)) {
        char *path = buf_take(&file);
        file_send(r, best->folder, path, 200);
        free(path);
        return true;
    }
    buf_deinit(&file);
    return false;
}

/* ---- routes */

static const char *const methods[] = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"};

/* A 405 names the methods that the path has (RFC 9110, 15.5.6). */
static void refuse_method(struct request *r, const struct registrations *registrations) {
    struct buf allow = {0};
    for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
        if (registrations_route(registrations, methods[i], r->path, r->endpoint->name).route ==
            NULL)
            continue;
        buf_printf(&allow, "%s%s", allow.len > 0 ? ", " : "", methods[i]);
    }
    r->keeps_alive = false;
    if (allow.len > 0)
        MUST(request_header(r, BYTES_LIT("Allow"), buf_bytes(&allow)));
    buf_deinit(&allow);
    request_reply(r, 405, BYTES_LIT("text/plain; charset=utf-8"),
                  BYTES_LIT("this path has other methods\n"));
}

static struct route_match find(const struct registrations *registrations, const struct request *r) {
    char *method = bytes_dup(r->head.method);
    struct route_match found =
        registrations_route(registrations, method, r->path, r->endpoint->name);
    free(method);
    /* A message of a client that has an event stream: the route that made that decides. */
    if (found.route == NULL && post_is(r))
        found = registrations_route(registrations, "GET", r->path, r->endpoint->name);
    return found;
}

/* Of a path that pages of other origins may want. */
static bool is_preflight(const struct registrations *registrations, const struct request *r) {
    return cors_is_preflight(r) &&
           registrations_route(registrations, "GET", r->path, r->endpoint->name).route != NULL;
}

/* Its page may read it, if it could have read the answer. */
static void refuse(struct request *r, int status, const char *why) {
    if (request_wants_events(r) || post_is(r) || multiplex_is_path(r))
        (void)cors_admit(r);
    request_refuse(r, status, why);
}

static void run_route(struct request *r) {
    const struct registrations *registrations = routes_registrations(r->routes);
    if (!r->endpoint->is_ws && ws_handshake_is_request(&r->head)) {
        request_refuse(r, 426, "this endpoint does not speak WebSocket");
        return;
    }
    if (multiplex_is(r)) {
        multiplex_take(r, dispatch);
        return;
    }
    if (r->endpoint->auto_upgrade && r->endpoint->is_ws &&
        http_head_count(&r->head, "Sec-WebSocket-Key") > 0) {
        if (reference_is_open(r))
            (void)reference_look_up(r, on_looked_up, r);
        else
            auto_upgrade(r);
        return;
    }
    struct route_match found = find(registrations, r);
    const struct refusal *why = NULL;
    if (found.route != NULL)
        why = peers_may_work(r->routes->peers, &r->conn->hold, conns_now(r->conn->set));
    if (why != NULL)
        dispatch_refused(r, why);
    else if (found.route != NULL)
        web_run(r, found.route, found.params, found.param_count);
    else if (serve_file(r))
        return;
    else if (is_preflight(registrations, r))
        cors_answer_preflight(r);
    else if (multiplex_is_path(r))
        refuse(r, 426, "many connections on one WebSocket: offer the subprotocol signalbox.v1");
    else if (found.has_other_method)
        refuse_method(r, registrations);
    else
        request_reply(r, 404, BYTES_LIT("text/plain; charset=utf-8"), BYTES_LIT("not found\n"));
}

static bool is_short_of_memory(void) {
    if (!memory_is_over() && !memory_is_full(MEMORY_requests))
        return false;
    metrics_add(METRIC_refused_memory, 1);
    return true;
}

void dispatch_refused(struct request *r, const struct refusal *why) {
    refuse(r, why->status, why->text);
}

void dispatch(struct request *r) {
    struct bytes host = http_authority_split(r->host).host;
    const char *hostname = r->endpoint->hostname;
    if (is_short_of_memory())
        refuse(r, 503, "memory is short, try again later");
    else if (hostname != NULL && !bytes_equal_nocase(host, bytes_str(hostname)))
        request_refuse(r, 400, "no such host here");
    else if (r->path == NULL)
        request_refuse(r, 400, r->path_error);
    else
        run_route(r);
}
