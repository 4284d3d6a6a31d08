/* events.c - see events.h. */
#include "broker/events.h"

#include "broker/broadcast.h"
#include "broker/broker.h"
#include "broker/event_lua.h"
#include "broker/lanes.h"
#include "broker/run.h"
#include "common/base/fold.h"
#include "common/base/metrics.h"

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

static enum app_outcome call(struct outcome *o, const struct event_handler *h) {
    struct buf error = {0};
    struct run *r = run_new(o, RUN_EVENT, "event %s of %s", h->event_name, h->name);
    metrics_add(METRIC_events, 1);
    /* A failure was logged, and the other handlers run all the same. */
    enum app_outcome outcome =
        run_start(r, h->function, h->arguments, event_push_connection, &error);
    buf_deinit(&error);
    return outcome;
}

/* The connection that was taken over learns it through its log. */
static void close_replaced(struct outcome *o) {
    const struct entry *e = &o->entry->entry;
    struct recipient old = {e->name, e->conn};
    struct delivery d = {.kind = MESSAGE_CLOSE,
                         .ts_ms = e->ts_ms,
                         .data = bytes_str(close_reason_text(CLOSE_REPLACED)),
                         .code = close_reason_code(CLOSE_REPLACED)};
    MUST(broadcast_to_one(o, &old, &d));
}

/* A handler may register and unregister: looked up anew each time. */
static const struct event_handler *handler_at(const struct outcome *o, size_t i) {
    const struct entry *e = &o->entry->entry;
    enum event_type type = e->kind == ENTRY_CONNECT ? EVENT_CONNECT : EVENT_DISCONNECT;
    const struct event_handler *h = &broker_registrations(o->broker)->event_handlers.items[i];
    return h->type == type && fold_equal(bytes_str(h->name), e->name) ? h : NULL;
}

/* The first handler of this event from the i-th registration on; the count when there is none. */
static size_t next_handler(const struct outcome *o, size_t i) {
    while (i < broker_registrations(o->broker)->event_handlers.count && handler_at(o, i) == NULL)
        i++;
    return i;
}

static bool is_there(const struct outcome *o, size_t i) {
    return i < broker_registrations(o->broker)->event_handlers.count;
}

/* One after the other: when one waits, the others are set aside until it has ended. */
static void run_handlers(struct outcome *o, size_t i) {
    while (is_there(o, i)) {
        enum app_outcome outcome = call(o, handler_at(o, i));
        i = next_handler(o, i + 1);
        if (outcome == APP_WAITING && is_there(o, i)) {
            lanes_put_rest_aside(o, (unsigned)i);
            return;
        }
    }
}

void events_process(struct outcome *o) {
    const struct entry *e = &o->entry->entry;
    if (e->kind == ENTRY_DISCONNECT && bytes_equal_str(e->body, "replaced") && !o->entry->is_back)
        close_replaced(o);
    size_t first = next_handler(o, o->entry->handled);
    if (!is_there(o, first) && !o->entry->is_back)
        return;
    if (lanes_take_turn(o) == LANE_ASIDE)
        return;
    run_handlers(o, first);
}
