/* lua_headers.c - see lua_headers.h. */
#include "common/app/lua/fields.h"

#include <lauxlib.h>
#include <lua.h>

static void push_lower(lua_State *L, struct bytes text) {
    luaL_Buffer b;
    char *at = luaL_buffinitsize(L, &b, text.len);
    for (size_t i = 0; i < text.len; i++)
        at[i] = bytes_lower(text.ptr[i]);
    luaL_pushresultsize(&b, text.len);
}

static void push_value(lua_State *L, struct bytes value) {
    lua_pushlstring(L, value.len > 0 ? value.ptr : "", value.len);
}

void lua_headers_add(lua_State *L, struct bytes name, struct bytes value) {
    luaL_checkstack(L, 6, NULL);
    push_lower(L, name);
    lua_pushvalue(L, -1);
    if (lua_rawget(L, -3) == LUA_TNIL) {
        lua_pop(L, 1);
        push_value(L, value);
    } else {
        lua_pushstring(L, bytes_equal_nocase(name, BYTES_LIT("Cookie")) ? "; " : ", ");
        push_value(L, value);
        lua_concat(L, 3);
    }
    lua_rawset(L, -3);
}
