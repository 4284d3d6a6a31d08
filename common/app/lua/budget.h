/*
 * budget.h - memory and processor time of a Lua state.
 *
 * The state's allocator counts its memory. Between two waits a script has a slice of processor
 * time: whoever enters Lua makes one and restores what was there before.
 *
 *     struct slice slice = budget_slice(b, 1);
 *     struct entered before = budget_enter(b, &slice, L);
 *     lua_resume(L, …);
 *     budget_leave(b, before);
 *
 * A timer on the thread's processor time ticks every few milliseconds while the process computes.
 * Its signal stops Lua before the next instruction when the time is up. C code that loops calls
 * budget_look in the loop, which costs a read of memory. A single step between two looks must not
 * be long: BUDGET_BLOCK_MAX_BYTES bounds what one step can copy or compare.
 *
 * The word in front of each coroutine (Lua's extra space) says whose it is: the handler that runs
 * in it, NULL for the main chunk and for coroutines of the script's own, BUDGET_KILLED for one of
 * those that the budget ended.
 */
#ifndef SIGNALBOX_APP_LUA_BUDGET_H
#define SIGNALBOX_APP_LUA_BUDGET_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <lua.h>

#include "common/app/lua/collisions.h"
#include "common/base/bytes.h"

/* One text, and the elements of one table, in bytes of memory. */
enum { BUDGET_BLOCK_MAX_BYTES = 36 * 1024 * 1024 };

/* What may run until the next wait. */
struct slice {
    uint64_t begun_us; /* clock_us */
    uint64_t start_us; /* processor time at the last tick before it */
    uint64_t limit_us;
    bool is_over, is_reported;
    bool must_unwind; /* C code on the stack has to hear of the end */
};

/* The context of the state's allocator. It must not move. */
struct budget {
    size_t memory_used, memory_limit;
    struct collisions collisions;
    uint64_t slice_us;            /* processor time of a slice */
    struct slice *volatile slice; /* of what runs now, or NULL */
    lua_State *volatile running;  /* the coroutine that runs in it */
    timer_t timer;
    volatile sig_atomic_t wants_look; /* the slice may be over */
    const lua_State *stopped;         /* the coroutine that the budget stopped last, or NULL */
    char over[160];                   /* the error of the slice that is over */
    volatile uint64_t tick_us;        /* processor time at the last tick */
};

/* The limits must be set. */
void budget_init(struct budget *b);
void budget_deinit(struct budget *b);

/* NULL for a state without a budget. */
static inline struct budget *budget_of(lua_State *L) {
    void *budget;
    lua_getallocf(L, &budget);
    return budget;
}

extern char budget_killed;
#define BUDGET_KILLED ((void *)&budget_killed)
static inline void **budget_owner_of(lua_State *L) {
    return (void **)lua_getextraspace(L);
}

/* The allocator; its ctx is the struct budget. */
void *budget_allocate(void *ctx, void *ptr, size_t old_size, size_t new_size);

/* --- slices --- */

struct entered {
    struct slice *slice;
    lua_State *running;
};

/* A slice of so many times the usual length. */
struct slice budget_slice(const struct budget *b, unsigned times);
struct entered budget_enter(struct budget *b, struct slice *slice, lua_State *L);
void budget_leave(struct budget *b, struct entered before);
/* Its processor time so far, to a few milliseconds. */
uint64_t budget_used_us(const struct slice *slice);

/* Whether the budget ended that coroutine, which has just yielded; asked once. It must neither be
 * resumed nor closed. */
bool budget_has_stopped(struct budget *b, const lua_State *L);

/* --- looks at the clock --- */

void budget_stop_if_over(lua_State *L);
bool budget_is_slice_over(lua_State *L);

/* For loops of C: the first does not return when the slice is over, the second only says so. */
static inline void budget_look(lua_State *L) {
    const struct budget *b = budget_of(L);
    if (b != NULL && b->wants_look)
        budget_stop_if_over(L);
}
static inline bool budget_is_over(lua_State *L) {
    const struct budget *b = budget_of(L);
    return b != NULL && b->wants_look && budget_is_slice_over(L);
}

/* As luaL_loadbufferx for texts only; its error is the budget's when the slice is over. */
int budget_load(lua_State *L, struct bytes text, const char *name);

#endif
