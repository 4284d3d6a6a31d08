/* drain.c - see drain.h. */
#include "gateway/drain.h"

#include "common/base/log.h"
#include "common/base/must.h"
#include "common/bus/bus.h"
#include "common/bus/ingest.h"
#include "common/bus/registry.h"
#include "gateway/gateway.h"

enum {
    TICK_MS = 20,
    READERS_MS = 30000, /* how long clients that still read keep the process alive, */
    REDIS_MS = 5000     /* and how long Redis does that was not told yet */
};

void drain_init(struct drain *d, struct gateway *g) {
    *d = (struct drain){.gateway = g};
    MUST(uv_timer_init(g->loop, &d->tick) == 0);
}

void drain_deinit(struct drain *d) {
    uv_close((uv_handle_t *)&d->tick, NULL);
}

struct closing {
    size_t wanted;
    bool is_last_call;
};

static void close_one(struct conn *c, void *ctx) {
    struct closing *closing = ctx;
    if (c->state == CONN_OPENING && closing->is_last_call) {
        conn_drop(c);
    } else if (c->state == CONN_OPEN && closing->wanted > 0 && c->proto->on_shutdown(c)) {
        closing->wanted--;
    }
}

/* How many should be closed by now: the first at once, the last just before the time is over. */
static size_t due(const struct drain *d, uint64_t elapsed_ms) {
    if (elapsed_ms >= d->over_ms)
        return SIZE_MAX;
    return (size_t)((uint64_t)d->total * elapsed_ms / d->over_ms) + 1;
}

static void on_left(void *ctx) {
    struct drain *d = ctx;
    d->has_left = true;
    uv_stop(d->gateway->loop);
}

static void drop_one(struct conn *c, void *ctx) {
    (void)ctx;
    conn_drop(c);
}

/* Everybody is gone and Redis knows; or it will not get any better. */
static bool is_over(struct drain *d, uint64_t elapsed_ms) {
    struct gateway *g = d->gateway;
    bool is_told = registry_pending(g->registry) == 0 && ingest_count(g->ingest) == 0;
    if (elapsed_ms >= d->over_ms + READERS_MS)
        return true;
    if (g->conns.count > 0 || g->conns.unfreed > 0)
        return false;
    if (d->gone_ms == 0)
        d->gone_ms = elapsed_ms > d->over_ms ? elapsed_ms : d->over_ms;
    return is_told || elapsed_ms >= d->gone_ms + REDIS_MS;
}

static void close_due(struct drain *d, uint64_t elapsed_ms) {
    size_t target = due(d, elapsed_ms);
    if (target <= d->closed)
        return;
    size_t wanted = target - d->closed;
    struct closing closing = {.wanted = wanted, .is_last_call = target == SIZE_MAX};
    conns_each(&d->gateway->conns, close_one, &closing);
    d->closed += wanted - closing.wanted;
}

static void on_tick(uv_timer_t *timer) {
    struct drain *d = container_of(timer, struct drain, tick);
    struct gateway *g = d->gateway;
    uint64_t elapsed_ms = uv_now(g->loop) - d->start_ms;
    close_due(d, elapsed_ms);
    if (d->ends_process ? !is_over(d, elapsed_ms) : g->conns.count > 0)
        return;
    uv_timer_stop(timer);
    log_info("drain", "drained closed=%zu", d->closed);
    if (!d->ends_process)
        return;
    conns_each(&g->conns, drop_one, NULL);
    bus_leave(g->bus, on_left, d);
}

void drain_start(struct drain *d, uint64_t over_ms, bool ends_process) {
    struct gateway *g = d->gateway;
    if (d->is_running && !ends_process)
        return;
    d->is_running = true;
    d->ends_process = ends_process;
    d->start_ms = uv_now(g->loop);
    d->over_ms = over_ms;
    d->total = g->conns.count;
    d->closed = 0;
    d->gone_ms = 0;
    g->is_draining = true;
    listeners_close(&g->listeners);
    log_info("drain", "started connections=%zu over_ms=%llu", d->total,
             (unsigned long long)over_ms);
    MUST(uv_timer_start(&d->tick, on_tick, 0, TICK_MS) == 0);
}
