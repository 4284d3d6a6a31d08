/*
 * lua_seed.c - makes Lua's tables the same in each run. Lua chooses the seed of its hashes by the
 * time and by addresses, and the order of pairs() follows it; there is no way to set it. It is
 * chosen before Lua allocates for the second time, and used only after that: so it is replaced there.
 */
#include <lua.h>

#include "common/base/must.h"
#include "tests/world/sim.h"

#pragma GCC diagnostic ignored "-Wmissing-prototypes"

/* As in lstate.h of Lua 5.4, up to the seed. */
struct global_state {
    lua_Alloc allocate;
    void *ud, *sizes[4], *strings[2], *registry[2], *nil[2];
    unsigned seed;
};

struct state {
    void *next;
    unsigned char bytes[8];
    void *top;
    struct global_state *global;
};

struct first_allocations {
    lua_Alloc allocate;
    void *ud;
    unsigned count;
    struct state *state;
};

static void *allocate(void *ctx, void *ptr, size_t old_size, size_t new_size) {
    struct first_allocations *f = ctx;
    void *fresh = f->allocate(f->ud, ptr, old_size, new_size);
    f->count++;
    if (f->count == 1 && fresh != NULL)
        f->state = (struct state *)((char *)fresh + LUA_EXTRASPACE);
    if (f->count == 2) {
        MUST(f->state->global->allocate == allocate && f->state->global->ud == ctx);
        f->state->global->seed = (unsigned)sim_seed();
    }
    return fresh;
}

lua_State *__real_lua_newstate(lua_Alloc allocate_fn, void *ud);
lua_State *__wrap_lua_newstate(lua_Alloc allocate_fn, void *ud) {
    struct first_allocations f = {.allocate = allocate_fn, .ud = ud};
    lua_State *L = __real_lua_newstate(allocate, &f);
    if (L != NULL)
        lua_setallocf(L, allocate_fn, ud);
    return L;
}
