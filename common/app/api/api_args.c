/* api_args.c - see api.h: what the functions of `signalbox` share to read their arguments. */
#include <stdlib.h>
#include <string.h>

#include <lauxlib.h>

#include "common/send/address.h"
#include "common/app/api/api.h"
#include "common/app/lua/json_lua.h"
#include "common/http/http_path.h"

struct app *api_main_chunk(lua_State *L, const char *function) {
    struct app *a = app_of(L);
    if (!a->is_loading)
        luaL_error(L, "signalbox.%s: only in the main chunk of the app file", function);
    return a;
}

struct bus *api_bus(lua_State *L, const char *function) {
    struct bus *bus = app_of(L)->env.bus;
    if (bus == NULL)
        luaL_error(L, "signalbox.%s needs Redis, and there is none here", function);
    return bus;
}

int api_arg_error(lua_State *L, int arg, const char *format, const char *detail) {
    return luaL_argerror(L, arg, lua_pushfstring(L, format, detail));
}

/* client_id is spelled clientId in JSON: both are one option. */
static const char client_id[] = "client_id", client_id_in_json[] = "clientId";

/* An option as texts about an address name it at every entrance. */
static const char *shown(const char *key) {
    return strcmp(key, client_id) == 0 ? client_id_in_json : key;
}

static bool is_among(struct bytes key, const char *const allowed[]) {
    for (; *allowed != NULL; allowed++)
        if (bytes_equal_str(key, *allowed) ||
            (strcmp(*allowed, client_id) == 0 && bytes_equal_str(key, client_id_in_json)))
            return true;
    return false;
}

void api_check_options(lua_State *L, int arg, const char *const allowed[]) {
    luaL_checktype(L, arg, LUA_TTABLE);
    lua_pushnil(L);
    while (lua_next(L, arg)) {
        lua_pop(L, 1);
        if (lua_type(L, -1) != LUA_TSTRING)
            api_arg_error(L, arg, "a key of the options is a %s, not a name", luaL_typename(L, -1));
        struct bytes key = stack_bytes_at(L, -1);
        if (strlen(key.ptr) < key.len)
            api_arg_error(L, arg, "unknown option '%s' with a NUL after that", key.ptr);
        if (!is_among(key, allowed))
            api_arg_error(L, arg, "unknown option '%s'", key.ptr);
    }
}

static bool has_line_end(struct bytes text) {
    return memchr(text.ptr, '\r', text.len) != NULL || memchr(text.ptr, '\n', text.len) != NULL ||
           memchr(text.ptr, '\0', text.len) != NULL;
}

/* Of any length; not empty. */
static const char *check_line(lua_State *L, int arg, const char *what) {
    struct bytes text = stack_check_bytes(L, arg);
    if (text.len == 0)
        api_arg_error(L, arg, "the %s is empty", what);
    if (has_line_end(text))
        api_arg_error(L, arg, "the %s has a line end or a NUL in it", what);
    return text.ptr;
}

const char *api_check_text(lua_State *L, int arg, const char *what) {
    const char *text = check_line(L, arg, what);
    const char *fault = address_fault(bytes_str(text));
    if (fault != NULL)
        luaL_argerror(L, arg, lua_pushfstring(L, "the %s %s", what, fault));
    return text;
}

const char *api_check_path(lua_State *L, int arg, const char *what, const char *prefix) {
    const char *text = check_line(L, arg, what); /* the canonical form has a bound */
    luaL_checkstack(L, 4, NULL);
    text = lua_pushfstring(L, text[0] == '/' ? "%s%s" : "%s/%s", prefix, text);
    struct buf path = {0};
    const char *error = http_path_canonical(bytes_str(text), &path);
    if (error != NULL) {
        buf_deinit(&path);
        api_arg_error(L, arg, "%s", error);
    }
    (void)stack_push_take(L, &path);
    return lua_tostring(L, -1);
}

/* Pushes the value of the key and returns its type; signalbox.null counts as nil. */
static int push_key(lua_State *L, int arg, const char *key) {
    lua_pushstring(L, key);
    int type = lua_rawget(L, arg);
    if (!stack_is_null(L, -1))
        return type;
    lua_pop(L, 1);
    lua_pushnil(L);
    return LUA_TNIL;
}

static bool has_key(lua_State *L, int arg, const char *key) {
    lua_pushstring(L, key);
    bool has = lua_rawget(L, arg) != LUA_TNIL;
    lua_pop(L, 1);
    return has;
}

/* The same for an option, in either spelling. */
static int push_option(lua_State *L, int arg, const char *key) {
    luaL_checkstack(L, 4, NULL);
    if (strcmp(key, client_id) != 0 || !has_key(L, arg, client_id_in_json))
        return push_key(L, arg, key);
    if (has_key(L, arg, client_id))
        luaL_argerror(L, arg, "client_id and clientId are one option, and both are given");
    return push_key(L, arg, client_id_in_json);
}

const char *api_option_text(lua_State *L, int arg, const char *key) {
    int type = push_option(L, arg, key);
    if (type == LUA_TNIL)
        return NULL;
    if (type != LUA_TSTRING)
        api_arg_error(L, arg, "the option '%s' must be a string", key);
    struct bytes text = stack_bytes_at(L, -1);
    if (has_line_end(text))
        api_arg_error(L, arg, "the option '%s' has a line end or a NUL in it", key);
    return text.len == 0 ? NULL : text.ptr;
}

struct bytes api_option_bytes(lua_State *L, int arg, const char *key) {
    int type = push_option(L, arg, key);
    if (type == LUA_TNIL)
        return BYTES_NONE;
    if (type != LUA_TSTRING && type != LUA_TNUMBER)
        api_arg_error(L, arg, "the option '%s' must be a string", key);
    return stack_bytes_at(L, -1);
}

const char *api_option_address(lua_State *L, int arg, const char *key) {
    struct bytes text = api_option_bytes(L, arg, key);
    const char *fault = text.len > 0 ? address_fault(text) : NULL;
    if (fault != NULL)
        luaL_argerror(L, arg, lua_pushfstring(L, "%s: %s", shown(key), fault));
    return text.len == 0 ? NULL : text.ptr;
}

bool api_option_bool(lua_State *L, int arg, const char *key, bool fallback) {
    int type = push_option(L, arg, key);
    bool value = type == LUA_TNIL ? fallback : lua_toboolean(L, -1);
    if (type != LUA_TNIL && type != LUA_TBOOLEAN)
        api_arg_error(L, arg, "the option '%s' must be true or false", key);
    lua_pop(L, 1);
    return value;
}

lua_Integer api_option_integer(lua_State *L, int arg, const char *key, lua_Integer fallback) {
    int type = push_option(L, arg, key), is_integer = 0;
    lua_Integer value = lua_tointegerx(L, -1, &is_integer);
    if (type != LUA_TNIL && (type != LUA_TNUMBER || !is_integer))
        api_arg_error(L, arg, "the option '%s' must be a whole number", key);
    lua_pop(L, 1);
    return type == LUA_TNIL ? fallback : value;
}

/* --- lists --- */

/* The text of the string or number on the top, which stays there (as a string). */
static struct bytes element(lua_State *L, int arg, const char *what, bool is_judged) {
    int type = lua_type(L, -1);
    if (type != LUA_TSTRING && type != LUA_TNUMBER)
        api_arg_error(L, arg, "%s: " ADDRESS_NO_TEXTS, shown(what));
    struct bytes text = stack_bytes_at(L, -1);
    const char *fault = is_judged ? address_fault(text) : NULL;
    if (fault != NULL)
        luaL_argerror(L, arg, lua_pushfstring(L, "%s: %s", shown(what), fault));
    return text;
}

/* Whether the table's keys are 1…length and nothing else. */
static bool is_list(lua_State *L, int list, lua_Unsigned length) {
    lua_Unsigned count = 0;
    lua_pushnil(L);
    while (lua_next(L, list)) {
        lua_pop(L, 1);
        if (!lua_isinteger(L, -1) || ++count > length)
            return false;
    }
    return count == length;
}

/* The list on the top. It is replaced by a userdata with the slices; a table that keeps the texts
 * of numbers is its user value. Empty texts and signalbox.null are left out. */
static struct bytes_list read_list(lua_State *L, int arg, const char *what, bool is_judged) {
    int list = lua_gettop(L);
    lua_Unsigned length = lua_rawlen(L, list);
    size_t count = 0;
    if (length > ADDRESS_LIST_MAX)
        api_arg_error(L, arg, "%s: " ADDRESS_TOO_MANY, shown(what));
    if (!is_list(L, list, length))
        api_arg_error(L, arg, "%s: " ADDRESS_NO_TEXTS, shown(what));
    struct bytes *items = lua_newuserdatauv(L, (length + 1) * sizeof(*items), 1);
    lua_newtable(L);
    for (lua_Unsigned i = 1; i <= length; i++) {
        lua_rawgeti(L, list, (lua_Integer)i);
        if (stack_is_null(L, -1)) {
            lua_pop(L, 1);
            continue;
        }
        struct bytes text = element(L, arg, what, is_judged);
        if (text.len > 0)
            items[count++] = text;
        lua_rawseti(L, -2, (lua_Integer)i);
    }
    lua_setiuservalue(L, -2, 1);
    lua_replace(L, list);
    return (struct bytes_list){items, count};
}

static struct bytes_list list_on_top(lua_State *L, int arg, const char *what, bool is_judged,
                                     struct bytes *one) {
    if (lua_isnil(L, -1))
        return (struct bytes_list){NULL, 0};
    if (lua_istable(L, -1))
        return read_list(L, arg, what, is_judged);
    *one = element(L, arg, what, is_judged);
    return one->len > 0 ? (struct bytes_list){one, 1} : (struct bytes_list){NULL, 0};
}

struct bytes_list api_option_list(lua_State *L, int arg, const char *key, struct bytes *one) {
    push_option(L, arg, key);
    return list_on_top(L, arg, key, true, one);
}

struct bytes_list api_option_any_list(lua_State *L, int arg, const char *key, struct bytes *one) {
    push_option(L, arg, key);
    return list_on_top(L, arg, key, false, one);
}

struct bytes_list api_check_list(lua_State *L, int arg, const char *what, struct bytes *one) {
    luaL_checkstack(L, 4, NULL);
    lua_pushvalue(L, arg);
    return list_on_top(L, arg, what, true, one);
}

/* --- what a connection has --- */

struct bytes api_option_json(lua_State *L, int arg, const char *key) {
    struct buf text = {0}, error = {0};
    if (push_option(L, arg, key) == LUA_TNIL)
        return BYTES_NONE;
    if (!json_from_lua(L, -1, API_DEPTH, &text, &error)) {
        buf_deinit(&text);
        stack_raise(L, &error);
    }
    buf_deinit(&error);
    (void)stack_push_take(L, &text);
    return stack_bytes_at(L, -1);
}

void api_set_groups(lua_State *L, struct bytes_list groups) {
    json_push_texts(L, groups);
    lua_setfield(L, -2, "groups");
}

/* What is no JSON was not written by us. */
void api_set_data(lua_State *L, struct bytes data) {
    struct buf error = {0};
    if (data.len > 0 && json_push(L, data, &error))
        lua_setfield(L, -2, "data");
    buf_deinit(&error);
}

/* --- the rest --- */

/* A depth of 0 or less means 2. */
int api_depth(lua_Integer wanted) {
    return wanted <= 0 ? 2 : wanted > 100 ? 100 : (int)wanted;
}

int api_function_ref(lua_State *L, int arg) {
    lua_pushvalue(L, arg);
    return luaL_ref(L, LUA_REGISTRYINDEX);
}
