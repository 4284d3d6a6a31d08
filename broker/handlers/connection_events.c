/* connection_events.c - see connection_events.h. */
#include "broker/handlers/connection_events.h"

#include "broker/entry/broadcast.h"
#include "broker/broker.h"
#include "broker/handlers/event_table.h"
#include "broker/entry/conn_queues.h"
#include "broker/handlers/handler_run.h"
#include "common/base/fold.h"
#include "common/base/metrics.h"

struct disconnect_cause connection_events_read_cause(struct bytes text) {
    struct disconnect_cause c = {0};
    c.cause = bytes_split(&text, ':');
    c.code = bytes_split(&text, ':');
    c.reason = text;
    if (bytes_equal_str(c.cause, "replaced")) {
        c.code = BYTES_LIT("4001");
        c.reason = BYTES_LIT("replaced");
    }
    return c;
}

static enum app_outcome call(struct processing *p, const struct event_handler *h) {
    struct buf error = {0};
    struct handler_run *r =
        handler_run_new(p, HANDLER_RUN_EVENT, "event %s of %s", h->event_name, h->name);
    metrics_add(METRIC_events, 1);
    /* A failure was logged, and the other handlers run all the same. */
    enum app_outcome outcome =
        handler_run_start(r, h->function, h->arguments, event_table_push_connection, &error);
    buf_deinit(&error);
    return outcome;
}

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

/* A handler may register and unregister: looked up anew each time. */
static const struct event_handler *handler_at(const struct processing *p, size_t i) {
    const struct entry *e = &p->entry->entry;
    enum event_type type = e->kind == ENTRY_CONNECT ? EVENT_CONNECT : EVENT_DISCONNECT;
    const struct event_handler *h = &broker_registrations(p->broker)->event_handlers.items[i];
    return h->type == type && fold_equal(bytes_str(h->name), e->name) ? h : NULL;
}

/* The first handler of this event from the i-th registration on; the count when there is none. */
static size_t next_handler(const struct processing *p, size_t i) {
    while (i < broker_registrations(p->broker)->event_handlers.count && handler_at(p, i) == NULL)
        i++;
    return i;
}

static bool is_there(const struct processing *p, size_t i) {
    return i < broker_registrations(p->broker)->event_handlers.count;
}

/* One after the other: when one waits, the others are set aside until it has ended. */
static void run_handlers(struct processing *p, size_t i) {
    while (is_there(p, i)) {
        enum app_outcome outcome = call(p, handler_at(p, i));
        i = next_handler(p, i + 1);
        if (outcome == APP_WAITING && is_there(p, i)) {
            conn_queues_defer_rest(p, (unsigned)i);
            return;
        }
    }
}

void connection_events_process(struct processing *p) {
    const struct entry *e = &p->entry->entry;
    if (e->kind == ENTRY_DISCONNECT && bytes_equal_str(e->body, "replaced") && !p->entry->is_back)
        close_replaced(p);
    size_t first = next_handler(p, p->entry->handled);
    if (!is_there(p, first) && !p->entry->is_back)
        return;
    if (conn_queues_take_turn(p) == CONN_QUEUE_DEFERRED)
        return;
    run_handlers(p, first);
}
