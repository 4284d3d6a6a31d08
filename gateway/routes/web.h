/*
 * web.h - HTTP routes of the app, and the object `web` that their handlers are given.
 *
 *     web.method path query headers body remote_address endpoint params signal
 *     web:respond{status=, headers=, body=}  web:json(value)  web:text(s)  web:file(path)
 *     web:header(name, value)  web:convert{name=, group=, client_id=, scope=}
 *
 * Fields are made when a handler first looks at them. An answer goes out when it is given; a
 * handler that ends without one answers 200 with nothing, one that fails 500.
 */
#ifndef SIGNALBOX_GATEWAY_ROUTES_WEB_H
#define SIGNALBOX_GATEWAY_ROUTES_WEB_H

#include "common/app/registrations/registrations.h"

struct request;

/* Runs the route's handler. */
void web_run(struct request *r, const struct route *route, const struct route_param *params,
             size_t param_count);

#endif
