/*
 * app_call.h - handlers: functions of the script that the process calls, each in a coroutine of its
 * own, so that it may wait while the process goes on.
 *
 *   app_call ── the script's function ── signalbox.sleep … app_wait: the coroutine yields
 *   later: app_resume_ok, app_resume_error ── what app_wait brings back, and the script goes on
 *
 * Between two waits a handler has one slice of processor time. An error or an exhausted slice ends
 * that one handler.
 */
#ifndef SIGNALBOX_APP_RUNNING_APP_CALL_H
#define SIGNALBOX_APP_RUNNING_APP_CALL_H

#include <stdbool.h>

#include "common/base/bytes.h"

struct app;
struct app_call;
struct lua_State;

enum app_outcome {
    APP_DONE,    /* finished */
    APP_WAITING, /* goes on later */
    APP_FAILED   /* error text is set */
};

typedef int app_push_fn(void *ctx, struct lua_State *L);
typedef void app_end_fn(void *ctx, struct app_call *call, const char *error);

struct app_handler {
    int function;       /* registry reference */
    int arguments;      /* registry reference of a table of further arguments, or LUA_NOREF */
    const char *label;  /* "signal route /date": for logs; borrowed until the call ends */
    app_push_fn *push;  /* pushes its first arguments on the coroutine's stack and returns how many;
                          may raise; NULL: none */
    app_end_fn *on_end; /* or NULL */
    void *ctx;          /* of both */
};

/*
 * Runs a handler. APP_DONE and APP_FAILED: it ended, on_end is not called. APP_WAITING: on_end is
 * called once, later, unless the environment's has_ended is set by then. An error was logged with
 * file and line and counted; *error_out (free()) is its text for the owner (an HTTP route answers
 * 500). call_out (may be NULL): the call while it waits, else NULL.
 */
enum app_outcome app_call(struct app *a, const struct app_handler *handler,
                          struct app_call **call_out, char **error_out);
/* The ctx of its handler; NULL for the main chunk. */
void *app_call_ctx(struct app_call *call);
/* An error whose text ends with `text` (constant) is its client's doing, not the app's: if it ends
 * the handler, it is neither logged nor counted. Any other error still is. */
void app_call_excuse(struct app_call *call, const char *text);
/* Whether the error's text ends with `text`: Lua puts the place before it, and so may an app that
 * raises the error again. */
bool app_error_is(struct bytes error, const char *text);

/* The handler that runs now; NULL in the main chunk. */
struct app_call *app_call_of(struct lua_State *L);
/* For functions that wait. Call it before starting what is to be waited for: raises where waiting
 * is impossible (the main chunk, coroutines of the script's own, callbacks, too many that wait). */
struct app_call *app_may_wait(struct lua_State *L);
/* `return app_wait(L, call)` suspends the handler; later one of the resumes follows, exactly once
 * and from the loop. push_results pushes what the function returns; NULL: nothing. */
int app_wait(struct lua_State *L, struct app_call *call);
void app_resume_ok(struct app_call *call, app_push_fn *push_results, void *ctx);
void app_resume_error(struct app_call *call, const char *text);

#endif
