/*
 * budget.h - memory and processor time of a Lua state.
 *
 * The state's allocator counts its memory. Between two waits a script has a slice of processor
 * time: whoever enters Lua makes one (budget_slice), names it in budget->slice while Lua runs, and
 * restores what was there before. A hook raises when the slice is over.
 *
 * The word in front of each coroutine (Lua's extra space) says whose it is: the handler that runs
 * in it, NULL for the main chunk and for coroutines of the script's own, BUDGET_KILLED for one of
 * those that the budget ended.
 */
#ifndef SIGNALBOX_APP_LUA_BUDGET_H
#define SIGNALBOX_APP_LUA_BUDGET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <lua.h>

/* What may run until the next wait. */
struct slice {
    uint64_t begun_us;               /* clock_us */
    uint64_t start_us, last_look_us; /* processor time; 0: not looked yet */
    uint64_t limit_us;
    bool is_over;
};

/* The context of the state's allocator. */
struct budget {
    size_t memory_used, memory_limit;
    uint64_t slice_us;   /* processor time of a slice */
    struct slice *slice; /* of what runs now, or NULL */
};

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
/* A slice of so many times the usual length. */
struct slice budget_slice(const struct budget *b, unsigned times);
/* Installs the hook in a coroutine. */
void budget_watch(lua_State *L);
/* For long loops of C: the first raises when the slice is over, the second only says so, and also
 * answers for a state without a budget. */
void budget_look(lua_State *L);
bool budget_is_over(lua_State *L);

#endif
