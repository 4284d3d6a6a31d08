/*
 * libraries.c - see libraries.h.
 *
 *   string.rep, table.*       loops of C over a length that the script chooses: bounded
 *   xpcall                    its handler, which no hook would stop, runs after the failure
 *   coroutine.resume, close   not for coroutines of handlers, nor for one that the budget ended
 *   coroutine.yield           not in a handler, which waits by signalbox.sleep and its like
 *   string.find …             strings.c
 *
 * The bounds are far above what an app needs within its processor time.
 */
#include "common/app/lua/libraries.h"

#include <string.h>

#include <lauxlib.h>
#include <lualib.h>

#include "common/app/lua/budget.h"
#include "common/app/lua/strings.h"

#define TEXT_MAX_BYTES ((lua_Integer)64 * 1024 * 1024)
#define ELEMENTS_MAX   ((lua_Integer)1000000)

enum { DATE_FORMAT_MAX_BYTES = 1024 };

/* --- coroutines --- */

static lua_State *check_coroutine(lua_State *L) {
    lua_State *co = lua_tothread(L, 1);
    luaL_argexpected(L, co != NULL, 1, "coroutine");
    luaL_argcheck(L, *budget_owner_of(co) == NULL || *budget_owner_of(co) == BUDGET_KILLED, 1,
                  "a handler is not the script's to resume");
    return co;
}

/* As the standard one: the number of results on L, or -1 and the error on L. */
static int resume(lua_State *L, lua_State *co, int count) {
    int results;
    if (!lua_checkstack(co, count)) {
        lua_pushliteral(L, "too many arguments to resume");
        return -1;
    }
    lua_xmove(L, co, count);
    int status = lua_resume(co, L, count, &results);
    if (status != LUA_OK && status != LUA_YIELD) {
        lua_xmove(co, L, 1);
        return -1;
    }
    if (!lua_checkstack(L, results + 1)) {
        lua_pop(co, results);
        lua_pushliteral(L, "too many results to resume");
        return -1;
    }
    lua_xmove(co, L, results);
    return results;
}

static int co_resume(lua_State *L) {
    lua_State *co = check_coroutine(L);
    int count = resume(L, co, lua_gettop(L) - 1);
    lua_pushboolean(L, count >= 0);
    lua_insert(L, count >= 0 ? -(count + 1) : -2);
    return count >= 0 ? count + 1 : 2;
}

/* Closing runs the script's __close functions, which in a killed coroutine no hook would stop. */
static bool may_be_closed(lua_State *co) {
    int status = lua_status(co);
    return status == LUA_OK || status == LUA_YIELD || *budget_owner_of(co) != BUDGET_KILLED;
}

static int co_wrapped(lua_State *L) {
    lua_State *co = lua_tothread(L, lua_upvalueindex(1));
    int count = resume(L, co, lua_gettop(L));
    if (count >= 0)
        return count;
    int status = lua_status(co);
    if (status != LUA_OK && status != LUA_YIELD && may_be_closed(co)) {
        lua_xmove(L, co, 1);
        (void)lua_resetthread(co);
        lua_xmove(co, L, 1);
    }
    if (lua_type(L, -1) == LUA_TSTRING) {
        luaL_where(L, 1);
        lua_insert(L, -2);
        lua_concat(L, 2);
    }
    return lua_error(L);
}

static int co_create(lua_State *L) {
    luaL_checktype(L, 1, LUA_TFUNCTION);
    lua_State *co = lua_newthread(L);
    budget_watch(co);
    lua_pushvalue(L, 1);
    lua_xmove(L, co, 1);
    return 1;
}

static int co_wrap(lua_State *L) {
    co_create(L);
    lua_pushcclosure(L, co_wrapped, 1);
    return 1;
}

static bool is_active(lua_State *L, lua_State *co) {
    lua_Debug at;
    return co == L || (lua_status(co) == LUA_OK && lua_getstack(co, 0, &at));
}

static int co_close(lua_State *L) {
    lua_State *co = check_coroutine(L);
    if (is_active(L, co))
        return luaL_error(L, "cannot close a running coroutine");
    if (!may_be_closed(co)) {
        lua_pushboolean(L, false);
        lua_pushliteral(L, "the coroutine used up its processor time");
        return 2;
    }
    bool is_fine = lua_resetthread(co) == LUA_OK;
    lua_pushboolean(L, is_fine);
    if (is_fine)
        return 1;
    lua_xmove(co, L, 1);
    return 2;
}

static int co_yield (lua_State *L) {
    if (*budget_owner_of(L) != NULL && *budget_owner_of(L) != BUDGET_KILLED)
        return luaL_error(L, "nothing to wait for: coroutine.yield belongs into a coroutine");
    return lua_yield(L, lua_gettop(L));
}

/* --- xpcall: the handler is called after the failure --- */

static int after_message_handler(lua_State *L, int status, lua_KContext ctx) {
    (void)status;
    (void)ctx;
    return lua_gettop(L) - 2; /* without f and the handler */
}

static int after_xpcall(lua_State *L, int status, lua_KContext ctx) {
    (void)ctx;
    if (status == LUA_OK || status == LUA_YIELD)
        return lua_gettop(L) - 2;
    lua_settop(L, 4); /* f, handler, true, error */
    lua_pushboolean(L, false);
    lua_replace(L, 3);
    lua_pushvalue(L, 2);
    lua_insert(L, 4);
    lua_callk(L, 1, LUA_MULTRET, 0, after_message_handler);
    return after_message_handler(L, LUA_OK, 0);
}

static int base_xpcall(lua_State *L) {
    luaL_checktype(L, 2, LUA_TFUNCTION);
    int count = lua_gettop(L) - 2;
    lua_pushboolean(L, true);
    lua_pushvalue(L, 1);
    lua_rotate(L, 3, 2); /* f, handler, true, f, arguments… */
    int status = lua_pcallk(L, count, LUA_MULTRET, 0, 0, after_xpcall);
    return after_xpcall(L, status, 0);
}

/* --- string, table --- */

static int string_rep(lua_State *L) {
    size_t len, separator_len;
    const char *text = luaL_checklstring(L, 1, &len);
    lua_Integer count = luaL_checkinteger(L, 2);
    const char *separator = luaL_optlstring(L, 3, "", &separator_len);
    luaL_Buffer out;
    if (count <= 0 || len + separator_len == 0) {
        lua_pushliteral(L, "");
        return 1;
    }
    luaL_argcheck(L, count <= TEXT_MAX_BYTES / (lua_Integer)(len + separator_len), 2,
                  "resulting string too large");
    size_t total = (size_t)count * (len + separator_len) - separator_len;
    char *at = luaL_buffinitsize(L, &out, total);
    for (lua_Integer i = 0; i < count; i++) {
        memcpy(at, text, len);
        if (i + 1 < count)
            memcpy(at + len, separator, separator_len);
        at += len + separator_len;
    }
    luaL_pushresultsize(&out, total);
    return 1;
}

static void check_count(lua_State *L, int arg, lua_Integer from, lua_Integer to) {
    if (to >= from && (lua_Unsigned)to - (lua_Unsigned)from >= (lua_Unsigned)ELEMENTS_MAX)
        luaL_argerror(L, arg, "more than a million elements");
}

static int table_insert(lua_State *L) {
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_Integer end = luaL_len(L, 1) + 1, at = end;
    if (lua_gettop(L) == 3) {
        at = luaL_checkinteger(L, 2);
        luaL_argcheck(L, at >= 1 && at <= end, 2, "position out of bounds");
        check_count(L, 1, at, end);
        for (lua_Integer i = end; i > at; i--) {
            lua_geti(L, 1, i - 1);
            lua_seti(L, 1, i);
        }
    } else if (lua_gettop(L) != 2) {
        return luaL_error(L, "wrong number of arguments to 'insert'");
    }
    lua_seti(L, 1, at);
    return 0;
}

static int table_remove(lua_State *L) {
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_Integer count = luaL_len(L, 1), at = luaL_optinteger(L, 2, count);
    if (!lua_isnoneornil(L, 2))
        luaL_argcheck(L, at == count || (at >= 1 && at <= count + 1), 2, "position out of bounds");
    check_count(L, 1, at, count);
    lua_geti(L, 1, at);
    for (; at < count; at++) {
        lua_geti(L, 1, at + 1);
        lua_seti(L, 1, at);
    }
    lua_pushnil(L);
    lua_seti(L, 1, at);
    return 1;
}

/* The standard function is the upvalue. */
static int pass_on(lua_State *L) {
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_call(L, lua_gettop(L) - 1, LUA_MULTRET);
    return lua_gettop(L);
}

static int table_concat(lua_State *L) {
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_Integer from = luaL_optinteger(L, 3, 1);
    check_count(L, 1, from, lua_isnoneornil(L, 4) ? luaL_len(L, 1) : luaL_checkinteger(L, 4));
    return pass_on(L);
}

static int table_move(lua_State *L) {
    check_count(L, 3, luaL_checkinteger(L, 2), luaL_checkinteger(L, 3));
    return pass_on(L);
}

static int table_sort(lua_State *L) {
    luaL_checktype(L, 1, LUA_TTABLE);
    check_count(L, 1, 1, luaL_len(L, 1));
    return pass_on(L);
}

static int os_date(lua_State *L) {
    size_t len;
    (void)luaL_optlstring(L, 1, "", &len);
    luaL_argcheck(L, len <= DATE_FORMAT_MAX_BYTES, 1, "format longer than 1024 bytes");
    return pass_on(L);
}

/* --- opening --- */

static void wrap_function(lua_State *L, const char *library, const char *name, lua_CFunction by) {
    lua_getglobal(L, library);
    lua_getfield(L, -1, name);
    lua_pushcclosure(L, by, 1);
    lua_setfield(L, -2, name);
    lua_pop(L, 1);
}

static void replace_functions(lua_State *L, const char *library, const luaL_Reg *functions) {
    lua_getglobal(L, library);
    luaL_setfuncs(L, functions, 0);
    lua_pop(L, 1);
}

/* A script must not change the metatable of all strings. */
static void guard_strings(lua_State *L) {
    lua_pushliteral(L, "");
    lua_getmetatable(L, -1);
    lua_pushboolean(L, false);
    lua_setfield(L, -2, "__metatable");
    lua_pop(L, 2);
    lua_getglobal(L, "string");
    lua_pushnil(L);
    lua_setfield(L, -2, "dump");
    lua_pop(L, 1);
}

void libraries_open(lua_State *L) {
    static const luaL_Reg coroutines[] = {
        {"create", co_create}, {"resume", co_resume}, {"wrap", co_wrap},
        {"close", co_close},   {"yield", co_yield },  {NULL, NULL},
    };
    static const luaL_Reg strings[] = {
        {"rep", string_rep},        {"find", strings_find}, {"match", strings_match},
        {"gmatch", strings_gmatch}, {"gsub", strings_gsub}, {NULL, NULL},
    };
    static const luaL_Reg tables[] = {
        {"insert", table_insert}, {"remove", table_remove}, {NULL, NULL}};
    replace_functions(L, "coroutine", coroutines);
    replace_functions(L, "string", strings);
    replace_functions(L, "table", tables);
    wrap_function(L, "table", "concat", table_concat);
    wrap_function(L, "table", "move", table_move);
    wrap_function(L, "table", "sort", table_sort);
    wrap_function(L, "os", "date", os_date);
    lua_pushcfunction(L, base_xpcall);
    lua_setglobal(L, "xpcall");
    guard_strings(L);
}
