/* sim.c - see sim.h. A binary heap, whose entries know their places. */
#include "tests/world/sim.h"

#include <stdarg.h>
#include <stdlib.h>

#include "common/base/must.h"

static struct {
    uint64_t seed, now_us, ran;
    struct dice dice;
    FILE *log;
    bool is_stopped;
    struct event **heap; /* from 1 */
    unsigned count, room;
} sim;

void sim_begin(uint64_t seed, FILE *log) {
    sim_end();
    sim.seed = seed;
    sim.dice = dice_new(seed, 0);
    sim.log = log;
}

void sim_end(void) {
    for (unsigned i = 1; i <= sim.count; i++)
        sim.heap[i]->place = 0;
    sim.count = 0;
    sim.now_us = sim.ran = 0;
}

uint64_t sim_now_us(void) {
    return sim.now_us;
}

uint64_t sim_seed(void) {
    return sim.seed;
}

struct dice *sim_dice(void) {
    return &sim.dice;
}

uint64_t sim_events(void) {
    return sim.ran;
}

/* --- the heap --- */

static bool is_before(const struct event *a, const struct event *b) {
    return a->at_us != b->at_us ? a->at_us < b->at_us : a->tie < b->tie;
}

static void put(struct event *e, unsigned place) {
    sim.heap[place] = e;
    e->place = place;
}

static void rise(struct event *e, unsigned place) {
    for (; place > 1 && is_before(e, sim.heap[place / 2]); place /= 2)
        put(sim.heap[place / 2], place);
    put(e, place);
}

static void sink(struct event *e, unsigned place) {
    for (unsigned child; (child = 2 * place) <= sim.count; place = child) {
        if (child < sim.count && is_before(sim.heap[child + 1], sim.heap[child]))
            child++;
        if (!is_before(sim.heap[child], e))
            break;
        put(sim.heap[child], place);
    }
    put(e, place);
}

void event_cancel(struct event *e) {
    if (e->place == 0)
        return;
    unsigned place = e->place;
    struct event *last = sim.heap[sim.count--];
    e->place = 0;
    if (last == e)
        return;
    rise(last, place);
    sink(last, last->place);
}

/* The upper half of the tie is chance; the lower half makes it unique. */
void event_set(struct event *e, uint64_t at_us, void (*fn)(struct event *e)) {
    static uint32_t serial;
    event_cancel(e);
    if (sim.count + 1 >= sim.room) {
        sim.room = sim.room == 0 ? 256 : 2 * sim.room;
        sim.heap = realloc(sim.heap, sim.room * sizeof(struct event *));
        MUST(sim.heap != NULL);
    }
    e->fn = fn;
    e->at_us = at_us > sim.now_us ? at_us : sim.now_us;
    e->tie = dice_roll(&sim.dice) << 32 | ++serial;
    rise(e, ++sim.count);
}

/* --- running --- */

void sim_stop(void) {
    sim.is_stopped = true;
}

void sim_run(uint64_t until_us) {
    sim.is_stopped = false;
    while (!sim.is_stopped && sim.count > 0 && sim.heap[1]->at_us <= until_us) {
        struct event *e = sim.heap[1];
        event_cancel(e);
        sim.now_us = e->at_us;
        sim.ran++;
        e->fn(e);
    }
    if (!sim.is_stopped && until_us != SIM_NEVER && sim.now_us < until_us)
        sim.now_us = until_us;
}

struct once {
    struct event event;
    void (*fn)(void *ctx);
    void *ctx;
};

static void on_once(struct event *e) {
    struct once *o = (struct once *)e;
    o->fn(o->ctx);
    free(o);
}

void sim_at(uint64_t at_us, void (*fn)(void *ctx), void *ctx) {
    struct once *o = calloc(1, sizeof(*o));
    MUST(o != NULL);
    o->fn = fn;
    o->ctx = ctx;
    event_set(&o->event, at_us, on_once);
}

/* --- the log --- */

bool sim_is_logged(void) {
    return sim.log != NULL;
}

void sim_log(const char *who, const char *format, ...) {
    va_list args;
    if (sim.log == NULL)
        return;
    fprintf(sim.log, "%6u.%06u %-10s ", (unsigned)(sim.now_us / SIM_SECOND),
            (unsigned)(sim.now_us % SIM_SECOND), who);
    va_start(args, format);
    vfprintf(sim.log, format, args);
    va_end(args);
    putc('\n', sim.log);
}
