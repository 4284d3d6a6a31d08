/* drain.c - see drain.h. */
#include "gateway/drain.h"

#include "common/base/bytes.h"
#include "common/base/log.h"
#include "common/base/must.h"
#include "common/bus/cluster/about.h"
#include "common/bus/bus.h"
#include "common/bus/log/ingest.h"
#include "common/bus/cluster/registry.h"
#include "common/daemon/daemon.h"
#include "gateway/conn/conn.h"
#include "gateway/listener.h"

enum {
    TICK_MS = 20,
    READERS_MS = 30000, /* how long clients that still read keep the process alive */
    REDIS_MS = 5000,    /* how long what Redis has not taken yet does */
    SPARE_MS = 10000    /* for the rest of the end */
};

void drain_init(struct drain *d, struct daemon *daemon, struct conns *conns,
                struct listeners *listeners, struct ingest *ingest) {
    *d = (struct drain){.daemon = daemon, .conns = conns, .listeners = listeners, .ingest = ingest};
    MUST(uv_timer_init(&daemon->loop, &d->tick) == 0);
}

void drain_deinit(struct drain *d) {
    uv_close((uv_handle_t *)&d->tick, NULL);
}

static void set_state(struct drain *d, enum drain_state to) {
    static const char *const words[] = {[DRAIN_OFF] = "alive",
                                        [DRAIN_CLOSING] = "draining",
                                        [DRAIN_DRAINED] = "drained",
                                        [DRAIN_ENDING] = "ending"};
    MUST(d->state != DRAIN_ENDING || to == DRAIN_ENDING);
    d->state = to;
    d->conns->is_draining = to != DRAIN_OFF;
    about_set_state(d->daemon->about, words[to]);
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

static void on_left(void *ctx) {
    struct drain *d = ctx;
    daemon_quit(d->daemon);
}

static void drop_one(struct conn *c, void *ctx) {
    (void)ctx;
    conn_drop(c);
}

/* All connections are gone and Redis knows it, or waiting longer would change nothing. */
static bool is_over(struct drain *d, uint64_t elapsed_ms) {
    bool is_told = registry_pending(d->daemon->registry) == 0 && ingest_count(d->ingest) == 0;
    if (elapsed_ms >= d->over_ms + READERS_MS)
        return true;
    if (d->conns->count > 0 || d->conns->unfreed > 0)
        return false;
    if (d->gone_ms == 0)
        d->gone_ms = elapsed_ms > d->over_ms ? elapsed_ms : d->over_ms;
    return is_told || elapsed_ms >= d->gone_ms + REDIS_MS;
}

/* The first connection is closed at once, the last just before the time is over. */
static void close_due(struct drain *d, uint64_t elapsed_ms) {
    bool is_last_call = elapsed_ms >= d->over_ms;
    size_t target =
        is_last_call ? SIZE_MAX : (size_t)((uint64_t)d->total * elapsed_ms / d->over_ms) + 1;
    if (target <= d->closed)
        return;
    size_t wanted = target - d->closed;
    struct closing closing = {.wanted = wanted, .is_last_call = is_last_call};
    conns_each(d->conns, close_one, &closing);
    d->closed += wanted - closing.wanted;
}

static void on_tick(uv_timer_t *timer) {
    struct drain *d = container_of(timer, struct drain, tick);
    uint64_t elapsed_ms = uv_now(&d->daemon->loop) - d->start_ms;
    close_due(d, elapsed_ms);
    if (d->state == DRAIN_ENDING ? !is_over(d, elapsed_ms) : d->conns->count > 0)
        return;
    uv_timer_stop(timer);
    log_info("drain", "drained closed=%zu", d->closed);
    if (d->state != DRAIN_ENDING) {
        set_state(d, DRAIN_DRAINED);
        return;
    }
    d->is_leaving = true;
    conns_each(d->conns, drop_one, NULL);
    bus_leave(d->daemon->bus, on_left, d);
}

bool drain_start(struct drain *d, uint64_t over_ms, enum drain_then then) {
    if (d->state == DRAIN_ENDING && then == DRAIN_STAYS)
        return false;
    if (d->is_leaving)
        return true;
    d->start_ms = uv_now(&d->daemon->loop);
    d->over_ms = over_ms;
    d->total = d->conns->count;
    d->closed = 0;
    d->gone_ms = 0;
    set_state(d, then == DRAIN_ENDS ? DRAIN_ENDING : DRAIN_CLOSING);
    listeners_pause(d->listeners);
    if (then == DRAIN_ENDS)
        supervisor_stopping(&d->daemon->supervisor, over_ms + READERS_MS + REDIS_MS + SPARE_MS);
    log_info("drain", "started connections=%zu over_ms=%llu ends=%s", d->total,
             (unsigned long long)over_ms, then == DRAIN_ENDS ? "yes" : "no");
    MUST(uv_timer_start(&d->tick, on_tick, 0, TICK_MS) == 0);
    return true;
}

int drain_stop(struct drain *d, char **error_out) {
    if (d->state == DRAIN_OFF)
        return 0;
    if (d->state == DRAIN_ENDING) {
        *error_out = mem_strdup("the process is ending: start it again");
        return -1;
    }
    if (listeners_resume(d->listeners, error_out) < 0)
        return -1;
    uv_timer_stop(&d->tick);
    set_state(d, DRAIN_OFF);
    log_info("drain", "stopped connections=%zu", d->conns->count);
    return 0;
}
