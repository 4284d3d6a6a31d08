/* turn.c - see turn.h. Read on_judge and on_flush. */
#include "gateway/conn/turn.h"

#include "common/base/must.h"
#include "gateway/conn/conn.h"
#include "gateway/conn/pressure.h"

/* A message to a crowd takes thousands of writes; the loop hears the others between them. What is
 * queued for these goes out at once, however many of the crowd wait: the list is taken from both of
 * its ends. */
enum { FLUSH_MAX = 1024, BEHIND_MAX = 64 };

/* What a callback queues meanwhile is written too: the list may grow while it is walked. */
static bool flush(struct conns *set) {
    for (unsigned i = 0; i < FLUSH_MAX && !TAILQ_EMPTY(&set->dirty); i++) {
        struct conn *c =
            i % 2 == 0 ? TAILQ_FIRST(&set->dirty) : TAILQ_LAST(&set->dirty, conn_queue);
        conns_mark_clean(set, c);
        conn_flush(c);
    }
    return TAILQ_EMPTY(&set->dirty);
}

static void on_flush(uv_prepare_t *handle) {
    struct conns *set = container_of(handle, struct conns, flush);
    bool is_done = flush(set);
    if (!is_done)
        conns_hurry(set);
    else if (!set->is_sweep_due && !set->are_deadlines_due)
        uv_idle_stop(&set->hurry);
    if (!is_done && ++set->turns_behind < BEHIND_MAX)
        return;
    set->turns_behind = 0;
    if (set->on_flushed != NULL)
        set->on_flushed(set);
}

/* A callback may drop any connection, so the list is taken apart one by one. */
static void end_deadlines(struct conns *set) {
    uint64_t now_ms = conns_now(set);
    struct conn_list due = set->deadlines;
    LIST_INIT(&set->deadlines);
    if (!LIST_EMPTY(&due))
        LIST_FIRST(&due)->by_deadline.le_prev = &LIST_FIRST(&due);
    while (!LIST_EMPTY(&due)) {
        struct conn *c = LIST_FIRST(&due);
        LIST_REMOVE(c, by_deadline);
        if (now_ms < c->deadline_ms) {
            LIST_INSERT_HEAD(&set->deadlines, c, by_deadline);
            continue;
        }
        c->deadline_ms = 0;
        conn_on_deadline(c);
    }
    if (LIST_EMPTY(&set->deadlines))
        uv_timer_stop(&set->deadline_tick);
}

static void sweep(struct conns *set) {
    uint64_t now_ms = conns_now(set);
    size_t part = set->count / CONNS_SWEEP_PARTS + 1;
    for (size_t i = 0; i < part && set->count > 0; i++) {
        if (set->cursor >= set->count)
            set->cursor = 0;
        conn_sweep(set->all[set->cursor++], now_ms);
    }
}

static void on_judge(uv_check_t *handle) {
    struct conns *set = container_of(handle, struct conns, judge);
    bool is_sweep_due = set->is_sweep_due, are_deadlines_due = set->are_deadlines_due;
    conns_heard(set);
    pressure_relieve(set, is_sweep_due);
    if (!is_sweep_due && !are_deadlines_due)
        return;
    set->is_sweep_due = set->are_deadlines_due = false;
    uv_idle_stop(&set->hurry);
    if (are_deadlines_due)
        end_deadlines(set);
    if (is_sweep_due)
        sweep(set);
}

void turn_start(struct conns *set) {
    MUST(uv_prepare_init(set->loop, &set->flush) == 0);
    MUST(uv_prepare_start(&set->flush, on_flush) == 0);
    uv_unref((uv_handle_t *)&set->flush);
    MUST(uv_check_init(set->loop, &set->judge) == 0);
    MUST(uv_check_start(&set->judge, on_judge) == 0);
    uv_unref((uv_handle_t *)&set->judge);
}

void turn_stop(struct conns *set) {
    uv_close((uv_handle_t *)&set->flush, NULL);
    uv_close((uv_handle_t *)&set->judge, NULL);
}
