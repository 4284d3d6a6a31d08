/*
 * budget.c - see budget.h.
 *
 * The hook reads the clock after a hundred instructions, and then less often while those were
 * quick: one instruction may copy a text of megabytes. Once the slice is over it fires at every
 * instruction and raises each time, so that no pcall outlives it. What runs without the hook
 * (message handlers of xpcall, finalizers, long loops inside C functions) is kept out of the
 * sandbox: see libraries.c.
 */
#include "common/app/lua/budget.h"

#include <stdlib.h>
#include <time.h>

#include <lauxlib.h>

#include "common/base/clock.h"
#include "common/base/must.h"

enum { LOOK_FIRST = 100, LOOK_LAST = 12800, QUICK_US = 100, LONG_US = 1000 };

char budget_killed;

static uint64_t processor_us(void) {
    struct timespec t;
    MUST(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t) == 0);
    return (uint64_t)t.tv_sec * 1000000u + (uint64_t)t.tv_nsec / 1000u + 1;
}

struct slice budget_slice(const struct budget *b, unsigned times) {
    return (struct slice){.begun_us = clock_us(), .limit_us = b->slice_us * times};
}

/* Reading the processor time is a system call, so a short handler never makes it. The time before
 * the first look is taken from the monotonic clock, up to half of the limit, since the process may
 * not have run all the while. */
static bool is_over(struct slice *s) {
    uint64_t now = processor_us();
    if (s->start_us == 0) {
        uint64_t before = clock_us() - s->begun_us;
        s->start_us = now - (before < s->limit_us / 2 ? before : s->limit_us / 2);
    }
    s->last_look_us = now;
    s->is_over |= now - s->start_us >= s->limit_us;
    return s->is_over;
}

static void on_count(lua_State *L, lua_Debug *at);

/* From now on at every instruction. */
static int raise_over(lua_State *L, const lua_Debug *at) {
    lua_sethook(L, on_count, LUA_MASKCOUNT, 1);
    if (*budget_owner_of(L) == NULL)
        *budget_owner_of(L) = BUDGET_KILLED;
    lua_pushfstring(L, "%s:%d: used up its processor time of %d ms (--lua-budget-ms)",
                    at->short_src, at->currentline, (int)(budget_of(L)->slice->limit_us / 1000));
    return lua_error(L);
}

static void on_count(lua_State *L, lua_Debug *at) {
    struct slice *s = budget_of(L)->slice;
    if (s == NULL)
        return;
    uint64_t before = s->last_look_us > 0 ? s->last_look_us : processor_us();
    if (is_over(s)) {
        lua_getinfo(L, "Sl", at);
        raise_over(L, at);
    }
    int count = lua_gethookcount(L);
    if (s->last_look_us - before < QUICK_US && count < LOOK_LAST)
        lua_sethook(L, on_count, LUA_MASKCOUNT, count * 2);
    else if (s->last_look_us - before > LONG_US && count > LOOK_FIRST)
        lua_sethook(L, on_count, LUA_MASKCOUNT, LOOK_FIRST);
}

void budget_watch(lua_State *L) {
    lua_sethook(L, on_count, LUA_MASKCOUNT, LOOK_FIRST);
}

void budget_look(lua_State *L) {
    struct slice *s = budget_of(L)->slice;
    lua_Debug at = {.short_src = "?", .currentline = -1};
    if (s == NULL || !is_over(s))
        return;
    if (lua_getstack(L, 1, &at))
        lua_getinfo(L, "Sl", &at);
    raise_over(L, &at);
}

bool budget_is_over(lua_State *L) {
    const struct budget *b = budget_of(L);
    return b != NULL && b->slice != NULL && is_over(b->slice);
}

void *budget_allocate(void *ctx, void *ptr, size_t old_size, size_t new_size) {
    struct budget *b = ctx;
    size_t had = ptr == NULL ? 0 : old_size;
    if (new_size == 0) {
        free(ptr);
        b->memory_used -= had;
        return NULL;
    }
    if (new_size > had && new_size - had > b->memory_limit - b->memory_used)
        return NULL;
    void *fresh = realloc(ptr, new_size);
    MUST(fresh != NULL);
    b->memory_used += new_size - had;
    return fresh;
}
