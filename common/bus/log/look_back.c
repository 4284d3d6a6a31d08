/* look_back.c - see look_back.h. */
#include "common/bus/log/look_back.h"

#include <errno.h>
#include <stdlib.h>

#include "common/bus/bus.h"
#include "common/bus/log/log_reader.h"

struct look_back {
    const struct look_back_events *events;
    void *ctx;
    struct log_reader *reader;
    struct message_id doubted; /* 0-0: none */
};

static void finish(struct look_back *l, int status) {
    l->events->on_done(l->ctx, status);
    free(l);
}

static void on_begin(void *ctx, const struct log_view *view) {
    struct look_back *l = ctx;
    if (message_id_is_none(l->doubted) || !view->lineage.has_owner ||
        lineage_find(&view->lineage, l->doubted) != LINEAGE_ELSEWHERE)
        return;
    log_reader_cancel(l->reader);
    finish(l, -ESTALE);
}

static void on_entry(void *ctx, enum which_log log, const struct message *m) {
    struct look_back *l = ctx;
    (void)log;
    if (l->events->on_message(l->ctx, m))
        return;
    log_reader_cancel(l->reader);
    finish(l, 0);
}

static void on_read(void *ctx, int status, const struct log_view *view) {
    (void)view;
    finish(ctx, status);
}

struct look_back *look_back_start(struct bus *bus, const struct look_back_range *range,
                                  const struct look_back_events *events, void *ctx) {
    static const struct log_reader_events reader_events = {
        .on_begin = on_begin, .on_entry = on_entry, .on_done = on_read};
    struct look_back *l = mem_alloc(sizeof(*l));
    *l = (struct look_back){.events = events,
                            .ctx = ctx,
                            .doubted = range->is_doubted ? range->before : MESSAGE_ID_NONE};
    const struct log_range both = {.name = range->name,
                                   .from = {range->before, range->before},
                                   .is_backwards = true,
                                   .has_kept = true,
                                   .first_page = range->wanted};
    l->reader = log_reader_start(bus, &both, &reader_events, l);
    return l;
}

void look_back_cancel(struct look_back *l) {
    if (l == NULL)
        return;
    log_reader_cancel(l->reader);
    free(l);
}
