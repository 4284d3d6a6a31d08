/* api_signing.c - signalbox.signing, sign, verify, is_signed and server_secret. */
#include <string.h>

#include <lauxlib.h>

#include "common/send/address.h"
#include "common/app/api/api.h"
#include "common/app/running/app_rules.h"
#include "common/json/json_text.h"
#include "common/base/log.h"
#include "common/bus/cluster/store.h"

/* --- signing --- */

#define SECRET_TO_COME "signalbox.server_secret"

/* The text of the secret. The cluster's own is not known while the app file is loaded: a marker
 * stands in its place. */
static const char *check_secret(lua_State *L) {
    lua_pushliteral(L, "secret");
    int type = lua_rawget(L, 1);
    if (luaL_testudata(L, -1, SECRET_TO_COME) != NULL)
        return APP_SERVER_SECRET_MARKER;
    if (type != LUA_TSTRING)
        luaL_argerror(L, 1, "the option 'secret' must be a string");
    struct bytes secret = stack_bytes_at(L, -1);
    const char *error = signing_secret_error(secret);
    if (error != NULL)
        luaL_argerror(L, 1, error);
    if (secret.len < SIGNING_SECRET_SHORT)
        log_warn("app", "short_secret bytes=%zu: signed ids can be forged by guessing it",
                 secret.len);
    return secret.ptr;
}

static void append_rule(struct buf *out, bool is_on, const char *secret, bool is_strict) {
    buf_printf(out, "{\"on\":%s", is_on ? "true" : "false");
    if (is_on) {
        buf_append_str(out, ",\"secret\":");
        json_append_string(out, bytes_str(secret));
        buf_printf(out, ",\"strict\":%s", is_strict ? "true" : "false");
    }
    buf_append_char(out, '}');
}

/* What the app file says is applied as if it were a rule. */
static int set_signing(lua_State *L, bool is_on, const char *secret, bool is_strict) {
    struct app *a = app_of(L);
    struct app_call *call = a->is_loading ? NULL : api_rule_writer(L, "signing");
    struct buf rule = {0};
    append_rule(&rule, is_on, secret, is_strict);
    app_apply_rule(a, BYTES_LIT("signing"), buf_bytes(&rule));
    struct publication *p = call == NULL ? NULL : api_publish_begin(call);
    if (p != NULL)
        api_publish(p, BYTES_LIT("signing"), buf_bytes(&rule));
    buf_deinit(&rule);
    return p == NULL ? 0 : api_publish_wait(L, p);
}

/* signing { secret=, strict=false } or signing(false) */
int api_signing(lua_State *L) {
    static const char *const allowed[] = {"secret", "strict", NULL};
    if (lua_isboolean(L, 1) && !lua_toboolean(L, 1))
        return set_signing(L, false, NULL, false);
    api_check_options(L, 1, allowed);
    const char *secret = check_secret(L);
    return set_signing(L, true, secret, api_option_bool(L, 1, "strict", false));
}

/* --- ids --- */

static struct signing_context who_asks(lua_State *L) {
    struct app *a = app_of(L);
    struct signing_context who = {0};
    if (a->current != NULL && a->env.host != NULL && a->env.host->signing_context != NULL)
        a->env.host->signing_context(a->env.host_ctx, a->current, &who);
    return who;
}

/* sign(id): the signed form. While signing is off it is an error: an id that came back as it was
 * would pass for a signed one. */
int api_sign(lua_State *L) {
    const struct signing *s = &app_of(L)->registrations->signing;
    struct bytes id = stack_check_bytes(L, 1);
    struct signing_context who = who_asks(L);
    struct buf out = {0};
    api_check_text(L, 1, "id");
    if (!s->is_on)
        return luaL_error(L, "signing is off: call signalbox.signing { secret = … } first");
    if (s->secret == NULL)
        return luaL_error(L, "the cluster's secret is not known yet: no Redis");
    signing_sign(s, &who, id, &out);
    if (out.len > ADDRESS_BYTES_MAX) {
        buf_deinit(&out);
        luaL_argerror(L, 1, "the id " ADDRESS_TOO_LONG " with its signature");
    }
    return stack_push_take(L, &out);
}

/* verify(id): whether the signature holds; nothing does while signing is off. */
int api_verify(lua_State *L) {
    struct signing_context who = who_asks(L);
    lua_pushboolean(
        L, signing_verify(&app_of(L)->registrations->signing, &who, stack_check_bytes(L, 1)));
    return 1;
}

int api_is_signed(lua_State *L) {
    lua_pushboolean(L, signing_is_signed(stack_check_bytes(L, 1)));
    return 1;
}

/* --- the cluster's secret --- */

static int push_secret(void *ctx, lua_State *L) {
    const struct bytes *secret = ctx;
    lua_pushlstring(L, secret->ptr, secret->len);
    return 1;
}

static void on_secret(void *ctx, int status, struct bytes value) {
    if (status == 0 && value.len > 0)
        app_resume_ok(ctx, push_secret, &value);
    else
        app_resume_error(ctx, "the cluster's secret cannot be read: no Redis");
}

static int refuse_use(lua_State *L) {
    return luaL_error(L, "signalbox.server_secret() is not known while the app file is loaded: "
                         "give it to signalbox.signing as it is, or call it in a handler");
}

/* It can only be given to `signing`. A text in its place would be the same for every cluster, and
 * would pass for a secret wherever else the app file used it. */
static int push_secret_to_come(lua_State *L) {
    static const char *const uses[] = {"__tostring", "__concat", "__len", "__index"};
    lua_newuserdatauv(L, 0, 0);
    if (luaL_newmetatable(L, SECRET_TO_COME)) {
        for (size_t i = 0; i < ARRAY_LEN(uses); i++) {
            lua_pushcfunction(L, refuse_use);
            lua_setfield(L, -2, uses[i]);
        }
        lua_pushboolean(L, 0);
        lua_setfield(L, -2, "__metatable");
    }
    lua_setmetatable(L, -2);
    return 1;
}

int api_server_secret(lua_State *L) {
    if (app_of(L)->is_loading)
        return push_secret_to_come(L);
    struct app_call *call = app_may_wait(L);
    store_server_secret(api_bus(L, "server_secret"), on_secret, call);
    return app_wait(L, call);
}
