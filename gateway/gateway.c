/* gateway.c - see gateway.h. */
#include "gateway/gateway.h"

#include <stdlib.h>

#include "common/app/app.h"
#include "common/base/log.h"
#include "common/bus/bus.h"
#include "common/bus/cluster/report.h"
#include "gateway/setup.h"

const char *gateway_trouble(const struct gateway *g) {
    return g->conns.is_draining ? "draining" : bus_trouble(g->bus);
}

static void reload_access(struct gateway *g, struct report *report) {
    char *error = bus_reload(g->bus);
    if (error != NULL)
        report_error(report, "%s; what was read before stays", error);
    free(error);
}

void gateway_reload(struct gateway *g, struct report *report) {
    char *error = NULL;
    supervisor_reloading(&g->supervisor);
    struct app *fresh = setup_load_app(g, &error);
    if (fresh == NULL) {
        report_error(report, "%s; the old app stays", error);
        free(error);
        endpoints_reload(&g->endpoints, g->settings, NULL, report);
    } else {
        app_release(g->app);
        g->app = fresh;
        cluster_on_app(&g->cluster);
        clients_reload(&g->clients);
        endpoints_reload(&g->endpoints, g->settings, app_registrations(fresh), report);
        log_info("gateway", "reloaded app=%s", LOG_TEXT(bytes_str(g->app_path)));
    }
    reload_access(g, report);
    report_log(report, "gateway");
    supervisor_reloaded(&g->supervisor);
}
