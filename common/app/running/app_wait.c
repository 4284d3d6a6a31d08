/* app_wait.c - see app.h: how a handler waits and goes on. What it waits for is its caller's
 * matter; the sleep is api_wait.c. */
#include <string.h>

#include <lauxlib.h>

#include "common/app/running/app_state.h"
#include "common/base/settings.h"

struct app_call *app_call_of(lua_State *L) {
    return app_of(L)->current;
}

void *app_call_ctx(struct app_call *call) {
    return call == NULL ? NULL : call->ctx;
}

bool app_call_has_waited(const struct app_call *call) {
    return call->has_waited;
}

void app_call_forget(struct app_call *call) {
    MUST(call->state != CALL_IDLE);
    call->on_end = NULL;
    call->ctx = NULL;
}

void app_call_excuse(struct app_call *call, const char *text) {
    call->excused = text;
}

/* Lua puts the place before the text, and so may an app that raises the error again. */
bool app_error_is(struct bytes error, const char *text) {
    size_t len = strlen(text);
    return error.len >= len && bytes_equal_str(bytes_from(error, error.len - len), text);
}

struct app_call *app_waiter(lua_State *L) {
    struct app_call *call = app_call_of(L);
    if (call == NULL)
        luaL_error(L, "only a handler can wait, not the main chunk");
    else if (call->thread != L)
        luaL_error(L, "cannot wait inside a coroutine of the app's own");
    else if (!lua_isyieldable(L))
        luaL_error(L, "cannot wait inside a callback of a function that does not wait");
    return call;
}

struct app_call *app_may_wait(lua_State *L) {
    struct app_call *call = app_waiter(L);
    int64_t limit = call->app->env.settings->max_waiting_handlers;
    if (call->app->waiting >= (size_t)limit)
        luaL_error(L, "%d handlers wait already (--max-waiting-handlers)", (int)limit);
    return call;
}

int app_wait_then(lua_State *L, struct app_call *call, lua_KContext ctx, lua_KFunction then) {
    MUST(call->state == CALL_RUNNING && call->thread == L);
    call->push = NULL;
    call->wait_error = NULL;
    return lua_yieldk(L, 0, ctx, then);
}

int app_waited(lua_State *L, struct app_call *call) {
    if (call->wait_error != NULL)
        luaL_error(L, "%s", call->wait_error);
    return call->push == NULL ? 0 : call->push(call->push_ctx, L);
}

static int after_wait(lua_State *L, int status, lua_KContext ctx) {
    (void)status;
    return app_waited(L, (struct app_call *)ctx);
}

int app_wait(lua_State *L, struct app_call *call) {
    return app_wait_then(L, call, (lua_KContext)call, after_wait);
}

void app_resume_ok(struct app_call *call, app_push_fn *push_results, void *ctx) {
    MUST(call->state == CALL_WAITING);
    call->push = push_results;
    call->push_ctx = ctx;
    call->wait_error = NULL;
    app_go_on(call);
}

void app_resume_error(struct app_call *call, const char *text) {
    MUST(call->state == CALL_WAITING);
    call->push = NULL;
    call->wait_error = text;
    app_go_on(call);
}
