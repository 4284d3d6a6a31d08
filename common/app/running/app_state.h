/*
 * app_state.h - what the files of this room share about the app and its running handlers.
 *
 * One struct app_call is one place for a handler: a Lua coroutine, a timer and the owner's
 * callback. Places are kept and used again; a coroutine that ended with an error is not.
 *
 *   CALL_IDLE -> CALL_RUNNING -> CALL_WAITING -> CALL_RUNNING … -> CALL_IDLE
 *
 * The word at the front of a coroutine (its extra space) tells whose it is: the app_call of a
 * handler, NULL for the main chunk and for coroutines of the script's own, APP_KILLED for one of
 * those that the budget ended.
 */
#ifndef SIGNALBOX_APP_RUNNING_APP_STATE_H
#define SIGNALBOX_APP_RUNNING_APP_STATE_H

#include <lua.h>

#include "common/app/app.h"
#include "common/base/clock.h"

/* What may run until the next wait. */
struct slice {
    uint64_t begun_us;               /* clock_us */
    uint64_t start_us, last_look_us; /* processor time; 0: not looked yet */
    uint64_t limit_us;
    bool is_over;
};

enum call_state { CALL_IDLE, CALL_RUNNING, CALL_WAITING };

struct app_call {
    struct app *app;
    struct app_call *next_idle;
    lua_State *thread; /* NULL: made at the next use */
    int thread_ref;
    enum call_state state;
    bool has_waited, has_timer;
    const char *excused; /* the text of an error that is no fault of the app, or NULL */
    struct app_handler handler;
    app_push_fn *push; /* arguments at the start, results after a wait */
    void *push_ctx;
    const char *wait_error; /* what the wait ended with, or NULL */
    app_end_fn *on_end;
    void *ctx;
    struct slice slice;
    uv_timer_t timer; /* signalbox.sleep */
};

/* A registration or setting that the whole cluster shares: see app_rules.c. */
struct shared;

struct app {
    lua_State *L;
    struct app_environment env;
    struct registrations *registrations;
    char *folder; /* absolute */
    char *shown;  /* folder as it was given, "" or with a '/' at its end: for error texts */
    size_t memory_used, memory_limit;
    struct slice *slice;      /* of what runs now, or NULL */
    struct app_call *current; /* the handler that runs now, or NULL */
    struct app_call *idle;
    size_t idle_count, busy, waiting;
    bool is_loading, is_released, is_out_of_memory;
    /* What the app file said, for settings that the cluster takes back. */
    enum scope own_scope;
    struct signing own_signing;
    char *server_secret; /* or NULL */
    struct shared *shared;
};

/* Stands for the secret of the cluster in the rule of `signing`. */
#define APP_SERVER_SECRET_MARKER "signalbox:server-secret"

static inline struct app *app_of(lua_State *L) {
    void *a;
    lua_getallocf(L, &a);
    return a;
}

extern char app_killed;
#define APP_KILLED ((void *)&app_killed)
static inline void **app_mark_of(lua_State *L) {
    return (void **)lua_getextraspace(L);
}

/* Memory, counted against settings->lua_memory_bytes (app_budget.c). */
void *app_allocate(void *ctx, void *ptr, size_t old_size, size_t new_size);
/* Looks at the processor time every so many instructions. */
void budget_watch(lua_State *L);
struct slice budget_slice(const struct app *a, unsigned times);
/* For long loops of C: raises when the processor time is used up / says so. The latter also answers
 * for a state that is no app's. */
void budget_look(lua_State *L);
bool budget_is_over(lua_State *L);

/* Opens the libraries a script may have, and `signalbox`. May raise. */
void sandbox_open(lua_State *L);
void libraries_open(lua_State *L); /* string, table, coroutine: the parts with a bound */
void api_open(lua_State *L);

/* Runs fn(L) under pcall on the main thread, `ctx` as its light userdata; false: the error text is
 * in error_out (may be NULL). */
bool app_protected(struct app *a, lua_CFunction fn, void *ctx, struct buf *error_out);
/* The text of the value on the top, without running anything of the script. */
void app_error_text(lua_State *L, struct buf *out);
/* Loads `text` (no bytecode) as a chunk shown as `name`: LUA_OK or an error on the stack. */
int app_load_text(lua_State *L, struct bytes text, const char *name);
/* A whole file beside the app file; false with one line in error_out. */
bool app_read_file(const char *path, struct buf *out, struct buf *error_out);

/* Gives up all places for handlers; at the end of the app. */
void app_calls_free(struct app *a);
/* Frees the app if it was released and nothing runs in it any more. */
void app_end_if_done(struct app *a);
/* A handler whose wait is over. */
void app_go_on(struct app_call *c);

/* Raises unless the function that runs may wait; app_may_wait also when too many wait already. */
struct app_call *app_waiter(lua_State *L);
/* As app_wait, but goes on with `then`, which calls app_waited first. */
int app_wait_then(lua_State *L, struct app_call *call, lua_KContext ctx, lua_KFunction then);
/* Pushes what the wait brought and returns how many; raises its error. */
int app_waited(lua_State *L, struct app_call *call);

/* --- app_rules.c: what the whole cluster shares --- */

void app_rules_init(struct app *a);
void app_rules_free(struct app *a);

/* A signal route or an event handler that is set or taken away at run time; texts are borrowed. */
struct app_change {
    bool is_route, is_set;
    const char *path, *endpoint; /* of a route; endpoint may be NULL */
    enum event_type type;        /* of an event handler, and its names */
    const char *name, *event_name;
    int function, arguments; /* references, now the registration's */
};
/* The rule's field. */
void app_change_field(const struct app_change *c, struct buf *out);
/* Makes the change here, and remembers `value` as what the rule says. */
void app_change_make(struct app *a, const struct app_change *c, struct bytes value);

/* Writing rules and waiting until Redis has them all. */
struct publication;
struct publication *app_publish_begin(struct app_call *call);
void app_publish(struct publication *p, struct bytes field, struct bytes value);
int app_publish_wait(lua_State *L, struct publication *p);

#endif
