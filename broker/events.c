/* events.c - see events.h. */
#include "broker/events.h"

#include "broker/broadcast.h"
#include "broker/broker.h"
#include "broker/event_lua.h"
#include "broker/run.h"
#include "common/base/fold.h"
#include "common/base/metrics.h"

enum { CLOSE_REPLACED = 4001 };

struct disconnect_cause events_read_cause(struct bytes text) {
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

static void call(struct outcome *o, const struct event_handler *h) {
    struct buf error = {0};
    struct run *r = run_new(o, RUN_EVENT, "event %s of %s", h->event_name, h->name);
    metrics_add(METRIC_events, 1);
    /* A failure was logged, and the other handlers run all the same. */
    (void)run_start(r, h->function, h->arguments, event_push_connection, &error);
    buf_deinit(&error);
}

/* The connection that was taken over learns it through its log. */
static void close_replaced(struct outcome *o) {
    const struct entry *e = &o->entry->entry;
    struct recipient old = {e->name, e->conn};
    struct delivery d = {.kind = MESSAGE_CLOSE,
                         .ts_ms = e->ts_ms,
                         .data = BYTES_LIT("replaced"),
                         .code = CLOSE_REPLACED};
    MUST(broadcast_to_one(o, &old, &d));
}

void events_process(struct outcome *o) {
    const struct entry *e = &o->entry->entry;
    enum event_type type = e->kind == ENTRY_CONNECT ? EVENT_CONNECT : EVENT_DISCONNECT;
    if (type == EVENT_DISCONNECT && bytes_equal_str(e->body, "replaced"))
        close_replaced(o);
    /* A handler may register and unregister: look anew each time. */
    for (size_t i = 0; i < broker_registrations(o->broker)->event_handlers.count; i++) {
        const struct event_handler *h = &broker_registrations(o->broker)->event_handlers.items[i];
        if (h->type == type && fold_equal(bytes_str(h->name), e->name))
            call(o, h);
    }
}
