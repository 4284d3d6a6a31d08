/* api_event.c - signalbox.on, off and signal_event_test: handlers of Connect and Disconnect. At run
 * time they hold for the whole cluster (api_share.c). */
#include <string.h>

#include <lauxlib.h>

#include "common/app/api/api.h"
#include "common/base/fold.h"

static enum event_type check_type(lua_State *L) {
    enum event_type type;
    luaL_argcheck(L, event_type_parse(luaL_checkstring(L, 1), &type), 1,
                  "the type is none of connect, disconnect");
    return type;
}

static bool is_earlier(const struct app_change *changes, size_t i) {
    for (size_t j = 0; j < i; j++)
        if (fold_equal(bytes_str(changes[j].name), bytes_str(changes[i].name)))
            return true;
    return false;
}

static struct event_handler *find(lua_State *L, const struct app_change *c) {
    return registrations_find_event(app_of(L)->registrations, c->type, c->name, c->event_name);
}

/* All are checked before any is added or removed. */
static void check_all(lua_State *L, const struct app_change *changes, size_t count) {
    for (size_t i = 0; i < count; i++) {
        const struct app_change *c = &changes[i];
        bool is_there = find(L, c) != NULL;
        if (is_there == c->is_set || is_earlier(changes, i))
            luaL_error(L, "%s event %s registered for Signal connection %s: %s",
                       c->type == EVENT_CONNECT ? "Connect" : "Disconnect",
                       c->is_set ? "already" : "not", c->name, c->event_name);
    }
}

/* One change a Name, in a userdata on the stack. */
static struct app_change *check_changes(lua_State *L, bool is_set, size_t *count_out) {
    struct bytes one;
    struct bytes_list names = api_check_list(L, 2, "name", &one);
    luaL_argcheck(L, names.count > 0, 2, "a Name was expected");
    struct app_change *changes = lua_newuserdatauv(L, names.count * sizeof(*changes), 0);
    enum event_type type = check_type(L);
    const char *event_name = api_check_text(L, 3, "event name");
    for (size_t i = 0; i < names.count; i++)
        changes[i] = (struct app_change){
            .is_set = is_set, .type = type, .name = names.items[i].ptr, .event_name = event_name};
    check_all(L, changes, names.count);
    *count_out = names.count;
    return changes;
}

/* on(type, Name or list, event name, handler [, { args= }]) */
int api_on(lua_State *L) {
    static const char *const allowed[] = {"args", NULL};
    size_t count;
    lua_settop(L, 5);
    luaL_checktype(L, 4, LUA_TFUNCTION);
    if (!lua_isnil(L, 5))
        api_check_options(L, 5, allowed);
    int arguments = lua_isnil(L, 5) ? 0 : api_option_args(L, 5);
    struct app_change *changes = check_changes(L, true, &count);
    if (!app_of(L)->is_loading)
        return api_share(L, changes, count, 4, arguments);
    for (size_t i = 0; i < count; i++) {
        int function = api_function_ref(L, 4), reference = api_arguments_ref(L, arguments);
        *ARRAY_ADD(&app_of(L)->registrations->event_handlers) =
            (struct event_handler){changes[i].type, mem_strdup(changes[i].name),
                                   mem_strdup(changes[i].event_name), function, reference};
    }
    return 0;
}

/* off(type, Name or list, event name) */
int api_off(lua_State *L) {
    size_t count;
    lua_settop(L, 3);
    struct app_change *changes = check_changes(L, false, &count);
    if (!app_of(L)->is_loading)
        return api_share(L, changes, count, 0, 0);
    for (size_t i = 0; i < count; i++) {
        struct event_handler taken =
            registrations_take_event(app_of(L)->registrations, find(L, &changes[i]));
        luaL_unref(L, LUA_REGISTRYINDEX, taken.function);
        luaL_unref(L, LUA_REGISTRYINDEX, taken.arguments);
        event_handler_deinit(&taken);
    }
    return 0;
}

/* signal_event_test(type, Name [, event name]) */
int api_signal_event_test(lua_State *L) {
    enum event_type type = check_type(L);
    const char *name = api_check_text(L, 2, "Name");
    const char *event_name = lua_isnoneornil(L, 3) ? NULL : api_check_text(L, 3, "event name");
    const struct registrations *r = app_of(L)->registrations;
    bool is_there = false;
    for (size_t i = 0; i < r->event_handlers.count; i++) {
        const struct event_handler *e = &r->event_handlers.items[i];
        is_there |= e->type == type && fold_equal(bytes_str(e->name), bytes_str(name)) &&
                    (event_name == NULL || strcmp(e->event_name, event_name) == 0);
    }
    lua_pushboolean(L, is_there);
    return 1;
}
