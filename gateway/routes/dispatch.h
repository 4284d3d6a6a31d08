/* dispatch.h - what a request is for: a reference to a connection, an automatic upgrade, a route, a
 * static file, or nothing. */
#ifndef SIGNALBOX_GATEWAY_ROUTES_DISPATCH_H
#define SIGNALBOX_GATEWAY_ROUTES_DISPATCH_H

struct refusal;
struct request;

/* Answers the request, or starts what will answer it. */
void dispatch(struct request *r);
/* It is one too many. */
void dispatch_refused(struct request *r, const struct refusal *why);

#endif
