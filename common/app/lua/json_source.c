/* json_source.c - see json_source.h. */
#include "common/app/lua/json_source.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <lauxlib.h>

#include "common/app/lua/stack.h"

enum { NUMBER_SHORT = 64, LENGTH_BITS = 32 };

/* Their addresses are the keys of the registry: table → text, table → (from << 32 | length). */
static char texts_key, spans_key;

static void push_table(lua_State *L, const void *key) {
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, key) != LUA_TNIL)
        return;
    lua_pop(L, 1);
    lua_newtable(L);
    lua_createtable(L, 0, 1);
    lua_pushliteral(L, "k");
    lua_setfield(L, -2, "__mode");
    lua_setmetatable(L, -2);
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, key);
}

void json_source_push_tables(lua_State *L) {
    push_table(L, &texts_key);
    push_table(L, &spans_key);
}

void json_source_remember(lua_State *L, int tables, int text, size_t from, size_t len) {
    lua_pushvalue(L, -1);
    lua_pushvalue(L, text);
    lua_rawset(L, tables);
    lua_pushvalue(L, -1);
    lua_pushinteger(L, (lua_Integer)((uint64_t)from << LENGTH_BITS | len));
    lua_rawset(L, tables + 1);
}

/* Pushes what the table of that key holds for the one at `index`. */
static int look_up(lua_State *L, const void *key, int index) {
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, key) != LUA_TTABLE)
        return LUA_TNIL;
    lua_pushvalue(L, index);
    int type = lua_rawget(L, -2);
    lua_remove(L, -2);
    return type;
}

struct bytes json_source_of(lua_State *L, int index) {
    struct bytes text = BYTES_NONE;
    int top = lua_gettop(L);
    index = lua_absindex(L, index);
    if (look_up(L, &texts_key, index) == LUA_TSTRING) {
        text = stack_bytes_at(L, -1);
        (void)look_up(L, &spans_key, index);
        uint64_t span = (uint64_t)lua_tointeger(L, -1);
        text = bytes_of(text.ptr + (span >> LENGTH_BITS), (size_t)(uint32_t)span);
    }
    lua_settop(L, top);
    return text;
}

/* --- numbers --- */

static bool fits_integer(struct bytes text, lua_Integer *value_out) {
    bool is_negative = text.ptr[0] == '-';
    uint64_t value;
    if (!bytes_to_u64(bytes_from(text, is_negative), &value) ||
        value > (uint64_t)LUA_MAXINTEGER + is_negative)
        return false;
    *value_out = is_negative ? (lua_Integer)(0 - value) : (lua_Integer)value;
    return true;
}

void json_push_number(lua_State *L, struct bytes text) {
    lua_Integer integer;
    char digits[NUMBER_SHORT];
    if (fits_integer(text, &integer)) {
        lua_pushinteger(L, integer);
        return;
    }
    if (text.len < sizeof(digits)) {
        memcpy(digits, text.ptr, text.len);
        digits[text.len] = '\0';
        lua_pushnumber(L, strtod(digits, NULL));
        return;
    }
    char *copy = bytes_dup(text);
    double number = strtod(copy, NULL);
    free(copy);
    lua_pushnumber(L, number);
}

bool json_is_same(lua_State *L, int index, struct json_value source) {
    struct buf plain = {0};
    bool is_same = false;
    switch (lua_type(L, index)) {
    case LUA_TBOOLEAN:
        return source.kind == (lua_toboolean(L, index) ? JSON_KIND_TRUE : JSON_KIND_FALSE);
    case LUA_TLIGHTUSERDATA: return source.kind == JSON_KIND_NULL && !lua_touserdata(L, index);
    case LUA_TNUMBER:
        if (source.kind != JSON_KIND_NUMBER)
            return false;
        index = lua_absindex(L, index);
        json_push_number(L, source.text);
        is_same = lua_rawequal(L, index, -1);
        lua_pop(L, 1);
        return is_same;
    case LUA_TSTRING:
        if (source.kind != JSON_KIND_STRING)
            return false;
        json_append_text(&plain, source);
        is_same = bytes_equal(stack_bytes_at(L, index), buf_bytes(&plain));
        buf_deinit(&plain);
        return is_same;
    default: return false;
    }
}

/* --- the members of an object --- */

static int by_key_and_place(const void *a, const void *b) {
    const struct json_source_member *x = a, *y = b;
    int order = bytes_compare(x->key, y->key);
    return order != 0 ? order : x->place < y->place ? -1 : x->place > y->place;
}

struct reading {
    struct buf members;
    struct json_source_members *m;
};

/* While the keys grow they may move, so that a key that was unescaped is an offset at first. */
static bool add_member(void *ctx, struct bytes key_text, struct json_value value) {
    struct reading *r = ctx;
    struct bytes inner = bytes_of(key_text.ptr + 1, key_text.len - 2);
    struct json_source_member member = {
        .key = inner, .key_text = key_text, .value = value, .place = r->m->count++};
    if (bytes_find(inner, '\\') >= 0) {
        size_t from = r->m->keys.len;
        json_append_text(&r->m->keys, (struct json_value){JSON_KIND_STRING, key_text});
        member.key = bytes_of(NULL, from);
    }
    buf_append(&r->members, bytes_of(&member, sizeof(member)));
    return true;
}

void json_source_read(struct json_source_members *m, struct bytes object) {
    struct reading r = {.m = m};
    size_t count = 0;
    *m = (struct json_source_members){0};
    json_each_member((struct json_value){JSON_KIND_OBJECT, object}, add_member, &r);
    m->items = (struct json_source_member *)(void *)buf_take(&r.members);
    size_t end = m->keys.len;
    for (size_t i = m->count; i-- > 0;) {
        struct bytes *key = &m->items[i].key;
        if (key->ptr != NULL)
            continue;
        size_t from = key->len;
        *key = bytes_of(m->keys.ptr == NULL ? "" : m->keys.ptr + from, end - from);
        end = from;
    }
    if (m->count > 1)
        qsort(m->items, m->count, sizeof(*m->items), by_key_and_place);
    for (size_t i = 0; i < m->count; i++)
        if (i + 1 == m->count || !bytes_equal(m->items[i].key, m->items[i + 1].key))
            m->items[count++] = m->items[i];
    m->count = count;
}

void json_source_free(struct json_source_members *m) {
    buf_deinit(&m->keys);
    free(m->items);
}

static int by_key(const void *key, const void *member) {
    return bytes_compare(*(const struct bytes *)key,
                         ((const struct json_source_member *)member)->key);
}

const struct json_source_member *json_source_find(const struct json_source_members *m,
                                                  struct bytes key) {
    return m->count == 0 ? NULL : bsearch(&key, m->items, m->count, sizeof(*m->items), by_key);
}
