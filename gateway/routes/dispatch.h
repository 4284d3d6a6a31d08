/* dispatch.h - what a request is for: a reference, an automatic upgrade, a route, a static file, or
 * nothing. */
#ifndef SIGNALBOX_GATEWAY_ROUTES_DISPATCH_H
#define SIGNALBOX_GATEWAY_ROUTES_DISPATCH_H

struct request;

/* Answers the request, or sets to work what will. */
void dispatch(struct request *r);
/* Goes on after the X-PODE-SIGNAL-* headers were looked up and hold. */
void dispatch_route(struct request *r);

#endif
