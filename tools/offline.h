/*
 * offline.h - an app without Redis: for `check` and `run-route`, and for `up`, which wants to know
 * the endpoints. What a handler sends is printed as a JSON line each.
 */
#ifndef SIGNALBOX_TOOLS_OFFLINE_H
#define SIGNALBOX_TOOLS_OFFLINE_H

#include "common/json/json_text.h"
#include "common/bus/log/envelope.h"

struct app;
struct tool;

/* What a handler's ctx must begin with: what the handled message says of itself, for sends that do
 * not say it. */
struct offline_call {
    struct app *app;
    struct bytes_list names, groups, clients;
    bool is_direct;
    struct json_value message; /* ABSENT: none */
};

/* NULL after "file:line: message" on standard error. */
MUST_CHECK struct app *offline_load(struct tool *t, const char *path);

#endif
