/* api.c - the table `signalbox`, and the functions that belong to no family: json, parse_json,
 * array, log and sleep. */
#include "common/app/api/api.h"

#include <lauxlib.h>

#include "common/app/lua/json_lua.h"
#include "common/base/log.h"

enum { SLEEP_MAX_SECONDS = 86400 };

/* --- JSON, log --- */

/* json(value [, depth]) */
int api_json(lua_State *L) {
    struct buf text = {0}, error = {0};
    luaL_checkany(L, 1);
    int depth = api_depth(luaL_optinteger(L, 2, API_DEPTH));
    lua_settop(L, 1);
    if (!json_from_lua(L, 1, depth, &text, &error)) {
        buf_deinit(&text);
        return stack_raise(L, &error);
    }
    return stack_push_take(L, &text);
}

/* parse_json(text) */
int api_parse_json(lua_State *L) {
    struct buf error = {0};
    luaL_checkstring(L, 1);
    if (!json_push_string(L, 1, &error))
        return stack_raise(L, &error);
    return 1;
}

/* array(table): is written as [] also while it is empty. */
int api_array(lua_State *L) {
    luaL_checktype(L, 1, LUA_TTABLE);
    if (json_is_array_marked(L, 1))
        return lua_settop(L, 1), 1;
    luaL_argcheck(L, !lua_getmetatable(L, 1), 1, "the table has a metatable already");
    lua_settop(L, 1);
    json_mark_array(L, 1);
    return 1;
}

int api_log(lua_State *L) {
    log_app("app", "said text=%s", LOG_TEXT(stack_check_bytes(L, 1)));
    return 0;
}

/* --- sleep --- */

static void on_slept(uv_timer_t *timer) {
    app_resume_ok(container_of(timer, struct app_call, timer), NULL, NULL);
}

static void on_slept_too_long(uv_timer_t *timer) {
    app_resume_error(container_of(timer, struct app_call, timer), APP_CALL_TOO_LATE);
}

int api_sleep(lua_State *L) {
    lua_Number seconds = luaL_checknumber(L, 1);
    luaL_argcheck(L, seconds >= 0 && seconds <= SLEEP_MAX_SECONDS, 1,
                  "from 0 to 86400 seconds (a day)");
    struct app_call *call = app_may_wait(L);
    if (call->app->env.loop == NULL)
        return luaL_error(L, "signalbox.sleep: nothing can wait here");
    uint64_t ms = (uint64_t)(seconds * 1000 + 0.5), left_ms = app_call_left_ms(call);
    uv_timer_cb on_end = ms < left_ms ? on_slept : on_slept_too_long;
    app_call_start_timer(call, on_end, ms < left_ms ? ms : left_ms);
    return app_wait(L, call);
}

/* --- the table --- */

static const luaL_Reg functions[] = {
#define FUNCTION(name) {#name, api_##name},
#define STORE(name)
#include "common/app/api/functions.def"
#undef FUNCTION
#undef STORE
    {NULL, NULL},
};

static const luaL_Reg store_functions[] = {
#define FUNCTION(name)
#define STORE(name) {#name, api_store_##name},
#include "common/app/api/functions.def"
#undef FUNCTION
#undef STORE
    {NULL, NULL},
};

void api_open(lua_State *L) {
    luaL_newlib(L, functions);
    luaL_newlib(L, store_functions);
    lua_setfield(L, -2, "store");
    lua_pushlightuserdata(L, NULL);
    lua_setfield(L, -2, "null");
    lua_setglobal(L, "signalbox");
}
