/* api_wait.c - signalbox.sleep and lock. */
#include <errno.h>

#include <lauxlib.h>

#include "common/app/api/api.h"
#include "common/bus/cluster/store.h"

enum { SLEEP_MAX_SECONDS = 86400, LOCK_WAIT_MS = 30000 };

/* --- sleep --- */

static void on_slept(uv_timer_t *timer) {
    app_resume_ok(container_of(timer, struct app_call, timer), NULL, NULL);
}

int api_sleep(lua_State *L) {
    lua_Number seconds = luaL_checknumber(L, 1);
    luaL_argcheck(L, seconds >= 0 && seconds <= SLEEP_MAX_SECONDS, 1,
                  "from 0 to 86400 seconds (a day)");
    struct app_call *call = app_may_wait(L);
    uv_loop_t *loop = call->app->env.loop;
    if (loop == NULL)
        return luaL_error(L, "signalbox.sleep: nothing can wait here");
    if (!call->has_timer)
        MUST(uv_timer_init(loop, &call->timer) == 0);
    call->has_timer = true;
    MUST(uv_timer_start(&call->timer, on_slept, (uint64_t)(seconds * 1000 + 0.5), 0) == 0);
    return app_wait(L, call);
}

/* --- lock --- */

/* The key: a text, or the field lock_key of a lockable. Left on the stack. */
static struct bytes check_key(lua_State *L) {
    struct bytes key;
    if (lua_istable(L, 1)) {
        lua_pushliteral(L, "lock_key");
        lua_rawget(L, 1);
        lua_replace(L, 1);
    }
    luaL_argcheck(L, lua_type(L, 1) == LUA_TSTRING, 1, "a key or a lockable was expected");
    key = stack_bytes_at(L, 1);
    luaL_argcheck(L, key.len > 0 && key.len <= 1024, 1, "a key has from 1 to 1024 bytes");
    return key;
}

static void on_lock(void *ctx, int status, struct bytes value) {
    struct app_call *call = ctx;
    (void)value;
    if (status == 0)
        app_resume_ok(call, NULL, NULL);
    else
        app_resume_error(call, status == -ETIMEDOUT ? "the lock was not free within 30 s"
                                                    : "the lock could not be had: no Redis");
}

/* Whatever the function did: the lock goes. Its results are above key and function. */
static int after_locked(lua_State *L, int status, lua_KContext ctx) {
    store_lock_drop((struct store_lock *)ctx);
    if (status != LUA_OK && status != LUA_YIELD)
        return lua_error(L);
    return lua_gettop(L) - 2;
}

static int on_turn(lua_State *L, int status, lua_KContext ctx) {
    struct app_call *call = app_call_of(L);
    (void)status;
    if (call->wait_error != NULL)
        store_lock_drop((struct store_lock *)ctx);
    app_waited(L, call);
    lua_pushvalue(L, 2);
    return after_locked(L, lua_pcallk(L, 0, LUA_MULTRET, 0, ctx, after_locked), ctx);
}

/* lock(key or lockable, function) */
int api_lock(lua_State *L) {
    struct bytes key = check_key(L);
    luaL_checktype(L, 2, LUA_TFUNCTION);
    lua_settop(L, 2);
    struct app_call *call = app_may_wait(L);
    struct bus *bus = api_bus(L, "lock");
    struct store_lock *lock = store_lock_take(bus, key, LOCK_WAIT_MS, on_lock, call);
    return app_wait_then(L, call, (lua_KContext)lock, on_turn);
}
