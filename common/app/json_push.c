/*
 * json_push.c - see json.h: a JSON text becomes a Lua value.
 *
 * Strict RFC 8259, one pass, and no memory but Lua's own: running out of it may leave by longjmp
 * at any point. Tables that were arrays are marked, so that an empty one is written as [] again.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <lauxlib.h>

#include "common/app/app_state.h"
#include "common/app/json.h"
#include "common/base/utf8.h"

enum { READ_DEPTH_MAX = 512, NUMBER_SHORT = 64, LOOK_EVERY_VALUES = 20000 };

struct reader {
    lua_State *L;
    const char *at, *end, *begin;
    const char *why; /* set once */
    int depth;
    unsigned values;
    int mark; /* stack index of the metatable that marks arrays */
};

static bool complain(struct reader *r, const char *why) {
    if (r->why == NULL)
        r->why = why;
    return false;
}

static bool push_value(struct reader *r);

static void skip_space(struct reader *r) {
    while (r->at < r->end && (*r->at == ' ' || *r->at == '\t' || *r->at == '\n' || *r->at == '\r'))
        r->at++;
}

static bool take(struct reader *r, char c) {
    if (r->at == r->end || *r->at != c)
        return false;
    r->at++;
    return true;
}

static bool take_word(struct reader *r, const char *word) {
    size_t len = strlen(word);
    if ((size_t)(r->end - r->at) < len || memcmp(r->at, word, len) != 0)
        return complain(r, "a value was expected");
    r->at += len;
    return true;
}

/* --- strings --- */

static int hex_digit(char c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Four digits at r->at, or -1. */
static int take_hex(struct reader *r) {
    int value = 0;
    if (r->end - r->at < 4)
        return -1;
    for (int i = 0; i < 4; i++) {
        int digit = hex_digit(r->at[i]);
        if (digit < 0)
            return -1;
        value = value * 16 + digit;
    }
    r->at += 4;
    return value;
}

static void add_utf8(luaL_Buffer *out, unsigned c) {
    if (c < 0x80) {
        luaL_addchar(out, (char)c);
    } else if (c < 0x800) {
        luaL_addchar(out, (char)(0xc0 | c >> 6));
        luaL_addchar(out, (char)(0x80 | (c & 0x3f)));
    } else if (c < 0x10000) {
        luaL_addchar(out, (char)(0xe0 | c >> 12));
        luaL_addchar(out, (char)(0x80 | (c >> 6 & 0x3f)));
        luaL_addchar(out, (char)(0x80 | (c & 0x3f)));
    } else {
        luaL_addchar(out, (char)(0xf0 | c >> 18));
        luaL_addchar(out, (char)(0x80 | (c >> 12 & 0x3f)));
        luaL_addchar(out, (char)(0x80 | (c >> 6 & 0x3f)));
        luaL_addchar(out, (char)(0x80 | (c & 0x3f)));
    }
}

/* After "\u". */
static bool add_unicode(struct reader *r, luaL_Buffer *out) {
    int first = take_hex(r);
    if (first < 0 || (first >= 0xdc00 && first <= 0xdfff))
        return complain(r, "a wrong \\u escape");
    if (first < 0xd800 || first > 0xdbff) {
        add_utf8(out, (unsigned)first);
        return true;
    }
    int second = take(r, '\\') && take(r, 'u') ? take_hex(r) : -1;
    if (second < 0xdc00 || second > 0xdfff)
        return complain(r, "a wrong \\u escape");
    add_utf8(out, 0x10000u + ((unsigned)(first - 0xd800) << 10) + (unsigned)(second - 0xdc00));
    return true;
}

/* After the backslash. */
static bool add_escape(struct reader *r, luaL_Buffer *out) {
    static const char names[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
    if (r->at == r->end)
        return complain(r, "a string has no end");
    char name = *r->at++;
    if (name == 'u')
        return add_unicode(r, out);
    const char *found = name == '\0' ? NULL : strchr(names, name);
    if (found == NULL)
        return complain(r, "an unknown escape");
    luaL_addchar(out, values[found - names]);
    return true;
}

/* To the quote, backslash or control character that ends a run of plain ones. */
static const char *end_of_run(const struct reader *r) {
    const char *at = r->at;
    while (at < r->end && *at != '"' && *at != '\\' && (unsigned char)*at >= 0x20)
        at++;
    return at;
}

static bool push_escaped(struct reader *r) {
    luaL_Buffer out;
    luaL_buffinit(r->L, &out);
    for (;;) {
        const char *end = end_of_run(r);
        luaL_addlstring(&out, r->at, (size_t)(end - r->at));
        r->at = end;
        if (take(r, '"')) {
            luaL_pushresult(&out);
            return true;
        }
        if (!take(r, '\\'))
            return complain(r, r->at == r->end ? "a string has no end"
                                               : "a control character in a string");
        if (!add_escape(r, &out))
            return false;
    }
}

/* After the opening quote. */
static bool push_string(struct reader *r) {
    const char *end = end_of_run(r);
    if (end == r->end || *end != '"')
        return push_escaped(r);
    lua_pushlstring(r->L, r->at, (size_t)(end - r->at));
    r->at = end + 1;
    return true;
}

/* --- numbers --- */

static bool take_digits(struct reader *r) {
    const char *from = r->at;
    while (r->at < r->end && *r->at >= '0' && *r->at <= '9')
        r->at++;
    return r->at > from;
}

/* The grammar; *is_integer_out: neither fraction nor exponent. */
static bool take_number(struct reader *r, bool *is_integer_out) {
    *is_integer_out = true;
    take(r, '-');
    if (!take(r, '0') && !take_digits(r))
        return complain(r, "a value was expected");
    if (take(r, '.')) {
        *is_integer_out = false;
        if (!take_digits(r))
            return complain(r, "a wrong number");
    }
    if (take(r, 'e') || take(r, 'E')) {
        *is_integer_out = false;
        if (!take(r, '+'))
            take(r, '-');
        if (!take_digits(r))
            return complain(r, "a wrong number");
    }
    return true;
}

static bool fits_integer(struct bytes text, lua_Integer *value_out) {
    bool is_negative = text.ptr[0] == '-';
    uint64_t value;
    if (!bytes_to_u64(bytes_from(text, is_negative), &value) ||
        value > (uint64_t)LUA_MAXINTEGER + is_negative)
        return false;
    *value_out = is_negative ? (lua_Integer)(0 - value) : (lua_Integer)value;
    return true;
}

static bool push_number(struct reader *r) {
    const char *from = r->at;
    bool is_integer;
    lua_Integer integer;
    char text[NUMBER_SHORT];
    if (!take_number(r, &is_integer))
        return false;
    size_t len = (size_t)(r->at - from);
    if (is_integer && fits_integer(bytes_of(from, len), &integer)) {
        lua_pushinteger(r->L, integer);
        return true;
    }
    if (len < sizeof(text)) {
        memcpy(text, from, len);
        text[len] = '\0';
        lua_pushnumber(r->L, strtod(text, NULL));
    } else {
        double number = strtod(lua_pushlstring(r->L, from, len), NULL);
        lua_pop(r->L, 1);
        lua_pushnumber(r->L, number);
    }
    return isfinite(lua_tonumber(r->L, -1)) || complain(r, "a number is out of range");
}

/* --- arrays, objects --- */

static bool push_array(struct reader *r) {
    lua_Integer count = 0;
    lua_newtable(r->L);
    lua_pushvalue(r->L, r->mark);
    lua_setmetatable(r->L, -2);
    skip_space(r);
    if (take(r, ']'))
        return true;
    do {
        if (!push_value(r))
            return false;
        lua_rawseti(r->L, -2, ++count);
        skip_space(r);
    } while (take(r, ','));
    return take(r, ']') || complain(r, "',' or ']' was expected");
}

static bool push_object(struct reader *r) {
    lua_newtable(r->L);
    skip_space(r);
    if (take(r, '}'))
        return true;
    do {
        skip_space(r);
        if (!take(r, '"'))
            return complain(r, "a key was expected");
        if (!push_string(r))
            return false;
        skip_space(r);
        if (!take(r, ':'))
            return complain(r, "':' was expected");
        if (!push_value(r))
            return false;
        lua_rawset(r->L, -3);
        skip_space(r);
    } while (take(r, ','));
    return take(r, '}') || complain(r, "',' or '}' was expected");
}

static bool push_nested(struct reader *r, bool is_object) {
    if (++r->depth > READ_DEPTH_MAX || !lua_checkstack(r->L, 8))
        return complain(r, "nested too deeply");
    r->at++;
    bool is_fine = is_object ? push_object(r) : push_array(r);
    r->depth--;
    return is_fine;
}

static bool push_value(struct reader *r) {
    skip_space(r);
    if (r->at == r->end)
        return complain(r, "a value was expected");
    if (++r->values % LOOK_EVERY_VALUES == 0 && app_budget_is_over(r->L))
        return complain(r, "the processor time was used up (--lua-budget-ms)");
    switch (*r->at) {
    case '{': return push_nested(r, true);
    case '[': return push_nested(r, false);
    case '"': r->at++; return push_string(r);
    case 't': lua_pushboolean(r->L, true); return take_word(r, "true");
    case 'f': lua_pushboolean(r->L, false); return take_word(r, "false");
    case 'n': lua_pushlightuserdata(r->L, NULL); return take_word(r, "null");
    default: return push_number(r);
    }
}

static bool push_whole(struct reader *r, struct bytes text) {
    if (!utf8_is_valid(text))
        return complain(r, "it is not valid UTF-8");
    if (!push_value(r))
        return false;
    skip_space(r);
    return r->at == r->end || complain(r, "something follows the value");
}

bool json_push(lua_State *L, struct bytes text, struct buf *error_out) {
    int top = lua_gettop(L);
    struct reader r = {.L = L, .at = text.ptr, .end = text.ptr + text.len, .begin = text.ptr};
    if (text.len == 0)
        r.at = r.end = r.begin = "";
    luaL_checkstack(L, 8, NULL);
    json_push_array_mark(L);
    r.mark = top + 1;
    if (!push_whole(&r, text)) {
        lua_settop(L, top);
        if (error_out != NULL)
            buf_printf(error_out, "no JSON: %s, at byte %zu", r.why, (size_t)(r.at - r.begin) + 1);
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
