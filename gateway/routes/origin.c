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

static const char *scheme_of(bool is_secure) {
    return is_secure ? "https" : "http";
}

/* A page that came from another endpoint of this very app, as in the seed's layout of two ports.
 * Any other port of the host may be somebody else's program. */
static bool is_own_page(const struct endpoints *endpoints, const struct http_origin *origin,
                        struct bytes host) {
    if (!http_origin_is_host(origin, host))
        return false;
    for (size_t i = 0; i < endpoints->count; i++) {
        const struct endpoint *e = &endpoints->items[i].at;
        if ((unsigned)e->port == origin->port && strcmp(origin->scheme, scheme_of(e->is_tls)) == 0)
            return true;
    }
    return false;
}

/* A page that came from where the request goes. One of http beside https may be anybody's who is on
 * the way to the visitor. */
static bool is_same(const struct http_origin *origin, const struct origin_request *r) {
    return strcmp(origin->scheme, scheme_of(r->is_secure)) == 0 &&
           http_origin_is_host_and_port(origin, r->host);
}

static void log_refused(const struct http_origin *origin, const struct origin_request *r,
                        bool has_list) {
    bool is_other_scheme = !has_list && http_origin_is_host_and_port(origin, r->host);
    log_warn("origin",
             "refused_origin origin=%s host=%s: if that page is yours, %s the app file: "
             "signalbox.origins { \"%s\" }%s",
             origin->text, LOG_TEXT(r->host), has_list ? "add it to the list in" : "put into",
             origin->text,
             is_other_scheme ? "; or, if a proxy speaks TLS for this gateway, list it in "
                               "--trusted-proxies and let it set X-Forwarded-Proto"
                             : "");
}

enum origin_verdict origin_judge(const struct origin_request *r,
                                 const struct registrations *registrations,
                                 const struct endpoints *endpoints) {
    struct bytes field = http_head_find(r->head, "Origin");
    bool has_list = registrations->origins.count > 0;
    struct http_origin origin;
    if (http_head_count(r->head, "Origin") > 1)
        return ORIGIN_REFUSED;
    if (field.ptr == NULL)
        return ORIGIN_NONE;
    if (is_listed(registrations, "*"))
        return ORIGIN_ANY;
    if (http_origin_parse(field, &origin) != NULL)
        return ORIGIN_REFUSED;
    if (has_list ? is_listed(registrations, origin.text)
                 : is_same(&origin, r) || is_own_page(endpoints, &origin, r->host))
        return ORIGIN_ALLOWED;
    log_refused(&origin, r, has_list);
    return ORIGIN_REFUSED;
}
