/* client_entry.c - see client_entry.h. */
#include "broker/handlers/client_entry.h"

#include <stdlib.h>

#include "broker/broker.h"
#include "broker/handlers/event_table.h"
#include "broker/handlers/sender_reply.h"
#include "broker/handlers/handler_run.h"
#include "broker/entry/tracing.h"
#include "common/base/log.h"

static const struct signal_route *find(const struct broker *b, const struct session *s) {
    char *path = bytes_dup(s->path), *endpoint = bytes_dup(s->endpoint);
    const struct signal_route *route = registrations_signal_route(
        broker_registrations(b), path, s->endpoint.len > 0 ? endpoint : NULL);
    free(path);
    free(endpoint);
    return route;
}

static void tell_trace(struct processing *p, enum app_outcome outcome) {
    if (outcome == APP_FAILED)
        tracing_verdict(p, TRACED_FAILED, BYTES_LIT("the handler failed: see the broker's log"));
    else if (outcome == APP_WAITING)
        tracing_verdict(p, TRACED_WAITING,
                        BYTES_LIT("the handler waits: what it sends later are entries of its own"));
    else if (p->count == 0)
        tracing_verdict(p, TRACED_IGNORED, BYTES_LIT("the handler sent nothing"));
}

/* The session becomes the run's. */
static void call(struct processing *p, const struct signal_route *route,
                 const struct client_message *message, const struct session *session) {
    struct buf error = {0};
    struct handler_run *r = handler_run_new(p, HANDLER_RUN_SIGNAL, "signal route %s", route->path);
    client_message_init(&r->message, r->entry->entry.body);
    r->session = *session;
    r->route_path = mem_strdup(route->path);
    r->route_endpoint = route->endpoint != NULL ? mem_strdup(route->endpoint) : NULL;
    /* The text names files and lines: it is for the log alone. */
    enum app_outcome outcome =
        handler_run_start(r, route->function, route->arguments, event_table_push_signal, &error);
    tell_trace(p, outcome);
    if (outcome == APP_FAILED && message->has_unknown)
        client_message_refuse(p, message, "bad_request", buf_bytes(&message->error));
    else if (outcome == APP_FAILED)
        sender_reply_error(p, message, "handler", BYTES_LIT("the handler of this message failed"));
    else
        sender_reply_ack(p, message);
    buf_deinit(&error);
}

/* A run may end, and take its message with it, before the sender can be answered; so it has one of
 * its own. */
static void process(struct processing *p, const struct signal_route *route,
                    struct session *session) {
    struct client_message message;
    client_message_init(&message, p->entry->entry.body);
    tracing_rule(p, route->path);
    if (message.is_misunderstood) {
        client_message_refuse(p, &message, "bad_request", buf_bytes(&message.error));
        session_free(session);
    } else {
        call(p, route, &message, session);
    }
    client_message_deinit(&message);
}

bool signal_route_process(struct processing *p) {
    const struct broker *b = p->broker;
    const struct signal_route *route = NULL;
    struct session session;
    if (broker_registrations(b)->signal_routes.count == 0)
        return false;
    if (session_decode(p->entry->entry.session, &session) != PARSE_OK) {
        log_warn("signal_routes", "undecodable_session client=%s",
                 LOG_TEXT(p->entry->entry.client_id));
        return false;
    }
    route = find(b, &session);
    if (route == NULL) {
        session_free(&session);
        return false;
    }
    process(p, route, &session);
    return true;
}
