/* web.c - see web.h: the object itself, and running a route's handler. Its fields are in
 * web_fields.c, its methods in web_answer.c and web_convert.c. */
#include "gateway/routes/web.h"

#include <lauxlib.h>
#include <lua.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/app/app.h"
#include "common/base/percent.h"
#include "gateway/gateway.h"
#include "gateway/routes/local.h"
#include "gateway/conn/request.h"
#include "gateway/routes/web_object.h"

#define WEB_TYPE "signalbox.web"

static void web_unref(struct web *w) {
    if (--w->refs > 0)
        return;
    for (size_t i = 0; i < w->param_count; i++) {
        free(w->params[i].name);
        free(w->params[i].value);
    }
    free(w);
}

struct web *web_check(lua_State *L) {
    struct web **box = luaL_checkudata(L, 1, WEB_TYPE);
    return *box;
}

struct request *web_check_request(lua_State *L, const char *what) {
    struct request *r = web_check(L)->handler.request;
    if (r == NULL)
        luaL_error(L, "web:%s: the request has ended", what);
    if (r->is_converted)
        luaL_error(L, "web:%s: the request became a signal connection", what);
    if (r->is_answered || r->is_claimed)
        luaL_error(L, "web:%s: the request was answered already", what);
    return r;
}

/* ---- the object */

/* Looks in the object's own table first, then makes the field and keeps it there. */
static int web_index(lua_State *L) {
    struct web *w = web_check(L);
    const char *key = lua_tostring(L, 2);
    lua_getiuservalue(L, 1, 1);
    lua_pushvalue(L, 2);
    if (lua_rawget(L, -2) != LUA_TNIL || key == NULL)
        return 1;
    lua_pop(L, 1);
    lua_getmetatable(L, 1);
    if (lua_getfield(L, -1, "methods") == LUA_TTABLE && lua_getfield(L, -1, key) != LUA_TNIL)
        return 1;
    lua_settop(L, 3);
    if (w->handler.request != NULL && web_push_field(L, w, key)) {
        lua_pushvalue(L, 2);
        lua_pushvalue(L, -2);
        lua_rawset(L, 3);
        return 1;
    }
    lua_pushnil(L);
    return 1;
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
    {"respond", web_respond}, {"json", web_json},       {"text", web_text}, {"file", web_file},
    {"header", web_header},   {"convert", web_convert}, {NULL, NULL},
};

/* ---- running a handler */

static void push_metatable(lua_State *L) {
    if (luaL_newmetatable(L, WEB_TYPE) == 0)
        return;
    luaL_newlib(L, web_methods);
    lua_setfield(L, -2, "methods");
    lua_pushcfunction(L, web_index);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, web_newindex);
    lua_setfield(L, -2, "__newindex");
    lua_pushcfunction(L, web_gc);
    lua_setfield(L, -2, "__gc");
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

/* The route has ended: a Local connection with it, and whatever was not answered is. */
static void finish(struct web *w, const char *error) {
    struct request *r = w->handler.request;
    w->handler.request = NULL;
    r->on_converted = NULL;
    local_route_ended(r);
    if (!r->is_answered && !r->is_claimed && !r->is_converted)
        answer_end(w, r, error);
    request_worked(r);
    web_unref(w);
}

static void on_route_end(void *ctx, struct app_call *call, const char *error) {
    (void)call;
    finish(ctx, error);
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
    struct app_handler handler = {.function = route->function, .arguments = LUA_NOREF};
    w->refs = 1;
    w->handler = (struct handler){.kind = HANDLER_ROUTE, .request = r};
    copy_params(w, params, param_count);
    snprintf(w->label, sizeof(w->label), "route %s %s", route->method, route->path);
    handler.label = w->label;
    request_work(r);
    switch (app_call(r->gateway->app, &handler, push_web, on_route_end, w, &call, &error)) {
    case APP_DONE: finish(w, NULL); break;
    case APP_FAILED: finish(w, error); break;
    case APP_WAITING: break;
    }
    free(error);
}

struct request *web_request_of(struct app_call *call) {
    struct handler *handler = call == NULL ? NULL : app_call_ctx(call);
    return handler == NULL || handler->kind != HANDLER_ROUTE ? NULL : handler->request;
}
