/*
 * budget.c - see budget.h.
 *
 * When a tick finds the time used up, the signal handler does what Lua's own interpreter does on
 * Ctrl-C: it sets a hook, which runs before the next instruction. The hook takes itself away unless
 * the slice is over: see stop. What runs without hooks (message handlers of xpcall, finalizers) is
 * kept out of the sandbox: see libraries.c and sandbox.c.
 *
 * When memory runs out Lua collects all garbage and asks again. A script that stays at its limit
 * would spend its time with that, so the allocator looks at the clock each time, and lets a slice
 * that is over have the last of the memory: it ends at the next instruction instead.
 */
#include "common/app/lua/budget.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <lauxlib.h>

#include "common/base/clock.h"
#include "common/base/must.h"

enum {
    TICK_MAX_US = 5000,
    TICK_MIN_US = 1000,
    TICKS_PER_SLICE = 16,
    PIECE_BYTES = 128, /* of a source between two looks */
    RESERVE_PART = 16  /* of the memory, for slices that are over */
};

char budget_killed;

static uint64_t processor_us(void) {
    struct timespec t;
    MUST(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t) == 0);
    return (uint64_t)t.tv_sec * 1000000u + (uint64_t)t.tv_nsec / 1000u;
}

/* --- looks at the clock --- */

/* Both times are at least what the slice used: the processor's counts from the tick before it, the
 * other one while the process waits for a processor, too. */
static bool is_over(struct slice *s) {
    if (s->is_over)
        return true;
    uint64_t by_processor = processor_us() - s->start_us, by_clock = clock_us() - s->begun_us;
    s->is_over = by_processor >= s->limit_us && by_clock >= s->limit_us;
    return s->is_over;
}

static void on_look(lua_State *L, lua_Debug *at);

/* Setting a hook takes a time that grows with the depth of the calls. */
static void look_at_every_instruction(lua_State *L) {
    if (lua_gethook(L) != on_look)
        lua_sethook(L, on_look, LUA_MASKCOUNT, 1);
}

/* A coroutine that can yield does so and is never resumed: that takes no time, whatever is on its
 * stack. Others raise, and again at every instruction, and so do those that hold a lock. */
static void stop(lua_State *L) {
    struct budget *b = budget_of(L);
    b->wants_look = true;
    look_at_every_instruction(L);
    if (*budget_owner_of(L) == NULL)
        *budget_owner_of(L) = BUDGET_KILLED;
    if (lua_isyieldable(L) && !b->slice->must_unwind) {
        b->stopped = L;
        (void)lua_yield(L, 0);
    } else {
        lua_pushstring(L, b->over);
        lua_error(L);
    }
}

/* The place in the error is where the time ended, not where the last pcall did. Returns in a hook
 * even if it stopped. */
static bool look(lua_State *L, int level) {
    struct budget *b = budget_of(L);
    struct slice *s = b->slice;
    lua_Debug at = {.short_src = "?", .currentline = -1};
    b->wants_look = false;
    if (s == NULL || !is_over(s))
        return false;
    if (!s->is_reported) {
        if (lua_getstack(L, level, &at))
            lua_getinfo(L, "Sl", &at);
        snprintf(b->over, sizeof(b->over),
                 "%s:%d: used up its processor time of %d ms (--lua-budget-ms)", at.short_src,
                 at.currentline, (int)(s->limit_us / 1000));
        s->is_reported = true;
    }
    stop(L);
    return true;
}

static void on_look(lua_State *L, lua_Debug *at) {
    (void)at;
    if (!look(L, 0))
        lua_sethook(L, NULL, 0, 0);
}

void budget_stop_if_over(lua_State *L) {
    (void)look(L, 1);
}

bool budget_has_stopped(struct budget *b, const lua_State *L) {
    bool has_stopped = b->stopped == L;
    b->stopped = NULL;
    return has_stopped;
}

bool budget_is_slice_over(lua_State *L) {
    struct budget *b = budget_of(L);
    b->wants_look = b->slice != NULL && is_over(b->slice);
    return b->wants_look;
}

/* --- compiling --- */

/* Lua compiles some sources in a time that grows with their square. */
static const char *next_piece(lua_State *L, void *ctx, size_t *len_out) {
    struct bytes *rest = ctx, piece = bytes_head(*rest, PIECE_BYTES);
    budget_look(L);
    *rest = bytes_from(*rest, piece.len);
    *len_out = piece.len;
    return piece.ptr;
}

int budget_load(lua_State *L, struct bytes text, const char *name) {
    return lua_load(L, next_piece, &text, name, "t");
}

/* --- ticks --- */

static void on_tick(int number, siginfo_t *info, void *context) {
    struct budget *b = info->si_value.sival_ptr;
    int saved = errno;
    (void)number;
    (void)context;
    b->tick_us = processor_us();
    if (b->slice != NULL && b->tick_us - b->slice->start_us >= b->slice->limit_us) {
        b->wants_look = true;
        look_at_every_instruction(b->running);
    }
    errno = saved;
}

void budget_init(struct budget *b) {
    struct sigaction action = {.sa_sigaction = on_tick,
                               .sa_flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK};
    struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGVTALRM};
    uint64_t tick_us = b->slice_us / TICKS_PER_SLICE;
    event.sigev_value.sival_ptr = b;
    event._sigev_un._tid = (pid_t)syscall(SYS_gettid);
    tick_us = tick_us < TICK_MIN_US ? TICK_MIN_US : tick_us > TICK_MAX_US ? TICK_MAX_US : tick_us;
    struct timespec period = {.tv_nsec = (long)tick_us * 1000};
    struct itimerspec periods = {.it_interval = period, .it_value = period};
    b->tick_us = processor_us();
    MUST(sigaction(SIGVTALRM, &action, NULL) == 0);
    MUST(timer_create(CLOCK_THREAD_CPUTIME_ID, &event, &b->timer) == 0);
    MUST(timer_settime(b->timer, 0, &periods, NULL) == 0);
}

void budget_deinit(struct budget *b) {
    collisions_deinit(&b->collisions);
    MUST(timer_delete(b->timer) == 0);
}

/* --- slices --- */

struct slice budget_slice(const struct budget *b, unsigned times) {
    return (struct slice){
        .begun_us = clock_us(), .start_us = b->tick_us, .limit_us = b->slice_us * times};
}

struct entered budget_enter(struct budget *b, struct slice *slice, lua_State *L) {
    struct entered before = {b->slice, b->running};
    b->running = L;
    b->slice = slice;
    return before;
}

void budget_leave(struct budget *b, struct entered before) {
    b->slice = before.slice;
    b->running = before.running;
}

uint64_t budget_used_us(const struct slice *slice) {
    uint64_t by_clock = clock_us() - slice->begun_us, by_processor;
    if (by_clock < TICK_MIN_US)
        return by_clock;
    by_processor = processor_us() - slice->start_us;
    return by_processor < by_clock ? by_processor : by_clock;
}

/* --- memory --- */

/* How much more is there for a block of that size. A slice that is over has the reserve, too. */
static size_t room_for(struct budget *b, size_t size) {
    size_t used = b->memory_used, reserve = b->memory_limit / RESERVE_PART;
    size_t limit = b->memory_limit - reserve;
    if (used < limit && size <= limit - used)
        return limit - used;
    if (b->slice == NULL || size > b->memory_limit - used || !is_over(b->slice))
        return used < limit ? limit - used : 0;
    b->wants_look = true;
    look_at_every_instruction(b->running);
    return b->memory_limit - used;
}

/* Whether a table may have a hash part of that size. If not, the slice is over: what its growth
 * would have done to it. */
static bool may_grow(struct budget *b, size_t size) {
    if (!collisions_would_chain(&b->collisions, size))
        return true;
    if (b->slice != NULL && !b->slice->is_over) {
        b->slice->is_over = b->slice->is_reported = true;
        b->wants_look = true;
        snprintf(b->over, sizeof(b->over),
                 "a table with more than %d keys in one chain would outlast the budget "
                 "(--lua-budget-ms)",
                 CHAIN_MAX);
        look_at_every_instruction(b->running);
    }
    return false;
}

/* For a new block, old_size is what it is for: 0 for a vector. */
void *budget_allocate(void *ctx, void *ptr, size_t old_size, size_t new_size) {
    struct budget *b = ctx;
    size_t had = ptr == NULL ? 0 : old_size;
    if (new_size == 0) {
        if (collisions_is_part(had))
            collisions_forget(&b->collisions, ptr);
        free(ptr);
        b->memory_used -= had;
        return NULL;
    }
    if (new_size > had &&
        (new_size > BUDGET_BLOCK_MAX_BYTES || new_size - had > room_for(b, new_size - had)))
        return NULL;
    bool is_part = ptr == NULL && old_size == 0 && collisions_is_part(new_size);
    if (is_part && !may_grow(b, new_size))
        return NULL;
    if (collisions_is_part(had))
        collisions_forget(&b->collisions, ptr);
    void *fresh = realloc(ptr, new_size);
    MUST(fresh != NULL);
    if (is_part)
        collisions_note(&b->collisions, fresh, new_size);
    b->memory_used += new_size - had;
    return fresh;
}
