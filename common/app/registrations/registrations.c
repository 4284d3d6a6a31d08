/* registrations.c - see registrations.h: memory of the arrays, their items by identity, and what a
 * client's request finds: registrations_signal_route, registrations_route. */
#include "common/app/registrations/registrations.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/base/fold.h"
#include "common/base/must.h"

struct registrations *registrations_new(void) {
    struct registrations *r = mem_zalloc(sizeof(*r));
    r->multiplex = mem_strdup(MULTIPLEX_PATH);
    r->levels = levels_new();
    r->default_broadcast = default_broadcast_new();
    return r;
}

static void free_http(struct registrations *r) {
    for (size_t i = 0; i < r->endpoints.count; i++)
        endpoint_deinit(&r->endpoints.items[i]);
    for (size_t i = 0; i < r->routes.count; i++) {
        free(r->routes.items[i].method);
        free(r->routes.items[i].path);
        free(r->routes.items[i].endpoint);
    }
    for (size_t i = 0; i < r->static_folders.count; i++) {
        free(r->static_folders.items[i].prefix);
        free(r->static_folders.items[i].folder);
    }
    for (size_t i = 0; i < r->origins.count; i++)
        free(r->origins.items[i]);
    free(r->endpoints.items);
    free(r->routes.items);
    free(r->static_folders.items);
    free(r->origins.items);
    free(r->multiplex);
}

void registrations_free(struct registrations *r) {
    if (r == NULL)
        return;
    free_http(r);
    for (size_t i = 0; i < r->signal_routes.count; i++)
        signal_route_deinit(&r->signal_routes.items[i]);
    for (size_t i = 0; i < r->event_handlers.count; i++)
        event_handler_deinit(&r->event_handlers.items[i]);
    for (size_t i = 0; i < r->schedules.count; i++) {
        free(r->schedules.items[i].name);
        free(r->schedules.items[i].text);
    }
    for (size_t i = 0; i < r->name_options.count; i++)
        free(r->name_options.items[i].name);
    free(r->signal_routes.items);
    free(r->event_handlers.items);
    free(r->schedules.items);
    free(r->name_options.items);
    levels_free(r->levels);
    default_broadcast_free(r->default_broadcast);
    signing_deinit(&r->signing);
    free(r);
}

/* The room doubles whenever the count is a power of two. */
void *array_insert(void *items, size_t count, size_t place, size_t item_size) {
    if ((count & (count - 1)) == 0)
        items = mem_realloc(items, (count == 0 ? 1 : count * 2) * item_size);
    char *item = (char *)items + place * item_size;
    memmove(item + item_size, item, (count - place) * item_size);
    memset(item, 0, item_size);
    return items;
}

static void array_cut(void *items, size_t *count, size_t at, size_t item_size) {
    char *item = (char *)items + at * item_size;
    memmove(item, item + item_size, (*count - at - 1) * item_size);
    (*count)--;
}

bool registrations_is_same_endpoint(const char *a, const char *b) {
    return a == NULL || b == NULL ? a == b : strcasecmp(a, b) == 0;
}

struct signal_route *registrations_find_signal_route(const struct registrations *r,
                                                     const char *path, const char *endpoint) {
    for (size_t i = 0; i < r->signal_routes.count; i++) {
        struct signal_route *route = &r->signal_routes.items[i];
        if (strcasecmp(route->path, path) == 0 &&
            registrations_is_same_endpoint(route->endpoint, endpoint))
            return route;
    }
    return NULL;
}

struct event_handler *registrations_find_event(const struct registrations *r, enum event_type type,
                                               const char *name, const char *event_name) {
    for (size_t i = 0; i < r->event_handlers.count; i++) {
        struct event_handler *event = &r->event_handlers.items[i];
        if (event->type == type && fold_equal(bytes_str(event->name), bytes_str(name)) &&
            strcmp(event->event_name, event_name) == 0)
            return event;
    }
    return NULL;
}

struct signal_route registrations_take_signal_route(struct registrations *r,
                                                    struct signal_route *route) {
    struct signal_route taken = *route;
    array_cut(r->signal_routes.items, &r->signal_routes.count,
              (size_t)(route - r->signal_routes.items), sizeof(taken));
    return taken;
}

struct event_handler registrations_take_event(struct registrations *r,
                                              struct event_handler *event) {
    struct event_handler taken = *event;
    array_cut(r->event_handlers.items, &r->event_handlers.count,
              (size_t)(event - r->event_handlers.items), sizeof(taken));
    return taken;
}

void signal_route_deinit(struct signal_route *route) {
    free(route->path);
    free(route->endpoint);
}

void event_handler_deinit(struct event_handler *event) {
    free(event->name);
    free(event->event_name);
}

const char *event_type_text(enum event_type type) {
    return type == EVENT_CONNECT ? "connect" : "disconnect";
}

bool event_type_parse(const char *text, enum event_type *type_out) {
    *type_out = strcasecmp(text, "connect") == 0 ? EVENT_CONNECT : EVENT_DISCONNECT;
    return *type_out == EVENT_CONNECT || strcasecmp(text, "disconnect") == 0;
}

/* --- the options of a Name --- */

const struct name_options *registrations_name_options(const struct registrations *r,
                                                      const char *name) {
    static const struct name_options defaults = {.slow = SLOW_CLOSE, .has_history = true};
    for (size_t i = 0; i < r->name_options.count; i++)
        if (strcmp(r->name_options.items[i].name, name) == 0)
            return &r->name_options.items[i];
    return &defaults;
}

/* --- the signal route of a path --- */

/* '*' is any run of characters, also of none. Linear: only the last star is ever tried again. */
static bool matches_pattern(const char *pattern, const char *path) {
    const char *star = NULL, *retry = NULL;
    while (*path != '\0') {
        if (*pattern == '*') {
            star = pattern++;
            retry = path;
        } else if (bytes_lower(*pattern) == bytes_lower(*path)) {
            pattern++;
            path++;
        } else if (star != NULL) {
            pattern = star + 1;
            path = ++retry;
        } else {
            return false;
        }
    }
    while (*pattern == '*')
        pattern++;
    return *pattern == '\0';
}

/* Of the routes registered under this very path text: the endpoint's own, else the one without
 * endpoint. */
static const struct signal_route *of_endpoint(const struct registrations *r, const char *path,
                                              const char *endpoint) {
    const struct signal_route *without = NULL;
    for (size_t i = 0; i < r->signal_routes.count; i++) {
        const struct signal_route *route = &r->signal_routes.items[i];
        if (strcasecmp(route->path, path) != 0)
            continue;
        if (endpoint != NULL && registrations_is_same_endpoint(route->endpoint, endpoint))
            return route;
        if (route->endpoint == NULL && without == NULL)
            without = route;
    }
    return without;
}

const struct signal_route *registrations_signal_route(const struct registrations *r,
                                                      const char *path, const char *endpoint) {
    for (size_t i = 0; i < r->signal_routes.count; i++)
        if (strcasecmp(r->signal_routes.items[i].path, path) == 0)
            return of_endpoint(r, path, endpoint);
    for (size_t i = 0; i < r->signal_routes.count; i++)
        if (matches_pattern(r->signal_routes.items[i].path, path))
            return of_endpoint(r, r->signal_routes.items[i].path, endpoint);
    return NULL;
}

/* --- the route of a request --- */

/* "/users/:id" and a last segment "*" against a path; parameters are slices of the path. */
static bool route_matches(const char *pattern, const char *path, struct route_match *m) {
    while (*pattern == '/' && *path == '/') {
        pattern++;
        path++;
        size_t want = strcspn(pattern, "/"), have = strcspn(path, "/");
        if (want == 1 && *pattern == '*' && pattern[1] == '\0')
            return true;
        if (want > 1 && *pattern == ':' && have > 0 && m->param_count < ROUTE_PARAMS_MAX)
            m->params[m->param_count++] = (struct route_param){pattern + 1, want - 1, path, have};
        else if (want != have || strncasecmp(pattern, path, want) != 0)
            return false;
        pattern += want;
        path += have;
    }
    return *pattern == '\0' && *path == '\0';
}

static bool is_method(const struct route *route, const char *method) {
    return strcmp(route->method, "*") == 0 || strcasecmp(route->method, method) == 0 ||
           (strcmp(method, "HEAD") == 0 && strcasecmp(route->method, "GET") == 0);
}

/* How exact a pattern is: plain text beats a parameter, a parameter beats a star. */
static int rank(const char *pattern) {
    size_t len = strlen(pattern);
    if (len > 0 && pattern[len - 1] == '*')
        return 0;
    return strstr(pattern, "/:") != NULL ? 1 : 2;
}

struct route_match registrations_route(const struct registrations *r, const char *method,
                                       const char *path, const char *endpoint) {
    struct route_match best = {0};
    for (size_t i = 0; i < r->routes.count; i++) {
        const struct route *route = &r->routes.items[i];
        struct route_match found = {.route = route};
        if ((route->endpoint != NULL &&
             !registrations_is_same_endpoint(route->endpoint, endpoint)) ||
            !route_matches(route->path, path, &found))
            continue;
        found.has_other_method = best.has_other_method || !is_method(route, method);
        if (!is_method(route, method))
            best.has_other_method = true;
        else if (best.route == NULL || rank(best.route->path) < rank(route->path))
            best = found;
    }
    return best;
}
