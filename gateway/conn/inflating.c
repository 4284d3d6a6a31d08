/* inflating.c - see inflating.h. Read on_step. */
#include "gateway/conn/inflating.h"

#include <stdlib.h>

#include "common/base/metrics.h"

enum { KEPT_BYTES = 64 * 1024, QUICK_STEPS_MAX = 4 /* of one sender in a turn */ };

struct inflation {
    TAILQ_ENTRY(inflation) link;
    struct inflating *all;
    struct inflate_what what;
    struct buf payload, out;
    bool is_begun;
    inflation_fn *fn;
    void *ctx;
};

void inflating_init(struct inflating *all, uv_loop_t *loop) {
    *all = (struct inflating){0};
    TAILQ_INIT(&all->queue);
    MUST(uv_idle_init(loop, &all->step) == 0);
}

void inflating_deinit(struct inflating *all) {
    MUST(TAILQ_EMPTY(&all->queue));
    inflater_deinit(&all->quick);
    inflater_deinit(&all->large);
    buf_deinit(&all->quick_out);
    uv_close((uv_handle_t *)&all->step, NULL);
}

static void count(size_t payload_bytes, size_t message_bytes) {
    metrics_add(METRIC_inflations, 1);
    metrics_add(METRIC_inflations_in_bytes, (int64_t)payload_bytes);
    metrics_add(METRIC_inflations_out_bytes, (int64_t)message_bytes);
}

static bool has_spent_its_turn(struct inflating *all, const void *sender) {
    uint64_t now_ms = uv_now(all->step.loop);
    if (all->spender != sender || all->spent_ms != now_ms)
        all->spent = 0;
    all->spender = sender;
    all->spent_ms = now_ms;
    return all->spent >= (size_t)QUICK_STEPS_MAX * INFLATE_STEP;
}

enum parse inflating_try(struct inflating *all, const void *sender, const struct inflate_what *what,
                         struct bytes *message_out, struct ws_error *error_out) {
    if (has_spent_its_turn(all, sender))
        return PARSE_MORE;
    buf_clear(&all->quick_out);
    if (all->quick_out.cap > KEPT_BYTES)
        buf_release(&all->quick_out);
    inflater_begin(&all->quick, what);
    enum parse result = inflater_step(&all->quick, INFLATE_STEP, &all->quick_out, error_out);
    *message_out = buf_bytes(&all->quick_out);
    all->spent += INFLATE_RATIO_MAX * what->payload.len + message_out->len;
    if (result == PARSE_OK)
        count(what->payload.len, message_out->len);
    return result;
}

/* ---- large ones */

static void leave(struct inflation *i) {
    TAILQ_REMOVE(&i->all->queue, i, link);
    metrics_add(METRIC_inflations_waiting, -1);
    if (TAILQ_EMPTY(&i->all->queue))
        uv_idle_stop(&i->all->step);
}

static void inflation_free(struct inflation *i) {
    buf_deinit(&i->payload);
    buf_deinit(&i->out);
    free(i);
}

static void on_step(uv_idle_t *handle) {
    struct inflating *all = container_of(handle, struct inflating, step);
    struct inflation *i = TAILQ_FIRST(&all->queue);
    struct ws_error error;
    if (!i->is_begun)
        inflater_begin(&all->large, &i->what);
    i->is_begun = true;
    enum parse result = inflater_step(&all->large, INFLATE_STEP, &i->out, &error);
    if (result == PARSE_MORE) {
        i->fn(i->ctx, PARSE_MORE, &i->what, BYTES_NONE, NULL);
        return;
    }
    leave(i);
    if (result == PARSE_OK)
        count(i->payload.len, i->out.len);
    i->fn(i->ctx, result, &i->what, buf_bytes(&i->out), &error);
    inflation_free(i);
}

struct inflation *inflating_queue(struct inflating *all, const struct inflate_what *what,
                                  struct buf *payload, inflation_fn *fn, void *ctx) {
    struct inflation *i = mem_alloc(sizeof(*i));
    *i = (struct inflation){.all = all, .what = *what, .payload = *payload, .fn = fn, .ctx = ctx};
    buf_init(payload);
    i->what.payload = buf_bytes(&i->payload);
    if (TAILQ_EMPTY(&all->queue))
        MUST(uv_idle_start(&all->step, on_step) == 0);
    TAILQ_INSERT_TAIL(&all->queue, i, link);
    metrics_add(METRIC_inflations_waiting, 1);
    return i;
}

void inflation_cancel(struct inflation *i) {
    if (i == NULL)
        return;
    leave(i);
    inflation_free(i);
}

size_t inflation_memory(const struct inflation *i) {
    return i == NULL ? 0 : i->payload.cap + i->out.cap;
}
