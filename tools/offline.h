/*
 * offline.h - runs an app without Redis: for check, run-route and doctor, and for up, which needs
 * to know the endpoints. Each send, reply and close of a handler is printed as a JSON line.
 */
#ifndef SIGNALBOX_TOOLS_OFFLINE_H
#define SIGNALBOX_TOOLS_OFFLINE_H

#include "common/json/json_text.h"
#include "common/bus/log/envelope.h"

struct app;
struct tool;

/* A handler's ctx must begin with this: to whom the handled message is addressed, for sends that do
 * not say it. */
struct offline_call {
    struct app *app;
    struct bytes_list names, groups, clients;
    bool is_direct, is_uncompressed;
    struct json_value message; /* ABSENT: none */
};

/* Prints an object that lacks its last brace, and frees it. */
void offline_print(struct buf *line);
/* NULL after "file:line: message" on standard error. */
MUST_CHECK struct app *offline_load(struct tool *t, const char *path);

#endif
