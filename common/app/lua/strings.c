/* strings.c - see strings.h: as the manual says (section 6.4), on the matcher of pattern.c. */
#include "common/app/lua/strings.h"

#include <ctype.h>
#include <string.h>

#include <lauxlib.h>

#include "common/app/lua/budget.h"
#include "common/app/lua/pattern.h"
#include "common/app/lua/stack.h"

/* --- captures --- */

/* The i-th capture; the whole match when the pattern has none. */
static void push_capture(struct pattern *p, int i, const char *from, const char *to) {
    if (i >= p->capture_count && i > 0)
        luaL_error(p->L, "invalid capture index %%%d", i + 1);
    if (i >= p->capture_count)
        lua_pushlstring(p->L, from, (size_t)(to - from));
    else if (p->captures[i].len == CAPTURE_POSITION)
        lua_pushinteger(p->L, p->captures[i].at - p->text + 1);
    else if (p->captures[i].len == CAPTURE_OPEN)
        luaL_error(p->L, "unfinished capture");
    else
        lua_pushlstring(p->L, p->captures[i].at, (size_t)p->captures[i].len);
}

/* from NULL: only those of the pattern, not the whole match. */
static int push_captures(struct pattern *p, const char *from, const char *to) {
    int count = p->capture_count == 0 && from != NULL ? 1 : p->capture_count;
    luaL_checkstack(p->L, count, "too many captures");
    for (int i = 0; i < count; i++)
        push_capture(p, i, from, to);
    return count;
}

static const char *match_at(struct pattern *p, const char *s, const char *from) {
    p->depth = 0;
    p->capture_count = 0;
    return pattern_match(p, s, from);
}

/* --- find, match --- */

/* The offset of a starting position that may count from the end; past the end: len + 1. */
static size_t start_offset(lua_Integer at, size_t len) {
    if (at > 0)
        return (lua_Unsigned)at - 1 > len ? len + 1 : (size_t)at - 1;
    if (at == 0 || at < -(lua_Integer)len)
        return 0;
    return len - (size_t)(-at);
}

static bool is_plain(struct bytes pattern) {
    for (const char *c = "^$*+?.([%-"; *c != '\0'; c++)
        if (memchr(pattern.ptr, *c, pattern.len) != NULL)
            return false;
    return true;
}

static int find_plain(lua_State *L, struct bytes text, struct bytes wanted, size_t from) {
    const char *at = wanted.len == 0
                         ? text.ptr + from
                         : memmem(text.ptr + from, text.len - from, wanted.ptr, wanted.len);
    if (at == NULL) {
        lua_pushnil(L);
        return 1;
    }
    lua_pushinteger(L, at - text.ptr + 1);
    lua_pushinteger(L, at - text.ptr + (lua_Integer)wanted.len);
    return 2;
}

static int find_pattern(lua_State *L, struct bytes text, struct bytes pattern, size_t start,
                        bool is_find) {
    struct pattern p;
    bool is_anchored = pattern.len > 0 && pattern.ptr[0] == '^';
    const char *from = pattern.ptr + is_anchored;
    pattern_init(&p, L, text, pattern);
    for (const char *s = text.ptr + start; s <= p.text_end; s++) {
        const char *end = match_at(&p, s, from);
        if (end != NULL && is_find) {
            lua_pushinteger(L, s - text.ptr + 1);
            lua_pushinteger(L, end - text.ptr);
            return push_captures(&p, NULL, NULL) + 2;
        }
        if (end != NULL)
            return push_captures(&p, s, end);
        if (is_anchored)
            break;
    }
    lua_pushnil(L);
    return 1;
}

static int find(lua_State *L, bool is_find) {
    struct bytes text = stack_check_bytes(L, 1), pattern = stack_check_bytes(L, 2);
    size_t from = start_offset(luaL_optinteger(L, 3, 1), text.len);
    if (from > text.len) {
        lua_pushnil(L);
        return 1;
    }
    if (is_find && (lua_toboolean(L, 4) || is_plain(pattern)))
        return find_plain(L, text, pattern, from);
    return find_pattern(L, text, pattern, from, is_find);
}

int strings_find(lua_State *L) {
    return find(L, true);
}

int strings_match(lua_State *L) {
    return find(L, false);
}

/* --- gmatch --- */

/* Upvalues of the iterator: text, pattern, this. */
struct iteration {
    struct bytes text, pattern;
    const char *at, *last_end;
};

static int next_match(lua_State *L) {
    struct iteration *it = lua_touserdata(L, lua_upvalueindex(3));
    struct pattern p;
    pattern_init(&p, L, it->text, it->pattern);
    for (const char *s = it->at; s <= p.text_end; s++) {
        const char *end = match_at(&p, s, it->pattern.ptr);
        if (end != NULL && end != it->last_end) {
            it->at = it->last_end = end;
            return push_captures(&p, s, end);
        }
    }
    it->at = p.text_end + 1;
    return 0;
}

int strings_gmatch(lua_State *L) {
    struct bytes text = stack_check_bytes(L, 1), pattern = stack_check_bytes(L, 2);
    size_t from = start_offset(luaL_optinteger(L, 3, 1), text.len);
    lua_settop(L, 2);
    struct iteration *it = lua_newuserdatauv(L, sizeof(*it), 0);
    *it = (struct iteration){text, pattern, text.ptr + from, NULL};
    lua_pushcclosure(L, next_match, 3);
    return 1;
}

/* --- gsub --- */

static void add_replacement_text(struct pattern *p, luaL_Buffer *out, const char *s,
                                 const char *end) {
    struct bytes text = stack_check_bytes(p->L, 3);
    for (const char *at = text.ptr; at < text.ptr + text.len; at++) {
        if (*at != '%') {
            luaL_addchar(out, *at);
            continue;
        }
        budget_look(p->L);
        at++;
        if (*at == '%')
            luaL_addchar(out, '%');
        else if (*at == '0')
            luaL_addlstring(out, s, (size_t)(end - s));
        else if (isdigit((unsigned char)*at)) {
            push_capture(p, *at - '1', s, end);
            (void)luaL_tolstring(p->L, -1, NULL);
            lua_remove(p->L, -2);
            luaL_addvalue(out);
        } else {
            luaL_error(p->L, "invalid use of '%%' in replacement string");
        }
    }
}

/* What takes the place of the match. */
static void add_replacement(struct pattern *p, luaL_Buffer *out, const char *s, const char *end,
                            int type) {
    lua_State *L = p->L;
    if (type == LUA_TFUNCTION) {
        lua_pushvalue(L, 3);
        lua_call(L, push_captures(p, s, end), 1);
    } else if (type == LUA_TTABLE) {
        push_capture(p, 0, s, end);
        lua_gettable(L, 3);
    } else {
        add_replacement_text(p, out, s, end);
        return;
    }
    if (!lua_toboolean(L, -1)) {
        lua_pop(L, 1);
        luaL_addlstring(out, s, (size_t)(end - s));
        return;
    }
    if (!lua_isstring(L, -1))
        luaL_error(L, "invalid replacement value (a %s)", luaL_typename(L, -1));
    luaL_addvalue(out);
}

int strings_gsub(lua_State *L) {
    struct bytes text = stack_check_bytes(L, 1), pattern = stack_check_bytes(L, 2);
    int type = lua_type(L, 3);
    lua_Integer most = luaL_optinteger(L, 4, (lua_Integer)text.len + 1), count = 0;
    luaL_argexpected(L,
                     type == LUA_TNUMBER || type == LUA_TSTRING || type == LUA_TFUNCTION ||
                         type == LUA_TTABLE,
                     3, "string/function/table");
    bool is_anchored = pattern.len > 0 && pattern.ptr[0] == '^';
    const char *at = text.ptr, *last_end = NULL;
    struct pattern p;
    luaL_Buffer out;
    pattern_init(&p, L, text, pattern);
    luaL_buffinit(L, &out);
    while (count < most) {
        const char *end = match_at(&p, at, pattern.ptr + is_anchored);
        if (end != NULL && end != last_end) {
            count++;
            add_replacement(&p, &out, at, end, type);
            at = last_end = end;
        } else if (at < p.text_end) {
            luaL_addchar(&out, *at++);
        } else {
            break;
        }
        if (is_anchored)
            break;
    }
    luaL_addlstring(&out, at, (size_t)(p.text_end - at));
    luaL_pushresult(&out);
    lua_pushinteger(L, count);
    return 2;
}
