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

/* Raises when one of them cannot be written as a rule for other processes. */
static void check_changes(lua_State *L, const struct app_change *changes, size_t count,
                          int function, int arguments) {
    for (size_t i = 0; i < count; i++) {
        struct buf value = {0}, error = {0};
        bool is_fine = function_code_write(L, &changes[i], function, arguments, &value, &error);
        buf_deinit(&value);
        if (!is_fine)
            stack_raise(L, &error);
    }
}

static void make_change(lua_State *L, struct publication *p, const struct app_change *c,
                        int function, int arguments) {
    struct buf field = {0}, value = {0}, error = {0};
    MUST(function_code_write(L, c, function, arguments, &value, &error));
    function_code_field(c, &field);
    app_change_make(app_of(L), c, buf_bytes(&value));
    if (p != NULL)
        api_publish(p, buf_bytes(&field), buf_bytes(&value));
    buf_deinit(&field);
    buf_deinit(&value);
}

int api_share(lua_State *L, struct app_change *changes, size_t count, int function, int arguments) {
    bool is_cluster = app_of(L)->env.rules != NULL;
    struct app_call *call = is_cluster ? app_may_wait(L) : NULL;
    check_changes(L, changes, count, function, arguments);
    for (size_t i = 0; i < count; i++) {
        bool is_set = changes[i].is_set;
        changes[i].function = is_set ? api_function_ref(L, function) : LUA_NOREF;
        changes[i].arguments = is_set ? api_arguments_ref(L, arguments) : LUA_NOREF;
    }
    struct publication *p = is_cluster ? api_publish_begin(call) : NULL;
    for (size_t i = 0; i < count; i++)
        make_change(L, p, &changes[i], function, arguments);
    return p == NULL ? 0 : api_publish_wait(L, p);
}
