/*
 * json_lua.c - see json_lua.h: JSON from Lua values. The way back is json_push.c.
 *
 * The writer never raises, so that its caller may hold memory of its own: it uses raw access only,
 * converts no key in place, and is bounded in depth and size.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <lauxlib.h>

#include "common/app/lua/budget.h"
#include "common/app/lua/json_lua.h"
#include "common/app/lua/json_source.h"
#include "common/app/lua/stack.h"
#include "common/base/utf8.h"

enum { WRITE_MAX_BYTES = 64 * 1024 * 1024, WRITE_DEPTH_MAX = 100 };
enum { ARRAY_ROOM = 1000000 }; /* made at once for an array, which grows beyond */

static char array_key;

/* --- arrays --- */

void json_push_array_mark(lua_State *L) {
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &array_key) != LUA_TNIL)
        return;
    lua_pop(L, 1);
    lua_newtable(L);
    lua_pushboolean(L, false); /* all arrays share it: no script may have it */
    lua_setfield(L, -2, "__metatable");
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &array_key);
}

void json_mark_array(lua_State *L, int index) {
    index = lua_absindex(L, index);
    json_push_array_mark(L);
    lua_setmetatable(L, index);
}

void json_push_texts(lua_State *L, struct bytes_list texts) {
    int room = texts.count < ARRAY_ROOM ? (int)texts.count : ARRAY_ROOM;
    lua_createtable(L, room, 0);
    json_mark_array(L, -1);
    for (size_t i = 0; i < texts.count; i++) {
        lua_pushlstring(L, texts.items[i].ptr, texts.items[i].len);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
}

bool json_is_array_marked(lua_State *L, int index) {
    if (!lua_getmetatable(L, index))
        return false;
    lua_rawgetp(L, LUA_REGISTRYINDEX, &array_key);
    bool is_same = lua_rawequal(L, -1, -2);
    lua_pop(L, 2);
    return is_same;
}

/* --- writing --- */

struct writer {
    lua_State *L;
    struct buf *out;
    size_t held; /* what outer objects hold: see write_object */
    struct buf *error;
};

static bool complain(struct writer *w, const char *why) {
    if (w->error != NULL)
        buf_append_str(w->error, why);
    return false;
}

static bool write_value_as(struct writer *w, int index, struct json_value was, int depth);

static bool write_number(struct writer *w, int index) {
    char text[40];
    if (lua_isinteger(w->L, index)) {
        buf_printf(w->out, "%lld", (long long)lua_tointeger(w->L, index));
        return true;
    }
    double number = lua_tonumber(w->L, index);
    if (!isfinite(number))
        return complain(w, "JSON has no number that is infinite or not a number");
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof(text), "%.*g", digits, number);
        if (strtod(text, NULL) == number)
            break;
    }
    buf_append_str(w->out, text);
    return true;
}

static bool write_string(struct writer *w, struct bytes text) {
    if (!utf8_is_valid(text))
        return complain(w, "a text is not valid UTF-8");
    json_append_string(w->out, text);
    return true;
}

/* Whether the keys are just 1…n. */
static bool is_array(lua_State *L, int index, lua_Unsigned *count_out) {
    lua_Unsigned count = lua_rawlen(L, index), seen = 0;
    *count_out = count;
    lua_pushnil(L);
    while (lua_next(L, index)) {
        lua_pop(L, 1);
        bool is_element = lua_isinteger(L, -1) && lua_tointeger(L, -1) >= 1 &&
                          (lua_Unsigned)lua_tointeger(L, -1) <= count;
        if (!is_element) {
            lua_pop(L, 1);
            return false;
        }
        seen++;
    }
    return seen == count && (count > 0 || json_is_array_marked(L, index));
}

static bool write_array(struct writer *w, int index, lua_Unsigned count, int depth) {
    struct bytes source = json_source_of(w->L, index);
    struct json_value was = {0};
    size_t at = 0;
    if (source.len > 0 && source.ptr[0] != '[')
        source = BYTES_NONE;
    buf_append_char(w->out, '[');
    for (lua_Unsigned i = 1; i <= count; i++) {
        if (i > 1)
            buf_append_char(w->out, ',');
        lua_rawgeti(w->L, index, (lua_Integer)i);
        was = json_next_element(source, &at);
        if (!write_value_as(w, lua_gettop(w->L), was, depth))
            return false;
        lua_pop(w->L, 1);
    }
    buf_append_char(w->out, ']');
    return true;
}

/* A member of an object, written to the scratch buffer: keys come in no order. They go out in the
 * order in which the object was spelled, new ones after those, sorted. */
struct member {
    struct bytes key; /* Lua's; absent: a number, its text is `digits` */
    char digits[24];
    size_t place; /* in the text that the object came from, or SIZE_MAX */
    size_t from, len;
};

static struct bytes key_of(const struct member *m) {
    return m->key.ptr == NULL ? bytes_str(m->digits) : m->key;
}

/* Once the time is up the order does not matter any more. */
static int compare_members(const void *a, const void *b, void *L) {
    const struct member *x = a, *y = b;
    if (budget_is_over(L))
        return 0;
    if (x->place != y->place)
        return x->place < y->place ? -1 : 1;
    return bytes_compare(key_of(x), key_of(y));
}

static bool read_key(lua_State *L, int index, struct member *m) {
    *m = (struct member){.place = SIZE_MAX};
    if (lua_type(L, index) == LUA_TSTRING)
        m->key.ptr = lua_tolstring(L, index, &m->key.len);
    else if (lua_isinteger(L, index))
        snprintf(m->digits, sizeof(m->digits), "%lld", (long long)lua_tointeger(L, index));
    else if (lua_type(L, index) == LUA_TNUMBER)
        snprintf(m->digits, sizeof(m->digits), "%.14g", (double)lua_tonumber(L, index));
    else
        return false;
    return true;
}

/* Key and value are on the stack. */
static bool write_member(struct writer *w, const struct json_source_members *source,
                         struct member *m, int depth) {
    int key = lua_gettop(w->L) - 1;
    struct json_value was = {0};
    if (!read_key(w->L, key, m))
        return complain(w, "a key of an object is neither text nor number");
    const struct json_source_member *old = json_source_find(source, key_of(m));
    m->from = w->out->len;
    if (old != NULL) {
        buf_append(w->out, old->key_text);
        m->place = old->place;
        was = old->value;
    } else if (!write_string(w, key_of(m))) {
        return false;
    }
    buf_append_char(w->out, ':');
    if (!write_value_as(w, key + 1, was, depth))
        return false;
    m->len = w->out->len - m->from;
    return true;
}

static bool write_members(struct writer *w, int index, struct buf *members, int depth) {
    struct json_source_members source = {0};
    struct bytes text = json_source_of(w->L, index);
    bool is_fine = true;
    if (text.len > 0 && text.ptr[0] == '{')
        json_source_read(&source, text);
    lua_pushnil(w->L);
    while (is_fine && lua_next(w->L, index)) {
        struct member m;
        is_fine = write_member(w, &source, &m, depth);
        buf_append(members, bytes_of(&m, sizeof(m)));
        lua_pop(w->L, 1);
    }
    json_source_free(&source);
    return is_fine;
}

static bool write_object(struct writer *w, int index, int depth) {
    struct buf scratch = {0}, members = {0}, *out = w->out;
    w->held += out->len;
    w->out = &scratch;
    bool is_fine = write_members(w, index, &members, depth);
    w->out = out;
    w->held -= out->len;
    struct member *m = (struct member *)(void *)members.ptr;
    size_t count = members.len / sizeof(*m);
    if (is_fine && count > 1)
        qsort_r(m, count, sizeof(*m), compare_members, w->L);
    buf_append_char(out, '{');
    for (size_t i = 0; is_fine && i < count; i++) {
        if (i > 0)
            buf_append_char(out, ',');
        buf_append(out, bytes_of(scratch.ptr + m[i].from, m[i].len));
    }
    buf_append_char(out, '}');
    buf_deinit(&scratch);
    buf_deinit(&members);
    return is_fine;
}

static bool write_table(struct writer *w, int index, int depth) {
    lua_Unsigned count;
    if (depth <= 0) {
        buf_append_str(w->out, "\"table\"");
        return true;
    }
    if (!lua_checkstack(w->L, 8))
        return complain(w, "not enough memory");
    if (is_array(w->L, index, &count))
        return write_array(w, index, count, depth - 1);
    return write_object(w, index, depth - 1);
}

static bool write_value(struct writer *w, int index, int depth) {
    lua_State *L = w->L;
    if (w->held + w->out->len > WRITE_MAX_BYTES)
        return complain(w, "the JSON would be larger than 64 MiB");
    if (budget_is_over(L))
        return complain(w, "the processor time was used up by JSON (--lua-budget-ms)");
    switch (lua_type(L, index)) {
    case LUA_TNIL: buf_append_str(w->out, "null"); return true;
    case LUA_TBOOLEAN:
        buf_append_str(w->out, lua_toboolean(L, index) ? "true" : "false");
        return true;
    case LUA_TNUMBER: return write_number(w, index);
    case LUA_TSTRING: return write_string(w, stack_bytes_at(L, index));
    case LUA_TTABLE: return write_table(w, index, depth);
    default: break;
    }
    if (stack_is_null(L, index)) {
        buf_append_str(w->out, "null");
        return true;
    }
    complain(w, "there is no JSON for a ");
    return complain(w, luaL_typename(L, index));
}

/* A value that is still what it was read from is spelled as it was; tables see to their own. */
static bool write_value_as(struct writer *w, int index, struct json_value was, int depth) {
    if (was.kind == JSON_KIND_ABSENT || !json_is_same(w->L, index, was))
        return write_value(w, index, depth);
    buf_append(w->out, was.text);
    return !budget_is_over(w->L) ||
           complain(w, "the processor time was used up by JSON (--lua-budget-ms)");
}

bool json_from_lua_as(lua_State *L, int index, struct json_value was, int depth, struct buf *out,
                      struct buf *error_out) {
    struct writer w = {.L = L, .out = out, .error = error_out};
    int top = lua_gettop(L);
    size_t before = out->len;
    bool is_fine = write_value_as(&w, lua_absindex(L, index), was,
                                  depth > WRITE_DEPTH_MAX ? WRITE_DEPTH_MAX : depth);
    lua_settop(L, top);
    if (!is_fine)
        out->len = before;
    return is_fine;
}

bool json_from_lua(lua_State *L, int index, int depth, struct buf *out, struct buf *error_out) {
    return json_from_lua_as(L, index, (struct json_value){0}, depth, out, error_out);
}
