/* script_msgpack.c - the table `cmsgpack` of a script: pack and unpack, as Redis packs. */
#include <math.h>

#include "tests/world/redis/script.h"

enum { NESTED_MAX = 16 };

/* ---- packing ---- */

static void add_head(struct buf *out, int kind, uint64_t n, int bytes) {
    buf_append_char(out, (char)kind);
    for (int i = bytes - 1; i >= 0; i--)
        buf_append_char(out, (char)(n >> 8 * i));
}

static void pack_integer(struct buf *out, int64_t n) {
    uint64_t u = (uint64_t)n;
    if (n >= 0 && n <= 127)
        add_head(out, (int)n, 0, 0);
    else if (n >= 0)
        add_head(out,
                 u <= 0xff         ? 0xcc
                 : u <= 0xffff     ? 0xcd
                 : u <= 0xffffffff ? 0xce
                                   : 0xcf,
                 u,
                 u <= 0xff         ? 1
                 : u <= 0xffff     ? 2
                 : u <= 0xffffffff ? 4
                                   : 8);
    else if (n >= -32)
        add_head(out, (int)(n & 0xff), 0, 0);
    else
        add_head(out,
                 n >= INT8_MIN    ? 0xd0
                 : n >= INT16_MIN ? 0xd1
                 : n >= INT32_MIN ? 0xd2
                                  : 0xd3,
                 u,
                 n >= INT8_MIN    ? 1
                 : n >= INT16_MIN ? 2
                 : n >= INT32_MIN ? 4
                                  : 8);
}

static void pack_number(struct buf *out, double d) {
    float f = (float)d;
    uint64_t bits = 0;
    uint32_t short_bits;
    if (d == floor(d) && d >= -0x1p63 && d < 0x1p63) {
        pack_integer(out, (int64_t)d);
    } else if ((double)f == d) {
        memcpy(&short_bits, &f, sizeof(short_bits));
        add_head(out, 0xca, short_bits, 4);
    } else {
        memcpy(&bits, &d, sizeof(bits));
        add_head(out, 0xcb, bits, 8);
    }
}

static void pack_string(struct buf *out, struct bytes s) {
    if (s.len < 32)
        add_head(out, 0xa0 | (int)s.len, 0, 0);
    else
        add_head(out,
                 s.len <= 0xff     ? 0xd9
                 : s.len <= 0xffff ? 0xda
                                   : 0xdb,
                 s.len,
                 s.len <= 0xff     ? 1
                 : s.len <= 0xffff ? 2
                                   : 4);
    buf_append(out, s);
}

static void pack_value(lua_State *lua, struct buf *out, int level);

/* fix: the head of a small one; wide: that with two bytes of length, and of four the next. */
static void pack_count(struct buf *out, size_t n, int fix, int wide) {
    if (n < 16)
        add_head(out, fix | (int)n, 0, 0);
    else
        add_head(out, n <= 0xffff ? wide : wide + 1, n, n <= 0xffff ? 2 : 4);
}

/* How many entries it has; is_list_out: their keys are 1 … n. */
static size_t measure(lua_State *lua, bool *is_list_out) {
    size_t n = 0;
    double most = 0;
    *is_list_out = true;
    for (lua_pushnil(lua); lua_next(lua, -2) != 0; lua_pop(lua, 1)) {
        double key = lua_type(lua, -2) == LUA_TNUMBER ? lua_tonumber(lua, -2) : 0;
        *is_list_out &= key >= 1 && key == floor(key);
        most = key > most ? key : most;
        n++;
    }
    *is_list_out &= most == (double)n;
    return n;
}

static void pack_table(lua_State *lua, struct buf *out, int level) {
    bool is_list;
    size_t n = measure(lua, &is_list);
    pack_count(out, n, is_list ? 0x90 : 0x80, is_list ? 0xdc : 0xde);
    for (size_t i = 1; is_list && i <= n; i++) {
        lua_rawgeti(lua, -1, (int)i);
        pack_value(lua, out, level + 1);
    }
    for (lua_pushnil(lua); !is_list && lua_next(lua, -2) != 0;) {
        lua_pushvalue(lua, -2);
        pack_value(lua, out, level + 1);
        pack_value(lua, out, level + 1);
    }
    if (is_list)
        lua_pop(lua, 1);
}

/* Takes the value from the stack. */
static void pack_value(lua_State *lua, struct buf *out, int level) {
    size_t len;
    const char *text;
    int type = lua_type(lua, -1);
    luaL_checkstack(lua, 6, "too deep");
    if (type == LUA_TTABLE && level < NESTED_MAX) {
        pack_table(lua, out, level);
    } else if (type == LUA_TSTRING) {
        text = lua_tolstring(lua, -1, &len);
        pack_string(out, bytes_of(text, len));
    } else if (type == LUA_TNUMBER) {
        pack_number(out, lua_tonumber(lua, -1));
    } else if (type == LUA_TBOOLEAN) {
        add_head(out, lua_toboolean(lua, -1) ? 0xc3 : 0xc2, 0, 0);
    } else {
        add_head(out, 0xc0, 0, 0);
    }
    lua_pop(lua, 1);
}

static int pack(lua_State *lua) {
    struct buf out = {0};
    int count = lua_gettop(lua);
    if (count == 0)
        return luaL_argerror(lua, 0, "MessagePack pack needs input.");
    for (int i = 1; i <= count; i++) {
        lua_pushvalue(lua, i);
        pack_value(lua, &out, 0);
    }
    lua_pushlstring(lua, out.ptr, out.len);
    buf_deinit(&out);
    return 1;
}

/* ---- unpacking ---- */

static uint64_t take_number(lua_State *lua, struct bytes *in, size_t bytes) {
    uint64_t n = 0;
    if (in->len < bytes)
        luaL_error(lua, "Missing bytes in input.");
    for (size_t i = 0; i < bytes; i++)
        n = n << 8 | (unsigned char)in->ptr[i];
    *in = bytes_from(*in, bytes);
    return n;
}

static void take_string(lua_State *lua, struct bytes *in, uint64_t len) {
    if (in->len < len)
        luaL_error(lua, "Missing bytes in input.");
    lua_pushlstring(lua, in->ptr, (size_t)len);
    *in = bytes_from(*in, (size_t)len);
}

static void take_value(lua_State *lua, struct bytes *in);

static void take_list(lua_State *lua, struct bytes *in, uint64_t count) {
    luaL_checkstack(lua, 4, "in function mp_decode_to_lua_array");
    lua_newtable(lua);
    for (uint64_t i = 1; i <= count; i++) {
        take_value(lua, in);
        lua_rawseti(lua, -2, (int)i);
    }
}

static void take_map(lua_State *lua, struct bytes *in, uint64_t count) {
    luaL_checkstack(lua, 4, "in function mp_decode_to_lua_hash");
    lua_newtable(lua);
    for (uint64_t i = 0; i < count; i++) {
        take_value(lua, in);
        take_value(lua, in);
        lua_settable(lua, -3);
    }
}

static void take_float(lua_State *lua, struct bytes *in, size_t bytes) {
    uint64_t bits = take_number(lua, in, bytes);
    uint32_t short_bits = (uint32_t)bits;
    float f;
    double d;
    memcpy(&f, &short_bits, sizeof(f));
    memcpy(&d, &bits, sizeof(d));
    lua_pushnumber(lua, bytes == 4 ? (double)f : d);
}

static void take_signed(lua_State *lua, struct bytes *in, size_t bytes) {
    uint64_t n = take_number(lua, in, bytes);
    int unused = 64 - 8 * (int)bytes;
    lua_pushnumber(lua, (lua_Number)((int64_t)(n << unused) >> unused));
}

static void take_value(lua_State *lua, struct bytes *in) {
    unsigned kind = (unsigned)take_number(lua, in, 1);
    luaL_checkstack(lua, 4, "too deep");
    if (kind <= 0x7f)
        lua_pushnumber(lua, kind);
    else if (kind <= 0x8f)
        take_map(lua, in, kind & 15);
    else if (kind <= 0x9f)
        take_list(lua, in, kind & 15);
    else if (kind <= 0xbf)
        take_string(lua, in, kind & 31);
    else if (kind >= 0xe0)
        lua_pushnumber(lua, (int8_t)kind);
    else if (kind == 0xc0)
        lua_pushnil(lua);
    else if (kind == 0xc2 || kind == 0xc3)
        lua_pushboolean(lua, kind == 0xc3);
    else if (kind == 0xca || kind == 0xcb)
        take_float(lua, in, kind == 0xca ? 4 : 8);
    else if (kind >= 0xcc && kind <= 0xcf)
        lua_pushnumber(lua, (lua_Number)take_number(lua, in, (size_t)1 << (kind - 0xcc)));
    else if (kind >= 0xd0 && kind <= 0xd3)
        take_signed(lua, in, (size_t)1 << (kind - 0xd0));
    else if (kind >= 0xd9 && kind <= 0xdb)
        take_string(lua, in, take_number(lua, in, (size_t)1 << (kind - 0xd9)));
    else if (kind == 0xdc || kind == 0xdd)
        take_list(lua, in, take_number(lua, in, kind == 0xdc ? 2 : 4));
    else if (kind == 0xde || kind == 0xdf)
        take_map(lua, in, take_number(lua, in, kind == 0xde ? 2 : 4));
    else
        luaL_error(lua, "Bad data format in input.");
}

static int unpack(lua_State *lua) {
    size_t len;
    const char *text = luaL_checklstring(lua, 1, &len);
    struct bytes in = bytes_of(text, len);
    int count = 0;
    for (; in.len > 0; count++)
        take_value(lua, &in);
    return count;
}

void script_push_msgpack(lua_State *lua) {
    static const luaL_Reg functions[] = {{"pack", pack}, {"unpack", unpack}, {NULL, NULL}};
    lua_newtable(lua);
    luaL_register(lua, NULL, functions);
}
