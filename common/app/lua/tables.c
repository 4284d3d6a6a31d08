/*
 * tables.c - see tables.h: as the manual says (section 6.6), at most a million elements at a time,
 * with a look at the budget for each.
 */
#include "common/app/lua/tables.h"

#include <lauxlib.h>

#include "common/app/lua/budget.h"

#define ELEMENTS_MAX ((lua_Integer)1000000)

static void check_count(lua_State *L, int arg, lua_Integer from, lua_Integer to) {
    if (to >= from && (lua_Unsigned)to - (lua_Unsigned)from >= (lua_Unsigned)ELEMENTS_MAX)
        luaL_argerror(L, arg, "more than a million elements");
}

/* to_table[to] = from_table[from] */
static void copy_element(lua_State *L, int from_table, lua_Integer from, int to_table,
                         lua_Integer to) {
    budget_look(L);
    lua_geti(L, from_table, from);
    lua_seti(L, to_table, to);
}

int tables_insert(lua_State *L) {
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_Integer end = luaL_len(L, 1) + 1, at = end;
    if (lua_gettop(L) == 3) {
        at = luaL_checkinteger(L, 2);
        luaL_argcheck(L, at >= 1 && at <= end, 2, "position out of bounds");
        check_count(L, 1, at, end);
        for (lua_Integer i = end; i > at; i--)
            copy_element(L, 1, i - 1, 1, i);
    } else if (lua_gettop(L) != 2) {
        return luaL_error(L, "wrong number of arguments to 'insert'");
    }
    lua_seti(L, 1, at);
    return 0;
}

int tables_remove(lua_State *L) {
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_Integer count = luaL_len(L, 1), at = luaL_optinteger(L, 2, count);
    if (!lua_isnoneornil(L, 2))
        luaL_argcheck(L, at == count || (at >= 1 && at <= count + 1), 2, "position out of bounds");
    check_count(L, 1, at, count);
    lua_geti(L, 1, at);
    for (; at < count; at++)
        copy_element(L, 1, at + 1, 1, at);
    lua_pushnil(L);
    lua_seti(L, 1, at);
    return 1;
}

int tables_move(lua_State *L) {
    lua_Integer from = luaL_checkinteger(L, 2), to = luaL_checkinteger(L, 3);
    lua_Integer target = luaL_checkinteger(L, 4);
    int table = lua_isnoneornil(L, 5) ? 1 : 5;
    luaL_checktype(L, 1, LUA_TTABLE);
    luaL_checktype(L, table, LUA_TTABLE);
    lua_settop(L, 5);
    check_count(L, 3, from, to);
    lua_Integer count = to < from ? 0 : to - from + 1;
    luaL_argcheck(L, count == 0 || target <= LUA_MAXINTEGER - count + 1, 4,
                  "destination wrap around");
    bool is_upwards =
        target <= from || target > to || (table == 5 && !lua_compare(L, 1, 5, LUA_OPEQ));
    for (lua_Integer i = 0; i < count; i++) {
        lua_Integer offset = is_upwards ? i : count - 1 - i;
        copy_element(L, 1, from + offset, table, target + offset);
    }
    lua_pushvalue(L, table);
    return 1;
}

int tables_concat(lua_State *L) {
    size_t separator_len;
    luaL_Buffer out;
    luaL_checktype(L, 1, LUA_TTABLE);
    const char *separator = luaL_optlstring(L, 2, "", &separator_len);
    lua_Integer from = luaL_optinteger(L, 3, 1);
    lua_Integer to = lua_isnoneornil(L, 4) ? luaL_len(L, 1) : luaL_checkinteger(L, 4);
    check_count(L, 1, from, to);
    lua_Integer count = to < from ? 0 : to - from + 1;
    luaL_buffinit(L, &out);
    for (lua_Integer i = 0; i < count; i++) {
        budget_look(L);
        if (i > 0)
            luaL_addlstring(&out, separator, separator_len);
        lua_geti(L, 1, from + i);
        if (!lua_isstring(L, -1))
            return luaL_error(L, "invalid value (at index %I) in table for 'concat'",
                              (LUAI_UACINT)(from + i));
        luaL_addvalue(&out);
    }
    luaL_pushresult(&out);
    return 1;
}

int tables_unpack(lua_State *L) {
    lua_Integer from = luaL_optinteger(L, 2, 1);
    lua_Integer to = lua_isnoneornil(L, 3) ? luaL_len(L, 1) : luaL_checkinteger(L, 3);
    if (to < from)
        return 0;
    lua_Unsigned count = (lua_Unsigned)to - (lua_Unsigned)from;
    if (count >= (lua_Unsigned)ELEMENTS_MAX || !lua_checkstack(L, (int)count + 1))
        return luaL_error(L, "too many results to unpack");
    for (lua_Unsigned i = 0; i <= count; i++) {
        budget_look(L);
        lua_geti(L, 1, from + (lua_Integer)i);
    }
    return (int)count + 1;
}

/* --- sort: merges of a copy, so that an error leaves the table as it was --- */

/* Stack of a sort; the scratch tables change their roles with every pass. */
enum { TABLE = 1, ORDER = 2, LEFT = 5, RIGHT = 6, FEW = 12 };

static bool is_less(lua_State *L, int a, int b) {
    budget_look(L);
    if (lua_isnil(L, ORDER))
        return lua_compare(L, a, b, LUA_OPLT);
    lua_pushvalue(L, ORDER);
    lua_pushvalue(L, a);
    lua_pushvalue(L, b);
    lua_call(L, 2, 1);
    bool is_first = lua_toboolean(L, -1);
    lua_pop(L, 1);
    return is_first;
}

static void load_element(lua_State *L, int table, lua_Integer i, int slot) {
    lua_rawgeti(L, table, i);
    lua_replace(L, slot);
}

/* Two sorted stretches, up to `middle` and up to `end`, become one in the other table. */
static void merge(lua_State *L, int from, int to, lua_Integer left, lua_Integer middle,
                  lua_Integer end) {
    lua_Integer right = middle, at = left;
    load_element(L, from, left, LEFT);
    if (right < end)
        load_element(L, from, right, RIGHT);
    while (left < middle && right < end) {
        bool is_right = is_less(L, RIGHT, LEFT);
        lua_pushvalue(L, is_right ? RIGHT : LEFT);
        lua_rawseti(L, to, at++);
        if (is_right && ++right < end)
            load_element(L, from, right, RIGHT);
        else if (!is_right && ++left < middle)
            load_element(L, from, left, LEFT);
    }
    for (lua_Integer i = left < middle ? left : right; at < end; i++) {
        lua_rawgeti(L, from, i);
        lua_rawseti(L, to, at++);
    }
}

/* By insertion, on the stack. */
static int sort_few(lua_State *L, int count) {
    luaL_checkstack(L, count + LUA_MINSTACK, NULL);
    for (int i = 1; i <= count; i++) {
        lua_geti(L, TABLE, i);
        int from = lua_gettop(L), to = from;
        while (to > ORDER + 1 && is_less(L, from, to - 1))
            to--;
        lua_insert(L, to);
    }
    for (int i = count; i >= 1; i--)
        lua_seti(L, TABLE, i);
    return 0;
}

int tables_sort(lua_State *L) {
    luaL_checktype(L, TABLE, LUA_TTABLE);
    lua_Integer count = luaL_len(L, TABLE);
    check_count(L, TABLE, 1, count);
    if (!lua_isnoneornil(L, ORDER))
        luaL_checktype(L, ORDER, LUA_TFUNCTION);
    lua_settop(L, ORDER);
    if (count <= FEW)
        return sort_few(L, (int)count);
    lua_createtable(L, (int)count, 0);
    lua_createtable(L, (int)count, 0);
    lua_settop(L, RIGHT);
    int from = ORDER + 1, to = ORDER + 2;
    for (lua_Integer i = 1; i <= count; i++) {
        budget_look(L);
        lua_geti(L, TABLE, i);
        lua_rawseti(L, from, i);
    }
    for (lua_Integer width = 1; width < count; width *= 2) {
        for (lua_Integer i = 1; i <= count; i += 2 * width) {
            lua_Integer middle = i + width, end = middle + width;
            merge(L, from, to, i, middle > count ? count + 1 : middle,
                  end > count ? count + 1 : end);
        }
        int swapped = from;
        from = to;
        to = swapped;
    }
    for (lua_Integer i = 1; i <= count; i++)
        copy_element(L, from, i, TABLE, i);
    return 0;
}
