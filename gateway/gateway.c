/* gateway.c - see gateway.h. */
#include "gateway/gateway.h"

#include <stdlib.h>

#include "common/app/app.h"
#include "common/base/log.h"
#include "common/bus/bus.h"
#include "gateway/setup.h"

const char *gateway_trouble(const struct gateway *g) {
    return g->is_draining ? "draining" : bus_trouble(g->bus);
}

char *gateway_reload(struct gateway *g) {
    char *app_error = NULL, *error = endpoints_reload_tls(&g->endpoints);
    struct app *fresh = setup_load_app(g, &app_error);
    if (fresh == NULL) {
        log_error("gateway", "kept_app reason=%s", LOG_TEXT(bytes_str(app_error)));
        free(error);
        return app_error;
    }
    app_release(g->app);
    g->app = fresh;
    cluster_on_app(&g->cluster);
    clients_reload(&g->clients);
    log_info("gateway", "reloaded app=%s", LOG_TEXT(bytes_str(g->app_path)));
    return error;
}
