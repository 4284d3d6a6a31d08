/* function_code.c - see function_code.h. */
#include "common/app/running/function_code.h"

#include <stdlib.h>
#include <string.h>

#include <lauxlib.h>

#include "common/base/base64.h"
#include "common/app/lua/function_text.h"
#include "common/app/lua/json_lua.h"
#include "common/app/lua/stack.h"
#include "common/base/fold.h"
#include "common/base/utf8.h"
#include "common/http/http_path.h"

enum { ARGUMENTS_DEPTH = 10 };

/* --- the field --- */

/* A ':' or '%' in a Name would be ambiguous. */
static void append_lower(struct buf *out, const char *text, bool is_escaped) {
    for (; *text != '\0'; text++) {
        if (is_escaped && (*text == ':' || *text == '%'))
            buf_printf(out, "%%%02x", (unsigned char)*text);
        else
            buf_append_char(out, bytes_lower(*text));
    }
}

void function_code_field(const struct app_change *c, struct buf *out) {
    struct buf name = {0};
    if (c->is_route) {
        buf_append_str(out, "route:");
        append_lower(out, c->endpoint == NULL ? "" : c->endpoint, true);
        buf_append_char(out, ':');
        append_lower(out, c->path, false);
        return;
    }
    buf_printf(out, "event:%s:", event_type_text(c->type));
    fold_append(&name, bytes_str(c->name));
    buf_append_char(&name, '\0');
    append_lower(out, name.ptr, true);
    buf_deinit(&name);
    buf_printf(out, ":%s", c->event_name);
}

/* --- writing --- */

static void write_member(struct buf *out, const char *key, const char *text) {
    if (text == NULL)
        return;
    buf_printf(out, ",\"%s\":", key);
    json_append_string(out, bytes_str(text));
}

static bool write_source(lua_State *L, int function, struct buf *out, struct buf *error_out) {
    struct buf source = {0};
    lua_Debug about;
    int line;
    buf_append_str(error_out, "a handler set at run time ");
    if (!function_text_write(L, function, &source, &line, error_out)) {
        buf_deinit(&source);
        return false;
    }
    buf_deinit(error_out);
    lua_pushvalue(L, function);
    lua_getinfo(L, ">S", &about);
    buf_printf(out, ",\"line\":%d,\"source\":\"", line);
    base64_append(out, buf_bytes(&source));
    buf_append_char(out, '"');
    if (strchr("@=", about.source[0]) != NULL)
        write_member(out, "chunk", about.source);
    buf_deinit(&source);
    return true;
}

static bool is_globals(lua_State *L, int index) {
    lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS);
    bool is_same = lua_rawequal(L, -1, index);
    lua_pop(L, 1);
    return is_same;
}

/* The upvalue on the top. */
static bool write_upvalue(lua_State *L, struct buf *out) {
    int index = lua_gettop(L);
    switch (lua_type(L, index)) {
    case LUA_TNIL: buf_append_char(out, 'n'); return true;
    case LUA_TBOOLEAN: buf_append_char(out, lua_toboolean(L, index) ? 't' : 'f'); return true;
    case LUA_TNUMBER:
        if (lua_isinteger(L, index))
            buf_printf(out, "i%lld", (long long)lua_tointeger(L, index));
        else
            buf_printf(out, "d%a", (double)lua_tonumber(L, index));
        return true;
    case LUA_TSTRING:
        buf_append_char(out, 's');
        base64_append(out, stack_bytes_at(L, index));
        return true;
    default: buf_append_char(out, 'e'); return is_globals(L, index);
    }
}

static bool write_upvalues(lua_State *L, int function, struct buf *out, struct buf *error_out) {
    const char *name;
    buf_append_str(out, ",\"upvalues\":[");
    for (int i = 1; (name = lua_getupvalue(L, function, i)) != NULL; i++) {
        buf_append_str(out, i > 1 ? ",\"" : "\"");
        bool is_fine = write_upvalue(L, out);
        buf_append_char(out, '"');
        if (!is_fine) {
            buf_printf(error_out,
                       "a handler set at run time goes to every process: it may use globals, and "
                       "locals outside of it that are nil, booleans, numbers or strings; '%s' is a "
                       "%s",
                       name, luaL_typename(L, -1));
            lua_pop(L, 1);
            return false;
        }
        lua_pop(L, 1);
    }
    buf_append_char(out, ']');
    return true;
}

static void write_identity(const struct app_change *c, struct buf *out) {
    buf_printf(out, "{\"op\":\"%s\"", c->is_set ? "set" : "remove");
    if (c->is_route) {
        write_member(out, "path", c->path);
        write_member(out, "endpoint", c->endpoint);
        return;
    }
    write_member(out, "type", event_type_text(c->type));
    write_member(out, "name", c->name);
    write_member(out, "event_name", c->event_name);
}

bool function_code_write(lua_State *L, const struct app_change *change, int function, int arguments,
                         struct buf *out, struct buf *error_out) {
    write_identity(change, out);
    if (change->is_set && (!write_source(L, function, out, error_out) ||
                           !write_upvalues(L, function, out, error_out)))
        return false;
    if (change->is_set && arguments != 0) {
        buf_append_str(out, ",\"args\":");
        if (!json_from_lua(L, arguments, ARGUMENTS_DEPTH, out, error_out))
            return false;
    }
    buf_append_char(out, '}');
    if (!utf8_is_valid(buf_bytes(out))) {
        buf_append_str(error_out, "a path or name is not valid UTF-8");
        return false;
    }
    return true;
}

/* --- reading --- */

static char *take_member(struct json_value root, const char *key) {
    struct buf text = {0};
    struct json_value member = json_member(root, key);
    if (member.kind != JSON_KIND_STRING)
        return NULL;
    json_append_text(&text, member);
    return buf_take(&text);
}

static bool is_text(struct json_value root, const char *key, const char *wanted) {
    struct json_value member = json_member(root, key);
    size_t len = strlen(wanted);
    return member.kind == JSON_KIND_STRING && member.text.len == len + 2 &&
           memcmp(member.text.ptr + 1, wanted, len) == 0;
}

static bool is_canonical(const char *path) {
    struct buf form = {0};
    bool is_form = http_path_canonical(bytes_str(path), &form) == NULL &&
                   bytes_equal_str(buf_bytes(&form), path);
    buf_deinit(&form);
    return is_form;
}

bool function_code_read(struct function_code *code, struct bytes value, struct buf *error_out) {
    struct app_change *c = &code->change;
    *code = (struct function_code){.change = {.function = LUA_NOREF, .arguments = LUA_NOREF}};
    buf_append(&code->text, value);
    code->document = json_open(buf_bytes(&code->text), error_out);
    if (code->document == NULL)
        return false;
    struct json_value root = json_root(code->document);
    c->is_set = is_text(root, "op", "set");
    c->path = take_member(root, "path");
    c->endpoint = take_member(root, "endpoint");
    c->name = take_member(root, "name");
    c->event_name = take_member(root, "event_name");
    code->chunk = take_member(root, "chunk");
    c->is_route = c->path != NULL;
    c->type = is_text(root, "type", "disconnect") ? EVENT_DISCONNECT : EVENT_CONNECT;
    bool is_fine = (c->is_set || is_text(root, "op", "remove")) &&
                   (c->is_route || (c->name != NULL && c->event_name != NULL));
    if (!is_fine)
        buf_append_str(error_out, "it says neither what nor where");
    if (c->is_route && !is_canonical(c->path)) {
        buf_append_str(error_out, "its path is not canonical");
        return false;
    }
    return is_fine;
}

void function_code_free(struct function_code *code) {
    free((char *)code->change.path);
    free((char *)code->change.endpoint);
    free((char *)code->change.name);
    free((char *)code->change.event_name);
    free(code->chunk);
    json_close(code->document);
    buf_deinit(&code->text);
}

/* --- building --- */

/* Without the quotes: all texts here are plain. */
static struct bytes inner(struct json_value value) {
    return value.kind == JSON_KIND_STRING ? bytes_of(value.text.ptr + 1, value.text.len - 2)
                                          : BYTES_NONE;
}

/* Pushes the bytes as a string. */
static void push_decoded(lua_State *L, struct bytes text) {
    size_t len = 0;
    char *room = lua_newuserdatauv(L, base64_decoded_max(text.len) + 1, 0);
    if (!base64_decode(text, room, &len))
        luaL_error(L, "wrong base64");
    lua_pushlstring(L, room, len);
    lua_remove(L, -2);
}

static void push_upvalue(lua_State *L, struct bytes text) {
    char number[64];
    struct bytes rest = bytes_from(text, 1);
    if (text.len == 0 || rest.len >= sizeof(number))
        rest = BYTES_LIT("");
    memcpy(number, rest.ptr, rest.len);
    number[rest.len] = '\0';
    switch (text.len == 0 ? '\0' : text.ptr[0]) {
    case 'e': lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS); break;
    case 'n': lua_pushnil(L); break;
    case 't': lua_pushboolean(L, true); break;
    case 'f': lua_pushboolean(L, false); break;
    case 'i': lua_pushinteger(L, strtoll(number, NULL, 10)); break;
    case 'd': lua_pushnumber(L, strtod(number, NULL)); break;
    case 's': push_decoded(L, bytes_from(text, 1)); break;
    default: luaL_error(L, "unknown kind of upvalue");
    }
}

struct upvalues {
    lua_State *L;
    int function, count;
};

static void set_upvalue(void *ctx, struct json_value element) {
    struct upvalues *u = ctx;
    push_upvalue(u->L, inner(element));
    if (lua_setupvalue(u->L, u->function, ++u->count) == NULL)
        luaL_error(u->L, "too many upvalues");
}

void function_code_build(lua_State *L, struct function_code *code) {
    struct json_value root = json_root(code->document), args = json_member(root, "args");
    struct json_value line = json_member(root, "line");
    uint64_t number = 0;
    if (!bytes_to_u64(line.text, &number) || number > FUNCTION_TEXT_MAX)
        luaL_error(L, "it has no source");
    push_decoded(L, inner(json_member(root, "source")));
    function_text_build(L, stack_bytes_at(L, -1), (int)number, bytes_str(code->chunk));
    struct upvalues upvalues = {L, lua_gettop(L), 0};
    json_each(json_member(root, "upvalues"), set_upvalue, &upvalues);
    lua_pushvalue(L, upvalues.function);
    code->change.function = luaL_ref(L, LUA_REGISTRYINDEX);
    if (args.kind != JSON_KIND_ARRAY)
        return;
    if (!json_push(L, args.text, NULL))
        luaL_error(L, "wrong args");
    code->change.arguments = luaL_ref(L, LUA_REGISTRYINDEX);
}
