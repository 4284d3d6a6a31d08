/* signal_routes.c - see signal_routes.h. */
#include "broker/signal_routes.h"

#include <stdlib.h>

#include "broker/broker.h"
#include "broker/event_lua.h"
#include "broker/note.h"
#include "broker/run.h"
#include "broker/tracing.h"
#include "common/base/log.h"

static const struct signal_route *find(const struct broker *b, const struct session *s) {
    char *path = bytes_dup(s->path), *endpoint = bytes_dup(s->endpoint);
    const struct signal_route *route = registrations_signal_route(
        broker_registrations(b), path, s->endpoint.len > 0 ? endpoint : NULL);
    free(path);
    free(endpoint);
    return route;
}

static void tell_trace(struct outcome *o, enum app_outcome outcome) {
    if (outcome == APP_FAILED)
        tracing_verdict(o, TRACED_FAILED, BYTES_LIT("the handler failed: see the broker's log"));
    else if (outcome == APP_WAITING)
        tracing_verdict(o, TRACED_WAITING,
                        BYTES_LIT("the handler waits: what it sends later are entries of its own"));
    else if (o->count == 0)
        tracing_verdict(o, TRACED_IGNORED, BYTES_LIT("the handler sent nothing"));
}

/* The session becomes the run's. */
static void call(struct outcome *o, const struct signal_route *route,
                 const struct client_message *message, const struct session *session) {
    struct buf error = {0};
    struct run *r = run_new(o, RUN_SIGNAL, "signal route %s", route->path);
    client_message_init(&r->message, r->entry->entry.body);
    r->session = *session;
    r->route_path = mem_strdup(route->path);
    r->route_endpoint = route->endpoint != NULL ? mem_strdup(route->endpoint) : NULL;
    /* The text names files and lines: it is for the log alone. */
    enum app_outcome outcome =
        run_start(r, route->function, route->arguments, event_push_signal, &error);
    tell_trace(o, outcome);
    if (outcome == APP_FAILED && message->has_unknown)
        client_message_refuse(o, message, "bad_request", buf_bytes(&message->error));
    else if (outcome == APP_FAILED)
        note_error(o, message, "handler", BYTES_LIT("the handler of this message failed"));
    else
        note_ack(o, message);
    buf_deinit(&error);
}

/* A run may end, and take its message with it, before the sender can be answered; so it has one of
 * its own. */
static void process(struct outcome *o, const struct signal_route *route, struct session *session) {
    struct client_message message;
    client_message_init(&message, o->entry->entry.body);
    tracing_rule(o, route->path);
    if (message.is_misunderstood) {
        client_message_refuse(o, &message, "bad_request", buf_bytes(&message.error));
        session_free(session);
    } else {
        call(o, route, &message, session);
    }
    client_message_deinit(&message);
}

bool signal_routes_process(struct outcome *o) {
    const struct broker *b = o->broker;
    const struct signal_route *route = NULL;
    struct session session;
    if (broker_registrations(b)->signal_routes.count == 0)
        return false;
    if (session_decode(o->entry->entry.session, &session) != PARSE_OK) {
        log_warn("signal_routes", "undecodable_session client=%s",
                 LOG_TEXT(o->entry->entry.client_id));
        return false;
    }
    route = find(b, &session);
    if (route == NULL) {
        session_free(&session);
        return false;
    }
    process(o, route, &session);
    return true;
}
