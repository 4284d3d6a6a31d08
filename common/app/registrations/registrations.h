/*
 * registrations.h - what an app file registered: endpoints, routes, signal routes, levels, events,
 * schedules, options.
 *
 * Plain data, no Lua but references to functions. The gateway reads endpoints, routes, folders,
 * scope, signing, events (for Local connections) and name options; the broker signal routes,
 * levels, events, schedules. Arrays keep insertion order. Texts are owned by the struct and
 * NUL-terminated.
 */
#ifndef SIGNALBOX_APP_REGISTRATIONS_REGISTRATIONS_H
#define SIGNALBOX_APP_REGISTRATIONS_REGISTRATIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/app/registrations/cron.h"
#include "common/app/registrations/default_broadcast.h"
#include "common/app/registrations/endpoint.h"
#include "common/send/levels.h"
#include "common/app/registrations/signing.h"

enum scope { SCOPE_GLOBAL, SCOPE_LOCAL };

/* A route of the app: "/users/:id" and a trailing "*" segment. */
struct route {
    char *method;   /* "GET" …, or "*" */
    char *path;     /* canonical (http_path.h) */
    char *endpoint; /* or NULL */
    int function;   /* Lua registry reference */
};

struct static_folder {
    char *prefix; /* canonical, without a slash at the end: "/" or "/assets" */
    char *folder; /* absolute */
};

struct signal_route {
    char *path;     /* canonical (http_path.h) */
    char *endpoint; /* or NULL */
    int function;
    int arguments; /* reference of the args table, or LUA_NOREF */
};

enum event_type { EVENT_CONNECT, EVENT_DISCONNECT };
struct event_handler {
    enum event_type type;
    char *name; /* of the connection; compared without case */
    char *event_name;
    int function;
    int arguments;
};

struct schedule {
    char *name;
    char *text; /* the cron text */
    struct cron cron;
    int function;
};

enum slow_policy { SLOW_CLOSE, SLOW_DROP_OLDEST, SLOW_DROP_NEWEST, SLOW_LATEST };
struct name_options {
    char *name;
    enum slow_policy slow;
    bool has_history;      /* false: history = false */
    bool continues_on_gap; /* on_gap = "continue" */
    bool is_uncompressed;  /* compress = false */
    unsigned keep;         /* so many messages outlive the history; 0: none */
};

/* Of registrations.multiplex unless the app says otherwise. */
#define MULTIPLEX_PATH "/.signalbox"

#define ARRAY_OF(type)                                                                             \
    struct {                                                                                       \
        type *items;                                                                               \
        size_t count;                                                                              \
    }

struct registrations {
    ARRAY_OF(struct endpoint) endpoints;
    ARRAY_OF(struct route) routes;
    ARRAY_OF(struct static_folder) static_folders;
    ARRAY_OF(struct signal_route) signal_routes;
    ARRAY_OF(struct event_handler) event_handlers;
    ARRAY_OF(struct schedule) schedules;
    ARRAY_OF(struct name_options) name_options;
    /* Allowed origins, in the form of http_origin.h; none: same origin only; "*": any. */
    ARRAY_OF(char *) origins;
    char *multiplex; /* the path of WebSockets that carry many connections, canonical; or NULL */
    enum scope default_scope;
    struct levels *levels;
    struct default_broadcast *default_broadcast;
    struct signing signing;
};

struct registrations *registrations_new(void);
/* The references to functions go with their Lua state. */
void registrations_free(struct registrations *r);

/* One more item at the end or at `place`, zeroed. Pointers to items hold until the next addition or
 * removal. */
#define ARRAY_ADD(array)                                                                           \
    ((array)->items =                                                                              \
         array_insert((array)->items, (array)->count, (array)->count, sizeof((array)->items[0])),  \
     &(array)->items[(array)->count++])
#define ARRAY_INSERT(array, place)                                                                 \
    ((array)->items =                                                                              \
         array_insert((array)->items, (array)->count, (place), sizeof((array)->items[0])),         \
     (array)->count++, &(array)->items[place])
void *array_insert(void *items, size_t count, size_t place, size_t item_size);

/* Whether two names of endpoints are the same, without case; NULL equals only NULL. */
bool registrations_is_same_endpoint(const char *a, const char *b);
/* The signal route or event handler registered under just this, or NULL. Paths, endpoints and Names
 * without case, event names exactly. endpoint NULL: the one without endpoint. */
struct signal_route *registrations_find_signal_route(const struct registrations *r,
                                                     const char *path, const char *endpoint);
struct event_handler *registrations_find_event(const struct registrations *r, enum event_type type,
                                               const char *name, const char *event_name);
/* Takes it out of its array; the caller owns its texts and references now. */
struct signal_route registrations_take_signal_route(struct registrations *r,
                                                    struct signal_route *route);
struct event_handler registrations_take_event(struct registrations *r, struct event_handler *event);
void signal_route_deinit(struct signal_route *route);
void event_handler_deinit(struct event_handler *event);
/* "connect" and "disconnect", any case. */
const char *event_type_text(enum event_type type);
bool event_type_parse(const char *text, enum event_type *type_out);

/* The options of a Name, or the defaults. Exact case. */
const struct name_options *registrations_name_options(const struct registrations *r,
                                                      const char *name);

/* The signal route for a path and endpoint, by the rules of the seed's reference section 7: exact
 * beats wildcard, wildcards in order; then the entry of this endpoint, else one without endpoint;
 * NULL when none. */
const struct signal_route *registrations_signal_route(const struct registrations *r,
                                                      const char *path, const char *endpoint);

enum { ROUTE_PARAMS_MAX = 16 };
/* Slices of the route's pattern and of the request's path; values are still percent-encoded. */
struct route_param {
    const char *name;
    size_t name_len;
    const char *value;
    size_t value_len;
};
struct route_match {
    const struct route *route; /* or NULL */
    bool has_other_method;     /* the path exists with another method: 405 when there is no route */
    size_t param_count;
    struct route_param params[ROUTE_PARAMS_MAX];
};
/* The route for a request: plain text beats a parameter, a parameter beats '*'; HEAD is a GET. */
struct route_match registrations_route(const struct registrations *r, const char *method,
                                       const char *path, const char *endpoint);

#endif
