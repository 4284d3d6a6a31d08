/*
 * json_push.c - see json_lua.h: a JSON text becomes a Lua value.
 *
 * json_check has accepted the text. The reader below makes one pass over a Lua string, which has a
 * NUL at its end, and uses no memory but Lua's own: running out of it may leave by longjmp at any
 * point. Tables that were arrays are marked, so that an empty one is written as [] again, and
 * tables remember how they were spelled.
 */
#include <string.h>

#include <lauxlib.h>

#include "common/app/lua/budget.h"
#include "common/app/lua/json_lua.h"
#include "common/json/json_check.h"
#include "common/app/lua/json_source.h"
#include "common/app/lua/stack.h"

enum { STACK_OF_LEVEL = 8 };

struct reader {
    lua_State *L;
    const char *at, *begin;
    int text, mark, sources; /* stack indices: the Lua string, the mark of arrays, json_source.h */
    bool is_plain;           /* the value that was read last would be written as it is spelled */
};

/* False when the processor time is used up. */
static bool push_value(struct reader *r);

static void skip_space(struct reader *r) {
    while (*r->at == ' ' || *r->at == '\t' || *r->at == '\n' || *r->at == '\r')
        r->at++;
}

/* Steps over `c` if it stands here. */
static bool take(struct reader *r, char c) {
    if (*r->at != c)
        return false;
    r->at++;
    return true;
}

/* --- scalars --- */

/* `at` is on the opening quote. */
static void push_string(struct reader *r) {
    const char *from = ++r->at;
    bool has_escapes = false;
    for (; *r->at != '"'; r->at++)
        if (*r->at == '\\') {
            has_escapes = true;
            r->at++;
        }
    size_t len = (size_t)(r->at++ - from);
    r->is_plain = !has_escapes;
    if (!has_escapes) {
        lua_pushlstring(r->L, from, len);
        return;
    }
    luaL_Buffer out;
    char *room = luaL_buffinitsize(r->L, &out, len);
    luaL_pushresultsize(&out, json_unescape(bytes_of(from, len), room));
}

static void push_number(struct reader *r) {
    size_t len = strspn(r->at, "0123456789+-.eE");
    struct bytes text = bytes_of(r->at, len);
    r->at += len;
    json_push_number(r->L, text);
    r->is_plain = lua_isinteger(r->L, -1) && !bytes_equal_str(text, "-0");
}

static void skip_word(struct reader *r, size_t len) {
    r->at += len;
    r->is_plain = true;
}

/* --- arrays, objects --- */

/* The table on the top began at `from`. */
static void remember(struct reader *r, const char *from) {
    json_source_remember(r->L, r->sources, r->text, (size_t)(from - r->begin),
                         (size_t)(r->at - from));
}

static bool push_array(struct reader *r) {
    const char *from = r->at++;
    bool is_plain = true;
    lua_Integer count = 0;
    lua_newtable(r->L);
    lua_pushvalue(r->L, r->mark);
    lua_setmetatable(r->L, -2);
    skip_space(r);
    if (!take(r, ']')) {
        do {
            if (!push_value(r))
                return false;
            is_plain = is_plain && r->is_plain;
            lua_rawseti(r->L, -2, ++count);
            skip_space(r);
        } while (take(r, ','));
        r->at++; /* the bracket */
    }
    if (!is_plain)
        remember(r, from);
    r->is_plain = true;
    return true;
}

static bool push_object(struct reader *r) {
    const char *from = r->at++;
    lua_newtable(r->L);
    skip_space(r);
    r->is_plain = true;
    if (take(r, '}'))
        return true;
    do {
        skip_space(r);
        push_string(r);
        skip_space(r);
        r->at++; /* the colon */
        if (!push_value(r))
            return false;
        lua_rawset(r->L, -3);
        skip_space(r);
    } while (take(r, ','));
    r->at++; /* the brace */
    remember(r, from);
    r->is_plain = true;
    return true;
}

static bool push_value(struct reader *r) {
    luaL_checkstack(r->L, STACK_OF_LEVEL, NULL);
    skip_space(r);
    if (budget_is_over(r->L))
        return false;
    switch (*r->at) {
    case '{': return push_object(r);
    case '[': return push_array(r);
    case '"': push_string(r); break;
    case 't': lua_pushboolean(r->L, true), skip_word(r, 4); break;
    case 'f': lua_pushboolean(r->L, false), skip_word(r, 5); break;
    case 'n': lua_pushlightuserdata(r->L, NULL), skip_word(r, 4); break;
    default: push_number(r); break;
    }
    return true;
}

bool json_push_string(lua_State *L, int index, struct buf *error_out) {
    struct bytes text = stack_bytes_at(L, index);
    int top = lua_gettop(L);
    struct reader r = {.L = L, .text = lua_absindex(L, index), .mark = top + 1, .sources = top + 2};
    if (!json_check(text, error_out))
        return false;
    luaL_checkstack(L, STACK_OF_LEVEL, NULL);
    json_push_array_mark(L);
    json_source_push_tables(L);
    r.begin = text.ptr;
    r.at = json_without_mark(text).ptr;
    if (!push_value(&r)) {
        lua_settop(L, top);
        if (error_out != NULL)
            buf_printf(error_out,
                       "no JSON: the processor time was used up (--lua-budget-ms), at byte %zu",
                       (size_t)(r.at - r.begin) + 1);
        return false;
    }
    if (lua_islightuserdata(L, -1)) {
        lua_pop(L, 1);
        lua_pushnil(L);
    }
    lua_replace(L, top + 1);
    lua_settop(L, top + 1);
    return true;
}

bool json_push(lua_State *L, struct bytes text, struct buf *error_out) {
    luaL_checkstack(L, STACK_OF_LEVEL, NULL);
    lua_pushlstring(L, text.len > 0 ? text.ptr : "", text.len);
    bool is_pushed = json_push_string(L, -1, error_out);
    lua_remove(L, is_pushed ? -2 : -1);
    return is_pushed;
}
