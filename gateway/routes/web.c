/*
 * web.c - see web.h: web:convert, the object's metatable, and running a route's handler. The fields
 * are in web_object.c, the methods that answer in web_answer.c. To add a method: its line in
 * web_methods.
 */
#include "gateway/routes/web.h"

#include <lauxlib.h>
#include <lua.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/app/api/api.h"
#include "common/app/app.h"
#include "common/base/percent.h"
#include "common/base/settings.h"
#include "common/bus/log/look_back.h"
#include "gateway/conn/request.h"
#include "gateway/routes/cors.h"
#include "gateway/routes/local.h"
#include "gateway/routes/post.h"
#include "gateway/routes/reference.h"
#include "gateway/routes/routes.h"
#include "gateway/routes/upgrade.h"
#include "gateway/routes/web_object.h"

/* The Lua errors that end a handler which has nothing left to do: its conversion was refused, or
 * its request was a message of a client. */
#define HANDLER_REFUSED "the handshake was refused"
#define HANDLER_POSTED  "the request is a message of a client"

static void web_unref(struct web *w) {
    if (--w->refs > 0)
        return;
    for (size_t i = 0; i < w->param_count; i++) {
        free(w->params[i].name);
        free(w->params[i].value);
    }
    free(w);
}

static enum scope scope_of(lua_State *L, const struct request *r) {
    struct bytes text = api_option_bytes(L, 2, "scope");
    if (text.len == 0 || bytes_equal_nocase(text, BYTES_LIT("default")))
        return routes_registrations(r->routes)->default_scope;
    if (bytes_equal_nocase(text, BYTES_LIT("global")))
        return SCOPE_GLOBAL;
    if (!bytes_equal_nocase(text, BYTES_LIT("local")))
        luaL_error(L, "convert: scope must be \"global\" or \"local\"");
    return SCOPE_LOCAL;
}

static unsigned last_of(lua_State *L) {
    lua_Integer last = api_option_integer(L, 2, "last", 0);
    if (last < 0 || last > LOOK_BACK_MAX)
        luaL_error(L, "convert: last must be from 0 to %d", LOOK_BACK_MAX);
    return (unsigned)last;
}

static int end_handler(lua_State *L, const char *why) {
    struct app_call *call = app_call_of(L);
    if (call != NULL)
        app_call_excuse(call, why);
    return luaL_error(L, "%s", why);
}

/* The refusal was sent, so nothing is left for the handler to do. */
static int refused(lua_State *L) {
    return end_handler(L, HANDLER_REFUSED);
}

/* A handler that does not catch this error ends with it; answer_end then refuses the request. */
static int invalid(lua_State *L, struct web *w, const struct upgrade_error *error) {
    struct app_call *call = app_call_of(L);
    if (error->status != 500) {
        w->refusal = *error;
        if (call != NULL)
            app_call_excuse(call, error->text);
    }
    return luaL_error(L, "%s", error->text);
}

/* ---- the connection that the request's headers refer to */

static void on_reference(void *ctx, bool is_found) {
    struct web *w = ctx;
    struct app_call *call = w->call;
    w->call = NULL;
    if (is_found) {
        app_resume_ok(call, NULL, NULL);
        return;
    }
    app_call_excuse(call, HANDLER_REFUSED);
    app_resume_error(call, HANDLER_REFUSED);
}

/* Goes on with `then`, which calls app_waited first. */
static int look_up(lua_State *L, struct web *w, lua_KFunction then) {
    struct app_call *call = app_may_wait(L);
    if (!reference_look_up(w->handler.request, on_reference, w))
        return refused(L);
    w->call = call;
    return app_wait_then(L, call, (lua_KContext)call, then);
}

/* ---- convert */

static void on_converted(struct request *r, bool is_ok) {
    struct web *w = r->convert_ctx;
    struct app_call *call = w->call;
    r->on_converted = NULL;
    w->call = NULL;
    if (call == NULL)
        return;
    if (is_ok) {
        app_resume_ok(call, NULL, NULL);
        return;
    }
    app_call_excuse(call, HANDLER_REFUSED);
    app_resume_error(call, HANDLER_REFUSED);
}

static int convert(lua_State *L);

/* Of a POST: the handler ends here, since what follows is for a connection that was made. */
static int post(lua_State *L, struct request *r, const struct upgrade_options *options) {
    post_take(r->routes->posts, r, options);
    return end_handler(L, HANDLER_POSTED);
}

static int convert_looked_up(lua_State *L, int status, lua_KContext call) {
    (void)status;
    (void)app_waited(L, (struct app_call *)call);
    lua_settop(L, 2);
    return convert(L);
}

/* The app's value, which stays on the stack as JSON. */
static struct bytes check_data(lua_State *L, const struct request *r) {
    struct bytes data = api_option_json(L, 2, "data");
    size_t most = (size_t)r->routes->settings->max_data_bytes;
    if (data.len > most)
        luaL_error(L, "convert: data: has more than %d bytes as JSON (--max-data-bytes)",
                   (int)most);
    return data;
}

static int convert(lua_State *L) {
    struct web *w = web_check(L);
    struct request *r = w->handler.request;
    struct upgrade_error error;
    struct bytes one;
    static const char *const allowed[] = {"name", "group",    "client_id", "scope",
                                          "data", "compress", "last",      NULL};
    luaL_checktype(L, 2, LUA_TTABLE);
    if (r != NULL && request_is_converted(r))
        return 0; /* the first one counts */
    r = web_check_request(L, "convert");
    if (r->conn == NULL)
        return refused(L);
    api_check_options(L, 2, allowed);
    if (post_is(r) && !cors_admit(r)) {
        request_refuse(r, 403, "this origin is not allowed");
        return refused(L);
    }
    if (reference_is_open(r))
        return look_up(L, w, convert_looked_up);
    /* web.signal is made anew when it is next read: it means the new connection then. */
    lua_getiuservalue(L, 1, 1);
    lua_pushnil(L);
    lua_setfield(L, -2, "signal");
    lua_pop(L, 1);
    /* The texts stay on the stack. Whether they are valid is for upgrade.c to say, since they may
     * come from the client. */
    struct upgrade_options options = {.name = api_option_bytes(L, 2, "name"),
                                      .groups = api_option_any_list(L, 2, "group", &one),
                                      .client_id = api_option_bytes(L, 2, "client_id"),
                                      .scope = scope_of(L, r),
                                      .is_uncompressed = !api_option_bool(L, 2, "compress", true),
                                      .last = last_of(L)};
    if (post_is(r))
        return post(L, r, &options);
    options.data = check_data(L, r);
    if (options.scope == SCOPE_GLOBAL)
        w->call = app_may_wait(L);
    r->convert_ctx = w;
    r->on_converted = on_converted;
    switch (upgrade(r, &options, &error)) {
    case UPGRADE_OPEN: local_opened(r); return 0;
    case UPGRADE_WAITING: return app_wait(L, w->call);
    case UPGRADE_REFUSED: w->call = NULL; return refused(L);
    case UPGRADE_INVALID: break;
    }
    w->call = NULL;
    return invalid(L, w, &error);
}

/* ---- the object */

static int push_made(lua_State *L, struct web *w);

static int signal_looked_up(lua_State *L, int status, lua_KContext call) {
    (void)status;
    (void)app_waited(L, (struct app_call *)call);
    lua_settop(L, 3);
    return push_made(L, web_check(L));
}

/* The field of the key at 2, which is kept in the object's table at 3. */
static int push_made(lua_State *L, struct web *w) {
    const char *key = lua_tostring(L, 2);
    struct request *r = w->handler.request;
    if (r != NULL && strcmp(key, "signal") == 0 && reference_is_open(r))
        return look_up(L, w, signal_looked_up);
    if (r != NULL && web_push_field(L, w, key)) {
        lua_pushvalue(L, 2);
        lua_pushvalue(L, -2);
        lua_rawset(L, 3);
        return 1;
    }
    lua_pushnil(L);
    return 1;
}

/* Looks in the object's own table first, then makes the field and stores it there. */
static int web_index(lua_State *L) {
    struct web *w = web_check(L);
    /* A number is no name of a field, and lua_tostring would make it another key. */
    const char *key = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : NULL;
    lua_getiuservalue(L, 1, 1);
    lua_pushvalue(L, 2);
    if (lua_rawget(L, -2) != LUA_TNIL || key == NULL)
        return 1;
    lua_pop(L, 1);
    lua_getmetatable(L, 1);
    if (lua_getfield(L, -1, "methods") == LUA_TTABLE && lua_getfield(L, -1, key) != LUA_TNIL)
        return 1;
    lua_settop(L, 3);
    return push_made(L, w);
}

static int web_newindex(lua_State *L) {
    (void)web_check(L);
    lua_getiuservalue(L, 1, 1);
    lua_pushvalue(L, 2);
    lua_pushvalue(L, 3);
    lua_rawset(L, -3);
    return 0;
}

static int web_gc(lua_State *L) {
    struct web **box = luaL_checkudata(L, 1, WEB_TYPE);
    if (*box != NULL)
        web_unref(*box);
    *box = NULL;
    return 0;
}

static const luaL_Reg web_methods[] = {
    {"respond", web_respond}, {"json", web_json},   {"text", web_text}, {"file", web_file},
    {"header", web_header},   {"convert", convert}, {NULL, NULL},
};

static const luaL_Reg web_events[] = {
    {"__index", web_index}, {"__newindex", web_newindex}, {"__gc", web_gc}, {NULL, NULL}};

/* ---- running a handler */

static void push_metatable(lua_State *L) {
    if (luaL_newmetatable(L, WEB_TYPE) == 0)
        return;
    luaL_newlib(L, web_methods);
    lua_setfield(L, -2, "methods");
    luaL_setfuncs(L, web_events, 0);
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
}

static int push_web(void *ctx, lua_State *L) {
    struct web *w = ctx;
    struct web **box = lua_newuserdatauv(L, sizeof(*box), 1);
    *box = NULL;
    lua_newtable(L);
    lua_setiuservalue(L, -2, 1);
    push_metatable(L);
    lua_setmetatable(L, -2);
    *box = w;
    w->refs++;
    return 1;
}

/* error: what ended the handler, or NULL. */
static void answer_end(struct web *w, struct request *r, const char *error) {
    struct bytes type = BYTES_LIT("text/plain; charset=utf-8");
    if (error == NULL) {
        request_reply(r, 200, type, BYTES_NONE);
    } else if (w->refusal.text != NULL && app_error_is(bytes_str(error), w->refusal.text)) {
        request_refuse(r, w->refusal.status, w->refusal.text);
    } else {
        r->keeps_alive = false;
        request_reply(r, 500, type, BYTES_LIT("internal error\n"));
    }
}

/* The route has ended. Its Local connection ends too, and a request without an answer gets one. */
static void finish(void *ctx, struct app_call *call, const char *error) {
    struct web *w = ctx;
    struct request *r = w->handler.request;
    (void)call;
    routes_worked(r->routes, r->remote);
    w->handler.request = NULL;
    r->on_converted = NULL;
    local_route_ended(r);
    if (r->state == REQUEST_OPEN)
        answer_end(w, r, error);
    request_worked(r);
    web_unref(w);
}

static void copy_params(struct web *w, const struct route_param *params, size_t count) {
    for (size_t i = 0; i < count; i++) {
        struct buf value = {0};
        (void)percent_decode(bytes_of(params[i].value, params[i].value_len), false, &value);
        w->params[i].name = bytes_dup(bytes_of(params[i].name, params[i].name_len));
        w->params[i].value = buf_take(&value);
    }
    w->param_count = count;
}

void web_run(struct request *r, const struct route *route, const struct route_param *params,
             size_t param_count) {
    struct web *w = mem_zalloc(sizeof(*w));
    struct app_call *call;
    char *error = NULL;
    struct app_handler handler = {route->function, LUA_NOREF, w->label, push_web, finish, w};
    w->refs = 1;
    w->handler = (struct handler){.request = r};
    copy_params(w, params, param_count);
    snprintf(w->label, sizeof(w->label), "route %s %s", route->method, route->path);
    request_work(r);
    switch (app_call(*r->routes->app, &handler, &call, &error)) {
    case APP_DONE: finish(w, NULL, NULL); break;
    case APP_FAILED: finish(w, NULL, error); break;
    case APP_WAITING: break;
    }
    free(error);
}
