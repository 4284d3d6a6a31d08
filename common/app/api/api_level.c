/*
 * api_level.c - signalbox.broadcast_level, allows, default_broadcast and default_scope. In the main
 * chunk the setters say what the app file says; in a handler they set a rule of the cluster, and
 * wait until it holds.
 */
#include <string.h>

#include <lauxlib.h>

#include "common/app/api/api.h"
#include "common/base/fold.h"

/* --- levels --- */

/* Writes the rule "<prefix><name>", or "<prefix>*" without a name, and waits until it holds. */
static int publish(lua_State *L, struct app_call *call, const char *prefix, struct bytes name,
                   const char *value) {
    struct buf field = {0};
    buf_append_str(&field, prefix);
    fold_append(&field, name);
    if (name.len == 0)
        buf_append_char(&field, '*');
    struct publication *p = api_publish_begin(call);
    api_publish(p, buf_bytes(&field), bytes_str(value));
    buf_deinit(&field);
    return api_publish_wait(L, p);
}

static int set_level(lua_State *L, struct bytes name, enum level level) {
    struct app *a = app_of(L);
    struct app_call *call = a->is_loading ? NULL : api_rule_writer(L, "broadcast_level");
    levels_set(a->registrations->levels, call == NULL ? LEVEL_FROM_APP : LEVEL_FROM_CLUSTER, name,
               level);
    return call == NULL ? 0 : publish(L, call, "level:", name, level_text(level));
}

/* The text at `arg`; BYTES_NONE when there is none. */
static struct bytes optional_text(lua_State *L, int arg, const char *what) {
    if (lua_isnoneornil(L, arg) || stack_is_null(L, arg))
        return BYTES_NONE;
    return bytes_str(api_check_text(L, arg, what));
}

/* broadcast_level(level), broadcast_level(Name, level); broadcast_level([Name]) reads. */
int api_broadcast_level(lua_State *L) {
    enum level level;
    struct bytes first = optional_text(L, 1, "Name"), second = optional_text(L, 2, "level");
    if (second.ptr != NULL) {
        luaL_argcheck(L, level_parse(second, &level), 2,
                      "the level is none of name, group, client_id");
        return set_level(L, bytes_equal_str(first, "*") ? BYTES_NONE : first, level);
    }
    if (first.ptr != NULL && level_parse(first, &level))
        return set_level(L, BYTES_NONE, level);
    lua_pushstring(L, level_text(levels_get(app_of(L)->registrations->levels, first)));
    return 1;
}

/* allows { name=, group=, client_id= }: whether the levels allow it. */
int api_allows(lua_State *L) {
    static const char *const allowed[] = {"name", "group", "client_id", NULL};
    struct bytes one[3];
    api_check_options(L, 1, allowed);
    struct bytes_list names = api_option_list(L, 1, "name", &one[0]);
    bool has_groups = api_option_list(L, 1, "group", &one[1]).count > 0;
    bool has_clients = api_option_list(L, 1, "client_id", &one[2]).count > 0;
    lua_pushboolean(
        L, levels_allow(app_of(L)->registrations->levels, names, has_groups, has_clients, NULL));
    return 1;
}

/* --- what no signal route handles --- */

/* default_broadcast(bool), default_broadcast(Name, bool); default_broadcast([Name]) reads. */
int api_default_broadcast(lua_State *L) {
    struct app *a = app_of(L);
    struct default_broadcast *d = a->registrations->default_broadcast;
    lua_settop(L, 2);
    int value = lua_isboolean(L, 1) ? 1 : 2;
    struct bytes name = value == 1 ? BYTES_NONE : optional_text(L, 1, "Name");
    if (bytes_equal_str(name, "*"))
        name = BYTES_NONE;
    if (lua_isnil(L, value)) {
        lua_pushboolean(L, default_broadcast_get(d, name));
        return 1;
    }
    luaL_checktype(L, value, LUA_TBOOLEAN);
    luaL_argcheck(L, value == 2 || lua_isnil(L, 2), 2, "the Name stands before true or false");
    bool is_open = lua_toboolean(L, value);
    struct app_call *call = a->is_loading ? NULL : api_rule_writer(L, "default_broadcast");
    default_broadcast_set(d, call == NULL ? LEVEL_FROM_APP : LEVEL_FROM_CLUSTER, name,
                          is_open ? OPEN_YES : OPEN_NO);
    return call == NULL ? 0 : publish(L, call, "default:", name, is_open ? "on" : "off");
}

/* --- scope --- */

/* default_scope([scope]) */
int api_default_scope(lua_State *L) {
    struct app *a = app_of(L);
    struct registrations *r = a->registrations;
    struct bytes text = optional_text(L, 1, "scope");
    bool is_local = bytes_equal_nocase(text, BYTES_LIT("local"));
    if (text.ptr == NULL) {
        lua_pushstring(L, r->default_scope == SCOPE_LOCAL ? "local" : "global");
        return 1;
    }
    luaL_argcheck(L, is_local || bytes_equal_nocase(text, BYTES_LIT("global")), 1,
                  "the scope is none of global, local");
    struct app_call *call = a->is_loading ? NULL : api_rule_writer(L, "default_scope");
    r->default_scope = is_local ? SCOPE_LOCAL : SCOPE_GLOBAL;
    if (call == NULL)
        return 0;
    struct publication *p = api_publish_begin(call);
    api_publish(p, BYTES_LIT("scope"), bytes_str(is_local ? "local" : "global"));
    return api_publish_wait(L, p);
}
