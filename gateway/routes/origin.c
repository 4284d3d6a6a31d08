/* origin.c - see origin.h. */
#include "gateway/routes/origin.h"

#include <string.h>

#include "common/app/registrations/registrations.h"
#include "common/base/log.h"
#include "common/http/http_head.h"
#include "common/http/http_origin.h"
#include "gateway/conn/endpoints.h"

static bool is_listed(const struct registrations *registrations, const char *origin) {
    for (size_t i = 0; i < registrations->origins.count; i++)
        if (strcmp(registrations->origins.items[i], origin) == 0)
            return true;
    return false;
}

/* A page that came from another endpoint of this very app, as in the seed's layout of two ports.
 * Any other port of the host may be somebody else's program. */
static bool is_own_page(const struct endpoints *endpoints, const struct http_origin *origin,
                        struct bytes host) {
    if (!http_origin_is_host(origin, host))
        return false;
    for (size_t i = 0; i < endpoints->count; i++) {
        const struct endpoint *e = &endpoints->items[i].at;
        if ((unsigned)e->port == origin->port &&
            strcmp(origin->scheme, e->is_tls ? "https" : "http") == 0)
            return true;
    }
    return false;
}

bool origin_is_allowed(const struct http_head *head, const struct registrations *registrations,
                       const struct endpoints *endpoints) {
    struct bytes field = http_head_find(head, "Origin");
    bool has_list = registrations->origins.count > 0;
    struct http_origin origin;
    if (http_head_count(head, "Origin") > 1)
        return false;
    if (field.ptr == NULL || is_listed(registrations, "*"))
        return true;
    if (http_origin_parse(field, &origin) != NULL)
        return false;
    if (has_list ? is_listed(registrations, origin.text)
                 : http_origin_is_host_and_port(&origin, head->host) ||
                       is_own_page(endpoints, &origin, head->host))
        return true;
    log_warn("origin",
             "refused_origin origin=%s host=%s: if that page is yours, %s the app file: "
             "signalbox.origins { \"%s\" }",
             origin.text, LOG_TEXT(head->host), has_list ? "add it to the list in" : "put into",
             origin.text);
    return false;
}
