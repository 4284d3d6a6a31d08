/*
 * app_call.c - see app_call.h: handlers run, wait and go on.
 *
 *   app_call ── run ── lua_resume ── run_handler ── the script's function
 *                                                      └─ signalbox.sleep … app_wait: yields
 *   later: app_resume_ok ── run ── lua_resume ── after_wait: its results, and the script goes on
 *
 * Everything that may raise runs inside the coroutine, arguments and results of a wait included. A
 * coroutine that ended well is used again; after an error it is left to the garbage collector.
 */
#include "common/app/running/app_call.h"

#include <stdlib.h>
#include <string.h>

#include <lauxlib.h>

#include "common/app/running/app_state.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/metrics.h"
#include "common/base/settings.h"

enum { PLACES_KEPT = 256, TRACE_LEVELS = 8, GC_STEP_KIB = 1024 };

static bool may_follow(enum call_state from, enum call_state to) {
    switch (from) {
    case CALL_IDLE:
    case CALL_WAITING: return to == CALL_RUNNING;
    case CALL_RUNNING: return to != CALL_RUNNING;
    }
    return false;
}

static void set_state(struct app_call *c, enum call_state to) {
    MUST(may_follow(c->state, to));
    c->app->waiting += (to == CALL_WAITING) - (c->state == CALL_WAITING);
    metrics_add(METRIC_handlers_waiting, (to == CALL_WAITING) - (c->state == CALL_WAITING));
    c->state = to;
}

/* --- places --- */

static void report_failure(const char *label, struct bytes error, struct bytes trace) {
    metrics_add(METRIC_handler_errors, 1);
    log_error("app", "failed handler=%s error=%s at=%s", LOG_TEXT(bytes_str(label)),
              LOG_TEXT(error), LOG_TEXT(trace));
}

static int make_thread(lua_State *L) {
    struct app_call *c = lua_touserdata(L, 1);
    lua_State *thread = lua_newthread(L);
    c->thread_ref = luaL_ref(L, LUA_REGISTRYINDEX);
    *budget_owner_of(thread) = c;
    c->thread = thread;
    return 0;
}

static int drop_thread(lua_State *L) {
    struct app_call *c = lua_touserdata(L, 1);
    luaL_unref(L, LUA_REGISTRYINDEX, c->thread_ref);
    return 0;
}

static void on_timer_closed(uv_handle_t *handle) {
    free(container_of((uv_timer_t *)handle, struct app_call, timer));
}

/* The garbage collector frees the coroutine. */
static void place_free(struct app_call *c) {
    if (c->has_timer)
        uv_close((uv_handle_t *)&c->timer, on_timer_closed);
    else
        free(c);
}

static struct app_call *place_take(struct app *a, const char *label) {
    struct buf error = {0};
    struct app_call *c = a->idle;
    if (c == NULL) {
        c = mem_zalloc(sizeof(*c));
        c->app = a;
    } else {
        a->idle = c->next_idle;
        a->idle_count--;
    }
    if (c->thread == NULL && !sandbox_protected(&a->sandbox, make_thread, c, &error)) {
        report_failure(label, buf_bytes(&error), BYTES_NONE);
        buf_deinit(&error);
        place_free(c);
        return NULL;
    }
    return c;
}

static void place_give_back(struct app_call *c) {
    struct app *a = c->app;
    if (a->idle_count >= PLACES_KEPT) {
        if (c->thread != NULL)
            (void)sandbox_protected(&a->sandbox, drop_thread, c, NULL);
        place_free(c);
        return;
    }
    c->next_idle = a->idle;
    a->idle = c;
    a->idle_count++;
}

void app_calls_free(struct app *a) {
    while (a->idle != NULL) {
        struct app_call *c = a->idle;
        a->idle = c->next_idle;
        place_free(c);
    }
}

/* --- failures --- */

void app_call_excuse(struct app_call *call, const char *text) {
    call->excused = text;
}

bool app_error_is(struct bytes error, const char *text) {
    return bytes_ends_with(error, bytes_str(text));
}

static void append_trace(lua_State *thread, struct buf *out) {
    lua_Debug at;
    int shown = 0;
    for (int level = 0; shown < TRACE_LEVELS && lua_getstack(thread, level, &at); level++) {
        lua_getinfo(thread, "Sl", &at);
        if (at.currentline > 0)
            buf_printf(out, "%s%s:%d", shown++ > 0 ? " < " : "", at.short_src, at.currentline);
    }
}

/* Two rounds of the collector find all garbage; more than a quarter of a slice waits for later
 * allocations. */
static int collect_most(lua_State *L) {
    const struct budget *b = budget_of(L);
    uint64_t end_us = clock_us() + b->slice_us / 4;
    for (int rounds = 0; rounds < 2 && clock_us() < end_us;)
        rounds += lua_gc(L, LUA_GCSTEP, GC_STEP_KIB);
    return 0;
}

/* After the end of a slice the error is the budget's, whatever the script made of it. */
static void fail(struct app_call *c, int status, struct buf *error_out) {
    struct buf trace = {0};
    if (c->slice.is_reported)
        buf_append_str(error_out, c->app->sandbox.budget.over);
    else
        sandbox_append_error(c->thread, error_out);
    append_trace(c->thread, &trace);
    if (c->excused == NULL || !app_error_is(buf_bytes(error_out), c->excused))
        report_failure(c->handler.label, buf_bytes(error_out), buf_bytes(&trace));
    buf_deinit(&trace);
    if (status == LUA_ERRMEM && !c->slice.is_reported)
        c->app->is_out_of_memory = true;
    if (!c->slice.is_over)
        (void)lua_resetthread(c->thread); /* closes its variables, which cannot wait any more */
    (void)sandbox_protected(&c->app->sandbox, drop_thread, c, NULL);
    c->thread = NULL;
}

/* --- running --- */

struct app_call *app_call_of(lua_State *L) {
    return app_of(L)->current;
}

void *app_call_ctx(struct app_call *call) {
    return call == NULL ? NULL : call->handler.ctx;
}

static int after_handler(lua_State *L, int status, lua_KContext ctx) {
    (void)L;
    (void)status;
    (void)ctx;
    return 0;
}

static int push_further_arguments(lua_State *L, int arguments) {
    if (arguments == LUA_NOREF)
        return 0;
    lua_rawgeti(L, LUA_REGISTRYINDEX, arguments);
    int table = lua_gettop(L), count = (int)lua_rawlen(L, table);
    luaL_checkstack(L, count, "too many arguments");
    for (int i = 1; i <= count; i++)
        lua_rawgeti(L, table, i);
    lua_remove(L, table);
    return count;
}

static int run_handler(lua_State *L) {
    struct app_call *c = *budget_owner_of(L);
    const struct app_handler *h = &c->handler;
    lua_rawgeti(L, LUA_REGISTRYINDEX, h->function);
    int count = h->push == NULL ? 0 : h->push(h->ctx, L);
    count += push_further_arguments(L, h->arguments);
    lua_callk(L, count, 0, 0, after_handler);
    return 0;
}

static void count_time(struct app_call *c, uint64_t used_us) {
    struct app *a = c->app;
    uint64_t now_ms = a->env.loop != NULL ? uv_now(a->env.loop) : 0;
    a->turn_us = a->turn_ms == now_ms ? a->turn_us + used_us : used_us;
    a->turn_ms = now_ms;
    c->used_us += used_us;
    a->used_us = c->used_us;
}

/* One stretch between two waits. */
static enum app_outcome run(struct app_call *c, struct buf *error_out) {
    struct app *a = c->app;
    struct app_call *outer = a->current;
    struct budget *budget = &a->sandbox.budget;
    enum app_outcome outcome = APP_DONE;
    int result_count;
    set_state(c, CALL_RUNNING);
    c->slice = budget_slice(budget, 1);
    c->slice.must_unwind = c->holds > 0;
    a->current = c;
    struct entered before = budget_enter(budget, &c->slice, c->thread);
    int status = lua_resume(c->thread, NULL, 0, &result_count);
    bool is_stopped = budget_has_stopped(budget, c->thread);
    if (status == LUA_YIELD && !is_stopped) {
        outcome = APP_WAITING;
    } else if (status == LUA_OK) {
        lua_settop(c->thread, 0);
    } else {
        outcome = APP_FAILED;
        fail(c, status, error_out);
    }
    a->current = outer;
    budget_leave(budget, before);
    count_time(c, budget_used_us(&c->slice));
    set_state(c, outcome == APP_WAITING ? CALL_WAITING : CALL_IDLE);
    if (a->is_out_of_memory && outer == NULL) {
        a->is_out_of_memory = false;
        (void)sandbox_protected(&a->sandbox, collect_most, NULL, NULL);
    }
    return outcome;
}

/* After a stretch of a handler, as the last step: the app may be freed. */
static void end_stretch(struct app *a) {
    a->busy--;
    if (a->busy == 0 && a->waiting == 0)
        a->on_idle(a);
}

static enum app_outcome refuse(const char *why, char **error_out) {
    if (error_out != NULL)
        *error_out = mem_strdup(why);
    return APP_FAILED;
}

enum app_outcome app_call(struct app *a, const struct app_handler *handler,
                          struct app_call **call_out, char **error_out) {
    const struct app_host *host = a->env.host;
    struct buf error = {0};
    if (a->is_released)
        return refuse("the app was replaced", error_out);
    struct app_call *c = place_take(a, handler->label);
    if (c == NULL)
        return refuse("not enough memory", error_out);
    c->handler = *handler;
    c->excused = NULL;
    c->begun_us = 0;
    c->used_us = 0;
    c->holds = 0;
    lua_pushcfunction(c->thread, run_handler);
    a->busy++;
    enum app_outcome outcome = run(c, &error);
    c->begun_us = c->slice.begun_us;
    if (call_out != NULL)
        *call_out = outcome == APP_WAITING ? c : NULL;
    if (outcome == APP_FAILED && error_out != NULL)
        *error_out = buf_take(&error);
    buf_deinit(&error);
    if (outcome != APP_WAITING)
        place_give_back(c);
    else if (host != NULL && host->on_first_wait != NULL)
        host->on_first_wait(a->env.host_ctx, c);
    end_stretch(a);
    return outcome;
}

static void go_on(struct app_call *c, app_push_fn *push, void *push_ctx, const char *wait_error) {
    struct app *a = c->app;
    struct buf error = {0};
    MUST(c->state == CALL_WAITING);
    bool is_late = app_call_left_ms(c) == 0;
    c->push = is_late ? NULL : push;
    c->push_ctx = push_ctx;
    c->wait_error = is_late ? APP_CALL_TOO_LATE : wait_error;
    if (a->env.has_ended != NULL && *a->env.has_ended)
        return;
    a->busy++;
    enum app_outcome outcome = run(c, &error);
    if (outcome != APP_WAITING) {
        char *text = outcome == APP_FAILED ? buf_take(&error) : NULL;
        if (c->handler.on_end != NULL)
            c->handler.on_end(c->handler.ctx, c, text);
        free(text);
        place_give_back(c);
    }
    buf_deinit(&error);
    end_stretch(a);
}

/* --- waiting --- */

void app_call_hold(struct app_call *call, int change) {
    call->holds += (unsigned)change;
    call->slice.must_unwind = call->holds > 0;
}

uint64_t app_call_left_ms(const struct app_call *c) {
    uint64_t limit_ms = (uint64_t)c->app->env.settings->handler_timeout_ms;
    if (limit_ms == 0 || c->begun_us == 0)
        return limit_ms == 0 ? UINT64_MAX : limit_ms;
    uint64_t used_ms = (clock_us() - c->begun_us) / 1000;
    return used_ms < limit_ms ? limit_ms - used_ms : 0;
}

struct app_call *app_waiter(lua_State *L) {
    struct app_call *call = app_call_of(L);
    budget_look(L);
    if (call == NULL)
        luaL_error(L, "only a handler can wait, not the main chunk");
    else if (call->thread != L)
        luaL_error(L, "cannot wait inside a coroutine of the app's own");
    else if (!lua_isyieldable(L))
        luaL_error(L, "cannot wait inside a callback of a function that does not wait");
    else if (app_call_left_ms(call) == 0)
        luaL_error(L, "%s", APP_CALL_TOO_LATE);
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

void app_call_start_timer(struct app_call *call, uv_timer_cb fn, uint64_t ms) {
    if (!call->has_timer)
        MUST(uv_timer_init(call->app->env.loop, &call->timer) == 0);
    call->has_timer = true;
    MUST(uv_timer_start(&call->timer, fn, ms > 0 ? ms : 1, 0) == 0);
}

/* Handlers whose waits end in the same turn of the loop share it: once they have used half a
 * budget, the others go on in later turns, so that sockets and Redis are looked at in between. */
static bool is_turn_over(const struct app *a) {
    return a->env.loop != NULL && a->turn_ms == uv_now(a->env.loop) &&
           a->turn_us >= a->sandbox.budget.slice_us / 2;
}

static void on_later_turn(uv_timer_t *timer) {
    struct app_call *c = container_of(timer, struct app_call, timer);
    if (is_turn_over(c->app))
        app_call_start_timer(c, on_later_turn, 1);
    else
        app_resume_ok(c, NULL, NULL);
}

static int after_later_turn(lua_State *L, int status, lua_KContext ctx) {
    struct app_call *c = (struct app_call *)ctx;
    (void)status;
    (void)app_waited(L, c);
    return c->results;
}

static int after_wait(lua_State *L, int status, lua_KContext ctx) {
    struct app_call *c = (struct app_call *)ctx;
    int count = app_waited(L, c);
    (void)status;
    if (!is_turn_over(c->app))
        return count;
    c->results = count;
    app_call_start_timer(c, on_later_turn, 1);
    return app_wait_then(L, c, ctx, after_later_turn);
}

int app_wait(lua_State *L, struct app_call *call) {
    return app_wait_then(L, call, (lua_KContext)call, after_wait);
}

void app_resume_ok(struct app_call *call, app_push_fn *push_results, void *ctx) {
    go_on(call, push_results, ctx, NULL);
}

void app_resume_error(struct app_call *call, const char *text) {
    go_on(call, NULL, NULL, text);
}
