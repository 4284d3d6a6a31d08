/*
 * app.h - the app file: one sandboxed Lua state, what it registered, and its running handlers.
 *
 * app_load runs app.lua's main chunk, which fills the registrations (registrations.h). Later the
 * gateway or the broker runs handlers by app_call (app_call.h). What a handler does to the world
 * outside goes through struct app_host (app_host.h).
 *
 * Scripts see tables and functions, never pointers of ours.
 */
#ifndef SIGNALBOX_APP_APP_H
#define SIGNALBOX_APP_APP_H

#include "common/app/registrations/registrations.h"
#include "common/app/running/app_call.h"
#include "common/app/running/app_host.h"
#include "common/app/running/app_rules.h"

/* path: an app file, or a folder with app.lua in it. NULL on failure with "file:line: message" in
 * *error_out (free()). The environment is copied. */
MUST_CHECK struct app *app_load(const char *path, const struct app_environment *environment,
                                char **error_out);
/* No new calls are possible. The state is freed when the last running handler has ended. */
void app_release(struct app *a);

/* They change at run time (signal_route_remove, on, off, broadcast_level …). */
const struct registrations *app_registrations(const struct app *a);
/* Absolute folder of the app file: what web:file and static folders are relative to. */
const char *app_folder(const struct app *a);
/* Processor time of the handler that ended last, in all its stretches. */
uint64_t app_used_us(const struct app *a);
/* Number of handlers that wait. */
size_t app_waiting(const struct app *a);

#endif
