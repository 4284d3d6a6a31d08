/* web_answer.c - the methods of `web` that answer: respond, json, text, file, header. */
#include <lauxlib.h>
#include <lua.h>
#include <string.h>

#include "common/app/app.h"
#include "common/app/lua/json_lua.h"
#include "gateway/conn/request.h"
#include "gateway/routes/file_send.h"
#include "gateway/routes/routes.h"
#include "gateway/routes/web_object.h"

enum { JSON_DEPTH = 32 };

static void add_header(lua_State *L, struct request *r, struct bytes name, int value_index) {
    struct bytes value = stack_bytes_at(L, value_index);
    if (value.ptr == NULL)
        luaL_error(L, "the value of header %s must be a string or a number", name.ptr);
    if (!request_header(r, name, value))
        luaL_error(L, "header %s: name or value holds what a header cannot", name.ptr);
}

static bool is_own_header(struct bytes name) {
    return bytes_equal_nocase(name, BYTES_LIT("Content-Length")) ||
           bytes_equal_nocase(name, BYTES_LIT("Connection")) ||
           bytes_equal_nocase(name, BYTES_LIT("Transfer-Encoding")) ||
           bytes_equal_nocase(name, BYTES_LIT("Date")) ||
           bytes_equal_nocase(name, BYTES_LIT("Server"));
}

/* headers = {name = value or list of values}. The content type goes to the stack index `type`. */
static void take_headers(lua_State *L, struct request *r, int table, int type) {
    for (lua_pushnil(L); lua_next(L, table) != 0; lua_pop(L, 1)) {
        if (lua_type(L, -2) != LUA_TSTRING)
            luaL_error(L, "headers must have names");
        struct bytes name = stack_bytes_at(L, -2);
        int value = lua_gettop(L);
        if (is_own_header(name))
            continue;
        if (bytes_equal_nocase(name, BYTES_LIT("Content-Type"))) {
            if (!lua_isstring(L, value) || !http_is_field_value(stack_bytes_at(L, value)))
                luaL_error(L, "header Content-Type: the value holds what a header cannot");
            lua_pushvalue(L, value);
            lua_replace(L, type);
        } else if (lua_istable(L, value)) {
            lua_Integer count = luaL_len(L, value);
            for (lua_Integer i = 1; i <= count; i++) {
                lua_geti(L, value, i);
                add_header(L, r, name, lua_gettop(L));
                lua_pop(L, 1);
            }
        } else {
            add_header(L, r, name, value);
        }
    }
}

static int check_status(lua_State *L, int index, int otherwise) {
    lua_Integer status = luaL_optinteger(L, index, otherwise);
    if (status < 200 || status > 599)
        luaL_error(L, "status must be 200 to 599, not %I", (LUAI_UACINT)status);
    return (int)status;
}

static void answer_json(lua_State *L, struct request *r, int status, struct bytes type, int index) {
    struct buf text = {0}, error = {0};
    if (!json_from_lua(L, index, JSON_DEPTH, &text, &error)) {
        stack_push_bytes(L, buf_bytes(&error));
        buf_deinit(&error);
        buf_deinit(&text);
        luaL_error(L, "%s", lua_tostring(L, -1));
    }
    request_reply(r, status, type.len > 0 ? type : BYTES_LIT("application/json"), buf_bytes(&text));
    buf_deinit(&text);
    buf_deinit(&error);
}

int web_respond(lua_State *L) {
    enum { TYPE = 3 };
    struct request *r = web_check_request(L, "respond");
    luaL_checktype(L, 2, LUA_TTABLE);
    lua_settop(L, 2);
    lua_pushliteral(L, ""); /* TYPE */
    lua_getfield(L, 2, "status");
    int status = check_status(L, -1, 200);
    if (lua_getfield(L, 2, "headers") == LUA_TTABLE)
        take_headers(L, r, lua_gettop(L), TYPE);
    struct bytes type = stack_bytes_at(L, TYPE);
    if (lua_getfield(L, 2, "body") == LUA_TTABLE) {
        answer_json(L, r, status, type, lua_gettop(L));
        return 0;
    }
    struct bytes body = stack_bytes_at(L, -1);
    if (type.len == 0 && body.len > 0)
        type = BYTES_LIT("text/plain; charset=utf-8");
    request_reply(r, status, type, body);
    return 0;
}

int web_json(lua_State *L) {
    struct request *r = web_check_request(L, "json");
    luaL_checkany(L, 2);
    answer_json(L, r, check_status(L, 3, 200), BYTES_NONE, 2);
    return 0;
}

int web_text(lua_State *L) {
    struct request *r = web_check_request(L, "text");
    luaL_checkstring(L, 2);
    request_reply(r, check_status(L, 3, 200), BYTES_LIT("text/plain; charset=utf-8"),
                  stack_bytes_at(L, 2));
    return 0;
}

int web_file(lua_State *L) {
    struct request *r = web_check_request(L, "file");
    const char *path = luaL_checkstring(L, 2);
    int status = check_status(L, 3, 200);
    const char *below = lua_pushfstring(L, "/%s", path[0] == '/' ? path + 1 : path);
    if (strlen(below) != lua_rawlen(L, 2) + (path[0] != '/'))
        return luaL_error(L, "web:file: the path holds a NUL");
    file_send(r, app_folder(*r->routes->app), below, status);
    return 0;
}

int web_header(lua_State *L) {
    struct request *r = web_check_request(L, "header");
    luaL_checkstring(L, 2);
    luaL_checkstring(L, 3);
    if (is_own_header(stack_bytes_at(L, 2)))
        return luaL_error(L, "web:header: %s is the server's own", lua_tostring(L, 2));
    add_header(L, r, stack_bytes_at(L, 2), 3);
    return 0;
}
