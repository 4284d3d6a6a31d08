/* api_share.c - what holds for the whole cluster: changes of signal routes, event handlers and
 * settings are made here at once, and by every other process through the rules. */
#include <stdlib.h>

#include <lauxlib.h>

#include "common/app/api/api.h"
#include "common/bus/cluster/rules.h"

/* --- writing rules --- */

struct publication {
    struct app_call *call;
    size_t pending;
    int status;
};

struct publication *api_publish_begin(struct app_call *call) {
    struct publication *p = mem_zalloc(sizeof(*p));
    p->call = call;
    return p;
}

static void on_written(void *ctx, int status) {
    struct publication *p = ctx;
    if (status != 0)
        p->status = status;
    if (--p->pending > 0)
        return;
    struct app_call *call = p->call;
    int worst = p->status;
    free(p);
    if (worst == 0)
        app_resume_ok(call, NULL, NULL);
    else
        app_resume_error(call, "the change did not reach the cluster: no Redis");
}

void api_publish(struct publication *p, struct bytes field, struct bytes value) {
    p->pending++;
    rules_set(p->call->app->env.rules, field, value, on_written, p);
}

int api_publish_wait(lua_State *L, struct publication *p) {
    struct app_call *call = p->call;
    if (p->pending > 0)
        return app_wait(L, call);
    free(p);
    return 0;
}

struct app_call *api_rule_writer(lua_State *L, const char *function) {
    struct app_call *call = app_may_wait(L);
    if (app_of(L)->env.bus == NULL || app_of(L)->env.rules == NULL)
        luaL_error(L, "signalbox.%s needs Redis, and there is none here", function);
    return call;
}

/* --- registrations --- */

int api_option_args(lua_State *L, int arg) {
    lua_pushliteral(L, "args");
    int type = lua_rawget(L, arg);
    if (type == LUA_TNIL)
        return 0;
    if (type != LUA_TTABLE)
        luaL_argerror(L, arg, "the option 'args' must be a list");
    return lua_gettop(L);
}

int api_arguments_ref(lua_State *L, int arguments) {
    return arguments == 0 ? LUA_NOREF : api_function_ref(L, arguments);
}

/* Pushes a table with the rule of each change, for this and other processes. Raises when one of
 * them cannot be written. */
static void push_rules(lua_State *L, const struct app_change *changes, size_t count, int function,
                       int arguments) {
    lua_createtable(L, (int)count, 0);
    for (size_t i = 0; i < count; i++) {
        struct buf value = {0}, error = {0};
        if (!function_code_write(L, &changes[i], function, arguments, &value, &error)) {
            buf_deinit(&value);
            stack_raise(L, &error);
        }
        stack_push_take(L, &value);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
}

static void make_change(struct app *a, struct publication *p, const struct app_change *c,
                        struct bytes rule) {
    struct buf field = {0};
    function_code_field(c, &field);
    app_change_make(a, c, rule);
    if (p != NULL)
        api_publish(p, buf_bytes(&field), rule);
    buf_deinit(&field);
}

int api_share(lua_State *L, struct app_change *changes, size_t count, int function, int arguments) {
    bool is_cluster = app_of(L)->env.rules != NULL;
    struct app_call *call = is_cluster ? app_may_wait(L) : NULL;
    push_rules(L, changes, count, function, arguments);
    for (size_t i = 0; i < count; i++) {
        bool is_set = changes[i].is_set;
        changes[i].function = is_set ? api_function_ref(L, function) : LUA_NOREF;
        changes[i].arguments = is_set ? api_arguments_ref(L, arguments) : LUA_NOREF;
    }
    struct publication *p = is_cluster ? api_publish_begin(call) : NULL;
    for (size_t i = 0; i < count; i++) {
        lua_rawgeti(L, -1, (lua_Integer)i + 1);
        make_change(app_of(L), p, &changes[i], stack_bytes_at(L, -1));
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
    return p == NULL ? 0 : api_publish_wait(L, p);
}
