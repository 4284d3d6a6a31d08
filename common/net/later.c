/* later.c - see later.h. */
#include "common/net/later.h"

#include <stdlib.h>

#include "common/base/must.h"

struct later {
    uv_timer_t timer;
    void (*fn)(void *ctx);
    void *ctx;
};

static void on_closed(uv_handle_t *handle) {
    free(container_of((uv_timer_t *)handle, struct later, timer));
}

static void on_turn(uv_timer_t *timer) {
    struct later *l = container_of(timer, struct later, timer);
    uv_close((uv_handle_t *)timer, on_closed);
    l->fn(l->ctx);
}

static void start(uv_loop_t *loop, uint64_t after_ms, void (*fn)(void *ctx), void *ctx) {
    struct later *l = mem_alloc(sizeof(*l));
    l->fn = fn;
    l->ctx = ctx;
    MUST(uv_timer_init(loop, &l->timer) == 0);
    MUST(uv_timer_start(&l->timer, on_turn, after_ms, 0) == 0);
}

void later(uv_loop_t *loop, void (*fn)(void *ctx), void *ctx) {
    start(loop, 0, fn, ctx);
}

/* A timer that is started by one and is due at once would run in the same turn. */
void later_on_next_turn(uv_loop_t *loop, void (*fn)(void *ctx), void *ctx) {
    start(loop, 1, fn, ctx);
}
