/*
 * process.c - see process.h. Read give_turn (from the scheduler into a process) and process_wait
 * (back).
 *
 * Each process has its own image of the product's mutable globals (globals.h); `resident` is the
 * one whose image is in place now.
 */
#include "tests/world/process.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

#include "common/base/must.h"
#include "tests/world/fiber.h"
#include "tests/world/globals.h"
#include "tests/world/network.h"

enum { STACK_BYTES = 4 << 20, TURN_LEAST_US = 5, TURN_MOST_US = 50, ARGS_MAX = 64 };
#define YEAR_US  (UINT64_C(1767225600) * SIM_SECOND) /* 2026-01-01 */
#define EPOCH_US (YEAR_US + all.begin_us)

struct process {
    char *name, *host;
    main_fn *main;
    const char *const *argv; /* copied */
    enum process_state state;
    int exit_code;
    unsigned pid, life;
    void (*on_end)(struct process *p, void *ctx);
    void *on_end_ctx;
    /* its turns */
    struct fiber fiber;
    void *globals;
    void *loop;
    struct event turn;
    uint64_t busy_until_us, turn_least_us, turn_most_us;
    bool is_waiting, is_woken, is_stopped, has_missed_turn;
    unsigned caught, signals; /* bits by number */
    /* the write at which something happens, counted down; 0: none */
    unsigned kill_at_write, stop_at_write;
    bool dies_now, stops_now;
    /* its clocks: at base_us the monotonic one showed base_clock_us */
    uint64_t base_us, base_clock_us, memory;
    int ppm;
    int64_t wall_us; /* added to the right time */
    struct dice dice;
};

static struct {
    struct process *current, *resident;
    struct fiber scheduler;
    void *pristine; /* the globals before main */
    unsigned last_pid;
    uint64_t begin_us; /* of the year, when a story begins */
} all;

/* --- globals --- */

__attribute__((constructor)) static void keep_pristine(void) {
    all.pristine = globals_copy(NULL);
}

static void make_resident(struct process *p) {
    if (all.resident == p)
        return;
    if (all.resident != NULL)
        globals_save(all.resident->globals);
    globals_load(p->globals);
    all.resident = p;
}

/* --- clocks --- */

uint64_t process_clock_us(const struct process *p) {
    if (p == NULL)
        return sim_now_us() + YEAR_US / 1000;
    uint64_t passed = sim_now_us() - p->base_us;
    return p->base_clock_us + passed + (uint64_t)((int64_t)passed * p->ppm / 1000000);
}

uint64_t process_wall_us(const struct process *p) {
    if (p == NULL)
        return EPOCH_US + sim_now_us();
    return EPOCH_US + (uint64_t)((int64_t)process_clock_us(p) + p->wall_us);
}

void process_begin_clocks(uint64_t begin_us) {
    all.begin_us = begin_us;
}

/* When its monotonic clock shows that time. */
static uint64_t when(const struct process *p, uint64_t clock_us) {
    if (clock_us == SIM_NEVER)
        return SIM_NEVER;
    if (clock_us <= process_clock_us(p))
        return sim_now_us();
    int64_t left = (int64_t)(clock_us - p->base_clock_us);
    uint64_t at_us = p->base_us + (uint64_t)(left - left * p->ppm / (1000000 + p->ppm));
    return at_us + 1;
}

void process_jump_clock(struct process *p, int64_t ms) {
    p->wall_us += ms * 1000;
    sim_log(p->name, "its clock jumps by %lld ms", (long long)ms);
}

void process_set_rate(struct process *p, int ppm) {
    p->base_clock_us = process_clock_us(p);
    p->base_us = sim_now_us();
    p->ppm = ppm;
    sim_log(p->name, "its clocks go %+d ppm", ppm);
}

/* --- turns --- */

static void on_fiber(void *ctx);

static void give_turn(struct event *e) {
    struct process *p = container_of(e, struct process, turn);
    if (p->is_stopped) {
        p->has_missed_turn = true;
        return;
    }
    make_resident(p);
    all.current = p;
    p->is_waiting = false;
    fiber_switch(&all.scheduler, &p->fiber);
    all.current = NULL;
    if (p->state != PROCESS_ALIVE)
        fiber_free(&p->fiber);
}

void process_wait(uint64_t until_clock_us) {
    struct process *p = all.current;
    p->busy_until_us = sim_now_us() + dice_skewed(&p->dice, p->turn_least_us, p->turn_most_us);
    uint64_t at_us = p->is_woken ? 0 : when(p, until_clock_us);
    p->is_woken = false;
    p->is_waiting = true;
    if (at_us != SIM_NEVER)
        event_set(&p->turn, at_us > p->busy_until_us ? at_us : p->busy_until_us, give_turn);
    fiber_switch(&p->fiber, &all.scheduler);
}

void process_wake(struct process *p) {
    if (p->state != PROCESS_ALIVE)
        return;
    if (!p->is_waiting) {
        p->is_woken = true;
        return;
    }
    uint64_t at_us = sim_now_us() > p->busy_until_us ? sim_now_us() : p->busy_until_us;
    if (!event_is_set(&p->turn) || p->turn.at_us > at_us)
        event_set(&p->turn, at_us, give_turn);
}

/* --- life --- */

struct process *process_new(const char *name, const char *host, main_fn *main,
                            const char *const *argv) {
    struct process *p = mem_zalloc(sizeof(*p));
    size_t argc = 0;
    while (argv != NULL && argv[argc] != NULL)
        argc++;
    const char **copies = mem_zalloc((argc + 1) * sizeof(*copies));
    for (size_t i = 0; i < argc; i++)
        copies[i] = mem_strdup(argv[i]);
    p->argv = copies;
    p->name = mem_strdup(name);
    p->host = mem_strdup(host);
    p->main = main;
    p->pid = ++all.last_pid;
    p->turn_least_us = TURN_LEAST_US;
    p->turn_most_us = TURN_MOST_US;
    p->wall_us = 0;
    p->base_clock_us = SIM_SECOND * (1000 + 100 * p->pid);
    p->wall_us = -(int64_t)p->base_clock_us;
    return p;
}

void process_on_end(struct process *p, void (*fn)(struct process *p, void *ctx), void *ctx) {
    p->on_end = fn;
    p->on_end_ctx = ctx;
}

void process_start(struct process *p) {
    MUST(p->state != PROCESS_ALIVE && p != all.current);
    p->life++;
    p->state = PROCESS_ALIVE;
    p->dice = dice_new(sim_seed(), (uint64_t)p->pid << 32 | p->life);
    p->caught = p->signals = p->kill_at_write = p->stop_at_write = 0;
    p->is_waiting = p->is_woken = p->is_stopped = p->has_missed_turn = false;
    p->dies_now = p->stops_now = false;
    p->memory = 0;
    p->loop = NULL;
    sim_log(p->name, "starts%s", p->life > 1 ? " again" : "");
    net_process_started(p);
    if (p->main == NULL)
        return;
    if (all.resident == p)
        all.resident = NULL;
    free(p->globals);
    p->globals = globals_copy(all.pristine);
    fiber_init(&p->fiber, STACK_BYTES, on_fiber, p);
    event_set(&p->turn, sim_now_us(), give_turn);
    p->is_waiting = true;
}

static void die(struct process *p, enum process_state how) {
    p->state = how;
    event_cancel(&p->turn);
    if (p != all.current)
        fiber_free(&p->fiber);
    if (p->on_end != NULL)
        p->on_end(p, p->on_end_ctx);
    if (p == all.current)
        fiber_switch_for_ever(&p->fiber, &all.scheduler);
}

static void on_fiber(void *ctx) {
    struct process *p = ctx;
    char *argv[ARGS_MAX];
    int argc = 0;
    for (; argc + 1 < ARGS_MAX && p->argv[argc] != NULL; argc++)
        argv[argc] = mem_strdup(p->argv[argc]);
    argv[argc] = NULL;
    p->exit_code = p->main(argc, argv);
    sim_log(p->name, "ends with code %d", p->exit_code);
    net_process_died(p, false);
    die(p, PROCESS_ENDED);
}

void process_kill(struct process *p) {
    if (p->state != PROCESS_ALIVE)
        return;
    sim_log(p->name, "is killed");
    net_process_died(p, false);
    die(p, PROCESS_KILLED);
}

void process_lose(struct process *p) {
    if (p->state != PROCESS_ALIVE)
        return;
    sim_log(p->name, "loses power");
    net_process_died(p, true);
    die(p, PROCESS_KILLED);
}

void process_stop(struct process *p) {
    if (p->state != PROCESS_ALIVE || p->is_stopped)
        return;
    sim_log(p->name, "is stopped");
    p->is_stopped = true;
}

void process_continue(struct process *p) {
    if (p->state != PROCESS_ALIVE || !p->is_stopped)
        return;
    sim_log(p->name, "goes on");
    p->is_stopped = false;
    net_process_continued(p);
    if (p->has_missed_turn)
        event_set(&p->turn, sim_now_us(), give_turn);
    p->has_missed_turn = false;
}

/* --- writes --- */

void process_kill_at_write(struct process *p, unsigned writes) {
    p->kill_at_write = writes;
}

void process_stop_at_write(struct process *p, unsigned writes) {
    p->stop_at_write = writes;
}

size_t process_write_allowance(size_t len) {
    struct process *p = all.current;
    if (p == NULL)
        return len;
    p->stops_now = p->stop_at_write > 0 && --p->stop_at_write == 0;
    p->dies_now = p->kill_at_write > 0 && --p->kill_at_write == 0;
    return p->dies_now && len > 0 ? dice_below(&p->dice, len + 1) : len;
}

void process_wrote(void) {
    struct process *p = all.current;
    if (p == NULL)
        return;
    if (p->dies_now)
        process_kill(p);
    if (!p->stops_now)
        return;
    p->stops_now = false;
    process_stop(p);
    p->has_missed_turn = true;
    while (p->is_stopped) {
        p->is_waiting = true;
        fiber_switch(&p->fiber, &all.scheduler);
    }
}

/* --- signals --- */

void process_catch(struct process *p, int number, bool is_caught) {
    p->caught = is_caught ? p->caught | 1u << number : p->caught & ~(1u << number);
}

void process_signal(struct process *p, int number) {
    if (p->state != PROCESS_ALIVE)
        return;
    sim_log(p->name, "gets signal %d", number);
    if ((p->caught & 1u << number) == 0) {
        process_kill(p);
        return;
    }
    p->signals |= 1u << number;
    process_wake(p);
}

int process_take_signal(struct process *p) {
    int number = p->signals == 0 ? 0 : __builtin_ctz(p->signals);
    p->signals &= ~(1u << number);
    return number;
}

/* --- the rest --- */

void process_set_turn_us(struct process *p, uint64_t least_us, uint64_t most_us) {
    p->turn_least_us = least_us;
    p->turn_most_us = most_us;
}

void process_set_memory(struct process *p, uint64_t bytes) {
    p->memory = bytes;
    sim_log(p->name, "holds %llu bytes", (unsigned long long)bytes);
}

const char *process_name(const struct process *p) {
    return p->name;
}

const char *process_host(const struct process *p) {
    return p->host;
}

enum process_state process_state(const struct process *p) {
    return p->state;
}

int process_exit_code(const struct process *p) {
    return p->exit_code;
}

unsigned process_life(const struct process *p) {
    return p->life;
}

bool process_is_stopped(const struct process *p) {
    return p->is_stopped;
}

struct process *process_current(void) {
    return all.current;
}

struct dice *process_dice(struct process *p) {
    return &p->dice;
}

unsigned process_pid(const struct process *p) {
    return p->pid;
}

uint64_t process_memory(const struct process *p) {
    return p->memory;
}

void process_set_loop(struct process *p, void *loop) {
    p->loop = loop;
}

void *process_loop(const struct process *p) {
    return p->loop;
}
