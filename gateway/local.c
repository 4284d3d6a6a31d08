/* local.c - see local.h. */
#include "gateway/local.h"

#include <lauxlib.h>
#include <lua.h>
#include <stdlib.h>
#include <string.h>

#include "common/app/app.h"
#include "common/base/clock.h"
#include "common/base/fold.h"
#include "common/base/metrics.h"
#include "common/bus/bus.h"
#include "gateway/gateway.h"
#include "gateway/handler.h"
#include "gateway/identity.h"
#include "gateway/request.h"
#include "gateway/ws.h"

struct local_event {
    struct handler handler;
    struct gateway *gateway;
    const struct event_handler *registered; /* only until app_call returns */
    const struct identity *who;             /* the same */
    enum close_reason reason;               /* of a disconnect */
    char label[128];
};

static void set_text(lua_State *L, const char *field, struct bytes text) {
    lua_pushlstring(L, text.len > 0 ? text.ptr : "", text.len);
    lua_setfield(L, -2, field);
}

static void set_time(lua_State *L, const char *field, uint64_t wall_ms) {
    char text[32];
    clock_format_utc(wall_ms, text);
    set_text(L, field, bytes_str(text));
}

static void push_connection(lua_State *L, const struct local_event *e) {
    lua_createtable(L, 0, 9);
    set_text(L, "name", e->who->name);
    set_text(L, "client_id", e->who->client_id);
    set_text(L, "scope", BYTES_LIT("local"));
    if (e->who->group.len > 0)
        set_text(L, "group", e->who->group);
    set_text(L, "gateway", bytes_str(bus_id(e->gateway->bus)));
    set_time(L, "connected_at", e->who->connected_ms);
    if (e->registered->type == EVENT_CONNECT)
        return;
    lua_pushinteger(L, close_reason_code(e->reason));
    lua_setfield(L, -2, "close_code");
    set_text(L, "close_reason", BYTES_LIT(""));
    set_text(L, "cause", e->reason == CLOSE_LOST ? BYTES_LIT("lost") : BYTES_LIT("server"));
}

/* As the broker's events of Global connections. */
static int push_event(void *ctx, lua_State *L) {
    const struct local_event *e = ctx;
    lua_createtable(L, 0, 6);
    set_text(L, "name", e->who->name);
    set_text(L, "type",
             e->registered->type == EVENT_CONNECT ? BYTES_LIT("connect") : BYTES_LIT("disconnect"));
    set_text(L, "lockable", BYTES_LIT("lockable"));
    lua_newtable(L);
    lua_setfield(L, -2, "metadata");
    set_time(L, "timestamp", clock_wall_ms());
    push_connection(L, e);
    lua_setfield(L, -2, "connection");
    return 1;
}

static void on_event_end(void *ctx, struct app_call *call, const char *error) {
    (void)call;
    (void)error;
    free(ctx);
}

static void run_one(struct gateway *g, const struct event_handler *registered,
                    const struct identity *who, enum close_reason reason) {
    struct local_event *e = mem_zalloc(sizeof(*e));
    struct app_handler handler = {.function = registered->function,
                                  .arguments = registered->arguments};
    struct app_call *call;
    char *error = NULL;
    e->handler.kind = HANDLER_EVENT;
    e->gateway = g;
    e->registered = registered;
    e->who = who;
    e->reason = reason;
    snprintf(e->label, sizeof(e->label), "event %s", registered->event_name);
    handler.label = e->label;
    metrics_add(METRIC_events, 1);
    if (app_call(g->app, &handler, push_event, on_event_end, e, &call, &error) != APP_WAITING)
        free(e);
    free(error);
}

static void run_events(struct gateway *g, enum event_type type, const struct identity *who,
                       enum close_reason reason) {
    const struct registrations *r = app_registrations(g->app);
    for (size_t i = 0; i < r->event_handlers.count; i++) {
        const struct event_handler *h = &r->event_handlers.items[i];
        if (h->type == type && fold_equal(bytes_str(h->name), who->name))
            run_one(g, h, who, reason);
    }
}

void local_opened(struct request *r) {
    if (r->ws != NULL)
        run_events(r->gateway, EVENT_CONNECT, r->ws->who, CLOSE_NORMAL);
}

void local_route_ended(struct request *r) {
    struct ws *ws = r->ws;
    r->ws = NULL;
    if (ws != NULL)
        ws->request = NULL;
    if (r->left != NULL) /* the client did not wait for the end */
        run_events(r->gateway, EVENT_DISCONNECT, r->left, CLOSE_LOST);
    if (ws == NULL || !ws->who->is_local)
        return;
    run_events(r->gateway, EVENT_DISCONNECT, ws->who, CLOSE_NORMAL);
    ws_close(ws, CLOSE_NORMAL);
}
