/*
 * route_event.h - the `event` that run-route passes to a signal route, made from the JSON on
 * standard input. route_event.c is the only file of the tools that touches Lua.
 */
#ifndef SIGNALBOX_TOOLS_ROUTE_EVENT_H
#define SIGNALBOX_TOOLS_ROUTE_EVENT_H

#include "tools/offline.h"

struct lua_State;

struct route_event {
    struct offline_call call; /* first */
    struct bytes json;        /* a checked object */
    const char *path;         /* of the URL */
    const char *route_path;   /* of the signal route */
};

/* app_push_fn; ctx is the struct route_event. */
int route_event_push(void *ctx, struct lua_State *L);

#endif
