/* route_event.c - see route_event.h. Fields that the JSON lacks get plain defaults. */
#include "tools/route_event.h"

#include <lauxlib.h>
#include <lua.h>
#include <stdio.h>
#include <string.h>

#include "common/app/api/api.h"
#include "common/app/lua/json_lua.h"
#include "common/app/lua/stack.h"
#include "common/base/clock.h"
#include "common/base/close_reason.h"
#include "common/send/delivery.h"

enum { JSON_DEPTH = 10, CODE_NORMAL = 1000 };

/* --- defaults: the table is on top --- */

static bool has_field(lua_State *L, const char *field) {
    bool has = lua_getfield(L, -1, field) != LUA_TNIL;
    lua_pop(L, 1);
    return has;
}

static void set_default(lua_State *L, const char *field, const char *text) {
    if (has_field(L, field))
        return;
    lua_pushstring(L, text);
    lua_setfield(L, -2, field);
}

/* Leaves the table of that name on the stack. */
static void push_table(lua_State *L, const char *field) {
    if (lua_getfield(L, -1, field) == LUA_TTABLE)
        return;
    lua_pop(L, 1);
    lua_newtable(L);
    lua_pushvalue(L, -1);
    lua_setfield(L, -3, field);
}

/* event.data; a "message" beside it is what a client would have sent. */
static void complete_data(lua_State *L) {
    push_table(L, "data");
    if (!has_field(L, "message")) {
        lua_getfield(L, -2, "message");
        lua_setfield(L, -2, "message");
    }
    set_default(L, "path", "");
    if (!has_field(L, "direct"))
        stack_set_bool(L, "direct", false);
    lua_pop(L, 1);
    lua_pushnil(L);
    lua_setfield(L, -2, "message");
}

static void complete_request(lua_State *L, const struct route_event *e) {
    lua_pushfstring(L, "ws://localhost%s", e->path);
    const char *url = lua_tostring(L, -1);
    lua_insert(L, -2);
    push_table(L, "request");
    set_default(L, "url", url);
    set_default(L, "remote_address", "127.0.0.1");
    set_default(L, "body", "");
    set_default(L, "opcode", "text");
    push_table(L, "headers");
    lua_pop(L, 2);
    lua_remove(L, -2);
}

/* --- event.response: prints --- */

static int response_send(lua_State *L) {
    static const char *const opcodes[] = {"text", "binary", NULL};
    luaL_checktype(L, 1, LUA_TTABLE);
    bool is_binary = luaL_checkoption(L, 3, "text", opcodes) == 1;
    bool is_compressed = api_reply_is_compressed(L, 4);
    struct buf line = {0}, error = {0};
    if (lua_isnoneornil(L, 2))
        return 0;
    buf_printf(&line, "{\"op\":\"reply\",%s%s\"data\":", is_binary ? "\"binary\":true," : "",
               is_compressed ? "" : "\"compress\":false,");
    if (!json_from_lua(L, 2, JSON_DEPTH, &line, &error)) {
        buf_deinit(&line);
        return stack_raise(L, &error);
    }
    offline_print(&line);
    return 0;
}

static int response_close(lua_State *L) {
    size_t len;
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_Integer code = luaL_optinteger(L, 2, CODE_NORMAL);
    const char *reason = luaL_optlstring(L, 3, "", &len);
    struct buf line = {0};
    luaL_argcheck(L, code == CODE_NORMAL || (code >= 3000 && code <= 4999), 2,
                  "must be 1000 or 3000 to 4999");
    if (!delivery_check_close(code, bytes_of(reason, len), &line))
        return stack_raise(L, &line);
    buf_printf(&line, "{\"op\":\"close\",\"sender\":true,\"code\":%d,\"reason\":", (int)code);
    json_append_string(&line, bytes_of(reason, len));
    offline_print(&line);
    return 0;
}

static void set_response(lua_State *L) {
    lua_createtable(L, 0, 2);
    lua_pushcfunction(L, response_send);
    lua_setfield(L, -2, "send");
    lua_pushcfunction(L, response_close);
    lua_setfield(L, -2, "close");
    lua_setfield(L, -2, "response");
}

int route_event_push(void *ctx, struct lua_State *L) {
    const struct route_event *e = ctx;
    struct buf error = {0};
    bool is_pushed = json_push(L, e->json, &error);
    buf_deinit(&error);
    if (!is_pushed)
        lua_newtable(L);
    set_default(L, "path", e->path);
    set_default(L, "client_id", "client-1");
    set_default(L, "name", "Name");
    if (!has_field(L, "timestamp"))
        stack_set_time(L, "timestamp", clock_wall_ms());
    set_default(L, "lockable", "lockable");
    stack_set_bool(L, "streamed", true);
    push_table(L, "metadata");
    lua_pop(L, 1);
    complete_data(L);
    complete_request(L, e);
    push_table(L, "endpoint");
    set_default(L, "protocol", "ws");
    set_default(L, "address", "localhost");
    lua_pop(L, 1);
    set_response(L);
    lua_createtable(L, 0, 1);
    stack_set_bytes(L, "path", bytes_str(e->route_path));
    lua_setfield(L, -2, "route");
    return 1;
}
