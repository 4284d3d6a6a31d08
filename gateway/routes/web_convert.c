/* web_convert.c - web:convert: arguments from Lua, then upgrade.c; the handler waits for a Global
 * connection. */
#include <lauxlib.h>
#include <lua.h>

#include "common/app/api/api.h"
#include "common/app/app.h"
#include "gateway/gateway.h"
#include "gateway/routes/local.h"
#include "gateway/conn/request.h"
#include "gateway/routes/upgrade.h"
#include "gateway/routes/web_object.h"

/* Stays on the stack. What is in it upgrade.c judges: it may have come from the client. */
static struct bytes optional_text(lua_State *L, const char *field) {
    return api_option_bytes(L, 2, field);
}

static enum scope scope_of(lua_State *L, const struct request *r) {
    struct bytes text = optional_text(L, "scope");
    if (text.len == 0 || bytes_equal_nocase(text, BYTES_LIT("default")))
        return app_registrations(r->gateway->app)->default_scope;
    if (bytes_equal_nocase(text, BYTES_LIT("global")))
        return SCOPE_GLOBAL;
    if (!bytes_equal_nocase(text, BYTES_LIT("local")))
        luaL_error(L, "convert: scope must be \"global\" or \"local\"");
    return SCOPE_LOCAL;
}

/* What was looked up before the conversion is forgotten: web.signal. */
static void forget_signal_field(lua_State *L) {
    lua_getiuservalue(L, 1, 1);
    lua_pushnil(L);
    lua_setfield(L, -2, "signal");
    lua_pop(L, 1);
}

/* The refusal was sent, so the handler has nothing to do any more. */
static int refused(lua_State *L) {
    struct app_call *call = app_call_of(L);
    if (call != NULL)
        app_call_excuse(call, HANDLER_REFUSED);
    return luaL_error(L, HANDLER_REFUSED);
}

/* A handler that does not catch this ends with it: web.c answers then. */
static int invalid(lua_State *L, struct web *w, const struct upgrade_error *error) {
    struct app_call *call = app_call_of(L);
    if (error->status != 500) {
        w->refusal = *error;
        if (call != NULL)
            app_call_excuse(call, error->text);
    }
    return luaL_error(L, "%s", error->text);
}

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

int web_convert(lua_State *L) {
    struct web *w = web_check(L);
    struct request *r = w->handler.request;
    struct upgrade_error error;
    static const char *const allowed[] = {"name", "group", "client_id", "scope", NULL};
    luaL_checktype(L, 2, LUA_TTABLE);
    if (r != NULL && r->is_converted)
        return 0; /* the first one counts */
    r = web_check_request(L, "convert");
    if (r->conn == NULL)
        return refused(L);
    api_check_options(L, 2, allowed);
    forget_signal_field(L);
    struct upgrade_options options = {.name = optional_text(L, "name"),
                                      .group = optional_text(L, "group"),
                                      .client_id = optional_text(L, "client_id"),
                                      .scope = scope_of(L, r)};
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
