/*
 * app_budget.c - processor time and memory of the app's Lua code.
 *
 * The hook looks at the clock every few thousand instructions. Once the slice is over it fires at
 * every instruction and raises each time, so that no pcall outlives it. What runs without the hook
 * (message handlers of xpcall, finalizers, long loops inside C functions) is kept out of the
 * sandbox: see lua_libraries.c.
 */
#include <stdlib.h>
#include <time.h>

#include <lauxlib.h>

#include "common/app/app_state.h"
#include "common/base/settings.h"

enum { LOOK_EVERY = 4000 };

char app_killed;

static uint64_t processor_us(void) {
    struct timespec t;
    MUST(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t) == 0);
    return (uint64_t)t.tv_sec * 1000000u + (uint64_t)t.tv_nsec / 1000u + 1;
}

static bool is_over(struct slice *s) {
    if (s->is_over)
        return true;
    uint64_t now = processor_us();
    if (s->start_us == 0)
        s->start_us = now;
    s->is_over = now - s->start_us >= s->limit_us;
    return s->is_over;
}

static void on_count(lua_State *L, lua_Debug *at);

/* From now on at every instruction. */
static int raise_over(lua_State *L, const lua_Debug *at) {
    lua_sethook(L, on_count, LUA_MASKCOUNT, 1);
    if (*app_mark_of(L) == NULL)
        *app_mark_of(L) = APP_KILLED;
    lua_pushfstring(L, "%s:%d: used up its processor time of %d ms (--lua-budget-ms)",
                    at->short_src, at->currentline, (int)(app_of(L)->slice->limit_us / 1000));
    return lua_error(L);
}

static void on_count(lua_State *L, lua_Debug *at) {
    struct slice *s = app_of(L)->slice;
    if (s == NULL || !is_over(s))
        return;
    lua_getinfo(L, "Sl", at);
    raise_over(L, at);
}

void app_budget_watch(lua_State *L) {
    lua_sethook(L, on_count, LUA_MASKCOUNT, LOOK_EVERY);
}

void app_budget_look(lua_State *L) {
    struct slice *s = app_of(L)->slice;
    lua_Debug at = {.short_src = "?", .currentline = -1};
    if (s == NULL || !is_over(s))
        return;
    if (lua_getstack(L, 1, &at))
        lua_getinfo(L, "Sl", &at);
    raise_over(L, &at);
}

void *app_allocate(void *ctx, void *ptr, size_t old_size, size_t new_size) {
    struct app *a = ctx;
    size_t had = ptr == NULL ? 0 : old_size;
    if (new_size == 0) {
        free(ptr);
        a->memory_used -= had;
        return NULL;
    }
    if (new_size > had && new_size - had > a->memory_limit - a->memory_used)
        return NULL;
    void *fresh = realloc(ptr, new_size);
    MUST(fresh != NULL);
    a->memory_used += new_size - had;
    return fresh;
}
