/* local.c - see local.h. Read go_on. */
#include "gateway/routes/local.h"

#include <lua.h>
#include <stdlib.h>

#include "common/app/api/api.h"
#include "common/app/app.h"
#include "common/app/lua/stack.h"
#include "common/base/clock.h"
#include "common/base/fold.h"
#include "common/base/metrics.h"
#include "common/bus/bus.h"
#include "gateway/conn/request.h"
#include "gateway/routes/handler_send.h"
#include "gateway/routes/routes.h"
#include "gateway/session/client.h"
#include "gateway/session/memberships.h"

/* The handlers of one connection, in turn. The route holds it until the route ends; it frees itself
 * after the last handler. */
struct local_life {
    struct routes *routes;
    struct client *client;
    struct ip remote;
    enum event_type type; /* whose handlers run, */
    size_t next;          /* and which registration is looked at next */
    bool is_waiting;      /* a handler waits */
    bool has_ended;       /* the connection: its Disconnect follows */
    enum close_reason reason;
};

struct local_event {
    struct handler handler; /* no request */
    struct local_life *life;
    const struct event_handler *registered; /* only until app_call returns */
    char label[128];
};

static void push_connection(lua_State *L, const struct local_event *e) {
    const struct identity *who = &e->life->client->who;
    lua_createtable(L, 0, 9);
    stack_set_bytes(L, "name", who->name);
    stack_set_bytes(L, "client_id", who->client_id);
    stack_set_bytes(L, "scope", BYTES_LIT("local"));
    stack_set_optional(L, "group", who->group);
    api_set_groups(L, client_groups(e->life->client));
    api_set_data(L, client_data(e->life->client));
    stack_set_bytes(L, "gateway", bytes_str(bus_id(e->life->routes->bus)));
    stack_set_time(L, "connected_at", who->connected_ms);
    if (e->registered->type == EVENT_CONNECT)
        return;
    lua_pushinteger(L, close_reason_code(e->life->reason));
    lua_setfield(L, -2, "close_code");
    stack_set_bytes(L, "close_reason", BYTES_LIT(""));
    stack_set_bytes(L, "cause",
                    e->life->reason == CLOSE_LOST ? BYTES_LIT("lost") : BYTES_LIT("server"));
}

/* The same table as the broker's for Global connections (broker/handlers/event_table.c). */
static int push_event(void *ctx, lua_State *L) {
    const struct local_event *e = ctx;
    lua_createtable(L, 0, 6);
    stack_set_bytes(L, "name", e->life->client->who.name);
    stack_set_bytes(L, "type",
                    e->registered->type == EVENT_CONNECT ? BYTES_LIT("connect")
                                                         : BYTES_LIT("disconnect"));
    stack_set_bytes(L, "lockable", BYTES_LIT("lockable"));
    lua_newtable(L);
    lua_setfield(L, -2, "metadata");
    stack_set_time(L, "timestamp", clock_wall_ms());
    push_connection(L, e);
    lua_setfield(L, -2, "connection");
    return 1;
}

static void go_on(struct local_life *life);

static void on_event_end(void *ctx, struct app_call *call, const char *error) {
    struct local_event *e = ctx;
    struct local_life *life = e->life;
    (void)call;
    (void)error;
    free(e);
    routes_worked(life->routes, life->remote);
    life->is_waiting = false;
    go_on(life);
}

static void run_one(struct local_life *life, const struct event_handler *registered) {
    struct local_event *e = mem_zalloc(sizeof(*e));
    struct app_handler handler = {registered->function, registered->arguments, e->label,
                                  push_event,           on_event_end,          e};
    struct app_call *call;
    char *error = NULL;
    *e = (struct local_event){.life = life, .registered = registered};
    snprintf(e->label, sizeof(e->label), "event %s", registered->event_name);
    metrics_add(METRIC_events, 1);
    life->is_waiting = app_call(*life->routes->app, &handler, &call, &error) == APP_WAITING;
    if (!life->is_waiting) {
        routes_worked(life->routes, life->remote);
        free(e);
    }
    free(error);
}

static const struct event_handler *next_handler(struct local_life *life) {
    const struct registrations *r = routes_registrations(life->routes);
    while (life->next < r->event_handlers.count) {
        const struct event_handler *h = &r->event_handlers.items[life->next++];
        if (h->type == life->type && fold_equal(bytes_str(h->name), life->client->who.name))
            return h;
    }
    return NULL;
}

/* Runs the handlers of Connect and, once the connection has ended, those of Disconnect. */
static void go_on(struct local_life *life) {
    while (!life->is_waiting) {
        const struct event_handler *h = next_handler(life);
        if (h != NULL) {
            run_one(life, h);
        } else if (!life->has_ended) {
            return;
        } else if (life->type == EVENT_CONNECT) {
            life->type = EVENT_DISCONNECT;
            life->next = 0;
        } else {
            client_unref(life->client);
            free(life);
            return;
        }
    }
}

void local_opened(struct request *r) {
    if (r->client == NULL)
        return;
    struct local_life *life = mem_zalloc(sizeof(*life));
    *life = (struct local_life){.routes = r->routes,
                                .client = client_ref(r->client),
                                .remote = r->remote,
                                .type = EVENT_CONNECT};
    r->local = life;
    go_on(life);
}

static void end_life(struct request *r, enum close_reason reason) {
    struct local_life *life = r->local;
    r->local = NULL;
    if (life == NULL)
        return;
    life->reason = reason;
    life->has_ended = true;
    go_on(life);
}

void local_route_ended(struct request *r) {
    struct client *client = r->client;
    r->client = NULL;
    if (client != NULL)
        client->request = NULL;
    if (r->has_left) /* the client left before the route ended */
        end_life(r, CLOSE_LOST);
    if (client == NULL || !client->who.is_local)
        return;
    end_life(r, CLOSE_NORMAL);
    client_close(client, CLOSE_NORMAL);
}
