/* api_send.c - signalbox.send, close, join and leave: whom a message is for. The host (gateway,
 * broker) does the rest. */
#include <limits.h>
#include <string.h>
#include <strings.h>

#include <lauxlib.h>

#include "common/send/address.h"
#include "common/app/api/api.h"
#include "common/app/lua/json_lua.h"
#include "common/base/settings.h"

static int end_of_call(lua_State *L, struct app_call *call, enum app_outcome outcome,
                       struct buf *error) {
    if (outcome == APP_FAILED)
        return stack_raise(L, error);
    buf_deinit(error);
    return outcome == APP_WAITING ? app_wait(L, call) : 0;
}

static const struct app_host *check_host(lua_State *L, const char *function) {
    const struct app_host *host = app_of(L)->env.host;
    if (host == NULL)
        luaL_error(L, "signalbox.%s: there are no connections here", function);
    return host;
}

/* --- send --- */

static bool read_mode(lua_State *L) {
    const char *mode = api_option_text(L, 1, "mode");
    if (mode == NULL || strcasecmp(mode, "auto") == 0 || strcasecmp(mode, "broadcast") == 0)
        return false;
    if (strcasecmp(mode, "direct") != 0)
        api_arg_error(L, 1, "the mode '%s' is none of auto, broadcast, direct", mode);
    return true;
}

static bool is_empty_table(lua_State *L, int index) {
    if (!lua_istable(L, index))
        return false;
    lua_pushnil(L);
    if (!lua_next(L, index))
        return true;
    lua_pop(L, 2);
    return false;
}

/* nil, signalbox.null, "" and {} are not sent. */
static bool is_nothing(lua_State *L, int index) {
    return lua_isnil(L, index) || stack_is_null(L, index) ||
           (lua_type(L, index) == LUA_TSTRING && lua_rawlen(L, index) == 0) ||
           is_empty_table(L, index);
}

/* The value that the handler was called for: a number of it may say more than Lua's. */
static struct json_value handled(lua_State *L) {
    const struct app_environment *env = &app_of(L)->env;
    struct app_call *call = app_call_of(L);
    if (call == NULL || env->host->handled == NULL)
        return (struct json_value){0};
    return env->host->handled(env->host_ctx, call);
}

/* A string is sent as it is; for anything else its JSON is put into *json. */
static void read_data(lua_State *L, int index, int depth, struct delivery *d, struct buf *json) {
    struct buf error = {0};
    if (lua_type(L, index) == LUA_TSTRING) {
        d->data.ptr = lua_tolstring(L, index, &d->data.len);
        return;
    }
    d->flags |= FLAG_JSON;
    if (!json_from_lua_as(L, index, handled(L), depth, json, &error)) {
        buf_deinit(json);
        stack_raise(L, &error);
    }
    d->data = buf_bytes(json);
}

int api_send(lua_State *L) {
    static const char *const allowed[] = {"name",         "group", "client_id", "data",     "mode",
                                          "ignore_event", "depth", "binary",    "compress", NULL};
    struct app *a = app_of(L);
    struct bytes one[3];
    struct buf json = {0}, error = {0};
    const struct app_host *host = check_host(L, "send");
    struct app_call *call = app_waiter(L);
    api_check_options(L, 1, allowed);
    struct app_send send = {
        .what = {.kind = MESSAGE_DATA,
                 .names = api_option_list(L, 1, "name", &one[0]),
                 .groups = api_option_list(L, 1, "group", &one[1]),
                 .clients = api_option_list(L, 1, "client_id", &one[2])},
        .is_direct = read_mode(L),
        .ignores_event = api_option_bool(L, 1, "ignore_event", false),
    };
    if (api_option_bool(L, 1, "binary", false))
        send.what.flags |= FLAG_BINARY;
    if (!api_option_bool(L, 1, "compress", true))
        send.what.flags |= FLAG_UNCOMPRESSED;
    int depth = api_depth(api_option_integer(L, 1, "depth", API_DEPTH));
    lua_pushliteral(L, "data");
    lua_rawget(L, 1);
    if (is_nothing(L, lua_gettop(L)))
        return 0;
    const struct delivery *d = &send.what;
    read_data(L, lua_gettop(L), depth, &send.what, &json);
    if (!delivery_check_data(d->data, (d->flags & FLAG_BINARY) != 0,
                             (size_t)a->env.settings->max_message_bytes, &error) ||
        !address_is_affordable(d->names, d->groups, d->clients, d->data.len, &error)) {
        buf_deinit(&json);
        return stack_raise(L, &error);
    }
    enum app_outcome outcome = host->send(a->env.host_ctx, call, &send, &error);
    buf_deinit(&json);
    return end_of_call(L, call, outcome, &error);
}

bool api_reply_is_compressed(lua_State *L, int options) {
    static const char *const allowed[] = {"compress", NULL};
    if (lua_isnoneornil(L, options))
        return true;
    api_check_options(L, options, allowed);
    return api_option_bool(L, options, "compress", true);
}

/* --- close --- */

int api_close(lua_State *L) {
    static const char *const allowed[] = {"name", "group", "client_id", "code", "reason", NULL};
    struct app *a = app_of(L);
    struct bytes one[3];
    struct buf error = {0};
    const struct app_host *host = check_host(L, "close");
    struct app_call *call = app_waiter(L);
    api_check_options(L, 1, allowed);
    struct delivery close = {
        .kind = MESSAGE_CLOSE,
        .names = api_option_list(L, 1, "name", &one[0]),
        .groups = api_option_list(L, 1, "group", &one[1]),
        .clients = api_option_list(L, 1, "client_id", &one[2]),
    };
    close.code = api_option_integer(L, 1, "code", close_reason_code(CLOSE_NORMAL));
    const char *reason = api_option_text(L, 1, "reason");
    close.data = reason == NULL ? BYTES_LIT("") : bytes_str(reason);
    if (!delivery_check_close(close.code, close.data, &error) ||
        !address_is_affordable(close.names, close.groups, close.clients, close.data.len, &error))
        return stack_raise(L, &error);
    if (!bytes_list_is_given(close.names) && !bytes_list_is_given(close.groups) &&
        !bytes_list_is_given(close.clients))
        return luaL_argerror(L, 1, "a name, group or client_id is needed");
    enum app_outcome outcome = host->close(a->env.host_ctx, call, &close, &error);
    return end_of_call(L, call, outcome, &error);
}

/* --- join, leave --- */

static int change_groups(lua_State *L, const char *function, enum groups_change change) {
    static const char *const allowed[] = {"name", "group", "client_id", NULL};
    struct bytes one[3];
    struct buf error = {0};
    const struct app_host *host = check_host(L, function);
    struct app_call *call = app_waiter(L);
    api_check_options(L, 1, allowed);
    struct delivery d = {.kind = MESSAGE_GROUPS,
                         .names = api_option_list(L, 1, "name", &one[0]),
                         .groups = api_option_list(L, 1, "group", &one[1]),
                         .clients = api_option_list(L, 1, "client_id", &one[2]),
                         .code = change};
    if (!delivery_check_groups(&d, &error))
        return stack_raise(L, &error);
    enum app_outcome outcome = host->close(app_of(L)->env.host_ctx, call, &d, &error);
    return end_of_call(L, call, outcome, &error);
}

/* join { name=, client_id=, group= } */
int api_join(lua_State *L) {
    return change_groups(L, "join", GROUPS_JOIN);
}

/* leave { name=, client_id=, group= } */
int api_leave(lua_State *L) {
    return change_groups(L, "leave", GROUPS_LEAVE);
}
