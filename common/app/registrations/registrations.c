/* registrations.c - see registrations.h: memory of the arrays, and their items by identity.
 * Finding by what a client asks for is in match.c. */
#include "common/app/registrations/registrations.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/base/fold.h"
#include "common/base/must.h"

struct registrations *registrations_new(void) {
    struct registrations *r = mem_zalloc(sizeof(*r));
    r->levels = levels_new();
    return r;
}

static void endpoint_deinit(struct endpoint *e) {
    free(e->name);
    free(e->address);
    free(e->hostname);
    free(e->certificate);
    free(e->key);
    free(e->password);
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
    signing_deinit(&r->signing);
    free(r);
}

/* The room doubles whenever the count is a power of two. */
void *array_grow(void *items, size_t count, size_t item_size) {
    if ((count & (count - 1)) == 0)
        items = mem_realloc(items, (count == 0 ? 1 : count * 2) * item_size);
    memset((char *)items + count * item_size, 0, item_size);
    return items;
}

static void array_cut(void *items, size_t *count, size_t at, size_t item_size) {
    char *item = (char *)items + at * item_size;
    memmove(item, item + item_size, (*count - at - 1) * item_size);
    (*count)--;
}

static bool is_same_endpoint(const char *a, const char *b) {
    return a == NULL || b == NULL ? a == b : strcasecmp(a, b) == 0;
}

struct signal_route *registrations_find_signal_route(const struct registrations *r,
                                                     const char *path, const char *endpoint) {
    for (size_t i = 0; i < r->signal_routes.count; i++) {
        struct signal_route *route = &r->signal_routes.items[i];
        if (strcasecmp(route->path, path) == 0 && is_same_endpoint(route->endpoint, endpoint))
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
