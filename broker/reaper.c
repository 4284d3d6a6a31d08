/* reaper.c - see reaper.h. Read on_looked (watch), then sweep. */
#include "broker/reaper.h"

#include <stdio.h>
#include <stdlib.h>

#include "broker/inbox.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/metrics.h"
#include "common/bus/bus.h"
#include "common/bus/cluster/heartbeats.h"
#include "common/bus/partition.h"
#include "common/bus/cluster/liveness.h"
#include "common/bus/cluster/reap.h"
#include "common/bus/cluster/sources.h"

enum { LOOK_MS = 1000, SOURCES_MS = 60000 };

struct reaper {
    struct bus *bus;
    const struct inboxes *inboxes;
    uint64_t dead_after_ms;
    uv_timer_t timer;
    struct liveness *gateways; /* those with a heartbeat */
    struct heartbeats *heartbeats;
    struct liveness *strangers; /* those that a partition knows and that have none */
    struct reaps *reaps;
    struct sources *sources;
    uint64_t sources_ms; /* when their marks were swept; 0: at the next look */
};

/* --- reaping --- */

static void reap_if_dead(void *ctx, const char *gateway, unsigned partition, bool is_dead) {
    struct reaper *r = ctx;
    for (unsigned p = 0; is_dead && p < bus_partitions(r->bus); p++)
        if ((partition == REAP_ALL_PARTITIONS || p == partition) && inboxes_own(r->inboxes, p))
            reap_start(r->reaps, p, bytes_str(gateway));
}

static void on_gone(void *ctx, const char *gateway) {
    struct reaper *r = ctx;
    reap_ask_dead(r->bus, gateway, REAP_ALL_PARTITIONS, reap_if_dead, r);
}

/* --- declaring dead --- */

/* Its id vanishes from the heartbeats: every broker sees that and reaps. */
static void on_declared_dead(void *ctx, const char *gateway, unsigned partition, bool is_dead) {
    (void)ctx;
    (void)partition;
    if (!is_dead)
        return;
    metrics_add(METRIC_buried, 1);
    log_warn("reaper", "buried gateway=%s", gateway);
}

/* since_ms: when the observation of its kind began. */
static bool is_silent(const struct reaper *r, const struct liveness_one *one, uint64_t since_ms) {
    uint64_t now = clock_ms(), dead_ms = r->dead_after_ms;
    return one->is_listed && now - one->moved_ms >= dead_ms && now - since_ms >= dead_ms;
}

static void judge(void *ctx, const struct liveness_one *one) {
    struct reaper *r = ctx;
    /* One broker for each gateway is enough to declare it dead. */
    unsigned owner = partition_of(bytes_str(one->id), bus_partitions(r->bus));
    if (is_silent(r, one, liveness_since(r->gateways)) && inboxes_own(r->inboxes, owner))
        reap_declare_dead(r->bus, one->id, one->counter, on_declared_dead, r);
}

/* --- sweeping --- */

/* A gateway without heartbeat: declared dead, or gone without a trace (it left in order, it died
 * after Redis had forgotten it, or it will be back with its next heartbeat). */
static void sweep_one(void *ctx, unsigned partition, struct bytes gateway) {
    struct reaper *r = ctx;
    char text[LIVENESS_ID_MAX];
    if (liveness_lists(r->gateways, gateway) || gateway.len >= sizeof(text))
        return;
    snprintf(text, sizeof(text), "%.*s", BYTES_FMT(gateway));
    liveness_see(r->strangers, gateway, BYTES_LIT("?"));
    reap_ask_dead(r->bus, text, partition, reap_if_dead, r);
}

/* A partition has known it for as long as a heartbeat may stay away, and nobody has seen one. */
static void judge_stranger(void *ctx, const struct liveness_one *one) {
    struct reaper *r = ctx;
    if (is_silent(r, one, liveness_since(r->strangers)) &&
        !liveness_lists(r->gateways, bytes_str(one->id)))
        reap_declare_dead(r->bus, one->id, one->counter, reap_if_dead, r);
}

/* Nothing can be reaped while Redis refuses writes. */
static void sweep(struct reaper *r) {
    uint64_t now = clock_ms(), accepted_since = bus_accepted_since(r->bus);
    liveness_end(r->strangers, NULL, NULL); /* forgets those that the last sweep did not list */
    liveness_each(r->strangers, judge_stranger, r);
    liveness_begin(r->strangers, now, accepted_since);
    for (unsigned p = 0; accepted_since != 0 && p < bus_partitions(r->bus); p++)
        if (inboxes_own(r->inboxes, p))
            reap_list_gateways(r->bus, p, sweep_one, r);
    if (r->sources_ms != 0 && now - r->sources_ms < SOURCES_MS)
        return;
    r->sources_ms = now;
    sources_sweep(r->sources, r->gateways);
}

void reaper_on_taken(struct reaper *r, unsigned partition) {
    if (liveness_since(r->gateways) != 0) /* otherwise the first look sweeps */
        reap_list_gateways(r->bus, partition, sweep_one, r);
}

void reaper_on_commands_lost(struct reaper *r) {
    r->sources_ms = 0;
}

/* --- watching --- */

static void on_looked(void *ctx) {
    struct reaper *r = ctx;
    liveness_each(r->gateways, judge, r);
    sweep(r);
}

static void on_second(uv_timer_t *timer) {
    heartbeats_look(container_of(timer, struct reaper, timer)->heartbeats);
}

/* --- life --- */

struct reaper *reaper_new(uv_loop_t *loop, struct bus *bus, const struct lease *lease,
                          const struct inboxes *inboxes, uint64_t dead_after_ms) {
    static const struct heartbeats_events events = {on_gone, on_looked};
    struct reaper *r = mem_zalloc(sizeof(*r));
    r->bus = bus;
    r->inboxes = inboxes;
    r->dead_after_ms = dead_after_ms;
    r->gateways = liveness_new();
    r->heartbeats = heartbeats_new(bus, KEY_GATEWAYS, r->gateways, &events, r);
    r->strangers = liveness_new();
    r->reaps = reaps_new(bus);
    r->sources = sources_new(bus, lease);
    MUST(uv_timer_init(loop, &r->timer) == 0);
    MUST(uv_timer_start(&r->timer, on_second, LOOK_MS, LOOK_MS) == 0);
    return r;
}

static void on_closed(uv_handle_t *handle) {
    struct reaper *r = container_of((uv_timer_t *)handle, struct reaper, timer);
    heartbeats_free(r->heartbeats);
    liveness_free(r->gateways);
    liveness_free(r->strangers);
    reaps_free(r->reaps);
    sources_free(r->sources);
    free(r);
}

void reaper_free(struct reaper *r) {
    if (r != NULL)
        uv_close((uv_handle_t *)&r->timer, on_closed);
}
