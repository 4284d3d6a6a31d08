/* conns.c - see conns.h. Timers that fire only mark what is due. */
#include "gateway/conn/conns.h"

#include <stdlib.h>

#include "common/base/metrics.h"
#include "common/base/must.h"
#include "gateway/conn/conn.h"

enum { SWEEP_TICK_MIN_MS = 10, DEADLINE_TICK_MS = 25, HELD_UP_MS = 500 };

/* ---- what is due */

static void on_idle(uv_idle_t *handle) {
    (void)handle;
}

void conns_hurry(struct conns *set) {
    MUST(uv_idle_start(&set->hurry, on_idle) == 0);
}

static void on_sweep(uv_timer_t *handle) {
    struct conns *set = container_of(handle, struct conns, sweep);
    set->is_sweep_due = true;
    conns_hurry(set);
}

static void on_deadline_tick(uv_timer_t *handle) {
    struct conns *set = container_of(handle, struct conns, deadline_tick);
    set->are_deadlines_due = true;
    conns_hurry(set);
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

/* The sweep turns the loop more often than HELD_UP_MS. */
static uint64_t silence(const struct conns *set) {
    uint64_t silent_ms = conns_now(set) - set->heard_ms;
    return silent_ms > HELD_UP_MS ? silent_ms : 0;
}

void conns_heard(struct conns *set) {
    set->held_up_ms = silence(set);
    set->heard_ms = conns_now(set);
}

uint64_t conns_held_up_ms(const struct conns *set) {
    uint64_t now = silence(set);
    return now > 0 ? now : set->held_up_ms;
}

/* ---- the lists */

void conns_add(struct conns *set, struct conn *c) {
    c->slot = (uint32_t)set->count;
    if (set->count == set->cap) {
        set->cap = set->cap == 0 ? 64 : set->cap * 2;
        set->all = mem_realloc(set->all, set->cap * sizeof(*set->all));
    }
    set->all[set->count++] = c;
    metrics_set(METRIC_connections, (int64_t)set->count);
}

void conns_remove(struct conns *set, struct conn *c) {
    struct conn *last = set->all[--set->count];
    set->all[c->slot] = last;
    last->slot = c->slot;
    conns_mark_clean(set, c);
    metrics_set(METRIC_connections, (int64_t)set->count);
}

void conns_mark_dirty(struct conns *set, struct conn *c) {
    if (c->is_dirty)
        return;
    c->is_dirty = true;
    TAILQ_INSERT_TAIL(&set->dirty, c, by_dirty);
}

void conns_mark_clean(struct conns *set, struct conn *c) {
    if (!c->is_dirty)
        return;
    c->is_dirty = false;
    TAILQ_REMOVE(&set->dirty, c, by_dirty);
}

void conns_each(struct conns *set, void (*fn)(struct conn *c, void *ctx), void *ctx) {
    for (size_t i = set->count; i-- > 0;)
        if (i < set->count)
            fn(set->all[i], ctx);
}

void conns_init(struct conns *set, uv_loop_t *loop, size_t max_queue_bytes, uint64_t sweep_ms) {
    uint64_t tick_ms = sweep_ms / CONNS_SWEEP_PARTS;
    tick_ms = tick_ms < SWEEP_TICK_MIN_MS ? SWEEP_TICK_MIN_MS : tick_ms;
    *set =
        (struct conns){.loop = loop, .max_queue_bytes = max_queue_bytes, .heard_ms = uv_now(loop)};
    LIST_INIT(&set->deadlines);
    TAILQ_INIT(&set->dirty);
    frame_arena_init(&set->arena, 4096);
    handshakes_init(&set->handshakes, loop);
    inflating_init(&set->inflating, loop);
    MUST(uv_timer_init(loop, &set->sweep) == 0);
    MUST(uv_timer_start(&set->sweep, on_sweep, tick_ms, tick_ms) == 0);
    uv_unref((uv_handle_t *)&set->sweep);
    MUST(uv_timer_init(loop, &set->deadline_tick) == 0);
    MUST(uv_idle_init(loop, &set->hurry) == 0);
}

void conns_deinit(struct conns *set) {
    MUST(set->count == 0);
    handshakes_deinit(&set->handshakes);
    inflating_deinit(&set->inflating);
    uv_close((uv_handle_t *)&set->sweep, NULL);
    uv_close((uv_handle_t *)&set->deadline_tick, NULL);
    uv_close((uv_handle_t *)&set->hurry, NULL);
    frame_arena_deinit(&set->arena);
    free(set->all);
}
