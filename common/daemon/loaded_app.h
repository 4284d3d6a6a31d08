/*
 * loaded_app.h - the app of a daemon as it is now: it changes at a reload. What the cluster says
 * at run time (rules.h, the server secret) is kept here, since it holds for an app that is loaded
 * later, too.
 *
 * Whoever runs handlers is given the place of the pointer (`struct app *const *`) and reads it at
 * each use; a handler that waits keeps its own app alive (app.h).
 */
#ifndef SIGNALBOX_DAEMON_LOADED_APP_H
#define SIGNALBOX_DAEMON_LOADED_APP_H

#include "common/app/app.h"

struct rule;

struct loaded_app {
    struct app *app; /* NULL until it is loaded for the first time */
    const char *path;
    struct app_environment environment;
    struct rule *rules; /* uthash: by field, those that are set */
    char *secret;       /* NULL: not known yet */
};

/* path is borrowed for life. */
void loaded_app_init(struct loaded_app *l, const char *path,
                     const struct app_environment *environment);
/* Loads the file in place of what was loaded before. -1 with one line in *error_out (free()):
 * nothing has changed. */
MUST_CHECK int loaded_app_load(struct loaded_app *l, char **error_out);
/* An empty value unsets the rule. */
void loaded_app_set_rule(struct loaded_app *l, struct bytes field, struct bytes value);
void loaded_app_set_secret(struct loaded_app *l, struct bytes secret);
/* No handler can be started any more. */
void loaded_app_release(struct loaded_app *l);
void loaded_app_deinit(struct loaded_app *l);

#endif
