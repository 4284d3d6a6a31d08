/* setup.c - see setup.h. */
#include "gateway/setup.h"

#include <sys/resource.h>

#include "common/app/app.h"
#include "common/base/log.h"
#include "common/base/settings.h"
#include "gateway/gateway.h"
#include "gateway/routes/handler_send.h"

enum { DESCRIPTORS_KEPT = 64 }; /* for Redis, files, listeners */

struct app *setup_load_app(struct gateway *g, char **error_out) {
    struct app_environment environment = {
        .loop = g->loop,
        .settings = g->settings,
        .bus = g->bus,
        .registry = g->registry,
        .rules = g->rules,
        .host = &handler_send_host,
        .host_ctx = g,
        .has_ended = &g->has_ended,
    };
    return app_load(g->app_path, &environment, error_out);
}

static size_t raise_descriptors(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return 1024;
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
        log_warn("setup", "failed to raise the descriptor limit");
    return getrlimit(RLIMIT_NOFILE, &limit) < 0 ? 1024 : (size_t)limit.rlim_cur;
}

size_t setup_max_connections(const struct gateway *g) {
    size_t descriptors = raise_descriptors(), wanted = (size_t)g->settings->max_connections;
    size_t possible =
        descriptors > 2 * DESCRIPTORS_KEPT ? descriptors - DESCRIPTORS_KEPT : descriptors / 2;
    return wanted == 0 || wanted > possible ? possible : wanted;
}
