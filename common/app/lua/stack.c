/* stack.c - see stack.h. */
#include "common/app/lua/stack.h"

#include <string.h>

#include <lauxlib.h>

#include "common/base/clock.h"

enum { ERROR_MAX = 1024 };

/* --- texts --- */

struct bytes stack_bytes_at(lua_State *L, int index) {
    struct bytes text;
    text.ptr = lua_tolstring(L, index, &text.len);
    return text.ptr == NULL ? BYTES_NONE : text;
}

bool stack_is_null(lua_State *L, int index) {
    return lua_islightuserdata(L, index) && lua_touserdata(L, index) == NULL;
}

struct bytes stack_check_bytes(lua_State *L, int arg) {
    struct bytes text;
    text.ptr = luaL_checklstring(L, arg, &text.len);
    return text;
}

void stack_push_bytes(lua_State *L, struct bytes text) {
    lua_pushlstring(L, text.len > 0 ? text.ptr : "", text.len);
}

static int push_buffer(lua_State *L) {
    stack_push_bytes(L, buf_bytes(lua_touserdata(L, 1)));
    return 1;
}

int stack_push_take(lua_State *L, struct buf *text) {
    luaL_checkstack(L, 2, NULL);
    lua_pushcfunction(L, push_buffer);
    lua_pushlightuserdata(L, text);
    int status = lua_pcall(L, 1, 1, 0);
    buf_deinit(text);
    return status == LUA_OK ? 1 : lua_error(L);
}

int stack_raise(lua_State *L, struct buf *error) {
    char text[ERROR_MAX];
    size_t len = error->len < sizeof(text) ? error->len : sizeof(text) - 1;
    if (len > 0)
        memcpy(text, error->ptr, len);
    text[len] = '\0';
    buf_deinit(error);
    return luaL_error(L, "%s", text);
}

/* --- fields --- */

void stack_set_bytes(lua_State *L, const char *field, struct bytes value) {
    stack_push_bytes(L, value);
    lua_setfield(L, -2, field);
}

void stack_set_optional(lua_State *L, const char *field, struct bytes value) {
    if (value.len > 0)
        stack_set_bytes(L, field, value);
}

void stack_set_bool(lua_State *L, const char *field, bool value) {
    lua_pushboolean(L, value);
    lua_setfield(L, -2, field);
}

void stack_set_time(lua_State *L, const char *field, uint64_t wall_ms) {
    char text[32];
    clock_format_utc(wall_ms, text);
    stack_set_bytes(L, field, bytes_str(text));
}

static void push_lower(lua_State *L, struct bytes text) {
    luaL_Buffer b;
    char *at = luaL_buffinitsize(L, &b, text.len);
    for (size_t i = 0; i < text.len; i++)
        at[i] = bytes_lower(text.ptr[i]);
    luaL_pushresultsize(&b, text.len);
}

void stack_add_header(lua_State *L, struct bytes name, struct bytes value) {
    luaL_checkstack(L, 6, NULL);
    push_lower(L, name);
    lua_pushvalue(L, -1);
    if (lua_rawget(L, -3) == LUA_TNIL) {
        lua_pop(L, 1);
        stack_push_bytes(L, value);
    } else {
        lua_pushstring(L, bytes_equal_nocase(name, BYTES_LIT("Cookie")) ? "; " : ", ");
        stack_push_bytes(L, value);
        lua_concat(L, 3);
    }
    lua_rawset(L, -3);
}
