/* api_store.c - signalbox.store and lock: small values that all processes share, as JSON in Redis,
 * and locks. All wait. */
#include <errno.h>
#include <stdlib.h>

#include <lauxlib.h>

#include "common/app/api/api.h"
#include "common/app/lua/json_lua.h"
#include "common/bus/cluster/store.h"
#include "common/send/address.h"

enum { VALUE_DEPTH = 64, TTL_MAX_SECONDS = 10 * 365 * 86400, LOCK_WAIT_MS = 30000 };

/* A key may hold any bytes. */
static void check_length(lua_State *L, struct bytes key) {
    luaL_argcheck(L, key.len > 0, 1, "the key is empty");
    luaL_argcheck(L, key.len <= ADDRESS_BYTES_MAX, 1, "the key " ADDRESS_TOO_LONG);
}

/* "store:" and the key, on the stack above the three arguments. */
static struct bytes check_key(lua_State *L) {
    lua_settop(L, 3);
    struct bytes key = stack_check_bytes(L, 1);
    check_length(L, key);
    lua_pushliteral(L, "store:");
    lua_pushvalue(L, 1);
    lua_concat(L, 2);
    return stack_bytes_at(L, -1);
}

static uint64_t check_ttl_ms(lua_State *L, int arg) {
    lua_Number seconds = luaL_optnumber(L, arg, 0);
    if (lua_isnoneornil(L, arg))
        return 0;
    luaL_argcheck(L, seconds >= 0.001 && seconds <= TTL_MAX_SECONDS, arg,
                  "seconds to live: from 0.001 to ten years");
    return (uint64_t)(seconds * 1000 + 0.5);
}

/* --- answers --- */

static int push_value(void *ctx, lua_State *L) {
    const struct bytes *value = ctx;
    struct buf error = {0};
    if (value->ptr == NULL)
        lua_pushnil(L);
    else if (!json_push(L, *value, &error))
        return stack_raise(L, &error);
    return 1;
}

static int push_was_there(void *ctx, lua_State *L) {
    const struct bytes *value = ctx;
    lua_pushboolean(L, !bytes_equal_str(*value, "0"));
    return 1;
}

static void go_on(struct app_call *call, int status, struct bytes value, app_push_fn *push) {
    char text[200];
    if (status == 0)
        app_resume_ok(call, push, &value);
    else if (status == -ENOTCONN)
        app_resume_error(call, "the store cannot be reached: no Redis");
    else {
        snprintf(text, sizeof(text), "the store refused: %.*s", BYTES_FMT(bytes_head(value, 150)));
        app_resume_error(call, text);
    }
}

static void on_value(void *ctx, int status, struct bytes value) {
    go_on(ctx, status, value, push_value);
}

static void on_set(void *ctx, int status, struct bytes value) {
    go_on(ctx, status, value, NULL);
}

static void on_deleted(void *ctx, int status, struct bytes value) {
    go_on(ctx, status, value, push_was_there);
}

/* --- the functions --- */

/* store.get(key): the value, or nil. */
int api_store_get(lua_State *L) {
    struct bytes key = check_key(L);
    struct app_call *call = app_may_wait(L);
    store_get(api_bus(L, "store.get"), key, on_value, call);
    return app_wait(L, call);
}

/* store.set(key, value [, seconds to live]) */
int api_store_set(lua_State *L) {
    uint64_t ttl_ms = check_ttl_ms(L, 3);
    struct bytes key = check_key(L);
    struct buf value = {0}, error = {0};
    luaL_argcheck(L, !lua_isnoneornil(L, 2), 2, "a value was expected; see store.delete");
    struct app_call *call = app_may_wait(L);
    struct bus *bus = api_bus(L, "store.set");
    if (!json_from_lua(L, 2, VALUE_DEPTH, &value, &error)) {
        buf_deinit(&value);
        return stack_raise(L, &error);
    }
    store_set(bus, key, buf_bytes(&value), ttl_ms, on_set, call);
    buf_deinit(&value);
    return app_wait(L, call);
}

/* store.incr(key [, by [, seconds to live]]): the new value. */
int api_store_incr(lua_State *L) {
    lua_Integer by = luaL_optinteger(L, 2, 1);
    uint64_t ttl_ms = check_ttl_ms(L, 3);
    struct bytes key = check_key(L);
    struct app_call *call = app_may_wait(L);
    store_incr(api_bus(L, "store.incr"), key, by, ttl_ms, on_value, call);
    return app_wait(L, call);
}

/* store.delete(key): whether it was there. */
int api_store_delete(lua_State *L) {
    struct bytes key = check_key(L);
    struct app_call *call = app_may_wait(L);
    store_delete(api_bus(L, "store.delete"), key, on_deleted, call);
    return app_wait(L, call);
}

/* --- lock --- */

/* The key: a text, or the field lock_key of a lockable. Left on the stack. */
static struct bytes check_lock_key(lua_State *L) {
    if (lua_istable(L, 1)) {
        lua_pushliteral(L, "lock_key");
        lua_rawget(L, 1);
        lua_replace(L, 1);
    }
    luaL_argcheck(L, lua_type(L, 1) == LUA_TSTRING, 1, "a key or a lockable was expected");
    struct bytes key = stack_bytes_at(L, 1);
    check_length(L, key);
    return key;
}

static void on_locked(void *ctx, int status, struct bytes value) {
    struct app_call *call = ctx;
    (void)value;
    if (status == 0)
        app_resume_ok(call, NULL, NULL);
    else
        app_resume_error(call, status == -ETIMEDOUT ? "the lock was not free within 30 s"
                                                    : "the lock was not taken: no Redis");
}

/* Whatever the function did: the lock goes. Its results are above key and function. */
static int after_locked(lua_State *L, int status, lua_KContext ctx) {
    store_lock_drop((struct store_lock *)ctx);
    app_call_hold(app_call_of(L), -1);
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
    app_call_hold(call, 1);
    lua_pushvalue(L, 2);
    return after_locked(L, lua_pcallk(L, 0, LUA_MULTRET, 0, ctx, after_locked), ctx);
}

/* lock(key or lockable, function) */
int api_lock(lua_State *L) {
    struct bytes key = check_lock_key(L);
    luaL_checktype(L, 2, LUA_TFUNCTION);
    lua_settop(L, 2);
    struct app_call *call = app_may_wait(L);
    struct bus *bus = api_bus(L, "lock");
    struct store_lock *lock = store_lock_take(bus, key, LOCK_WAIT_MS, on_locked, call);
    return app_wait_then(L, call, (lua_KContext)lock, on_turn);
}
