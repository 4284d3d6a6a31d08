/* schedule.c - see schedule.h. Read on_second, then look_after. */
#include "broker/schedule.h"

#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "broker/broker.h"
#include "broker/event_lua.h"
#include "broker/run.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/metrics.h"
#include "common/bus/bus.h"
#include "common/bus/tick.h"

enum { MISSED_SECONDS = 60 };

/* What is known of a schedule's ticks. */
struct clockwork {
    UT_hash_handle hh;
    char *name;
    unsigned partition;
    time_t done; /* the last tick that is in the stream */
    bool is_known, is_asking, is_dead;
};

struct schedules {
    struct broker *broker;
    uv_timer_t timer;
    struct clockwork *all;
};

static void free_clockwork(struct clockwork *w) {
    free(w->name);
    free(w);
}

/* Whether a call succeeded. The answer may come after the clockwork was forgotten. */
static bool is_answered(struct clockwork *w, int status) {
    w->is_asking = false;
    if (!w->is_dead)
        return status == 0;
    free_clockwork(w);
    return false;
}

/* A schedule that never ran has missed nothing but what is due right now. */
static void on_last(void *ctx, int status, time_t last) {
    struct clockwork *w = ctx;
    if (!is_answered(w, status))
        return;
    w->done = last != -1 ? last : (time_t)(clock_wall_ms() / 1000) - 2;
    w->is_known = true;
}

static void on_added(void *ctx, int status, time_t last) {
    struct clockwork *w = ctx;
    if (is_answered(w, status) && last > w->done)
        w->done = last;
}

/* --- every second --- */

static struct clockwork *find(struct schedules *s, const char *name) {
    struct clockwork *w;
    HASH_FIND_STR(s->all, name, w);
    if (w != NULL)
        return w;
    w = mem_zalloc(sizeof(*w));
    w->name = mem_strdup(name);
    w->partition = tick_partition(s->broker->bus, name);
    HASH_ADD_KEYPTR(hh, s->all, w->name, strlen(w->name), w);
    return w;
}

static void look_after(struct schedules *s, const struct schedule *schedule, time_t now) {
    struct clockwork *w = find(s, schedule->name);
    if (w->is_asking || !broker_owns(s->broker, w->partition))
        return;
    if (!w->is_known) {
        w->is_asking = true;
        tick_ask(s->broker->bus, w->name, on_last, w);
        return;
    }
    time_t tick = cron_last(&schedule->cron, now, MISSED_SECONDS);
    if (tick == -1 || tick <= w->done)
        return;
    w->is_asking = true;
    tick_add(s->broker->bus, w->name, tick, on_added, w);
}

static void on_second(uv_timer_t *timer);

/* At the beginning of each second of the wall clock. */
static void wait_for_second(struct schedules *s) {
    uint64_t ms = clock_wall_ms() % 1000;
    MUST(uv_timer_start(&s->timer, on_second, 1001 - ms, 0) == 0);
}

static void on_second(uv_timer_t *timer) {
    struct schedules *s = container_of(timer, struct schedules, timer);
    const struct registrations *r = broker_registrations(s->broker);
    time_t now = (time_t)(clock_wall_ms() / 1000);
    for (size_t i = 0; i < r->schedules.count && bus_can_send(s->broker->bus); i++)
        look_after(s, &r->schedules.items[i], now);
    wait_for_second(s);
}

/* --- the handler --- */

void schedule_process(struct outcome *o) {
    const struct registrations *r = broker_registrations(o->broker);
    struct buf error = {0};
    for (size_t i = 0; i < r->schedules.count; i++) {
        const struct schedule *schedule = &r->schedules.items[i];
        if (!bytes_equal_str(o->entry->entry.name, schedule->name))
            continue;
        struct run *run = run_new(o, RUN_TICK, "schedule %s", schedule->name);
        metrics_add(METRIC_schedule_ticks, 1);
        /* A failure was logged. */
        (void)run_start(run, schedule->function, EVENT_NO_ARGUMENTS, event_push_tick, &error);
        buf_deinit(&error);
        return;
    }
    log_debug("schedule", "unknown name=%s", LOG_TEXT(o->entry->entry.name));
}

/* --- life --- */

struct schedules *schedules_new(struct broker *b) {
    struct schedules *s = mem_zalloc(sizeof(*s));
    s->broker = b;
    MUST(uv_timer_init(b->loop, &s->timer) == 0);
    wait_for_second(s);
    return s;
}

void schedules_begin_anew(struct schedules *s) {
    struct clockwork *w, *next;
    HASH_ITER(hh, s->all, w, next) {
        HASH_DEL(s->all, w);
        w->is_dead = true;
        if (!w->is_asking) /* else the answer frees it */
            free_clockwork(w);
    }
}

static void on_closed(uv_handle_t *handle) {
    free(container_of((uv_timer_t *)handle, struct schedules, timer));
}

void schedules_free(struct schedules *s) {
    if (s == NULL)
        return;
    schedules_begin_anew(s);
    uv_close((uv_handle_t *)&s->timer, on_closed);
}
