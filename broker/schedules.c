/*
 * schedules.c - see schedules.h.
 *
 *     on_second ─▶ Redis' time ─▶ on_clock ─▶ add_if_due each ─▶ tick_add
 */
#include "broker/schedules.h"

#include <stdlib.h>
#include <string.h>

#include "broker/inbox.h"
#include "broker/handlers/event_table.h"
#include "broker/handlers/handler_run.h"
#include "common/base/log.h"
#include "common/base/metrics.h"
#include "common/base/table.h"
#include "common/bus/bus.h"
#include "common/bus/log/tick.h"
#include "common/bus/redis/troubles.h"

enum { MISSED_SECONDS = 60, FAR_SECONDS = 366 * 86400, NEVER = -1 };

/* What is known of a schedule's ticks. */
struct ticker {
    UT_hash_handle hh;
    char *name;
    unsigned partition;
    time_t settled; /* the last tick that was added, or TICK_NONE; NEVER: since we own it, Redis has
                       not heard of this schedule */
    bool is_adding, is_dead;
    struct trouble refused;
};

struct schedules {
    const struct entry_parts *parts;
    const struct inboxes *inboxes;
    uv_timer_t timer;
    struct ticker *all;
    struct trouble no_clock;
    unsigned asked; /* questions for the time that have no answer yet */
    bool is_freed;
};

static void free_ticker(struct ticker *t) {
    trouble_clear(&t->refused);
    free(t->name);
    free(t);
}

/* The answer may come after the ticker was forgotten. */
static void on_added(void *ctx, int status, time_t tick, struct bytes error) {
    struct ticker *t = ctx;
    t->is_adding = false;
    if (t->is_dead) {
        free_ticker(t);
        return;
    }
    if (error.len > 0)
        trouble_raise(&t->refused, error);
    if (status != 0)
        return; /* the next second tries again */
    trouble_clear(&t->refused);
    t->settled = tick;
}

/* --- every second --- */

static struct ticker *find(struct schedules *s, const char *name) {
    struct ticker *t;
    HASH_FIND_STR(s->all, name, t);
    if (t != NULL)
        return t;
    t = mem_zalloc(sizeof(*t));
    t->name = mem_strdup(name);
    t->settled = NEVER;
    t->partition = tick_partition(s->parts->bus, name);
    trouble_init(&t->refused, bus_troubles(s->parts->bus), TROUBLE_schedules, name);
    HASH_ADD_KEYPTR(hh, s->all, t->name, strlen(t->name), t);
    return t;
}

static void add_if_due(struct schedules *s, const struct schedule *schedule, time_t now) {
    struct ticker *t = find(s, schedule->name);
    if (!inboxes_own(s->inboxes, t->partition)) {
        trouble_clear(&t->refused);
        t->settled = NEVER;
        return;
    }
    if (t->is_adding)
        return;
    time_t last = cron_last(&schedule->cron, now, MISSED_SECONDS);
    time_t tick = last != -1 ? last : TICK_NONE;
    bool is_settled = tick == TICK_NONE ? t->settled != NEVER : tick == t->settled;
    if (is_settled) { /* what was refused is over, or Redis' clock took it back */
        trouble_clear(&t->refused);
        return;
    }
    time_t next = cron_next(&schedule->cron, last != -1 ? last : now);
    t->is_adding = true;
    tick_add(s->parts->bus, &(struct tick){t->name, tick, next != -1 ? next : now + FAR_SECONDS},
             on_added, t);
}

static void on_second(uv_timer_t *timer);

static void wait(struct schedules *s, uint64_t ms) {
    MUST(uv_timer_start(&s->timer, on_second, ms, 0) == 0);
}

/* Again at the beginning of the next second of Redis' clock. */
static void on_clock(void *ctx, int status, uint64_t now_ms, struct bytes error) {
    struct schedules *s = ctx;
    s->asked--;
    if (s->is_freed)
        return;
    if (error.len > 0)
        trouble_raise(&s->no_clock, error);
    if (status != 0)
        return;
    trouble_clear(&s->no_clock);
    const struct registrations *r = processing_registrations(s->parts);
    for (size_t i = 0; i < r->schedules.count && bus_can_send(s->parts->bus); i++)
        add_if_due(s, &r->schedules.items[i], (time_t)(now_ms / 1000));
    wait(s, 1001 - now_ms % 1000);
}

static void on_second(uv_timer_t *timer) {
    struct schedules *s = container_of(timer, struct schedules, timer);
    bool is_needed = processing_registrations(s->parts)->schedules.count > 0;
    wait(s, 1000);
    if (!is_needed)
        trouble_clear(&s->no_clock);
    if (!is_needed || s->asked > 0 || !bus_can_send(s->parts->bus))
        return;
    s->asked++;
    tick_ask_clock(s->parts->bus, on_clock, s);
}

/* --- the handler --- */

void schedules_process(struct processing *p) {
    const struct registrations *r = processing_registrations(p->parts);
    struct buf error = {0};
    for (size_t i = 0; i < r->schedules.count; i++) {
        const struct schedule *schedule = &r->schedules.items[i];
        if (!bytes_equal_str(p->entry->entry.name, schedule->name))
            continue;
        struct handler_run *run =
            handler_run_new(p, HANDLER_RUN_TICK, "schedule %s", schedule->name);
        metrics_add(METRIC_schedule_ticks, 1);
        /* A failure was logged. */
        (void)handler_run_start(run, schedule->function, EVENT_TABLE_NO_ARGUMENTS,
                                event_table_push_tick, &error);
        buf_deinit(&error);
        return;
    }
    log_debug("schedules", "unknown name=%s", LOG_TEXT(p->entry->entry.name));
}

/* --- life --- */

struct schedules *schedules_new(uv_loop_t *loop, const struct entry_parts *parts,
                                const struct inboxes *inboxes) {
    struct schedules *s = mem_zalloc(sizeof(*s));
    s->parts = parts;
    s->inboxes = inboxes;
    trouble_init(&s->no_clock, bus_troubles(parts->bus), TROUBLE_schedules, "");
    MUST(uv_timer_init(loop, &s->timer) == 0);
    wait(s, 100);
    return s;
}

void schedules_forget_ticks(struct schedules *s) {
    struct ticker *t, *next;
    HASH_ITER (hh, s->all, t, next) {
        HASH_DEL(s->all, t);
        t->is_dead = true;
        if (!t->is_adding) /* else the answer frees it */
            free_ticker(t);
    }
}

static void on_closed(uv_handle_t *handle) {
    free(container_of((uv_timer_t *)handle, struct schedules, timer));
}

void schedules_free(struct schedules *s) {
    if (s == NULL)
        return;
    schedules_forget_ticks(s);
    trouble_clear(&s->no_clock);
    s->is_freed = true;
    uv_close((uv_handle_t *)&s->timer, on_closed);
}
