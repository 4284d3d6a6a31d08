/*
 * app.h - the app file: one sandboxed Lua state, what it registered, and its running handlers.
 *
 * app_load runs app.lua's main chunk, which fills the registrations (registrations.h). Later the
 * gateway or the broker runs handlers by app_call: each in a coroutine of its own, so that it may
 * wait (sleep, lock, store, lists, sends in a gateway) while the process goes on. Between two waits
 * a handler has lua_budget_ms of processor time; the state as a whole has lua_memory_bytes. An
 * error or an exhausted budget ends that one handler.
 *
 * What a handler does to the world outside goes through struct app_host, which gateway and broker
 * implement.
 *
 * Who touches Lua: this room's files, web.c and event_table.c. Scripts see tables
 * and functions, never pointers of ours.
 */
#ifndef SIGNALBOX_APP_APP_H
#define SIGNALBOX_APP_APP_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "common/json/json_text.h"
#include "common/app/registrations/registrations.h"
#include "common/base/buf.h"
#include "common/send/delivery.h"

struct app;
struct app_call;
struct bus;
struct lua_State;
struct registry;
struct rules;
struct settings;

enum app_outcome {
    APP_DONE,    /* finished */
    APP_WAITING, /* goes on later */
    APP_FAILED   /* error text is set */
};

/* What signalbox.send was given: checked against all limits, not against the levels. An empty
 * string counts as absent; an empty list addresses nobody. */
struct app_send {
    struct delivery what; /* data never empty: an empty or nil data never reaches the host */
    bool is_direct;       /* mode = "direct" */
    bool ignores_event;
};

/* Implemented by the gateway and the broker; all members must be set. error_out: one line for the
 * caller. */
struct app_host {
    /* call: the handler that sends; its ctx (app_call_ctx) tells the host where it stands. The host
     * fills in the time and the sender.
     * APP_WAITING: the host calls app_resume_ok / app_resume_error later. */
    enum app_outcome (*send)(void *ctx, struct app_call *call, const struct app_send *send,
                             struct buf *error_out);
    enum app_outcome (*close)(void *ctx, struct app_call *call, const struct delivery *close,
                              struct buf *error_out);
    /* The handler waits for the first time: app_call is about to answer APP_WAITING. May be NULL.
     */
    void (*on_first_wait)(void *ctx, struct app_call *call);
    /* The JSON of the value that the handler was called for, ABSENT when there is none. May be
     * NULL. */
    struct json_value (*handled)(void *ctx, struct app_call *call);
    /* Who asks, for strict signing. May be NULL: nobody, as outside an HTTP request. */
    void (*signing_context)(void *ctx, struct app_call *call, struct signing_context *who_out);
};

struct app_environment {
    uv_loop_t *loop;
    const struct settings *settings;
    /* NULL when offline (`signalbox check`, `run-route`): calls that need Redis fail with a clear
     * error. */
    struct bus *bus;
    struct registry *registry;
    struct rules *rules;
    const struct app_host *host;
    void *host_ctx;
    /* Set by the owner, once and for all, before it frees what is named above: handlers that wait
     * do not go on any more, neither those of an app that was replaced. May be NULL. */
    const bool *has_ended;
};

/* path: an app file, or a folder with app.lua in it. NULL on failure with "file:line: message" in
 * *error_out (free()). The environment is copied. */
MUST_CHECK struct app *app_load(const char *path, const struct app_environment *environment,
                                char **error_out);
/* The state goes when the last running handler has ended: new calls are no longer possible. */
void app_release(struct app *a);

/* A rule of the cluster (rules.h) was read or has changed: the owner calls this from on_change, and
 * for every rule after each app_load. An empty value gives back what the app file said. */
void app_apply_rule(struct app *a, struct bytes field, struct bytes value);
/* The secret of store_server_secret, once known: for `signing { secret = server_secret() }`. */
void app_set_server_secret(struct app *a, struct bytes secret);

const struct registrations *app_registrations(const struct app *a);
/* The registrations change at run time (signal_route_remove, on, off, broadcast_level …): for the
 * owner's own calls. */
struct registrations *app_registrations_mutable(struct app *a);
/* Absolute folder of the app file: what web:file and static folders are relative to. */
const char *app_folder(const struct app *a);

/*
 * Runs a handler. push_args pushes its arguments on the coroutine's stack and returns how many
 * (called inside app_call). APP_DONE and APP_FAILED: ended, on_end is not called. APP_WAITING:
 * on_end is called once later. The error was logged with file and line and counted; `error` is its
 * text for the owner (an HTTP route answers 500).
 */
typedef int app_push_fn(void *ctx, struct lua_State *L);
typedef void app_end_fn(void *ctx, struct app_call *call, const char *error);
struct app_handler {
    int function;      /* registry reference */
    int arguments;     /* registry reference of a table of further arguments, or LUA_NOREF */
    const char *label; /* "signal route /date": for logs; borrowed until the call ends */
};
enum app_outcome app_call(struct app *a, const struct app_handler *handler, app_push_fn *push_args,
                          app_end_fn *on_end, void *ctx, struct app_call **call_out,
                          char **error_out);
/* The ctx given to app_call. NULL for the main chunk, and once forgotten. */
void *app_call_ctx(struct app_call *call);
bool app_call_has_waited(const struct app_call *call);
/* The owner is gone: on_end is not called, the handler runs on as far as it gets. */
void app_call_forget(struct app_call *call);
/* An error whose text ends with `text` (constant) is its client's doing, not the app's: if it ends
 * the handler, it is neither logged nor counted. Any other error still is. */
void app_call_excuse(struct app_call *call, const char *text);
bool app_error_is(struct bytes error, const char *text);

/* For host functions that answered APP_WAITING, and for Lua functions of web.c that
 * wait: `return app_wait(L, call)` suspends; later exactly one of the resumes, from the loop. */
struct app_call *app_call_of(struct lua_State *L); /* NULL outside a handler */
/* Call it before starting what is to be waited for: raises where waiting is impossible (the main
 * chunk, coroutines of the script's own, callbacks, too many that wait). */
struct app_call *app_may_wait(struct lua_State *L);
int app_wait(struct lua_State *L, struct app_call *call);
void app_resume_ok(struct app_call *call, app_push_fn *push_results,
                   void *ctx); /* push_results NULL: none */
void app_resume_error(struct app_call *call, const char *text);

/* Number of handlers that wait. */
size_t app_waiting(const struct app *a);

#endif
