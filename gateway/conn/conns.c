/*
 * conns.c - the set of all connections: who is dirty, who has a deadline, and the sweep over all.
 *
 * A timer that fires only marks what is due; it is judged after the poll of the same turn (judge).
 * A process that was held up finds its timers due and its clients' answers unread at the same
 * moment, and has to hear the answers first.
 *
 * The sweep goes round a dense array, a part of it in each tick, so that many connections cost no
 * pause.
 */
#include "gateway/conn/conns.h"

#include <stdlib.h>

#include "common/base/metrics.h"
#include "common/base/must.h"
#include "gateway/conn/conn.h"

enum { SWEEP_PARTS = 10, SWEEP_TICK_MIN_MS = 10, DEADLINE_TICK_MS = 25, HELD_UP_MS = 500 };

static void on_flush(uv_prepare_t *handle) {
    conns_flush(container_of(handle, struct conns, flush));
}

static void sweep_one(struct conns *set, struct conn *c, uint64_t now_ms) {
    (void)set;
    if (c->state == CONN_OPEN)
        c->proto->on_sweep(c, now_ms);
    else if (c->state == CONN_OPENING && now_ms - c->opened_ms > 10000)
        conn_drop(c); /* the TLS handshake does not come to an end */
}

static void on_idle(uv_idle_t *handle) {
    (void)handle; /* there, so that the poll does not sleep */
}

static void hurry(struct conns *set) {
    MUST(uv_idle_start(&set->hurry, on_idle) == 0);
}

static void sweep(struct conns *set) {
    uint64_t now_ms = conns_now(set);
    size_t part = set->count / SWEEP_PARTS + 1;
    for (size_t i = 0; i < part && set->count > 0; i++) {
        if (set->cursor >= set->count)
            set->cursor = 0;
        sweep_one(set, set->all[set->cursor++], now_ms);
    }
}

static void on_sweep(uv_timer_t *handle) {
    struct conns *set = container_of(handle, struct conns, sweep);
    set->is_sweep_due = true;
    hurry(set);
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
        if (c->state == CONN_OPEN)
            c->proto->on_deadline(c);
        else
            conn_finish_or_drop(c);
    }
    if (LIST_EMPTY(&set->deadlines))
        uv_timer_stop(&set->deadline_tick);
}

static void on_deadline_tick(uv_timer_t *handle) {
    struct conns *set = container_of(handle, struct conns, deadline_tick);
    set->are_deadlines_due = true;
    hurry(set);
}

/* The sweep turns the loop more often than HELD_UP_MS. */
static uint64_t silence(const struct conns *set) {
    uint64_t silent_ms = conns_now(set) - set->heard_ms;
    return silent_ms > HELD_UP_MS ? silent_ms : 0;
}

static void note_turn(struct conns *set) {
    set->held_up_ms = silence(set);
    set->heard_ms = conns_now(set);
}

uint64_t conns_held_up_ms(const struct conns *set) {
    uint64_t now = silence(set);
    return now > 0 ? now : set->held_up_ms;
}

static void on_judge(uv_check_t *handle) {
    struct conns *set = container_of(handle, struct conns, judge);
    bool is_sweep_due = set->is_sweep_due, are_deadlines_due = set->are_deadlines_due;
    note_turn(set);
    if (!is_sweep_due && !are_deadlines_due)
        return;
    set->is_sweep_due = set->are_deadlines_due = false;
    uv_idle_stop(&set->hurry);
    if (are_deadlines_due)
        end_deadlines(set);
    if (is_sweep_due)
        sweep(set);
}

void conns_init(struct conns *set, uv_loop_t *loop, void *owner, size_t max_queue_bytes,
                uint64_t sweep_ms) {
    *set = (struct conns){
        .loop = loop, .owner = owner, .max_queue_bytes = max_queue_bytes, .sweep_ms = sweep_ms};
    set->heard_ms = uv_now(loop);
    LIST_INIT(&set->deadlines);
    frame_arena_init(&set->arena, 4096);
    MUST(uv_prepare_init(loop, &set->flush) == 0);
    MUST(uv_prepare_start(&set->flush, on_flush) == 0);
    uv_unref((uv_handle_t *)&set->flush);
    uint64_t tick_ms = sweep_ms / SWEEP_PARTS;
    tick_ms = tick_ms < SWEEP_TICK_MIN_MS ? SWEEP_TICK_MIN_MS : tick_ms;
    MUST(uv_timer_init(loop, &set->sweep) == 0);
    MUST(uv_timer_start(&set->sweep, on_sweep, tick_ms, tick_ms) == 0);
    uv_unref((uv_handle_t *)&set->sweep);
    MUST(uv_timer_init(loop, &set->deadline_tick) == 0);
    MUST(uv_idle_init(loop, &set->hurry) == 0);
    MUST(uv_check_init(loop, &set->judge) == 0);
    MUST(uv_check_start(&set->judge, on_judge) == 0);
    uv_unref((uv_handle_t *)&set->judge);
}

void conns_deinit(struct conns *set) {
    MUST(set->count == 0);
    uv_close((uv_handle_t *)&set->flush, NULL);
    uv_close((uv_handle_t *)&set->sweep, NULL);
    uv_close((uv_handle_t *)&set->deadline_tick, NULL);
    uv_close((uv_handle_t *)&set->hurry, NULL);
    uv_close((uv_handle_t *)&set->judge, NULL);
    frame_arena_deinit(&set->arena);
    free(set->all);
    free(set->dirty);
}

void conns_add(struct conns *set, struct conn *c) {
    if (set->count == set->cap) {
        set->cap = set->cap == 0 ? 64 : set->cap * 2;
        set->all = mem_realloc(set->all, set->cap * sizeof(struct conn *));
    }
    c->slot = (uint32_t)set->count;
    set->all[set->count++] = c;
    metrics_set(METRIC_connections, (int64_t)set->count);
}

void conns_remove(struct conns *set, struct conn *c) {
    struct conn *last = set->all[--set->count];
    set->all[c->slot] = last;
    last->slot = c->slot;
    if (c->dirty_slot != 0) {
        set->dirty[c->dirty_slot - 1] = NULL;
        c->dirty_slot = 0;
    }
    metrics_set(METRIC_connections, (int64_t)set->count);
}

void conns_each(struct conns *set, void (*fn)(struct conn *c, void *ctx), void *ctx) {
    for (size_t i = set->count; i-- > 0;)
        if (i < set->count)
            fn(set->all[i], ctx);
}

void conns_mark_dirty(struct conns *set, struct conn *c) {
    if (c->dirty_slot != 0)
        return;
    if (set->dirty_count == set->dirty_cap) {
        set->dirty_cap = set->dirty_cap == 0 ? 64 : set->dirty_cap * 2;
        set->dirty = mem_realloc(set->dirty, set->dirty_cap * sizeof(struct conn *));
    }
    set->dirty[set->dirty_count++] = c;
    c->dirty_slot = (uint32_t)set->dirty_count;
}

/* What a callback queues meanwhile is written too: the list may grow while it is walked. */
void conns_flush(struct conns *set) {
    for (size_t i = 0; i < set->dirty_count; i++) {
        struct conn *c = set->dirty[i];
        if (c == NULL)
            continue;
        c->dirty_slot = 0;
        conn_flush(c);
    }
    set->dirty_count = 0;
    if (set->on_flushed != NULL)
        set->on_flushed(set);
}

void conns_add_deadline(struct conns *set, struct conn *c) {
    uint64_t in_ms = c->deadline_ms - conns_now(set);
    if (in_ms > DEADLINE_TICK_MS)
        in_ms = DEADLINE_TICK_MS;
    LIST_INSERT_HEAD(&set->deadlines, c, by_deadline);
    if (!uv_is_active((uv_handle_t *)&set->deadline_tick) ||
        uv_timer_get_due_in(&set->deadline_tick) > in_ms)
        MUST(uv_timer_start(&set->deadline_tick, on_deadline_tick, in_ms, DEADLINE_TICK_MS) == 0);
}
