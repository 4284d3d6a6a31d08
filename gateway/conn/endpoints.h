/*
 * endpoints.h - where the gateway listens: the app's endpoints, or the URLs of --listen in their
 * place. Their grammar is in common/app/registrations/endpoint.h.
 */
#ifndef SIGNALBOX_GATEWAY_CONN_ENDPOINTS_H
#define SIGNALBOX_GATEWAY_CONN_ENDPOINTS_H

#include <stdbool.h>
#include <stddef.h>

#include "common/app/registrations/endpoint.h"
#include "common/base/must.h"

struct buf;
struct registrations;
struct report;
struct settings;
struct tls_context;
struct tls_tickets;

/* An endpoint as it runs. It lives as long as the process: connections point to it. */
struct endpoint_run {
    struct endpoint at;      /* nothing in it is empty or missing that has a default */
    struct tls_context *tls; /* NULL: plain */
};

struct endpoints {
    struct endpoint_run *items;
    size_t count;
    struct tls_tickets *tickets; /* one set of keys for all of them */
};

/* 0; or negative with one line for the user in *error_out (free()): -EINVAL when it is a
 * setting that is wrong. */
MUST_CHECK int endpoints_init(struct endpoints *e, const struct settings *settings,
                              const struct registrations *registrations, char **error_out);
void endpoints_deinit(struct endpoints *e);
/* Takes up what a running process can: certificates, keys and their passwords, also under other
 * paths, for new connections; one that is wrong stays as it is and is an error of the report.
 * Whatever else differs from the endpoints that the app registers (registrations may be NULL: the
 * app did not load) is reported as needing a restart. With --listen the app's endpoints are not
 * used, so they are not compared. */
void endpoints_reload(struct endpoints *e, const struct settings *settings,
                      const struct registrations *registrations, struct report *report);
/* To be called every second: keys of session tickets age, and OCSP responses are replaced. */
void endpoints_tick(struct endpoints *e);
/* Of all endpoints, with spaces between. */
void endpoints_append_urls(struct buf *out, const struct endpoints *e);

#endif
