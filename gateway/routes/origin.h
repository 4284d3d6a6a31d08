/*
 * origin.h - whether a page may open a connection here: browsers send the origin of the page, and
 * nothing else keeps a page of somebody else's from using the cookies of its visitor.
 */
#ifndef SIGNALBOX_GATEWAY_ROUTES_ORIGIN_H
#define SIGNALBOX_GATEWAY_ROUTES_ORIGIN_H

#include <stdbool.h>

#include "common/base/bytes.h"

struct endpoints;
struct http_head;
struct registrations;

/* What the client asked, as request.h has it. */
struct origin_request {
    const struct http_head *head;
    struct bytes host;
    bool is_secure;
};

enum origin_verdict {
    ORIGIN_NONE,    /* no page asks */
    ORIGIN_ALLOWED, /* this very origin is */
    ORIGIN_ANY,     /* any is, as the app lists "*"; it may not even be one */
    ORIGIN_REFUSED
};

/* A request without an Origin is no browser's and is allowed. If the app lists origins, only those
 * are allowed, and "*" allows any; otherwise the origin has to be the scheme, host and port of the
 * request, or of another endpoint of this app on the same host. A page that is refused is logged.
 */
enum origin_verdict origin_judge(const struct origin_request *r,
                                 const struct registrations *registrations,
                                 const struct endpoints *endpoints);
static inline bool origin_is_allowed(const struct origin_request *r,
                                     const struct registrations *registrations,
                                     const struct endpoints *endpoints) {
    return origin_judge(r, registrations, endpoints) != ORIGIN_REFUSED;
}

#endif
