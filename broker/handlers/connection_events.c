/* connection_events.c - see connection_events.h. */
#include "broker/handlers/connection_events.h"

#include "broker/entry/broadcast.h"
#include "broker/handlers/event_table.h"
#include "broker/handlers/handler_run.h"
#include "common/base/fold.h"
#include "common/base/metrics.h"

/* The connection that was taken over learns it through its log. */
static void close_replaced(struct processing *p) {
    const struct entry *e = &p->entry->entry;
    struct recipient old = {e->name, e->conn};
    struct delivery d = {.kind = MESSAGE_CLOSE,
                         .ts_ms = e->ts_ms,
                         .data = bytes_str(close_reason_text(CLOSE_REPLACED)),
                         .code = close_reason_code(CLOSE_REPLACED)};
    MUST(broadcast_to_one(p, &old, &d));
}

/* The first handler of this event from the i-th registration on; NULL when there is none. Looked up
 * anew each time, since a handler may register and unregister. */
static const struct event_handler *next_handler(const struct processing *p, size_t *i) {
    const struct registrations *r = processing_registrations(p->parts);
    const struct entry *e = &p->entry->entry;
    enum event_type type = e->kind == ENTRY_CONNECT ? EVENT_CONNECT : EVENT_DISCONNECT;
    for (; *i < r->event_handlers.count; (*i)++) {
        const struct event_handler *h = &r->event_handlers.items[*i];
        if (h->type == type && fold_equal(bytes_str(h->name), e->name))
            return h;
    }
    return NULL;
}

/* A failure was logged, and the other handlers run all the same. */
static enum app_outcome call(struct processing *p, const struct event_handler *h) {
    struct buf error = {0};
    struct handler_run *r =
        handler_run_new(p, HANDLER_RUN_EVENT, "event %s of %s", h->event_name, h->name);
    metrics_add(METRIC_events, 1);
    enum app_outcome outcome =
        handler_run_start(r, h->function, h->arguments, event_table_push_connection, &error);
    buf_deinit(&error);
    return outcome;
}

void connection_events_process(struct processing *p) {
    const struct in_entry *e = p->entry;
    size_t i = e->handled;
    if (e->entry.kind == ENTRY_DISCONNECT && bytes_equal_str(e->entry.body, "replaced") &&
        !e->is_back)
        close_replaced(p);
    const struct event_handler *h = next_handler(p, &i);
    if (h == NULL && !e->is_back)
        return;
    if (conn_queues_take_turn(p) == CONN_QUEUE_DEFERRED)
        return;
    /* One after the other: when one waits, the others are deferred until it has ended. */
    while (h != NULL) {
        enum app_outcome outcome = call(p, h);
        i++;
        h = next_handler(p, &i);
        if (outcome == APP_WAITING && h != NULL) {
            conn_queues_defer_rest(p, (unsigned)i);
            return;
        }
    }
}
