/*
 * api_signal_route.c - signalbox.signal_route and its kin. In the main chunk they fill the
 * registrations; in a handler they hold for the whole cluster (api_share.c).
 *
 * In a group signal_route and signal_route_group are closures: prefix, endpoint, if_exists.
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <lauxlib.h>

#include "common/app/api/api.h"

enum { GROUP_PREFIX = 1, GROUP_ENDPOINT, GROUP_IF_EXISTS };

enum if_exists { IF_EXISTS_ERROR, IF_EXISTS_OVERWRITE, IF_EXISTS_SKIP };

/* What the group says, or NULL. */
static const char *of_group(lua_State *L, int upvalue) {
    return lua_tostring(L, lua_upvalueindex(upvalue));
}

/* With the group's prefix; on the stack. */
static const char *check_path(lua_State *L, int arg) {
    const char *path = api_check_text(L, arg, "path"), *prefix = of_group(L, GROUP_PREFIX);
    if (prefix == NULL)
        prefix = "";
    if (strcmp(path, "/") == 0 && prefix[0] != '\0')
        return prefix;
    return api_check_path(L, arg, "path", prefix);
}

static enum if_exists parse_if_exists(lua_State *L, int arg, const char *text) {
    if (text == NULL || strcasecmp(text, "error") == 0 || strcasecmp(text, "default") == 0)
        return IF_EXISTS_ERROR;
    if (strcasecmp(text, "overwrite") == 0)
        return IF_EXISTS_OVERWRITE;
    if (strcasecmp(text, "skip") != 0)
        luaL_argerror(L, arg, "the option 'if_exists' is error, overwrite or skip");
    return IF_EXISTS_SKIP;
}

struct route_options {
    const char *endpoint;
    enum if_exists if_exists;
    int arguments; /* stack index, or 0 */
};

static struct route_options read_options(lua_State *L, int arg) {
    static const char *const allowed[] = {"endpoint", "if_exists", "args", NULL};
    const char *endpoint = NULL, *if_exists = NULL;
    int arguments = 0;
    if (!lua_isnoneornil(L, arg)) {
        api_check_options(L, arg, allowed);
        arguments = api_option_args(L, arg);
        endpoint = api_option_text(L, arg, "endpoint");
        if_exists = api_option_text(L, arg, "if_exists");
    }
    if (endpoint == NULL)
        endpoint = of_group(L, GROUP_ENDPOINT);
    if (if_exists == NULL)
        if_exists = of_group(L, GROUP_IF_EXISTS);
    return (struct route_options){endpoint, parse_if_exists(L, arg, if_exists), arguments};
}

static void remove_here(lua_State *L, struct signal_route *route) {
    struct signal_route taken = registrations_take_signal_route(app_of(L)->registrations, route);
    luaL_unref(L, LUA_REGISTRYINDEX, taken.function);
    luaL_unref(L, LUA_REGISTRYINDEX, taken.arguments);
    signal_route_deinit(&taken);
}

/* had: what is overwritten keeps its place, or NULL. */
static void add_here(lua_State *L, struct signal_route *had, const char *path,
                     const struct route_options *o) {
    int function = api_function_ref(L, 2), arguments = api_arguments_ref(L, o->arguments);
    if (had != NULL) {
        luaL_unref(L, LUA_REGISTRYINDEX, had->function);
        luaL_unref(L, LUA_REGISTRYINDEX, had->arguments);
        had->function = function;
        had->arguments = arguments;
        return;
    }
    *ARRAY_ADD(&app_of(L)->registrations->signal_routes) = (struct signal_route){
        mem_strdup(path), o->endpoint == NULL ? NULL : mem_strdup(o->endpoint), function,
        arguments};
}

/* signal_route(path, handler [, { endpoint=, if_exists=, args= }]) */
int api_signal_route(lua_State *L) {
    struct app *a = app_of(L);
    lua_settop(L, 3);
    luaL_checktype(L, 2, LUA_TFUNCTION);
    const char *path = check_path(L, 1);
    struct route_options o = read_options(L, 3);
    struct signal_route *had = registrations_find_signal_route(a->registrations, path, o.endpoint);
    if (had != NULL && o.if_exists == IF_EXISTS_ERROR)
        return luaL_error(L, "[Signal] %s: Already defined", path);
    if (had != NULL && o.if_exists == IF_EXISTS_SKIP)
        return 0;
    if (!a->is_loading) {
        struct app_change change = {
            .is_route = true, .is_set = true, .path = path, .endpoint = o.endpoint};
        return api_share(L, &change, 1, 2, o.arguments);
    }
    add_here(L, had, path, &o);
    return 0;
}

static const char *optional_endpoint(lua_State *L, int arg) {
    return lua_isnoneornil(L, arg) ? NULL : api_check_text(L, arg, "endpoint");
}

/* signal_route_remove(path [, endpoint]) */
int api_signal_route_remove(lua_State *L) {
    struct app *a = app_of(L);
    lua_settop(L, 2);
    const char *path = check_path(L, 1), *endpoint = optional_endpoint(L, 2);
    struct signal_route *had = registrations_find_signal_route(a->registrations, path, endpoint);
    if (had == NULL)
        return 0;
    if (!a->is_loading) {
        struct app_change change = {.is_route = true, .path = path, .endpoint = endpoint};
        return api_share(L, &change, 1, 0, 0);
    }
    remove_here(L, had);
    return 0;
}

/* All at run time; their texts become Lua's, as the registrations go one by one. */
static int share_clear(lua_State *L, const struct registrations *r) {
    size_t count = r->signal_routes.count;
    struct app_change *changes = lua_newuserdatauv(L, (count + 1) * sizeof(*changes), 0);
    lua_newtable(L);
    for (size_t i = 0; i < count; i++) {
        const struct signal_route *route = &r->signal_routes.items[i];
        changes[i] = (struct app_change){.is_route = true};
        changes[i].path = lua_pushstring(L, route->path);
        lua_rawseti(L, -2, (lua_Integer)i * 2 + 1);
        changes[i].endpoint = lua_pushstring(L, route->endpoint);
        lua_rawseti(L, -2, (lua_Integer)i * 2 + 2);
    }
    return api_share(L, changes, count, 0, 0);
}

int api_signal_route_clear(lua_State *L) {
    struct app *a = app_of(L);
    if (!a->is_loading)
        return share_clear(L, a->registrations);
    while (a->registrations->signal_routes.count > 0)
        remove_here(L, &a->registrations->signal_routes.items[0]);
    return 0;
}

/* signal_route_get([path]): a list of { path=, endpoint= }. */
int api_signal_route_get(lua_State *L) {
    const struct registrations *r = app_of(L)->registrations;
    const char *path = lua_isnoneornil(L, 1) ? NULL : check_path(L, 1);
    lua_Integer count = 0;
    lua_newtable(L);
    for (size_t i = 0; i < r->signal_routes.count; i++) {
        const struct signal_route *route = &r->signal_routes.items[i];
        if (path != NULL && strcasecmp(route->path, path) != 0)
            continue;
        lua_createtable(L, 0, 2);
        lua_pushstring(L, route->path);
        lua_setfield(L, -2, "path");
        lua_pushstring(L, route->endpoint);
        lua_setfield(L, -2, "endpoint");
        lua_rawseti(L, -2, ++count);
    }
    return 1;
}

/* signal_route_test(path [, endpoint]): without endpoint, whether there is one of any. */
int api_signal_route_test(lua_State *L) {
    const struct registrations *r = app_of(L)->registrations;
    lua_settop(L, 2);
    const char *path = check_path(L, 1), *endpoint = optional_endpoint(L, 2);
    bool is_there = endpoint != NULL && registrations_find_signal_route(r, path, endpoint) != NULL;
    for (size_t i = 0; endpoint == NULL && i < r->signal_routes.count; i++)
        is_there |= strcasecmp(r->signal_routes.items[i].path, path) == 0;
    lua_pushboolean(L, is_there);
    return 1;
}

/* --- groups --- */

static int after_group(lua_State *L, int status, lua_KContext ctx) {
    (void)L;
    (void)status;
    (void)ctx;
    return 0;
}

static void add_group_function(lua_State *L, int first, lua_CFunction function, const char *name) {
    for (int i = 0; i < 3; i++)
        lua_pushvalue(L, first + i);
    lua_pushcclosure(L, function, 3);
    lua_setfield(L, -2, name);
}

/* signal_route_group(prefix [, { endpoint=, if_exists= }], function(group) … end) */
int api_signal_route_group(lua_State *L) {
    static const char *const allowed[] = {"endpoint", "if_exists", NULL};
    struct route_options o = {0};
    if (lua_isfunction(L, 2)) {
        lua_pushnil(L);
        lua_insert(L, 2);
    }
    lua_settop(L, 3);
    luaL_checktype(L, 3, LUA_TFUNCTION);
    const char *prefix = check_path(L, 1);
    const char *if_exists = of_group(L, GROUP_IF_EXISTS);
    if (!lua_isnil(L, 2)) {
        api_check_options(L, 2, allowed);
        o = read_options(L, 2);
        const char *own = api_option_text(L, 2, "if_exists");
        if_exists = own != NULL ? own : if_exists;
    } else {
        o.endpoint = of_group(L, GROUP_ENDPOINT);
    }
    int first = lua_gettop(L) + 1;
    lua_pushstring(L, strcmp(prefix, "/") == 0 ? "" : prefix);
    lua_pushstring(L, o.endpoint);
    lua_pushstring(L, if_exists);
    lua_pushvalue(L, 3);
    lua_createtable(L, 0, 2);
    add_group_function(L, first, api_signal_route, "signal_route");
    add_group_function(L, first, api_signal_route_group, "signal_route_group");
    lua_callk(L, 1, 0, 0, after_group);
    return 0;
}
