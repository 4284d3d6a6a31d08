/* replay.c - see replay.h. Read on_entry (the chain) and is_log_complete (its end). */
#include "common/bus/log/replay.h"

#include <stdlib.h>

#include "common/bus/bus.h"
#include "common/bus/log/log_reader.h"

struct replay {
    struct message_id after, until;
    const struct replay_events *events;
    void *ctx;
    struct log_reader *reader;
    struct message_id at[LOG_COUNT]; /* the last message read of each log, or `after` */
    bool is_torn;                    /* a message is missing */
};

/* Nothing between `at` and the message with this predecessor. 0-0 says nothing. */
static bool follows(struct message_id prev, struct message_id at) {
    return !message_id_is_none(prev) && message_id_compare(prev, at) <= 0;
}

/* Nothing after what was read up to the end of the reading. */
static bool is_log_complete(const struct replay *r, const struct log_view *view,
                            enum which_log log) {
    struct message_id last = view->last[log];
    if (!message_id_is_none(last) && message_id_compare(last, r->at[log]) <= 0)
        return true;
    return view->has_next[log] && follows(view->next_prev[log], r->at[log]);
}

static bool is_complete(const struct replay *r, const struct log_view *view) {
    if (message_id_compare(r->until, r->after) <= 0)
        return true;
    bool is_of_today =
        !view->lineage.has_owner || lineage_find(&view->lineage, r->after) == LINEAGE_WITHIN;
    bool is_known = message_id_compare(view->since, r->after) <= 0;
    return !r->is_torn && is_of_today && is_known && is_log_complete(r, view, LOG_OWN) &&
           is_log_complete(r, view, LOG_EVERY);
}

static void on_entry(void *ctx, enum which_log log, const struct message *m) {
    struct replay *r = ctx;
    if (!follows(m->prev, r->at[log]))
        r->is_torn = true;
    r->at[log] = m->id;
    r->events->on_message(r->ctx, m);
}

static void on_read(void *ctx, int status, const struct log_view *view) {
    struct replay *r = ctx;
    r->events->on_done(r->ctx, status, status == 0 && is_complete(r, view));
    free(r);
}

struct replay *replay_start(struct bus *bus, const struct replay_range *range,
                            const struct replay_events *events, void *ctx) {
    static const struct log_reader_events reader_events = {.on_entry = on_entry,
                                                           .on_done = on_read};
    struct replay *r = mem_alloc(sizeof(*r));
    *r = (struct replay){.after = range->after,
                         .until = range->until,
                         .at = {range->after, range->after},
                         .events = events,
                         .ctx = ctx};
    const struct log_range both = {.name = range->name,
                                   .from = {range->after, range->after},
                                   .until = range->until,
                                   .has_kept = true};
    r->reader = log_reader_start(bus, &both, &reader_events, r);
    return r;
}

void replay_cancel(struct replay *r) {
    if (r == NULL)
        return;
    log_reader_cancel(r->reader);
    free(r);
}
