/* metatables.c - see metatables.h. Read set_metatable, then index_link. */
#include "common/app/lua/metatables.h"

#include <lauxlib.h>

#include "common/app/lua/budget.h"
#include "common/app/lua/json_lua.h"
#include "common/base/bytes.h"

enum {
    COPIES_MAX = 256,       /* are remembered, so that the tables of a metatable share its copy */
    CHAIN_LINKS_MAX = 2000, /* as in Lua itself */
};

/* The first three become functions when they are none, the fourth stands for the original. */
enum event { INDEX, NEWINDEX, CALL, METATABLE };
static const char *const events[] = {
    "__index", "__newindex", "__call", "__metatable", "__name",  "__tostring", "__len",
    "__eq",    "__lt",       "__le",   "__concat",    "__add",   "__sub",      "__mul",
    "__div",   "__mod",      "__pow",  "__unm",       "__idiv",  "__band",     "__bor",
    "__bxor",  "__shl",      "__shr",  "__bnot",      "__pairs", "__close",
};

/* Upvalues of setmetatable: original → copy, how many these are, and the names of the events. */
enum { COPIES = 1, COUNT, NAMES };

static char original_key;

/* --- links of a chain --- */

/* Pushes what the metatable of the value at `index` has for an event; its type. */
static int push_event(lua_State *L, int index, enum event event) {
    if (!lua_getmetatable(L, index)) {
        lua_pushnil(L);
        return LUA_TNIL;
    }
    if (lua_rawgetp(L, -1, &original_key) == LUA_TTABLE)
        lua_replace(L, -2);
    else
        lua_pop(L, 1);
    lua_pushstring(L, events[event]);
    int type = lua_rawget(L, -2);
    lua_remove(L, -2);
    return type;
}

static int return_all(lua_State *L, int status, lua_KContext ctx) {
    (void)status;
    (void)ctx;
    return lua_gettop(L);
}

/* Calls the function at the bottom, which may wait, and has its results. */
static int call_bottom(lua_State *L, int results) {
    lua_callk(L, lua_gettop(L) - 1, results, 0, return_all);
    return lua_gettop(L);
}

/* t, key: t has no such key itself. */
static int index_link(lua_State *L) {
    lua_settop(L, 2);
    for (int links = 0; links < CHAIN_LINKS_MAX; links++) {
        budget_look(L);
        int type = push_event(L, 1, INDEX);
        if (type == LUA_TNIL)
            return 1;
        if (type == LUA_TFUNCTION) {
            lua_insert(L, 1);
            return call_bottom(L, 1);
        }
        lua_pushvalue(L, 2);
        if (type != LUA_TTABLE) {
            lua_gettable(L, 3);
            return 1;
        }
        if (lua_rawget(L, 3) != LUA_TNIL)
            return 1;
        lua_pop(L, 1);
        lua_replace(L, 1);
    }
    return luaL_error(L, "'__index' chain too long; possibly a loop");
}

/* t, key, value: t has no such key itself. */
static int newindex_link(lua_State *L) {
    lua_settop(L, 3);
    for (int links = 0; links < CHAIN_LINKS_MAX; links++) {
        budget_look(L);
        int type = push_event(L, 1, NEWINDEX);
        if (type == LUA_TFUNCTION) {
            lua_insert(L, 1);
            return call_bottom(L, 0);
        }
        if (type != LUA_TNIL && type != LUA_TTABLE) {
            lua_insert(L, 2);
            lua_settable(L, 2);
            return 0;
        }
        bool is_here = type == LUA_TNIL;
        if (!is_here) {
            lua_replace(L, 1);
            lua_pushvalue(L, 2);
            is_here = lua_rawget(L, 1) != LUA_TNIL;
        }
        lua_settop(L, 3);
        if (is_here) {
            lua_rawset(L, 1);
            return 0;
        }
    }
    return luaL_error(L, "'__newindex' chain too long; possibly a loop");
}

/* t, arguments: what is called for t is no function, and gets t as its first argument. */
static int call_link(lua_State *L) {
    budget_look(L);
    luaL_checkstack(L, LUA_MINSTACK, NULL);
    if (push_event(L, 1, CALL) == LUA_TNIL)
        return luaL_error(L, "attempt to call a table value");
    lua_insert(L, 1);
    return call_bottom(L, LUA_MULTRET);
}

/* --- copies --- */

static void push_name(lua_State *L, int event) {
    lua_pushvalue(L, lua_upvalueindex(NAMES + event));
}

/* From the table at 2 to its copy at 3. */
static void copy_event(lua_State *L, int event) {
    static const lua_CFunction links[] = {index_link, newindex_link, call_link};
    push_name(L, event);
    push_name(L, event);
    int type = lua_rawget(L, 2);
    bool may_come_later = event == INDEX || event == CALL;
    if (event <= CALL && type != LUA_TFUNCTION && (type != LUA_TNIL || may_come_later)) {
        lua_pop(L, 1);
        lua_pushcfunction(L, links[event]);
    } else if (event == METATABLE && type == LUA_TNIL) {
        lua_pop(L, 1);
        lua_pushvalue(L, 2);
    }
    lua_rawset(L, 3);
}

static void remember_copy(lua_State *L) {
    lua_Integer count = lua_tointeger(L, lua_upvalueindex(COUNT)) + 1;
    if (count > COPIES_MAX) {
        lua_newtable(L);
        lua_replace(L, lua_upvalueindex(COPIES));
        count = 1;
    }
    lua_pushinteger(L, count);
    lua_replace(L, lua_upvalueindex(COUNT));
    lua_pushvalue(L, 2);
    lua_pushvalue(L, 3);
    lua_rawset(L, lua_upvalueindex(COPIES));
}

/* The copy of the table at 2, at 3. */
static void push_copy(lua_State *L) {
    lua_pushvalue(L, 2);
    if (lua_rawget(L, lua_upvalueindex(COPIES)) != LUA_TTABLE) {
        lua_pop(L, 1);
        lua_createtable(L, 0, 4);
        lua_pushvalue(L, 2);
        lua_rawsetp(L, 3, &original_key);
        remember_copy(L);
    }
    for (int i = 0; i < (int)ARRAY_LEN(events); i++)
        copy_event(L, i);
}

/* --- setmetatable --- */

static void check_metatable(lua_State *L) {
    lua_pushliteral(L, "__gc");
    luaL_argcheck(L, lua_rawget(L, 2) == LUA_TNIL, 2, "finalizers (__gc) are not available");
    lua_pushliteral(L, "__mode");
    luaL_argcheck(L, lua_rawget(L, 2) == LUA_TNIL, 2, "weak tables (__mode) are not available");
    lua_settop(L, 2);
}

/* Whether a script, or we, said that the metatable of the table at 1 is nobody's business. */
static bool is_protected(lua_State *L) {
    if (json_is_array_marked(L, 1) || !lua_getmetatable(L, 1))
        return false;
    lua_rawgetp(L, -1, &original_key);
    push_name(L, METATABLE);
    bool is_said = lua_rawget(L, -3) != LUA_TNIL && !lua_rawequal(L, -1, -2);
    lua_settop(L, 2);
    return is_said;
}

static int set_metatable(lua_State *L) {
    int type = lua_type(L, 2);
    luaL_checktype(L, 1, LUA_TTABLE);
    luaL_argexpected(L, type == LUA_TNIL || type == LUA_TTABLE, 2, "nil or table");
    lua_settop(L, 2);
    if (type == LUA_TTABLE)
        check_metatable(L);
    if (is_protected(L))
        return luaL_error(L, "cannot change a protected metatable");
    if (type == LUA_TTABLE)
        push_copy(L);
    lua_setmetatable(L, 1);
    lua_settop(L, 1);
    return 1;
}

void metatables_open(lua_State *L) {
    lua_newtable(L);
    lua_pushinteger(L, 0);
    for (size_t i = 0; i < ARRAY_LEN(events); i++)
        lua_pushstring(L, events[i]);
    lua_pushcclosure(L, set_metatable, NAMES - 1 + (int)ARRAY_LEN(events));
    lua_setglobal(L, "setmetatable");
}
