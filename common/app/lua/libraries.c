/*
 * libraries.c - see libraries.h.
 *
 *   table.*                   tables.c
 *   string.*, utf8.*, math.*  where a call's time grows with its arguments, those are bounded
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
#include "common/app/lua/tables.h"
#include "common/base/must.h"

enum {
    TEXTS_MAX_BYTES = 16 * 1024 * 1024, /* of one call */
    REP_MAX_BYTES = 32 * 1024 * 1024,   /* of string.rep, which copies large pieces */
    QUOTED_MAX_BYTES = 2 * 1024 * 1024,
    ARGUMENTS_MAX = 100000,
    NUMERAL_MAX_BYTES = 1024,
    DATE_FORMAT_MAX_BYTES = 1024
};

/* The standard function is the upvalue. */
static int pass_on(lua_State *L) {
    return lua_tocfunction(L, lua_upvalueindex(1))(L);
}

/* --- coroutines --- */

static lua_State *check_coroutine(lua_State *L) {
    lua_State *co = lua_tothread(L, 1);
    luaL_argexpected(L, co != NULL, 1, "coroutine");
    luaL_argcheck(L, *budget_owner_of(co) == NULL || *budget_owner_of(co) == BUDGET_KILLED, 1,
                  "a handler is not the script's to resume");
    return co;
}

/* One that the budget ended must not go on, nor run its __close functions. */
static bool is_killed(lua_State *co) {
    return *budget_owner_of(co) == BUDGET_KILLED;
}

/* As the standard one: the number of results on L, or -1 and the error on L. */
static int resume(lua_State *L, lua_State *co, int count) {
    int results;
    if (is_killed(co)) {
        lua_pushliteral(L, "cannot resume dead coroutine");
        return -1;
    }
    if (!lua_checkstack(co, count)) {
        lua_pushliteral(L, "too many arguments to resume");
        return -1;
    }
    budget_look(L);
    lua_xmove(L, co, count);
    struct budget *b = budget_of(L);
    struct entered before = budget_enter(b, b->slice, co);
    int status = lua_resume(co, L, count, &results);
    budget_leave(b, before);
    budget_look(L);
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

static bool close_variables(lua_State *L, lua_State *co) {
    struct budget *b = budget_of(L);
    struct entered before = budget_enter(b, b->slice, co);
    bool is_fine = lua_resetthread(co) == LUA_OK;
    budget_leave(b, before);
    return is_fine;
}

static int co_wrapped(lua_State *L) {
    lua_State *co = lua_tothread(L, lua_upvalueindex(1));
    int count = resume(L, co, lua_gettop(L));
    if (count >= 0)
        return count;
    int status = lua_status(co);
    if (status != LUA_OK && status != LUA_YIELD && !is_killed(co)) {
        lua_xmove(L, co, 1);
        (void)close_variables(L, co);
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
    if (is_killed(co)) {
        lua_pushboolean(L, false);
        lua_pushliteral(L, "the coroutine used up its processor time");
        return 2;
    }
    bool is_fine = close_variables(L, co);
    budget_look(L);
    lua_pushboolean(L, is_fine);
    if (is_fine)
        return 1;
    lua_xmove(co, L, 1);
    return 2;
}

static int co_status(lua_State *L) {
    lua_State *co = lua_tothread(L, 1);
    if (co != NULL && is_killed(co) && !is_active(L, co))
        lua_pushliteral(L, "dead");
    else
        return pass_on(L);
    return 1;
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

/* --- string --- */

static int string_rep(lua_State *L) {
    size_t len, separator_len;
    const char *text = luaL_checklstring(L, 1, &len);
    lua_Integer count = luaL_checkinteger(L, 2);
    const char *separator = luaL_optlstring(L, 3, "", &separator_len);
    size_t part = len + separator_len;
    luaL_Buffer out;
    if (count <= 0 || part == 0) {
        lua_pushliteral(L, "");
        return 1;
    }
    luaL_argcheck(L, (lua_Unsigned)count <= REP_MAX_BYTES / part, 2, "resulting string too large");
    budget_look(L);
    size_t total = (size_t)count * part - separator_len;
    char *at = luaL_buffinitsize(L, &out, total + separator_len);
    memcpy(at, text, len);
    memcpy(at + len, separator, separator_len);
    for (size_t done = part; done < total; done *= 2)
        memcpy(at + done, at, done <= total - done ? done : total - done);
    luaL_pushresultsize(&out, total);
    return 1;
}

/* What works on all bytes of its arguments. */
static int with_texts(lua_State *L) {
    size_t total = 0;
    int count = lua_gettop(L);
    budget_look(L);
    luaL_argcheck(L, count <= ARGUMENTS_MAX, ARGUMENTS_MAX, "more than 100000 arguments");
    for (int i = 1; i <= count; i++) {
        total += lua_type(L, i) == LUA_TSTRING ? lua_rawlen(L, i) : 0;
        luaL_argcheck(L, total <= TEXTS_MAX_BYTES, i, "texts of more than 16 MiB");
    }
    return pass_on(L);
}

/* %q writes a byte as four, one call of sprintf for each. */
static int string_format(lua_State *L) {
    size_t total = 0;
    bool has_quoted = strstr(luaL_checkstring(L, 1), "%q") != NULL;
    for (int i = lua_gettop(L); has_quoted && i > 1; i--) {
        total += lua_type(L, i) == LUA_TSTRING ? lua_rawlen(L, i) : 0;
        luaL_argcheck(L, total <= QUOTED_MAX_BYTES, i, "texts of more than 2 MiB beside %q");
    }
    return with_texts(L);
}

/* What takes numbers, of which a text may stand for one. */
static int with_numbers(lua_State *L) {
    int count = lua_gettop(L);
    budget_look(L);
    luaL_argcheck(L, count <= ARGUMENTS_MAX, ARGUMENTS_MAX, "more than 100000 arguments");
    for (int i = 1; i <= count; i++)
        luaL_argcheck(L, lua_type(L, i) != LUA_TSTRING || lua_rawlen(L, i) <= NUMERAL_MAX_BYTES, i,
                      "number expected, got a long string");
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
    static const luaL_Reg tables[] = {{"insert", tables_insert},
                                      {"remove", tables_remove},
                                      {"move", tables_move},
                                      {"concat", tables_concat},
                                      {"unpack", tables_unpack},
                                      {"sort", tables_sort},
                                      {NULL, NULL}};
    static const struct {
        const char *library, *name;
        lua_CFunction by;
    } wrapped[] = {
        {"string", "upper", with_texts},    {"string", "lower", with_texts},
        {"string", "reverse", with_texts},  {"string", "format", string_format},
        {"string", "pack", with_texts},     {"string", "unpack", with_texts},
        {"string", "packsize", with_texts}, {"string", "char", with_numbers},
        {"utf8", "len", with_texts},        {"utf8", "codepoint", with_texts},
        {"utf8", "offset", with_texts},     {"utf8", "char", with_numbers},
        {"math", "max", with_numbers},      {"math", "min", with_numbers},
        {"table", "pack", with_texts},      {"os", "date", os_date},
        {"coroutine", "status", co_status},
    };
    replace_functions(L, "coroutine", coroutines);
    replace_functions(L, "string", strings);
    replace_functions(L, "table", tables);
    for (size_t i = 0; i < ARRAY_LEN(wrapped); i++)
        wrap_function(L, wrapped[i].library, wrapped[i].name, wrapped[i].by);
    lua_pushcfunction(L, base_xpcall);
    lua_setglobal(L, "xpcall");
    guard_strings(L);
}
