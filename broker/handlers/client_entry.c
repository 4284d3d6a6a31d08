/* client_entry.c - see client_entry.h. Read client_entry_process, at the end. */
#include "broker/handlers/client_entry.h"

#include <stdlib.h>

#include "broker/entry/broadcast.h"
#include "broker/entry/dead_letter.h"
#include "broker/entry/level_check.h"
#include "broker/entry/tracing.h"
#include "broker/handlers/event_table.h"
#include "broker/handlers/handler_run.h"
#include "broker/handlers/repeats.h"
#include "broker/handlers/sender_reply.h"
#include "common/base/log.h"
#include "common/base/metrics.h"

/* --- refusing --- */

static void refuse(struct processing *p, const struct client_message *m, enum sender_fault fault,
                   struct bytes why) {
    const struct entry *e = &p->entry->entry;
    metrics_add(METRIC_messages_bad, 1);
    log_debug("client_entry", "refused client=%s name=%s why=%s", LOG_TEXT(e->client_id),
              LOG_TEXT(e->name), LOG_TEXT(why));
    tracing_verdict(p, TRACED_IGNORED, why);
    sender_reply_error(p, m, fault, why);
}

static void refuse_level(struct processing *p, const struct client_message *m, struct bytes why) {
    const struct entry *e = &p->entry->entry;
    level_check_refused(p, why);
    log_warn("client_entry", "refused client=%s name=%s why=%s", LOG_TEXT(e->client_id),
             LOG_TEXT(e->name), LOG_TEXT(why));
    sender_reply_error(p, m, FAULT_LEVEL, why);
}

static void refuse_full(struct processing *p) {
    const struct entry *e = &p->entry->entry;
    struct client_message *m = repeats_message(p);
    log_warn("client_entry", "refused client=%s name=%s why=\"too many messages wait\"",
             LOG_TEXT(e->client_id), LOG_TEXT(e->name));
    refuse(p, m, FAULT_BUSY, BYTES_LIT("too many messages wait for a handler of this connection"));
    client_message_unref(m);
}

static void refuse_default(struct processing *p, const struct client_message *m,
                           struct bytes closed) {
    const struct entry *e = &p->entry->entry;
    struct buf why = {0};
    buf_printf(&why, "only signal routes send to %.*s: this path has none", BYTES_FMT(closed));
    metrics_add(METRIC_refused_default, 1);
    log_warn("client_entry", "refused client=%s name=%s why=%s", LOG_TEXT(e->client_id),
             LOG_TEXT(e->name), LOG_TEXT(buf_bytes(&why)));
    tracing_verdict(p, TRACED_REFUSED, buf_bytes(&why));
    sender_reply_error(p, m, FAULT_NO_ROUTE, buf_bytes(&why));
    buf_deinit(&why);
}

/* --- the default: to everybody it addresses --- */

/* Direct is a reply to the sender, which reaches nobody else. */
static bool is_closed(const struct processing *p, const struct client_message *m,
                      const struct delivery *d, struct bytes *closed_out) {
    const struct registrations *r = processing_registrations(p->parts);
    return !m->is_direct && !delivery_is_for_nobody(d) &&
           !default_broadcast_allows(r->default_broadcast, d->names, closed_out);
}

/* What goes out: a string as it is, anything else as compact JSON. */
static void send_on(struct processing *p, const struct client_message *m) {
    const struct entry *e = &p->entry->entry;
    struct recipient sender = {e->name, e->conn};
    struct buf data = {0}, why = {0};
    bool is_text = m->message.kind == JSON_KIND_STRING;
    if (is_text)
        json_append_text(&data, m->message);
    else
        json_append_compact(&data, m->message);
    struct delivery d = {.kind = MESSAGE_DATA,
                         .ts_ms = e->ts_ms,
                         .names = texts_list(&m->names),
                         .groups = texts_list(&m->groups),
                         .clients = texts_list(&m->clients),
                         .from = e->client_id,
                         .flags = (is_text ? 0u : FLAG_JSON) |
                                  (m->is_uncompressed ? FLAG_UNCOMPRESSED : 0u),
                         .data = buf_bytes(&data)};
    struct bytes closed;
    if (is_closed(p, m, &d, &closed)) {
        refuse_default(p, m, closed);
    } else if (!delivery_fits(&d, p->parts->bus, &why)) {
        refuse(p, m, FAULT_TOO_BIG, buf_bytes(&why));
        buf_append_char(&why, '\0');
        dead_letter(p, why.ptr); /* its sender may not speak signalbox.v1 */
    } else if (!m->is_direct && !level_check(p->parts, &d, &why)) {
        refuse_level(p, m, buf_bytes(&why));
    } else {
        MUST(m->is_direct ? broadcast_to_one(p, &sender, &d) : broadcast(p, &d));
        tracing_verdict(p, TRACED_ALLOWED, BYTES_NONE);
        sender_reply_ack(p, m);
    }
    buf_deinit(&data);
    buf_deinit(&why);
}

static void process_default(struct processing *p, const struct client_message *m) {
    if (!m->is_valid) {
        refuse(p, m, FAULT_BAD_REQUEST, buf_bytes(&m->error));
    } else if (m->message.kind == JSON_KIND_ABSENT) {
        refuse(p, m, FAULT_BAD_REQUEST, BYTES_LIT("there is no message"));
    } else if (!json_is_empty(m->message)) {
        send_on(p, m);
    } else {
        tracing_verdict(p, TRACED_IGNORED, BYTES_LIT("the message is empty"));
        sender_reply_ack(p, m);
    }
}

/* --- the signal route --- */

/* False when nobody can tell which route it is: such a message must not go around all of them. */
static bool find_route(const struct processing *p, struct session *s,
                       const struct signal_route **route_out) {
    const struct registrations *r = processing_registrations(p->parts);
    const struct entry *e = &p->entry->entry;
    *route_out = NULL;
    if (r->signal_routes.count == 0)
        return true;
    if (session_decode(e->session, s) != PARSE_OK) {
        log_warn("client_entry", "undecodable_session client=%s", LOG_TEXT(e->client_id));
        return false;
    }
    char *path = bytes_dup(s->path), *endpoint = bytes_dup(s->endpoint);
    *route_out = registrations_signal_route(r, path, s->endpoint.len > 0 ? endpoint : NULL);
    free(path);
    free(endpoint);
    return true;
}

static void trace_outcome(struct processing *p, enum app_outcome outcome) {
    if (outcome == APP_FAILED)
        tracing_verdict(p, TRACED_FAILED, BYTES_LIT("the handler failed: see the broker's log"));
    else if (outcome == APP_WAITING)
        tracing_verdict(p, TRACED_WAITING,
                        BYTES_LIT("the handler waits: what it sends later are entries of its own"));
    else if (p->count == 0)
        tracing_verdict(p, TRACED_IGNORED, BYTES_LIT("the handler sent nothing"));
}

/* Takes what the session holds. */
static void call_route(struct processing *p, const struct signal_route *route,
                       struct client_message *m, struct session *session) {
    struct buf error = {0};
    struct handler_run *r = handler_run_new(p, HANDLER_RUN_SIGNAL, "signal route %s", route->path);
    r->message = client_message_ref(m);
    r->session = *session;
    *session = (struct session){0};
    r->route_path = mem_strdup(route->path);
    r->route_endpoint = route->endpoint != NULL ? mem_strdup(route->endpoint) : NULL;
    /* The text names files and lines: it is for the log alone. */
    enum app_outcome outcome =
        handler_run_start(r, route->function, route->arguments, event_table_push_signal, &error);
    trace_outcome(p, outcome);
    if (outcome == APP_FAILED && m->has_unknown)
        refuse(p, m, FAULT_BAD_REQUEST, buf_bytes(&m->error));
    else if (outcome == APP_FAILED)
        sender_reply_error(p, m, FAULT_HANDLER, BYTES_LIT("the handler of this message failed"));
    else
        sender_reply_ack(p, m);
    buf_deinit(&error);
}

/* --- either --- */

static void repeat(struct processing *p, const struct client_message *m, struct bytes answered) {
    metrics_add(METRIC_messages_repeated, 1);
    tracing_verdict(p, TRACED_IGNORED, BYTES_LIT("it was handled before"));
    sender_reply_again(p, m, answered);
}

static void process(struct processing *p) {
    struct session session = {0};
    struct bytes body = p->entry->entry.body;
    const struct signal_route *route;
    if (!find_route(p, &session, &route)) {
        metrics_add(METRIC_messages_bad, 1);
        tracing_verdict(p, TRACED_IGNORED, BYTES_LIT("its path cannot be read"));
        sender_reply_nothing(p);
    } else if (route == NULL && body.len == 0) {
        tracing_verdict(p, TRACED_IGNORED, BYTES_LIT("the message is empty"));
        sender_reply_nothing(p);
    } else {
        struct client_message *m = repeats_message(p);
        struct bytes answered = repeats_find(p);
        if (route != NULL)
            tracing_rule(p, route->path);
        if (answered.len > 0 && repeats_is_other(p))
            refuse(p, m, FAULT_CONFLICT, BYTES_LIT("this id was given to another message"));
        else if (answered.len > 0)
            repeat(p, m, answered);
        else if (route == NULL)
            process_default(p, m);
        else if (m->is_misunderstood)
            refuse(p, m, FAULT_BAD_REQUEST, buf_bytes(&m->error));
        else
            call_route(p, route, m, &session);
        client_message_unref(m);
    }
    session_free(&session);
}

void client_entry_process(struct processing *p) {
    switch (conn_queues_take_turn(p)) {
    case CONN_QUEUE_GO: process(p); return;
    case CONN_QUEUE_FULL: refuse_full(p); return;
    case CONN_QUEUE_DEFERRED:
        tracing_verdict(p, TRACED_WAITING,
                        BYTES_LIT("a handler of this connection waits: it is handled after that"));
        return;
    }
}
