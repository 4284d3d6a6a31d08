/* match.c - finding in registrations.h: routes by path, signal routes by path and endpoint, options
 * of a Name. */
#include <string.h>
#include <strings.h>

#include "common/app/registrations/registrations.h"
#include "common/base/must.h"

const struct name_options *registrations_name_options(const struct registrations *r,
                                                      const char *name) {
    static const struct name_options defaults = {.slow = SLOW_CLOSE, .has_history = true};
    for (size_t i = 0; i < r->name_options.count; i++)
        if (strcmp(r->name_options.items[i].name, name) == 0)
            return &r->name_options.items[i];
    return &defaults;
}

/* --- signal routes --- */

/* '*' is any run of characters, also of none. Linear: only the last star is ever tried again. */
bool signal_route_matches(const char *pattern, const char *path) {
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

static bool is_same(const char *a, const char *b) {
    return a != NULL && b != NULL && strcasecmp(a, b) == 0;
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
        if (is_same(route->endpoint, endpoint))
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
        if (signal_route_matches(r->signal_routes.items[i].path, path))
            return of_endpoint(r, r->signal_routes.items[i].path, endpoint);
    return NULL;
}

/* --- routes --- */

static size_t segment_length(const char *at) {
    return strcspn(at, "/");
}

/* "/users/:id" and a last segment "*" against a path; parameters are slices of the path. */
static bool route_matches(const char *pattern, const char *path, struct route_param *params,
                          size_t *count_out) {
    *count_out = 0;
    while (*pattern == '/' && *path == '/') {
        pattern++;
        path++;
        size_t want = segment_length(pattern), have = segment_length(path);
        if (want == 1 && *pattern == '*' && pattern[1] == '\0')
            return true;
        if (want > 1 && *pattern == ':' && have > 0 && *count_out < ROUTE_PARAMS_MAX)
            params[(*count_out)++] = (struct route_param){pattern + 1, want - 1, path, have};
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

const struct route *registrations_route(const struct registrations *r, const char *method,
                                        const char *path, const char *endpoint,
                                        struct route_param params[ROUTE_PARAMS_MAX],
                                        size_t *param_count_out, bool *has_other_method_out) {
    const struct route *best = NULL;
    *param_count_out = 0;
    *has_other_method_out = false;
    for (size_t i = 0; i < r->routes.count; i++) {
        const struct route *route = &r->routes.items[i];
        struct route_param found[ROUTE_PARAMS_MAX];
        size_t count;
        if ((route->endpoint != NULL && !is_same(route->endpoint, endpoint)) ||
            !route_matches(route->path, path, found, &count))
            continue;
        if (!is_method(route, method)) {
            *has_other_method_out = true;
            continue;
        }
        if (best != NULL && rank(best->path) >= rank(route->path))
            continue;
        best = route;
        memcpy(params, found, count * sizeof(found[0]));
        *param_count_out = count;
    }
    return best;
}
