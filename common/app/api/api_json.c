/* api_json.c - signalbox.json, parse_json, array and log. */
#include <lauxlib.h>

#include "common/app/api/api.h"
#include "common/app/lua/json_lua.h"
#include "common/base/log.h"

enum { DEPTH = 10, DEPTH_OF_NONE = 2 };

/* json(value [, depth]) */
int api_json(lua_State *L) {
    struct buf text = {0}, error = {0};
    luaL_checkany(L, 1);
    lua_Integer depth = luaL_optinteger(L, 2, DEPTH);
    lua_settop(L, 1);
    if (!json_from_lua(L, 1,
                       depth <= 0    ? DEPTH_OF_NONE
                       : depth > 100 ? 100
                                     : (int)depth,
                       &text, &error)) {
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
    struct bytes text = stack_check_bytes(L, 1);
    log_app("app", "said text=%s", LOG_TEXT(text));
    return 0;
}
