/*
 * app_state.h - what the functions of `signalbox` and the files of this folder share about the app
 * and its running handlers. Everybody else uses app.h.
 *
 * One struct app_call is one place for a handler: a Lua coroutine, a timer and the owner's
 * callback. Places are kept and used again; a coroutine that ended with an error is not.
 *
 *   CALL_IDLE -> CALL_RUNNING -> CALL_WAITING -> CALL_RUNNING … -> CALL_IDLE
 */
#ifndef SIGNALBOX_APP_RUNNING_APP_STATE_H
#define SIGNALBOX_APP_RUNNING_APP_STATE_H

#include "common/app/lua/sandbox.h"
#include "common/app/registrations/registrations.h"
#include "common/app/running/app_call.h"
#include "common/app/running/app_host.h"
#include "common/app/running/function_code.h"

enum call_state { CALL_IDLE, CALL_RUNNING, CALL_WAITING };

struct app_call {
    struct app *app;
    struct app_call *next_idle;
    lua_State *thread; /* NULL: made at the next use */
    int thread_ref;
    enum call_state state;
    bool has_timer;
    const char *excused; /* the text of an error that is no fault of the app, or NULL */
    struct app_handler handler;
    app_push_fn *push; /* what a wait brings: its results, or NULL */
    void *push_ctx;
    const char *wait_error; /* what the wait ended with, or NULL */
    struct slice slice;
    unsigned holds;    /* locks, which go when its functions are left */
    uint64_t begun_us; /* clock_us when it began; 0 until it waits for the first time */
    uint64_t used_us;  /* processor time so far */
    uv_timer_t timer;  /* signalbox.sleep, and a turn that is put off */
    int results;       /* of the wait that is over, on the stack while its turn is put off */
};

/* A registration that the cluster decided about: see app_rules.c. */
struct shared;

struct app {
    struct sandbox sandbox;
    struct app_environment env;
    struct registrations *registrations;
    struct app_call *current; /* the handler that runs now, or NULL */
    struct app_call *idle;
    size_t idle_count, busy, waiting;
    uint64_t used_us;          /* by the handler that ended last */
    uint64_t turn_ms, turn_us; /* a turn of the loop, and what handlers have used in it */
    bool is_loading, is_released, is_out_of_memory;
    void (*on_idle)(struct app *a); /* nothing runs and nothing waits; may free the app */
    /* What the app file said, for settings that the cluster takes back. */
    enum scope own_scope;
    struct signing own_signing;
    char *server_secret; /* or NULL */
    struct shared *shared;
};

/* Stands for the secret of the cluster in the rule of `signing`. */
#define APP_SERVER_SECRET_MARKER "signalbox:server-secret"

static inline struct app *app_of(lua_State *L) {
    return container_of(sandbox_of(L), struct app, sandbox);
}

/* --- app_call.c --- */

/* Gives up all places for handlers; at the end of the app. */
void app_calls_free(struct app *a);
/* The call's timer; needs a loop. 0 ms are 1: libuv runs a timer of 0 ms in the turn in which it is
 * started, and so on for ever. */
void app_call_start_timer(struct app_call *call, uv_timer_cb fn, uint64_t ms);
/* The handler took a lock (1) or gave it back (-1). */
void app_call_hold(struct app_call *call, int change);
#define APP_CALL_TOO_LATE "the handler took longer than --handler-timeout-ms"
/* How long the handler may still take (--handler-timeout-ms). */
uint64_t app_call_left_ms(const struct app_call *call);
/* Raises unless the function that runs may wait; app_may_wait also when too many wait already. */
struct app_call *app_waiter(lua_State *L);
/* As app_wait, but goes on with `then`, which calls app_waited first. */
int app_wait_then(lua_State *L, struct app_call *call, lua_KContext ctx, lua_KFunction then);
/* Pushes what the wait brought and returns how many; raises its error. */
int app_waited(lua_State *L, struct app_call *call);

/* --- app_rules.c --- */

void app_rules_free(struct app *a);
/* Makes the change here, and remembers `value` as what the rule says. */
void app_change_make(struct app *a, const struct app_change *c, struct bytes value);

#endif
