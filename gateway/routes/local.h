/*
 * local.h - Local connections: they belong to their route, and no other process knows of them.
 * Their Connect and Disconnect handlers run in this process, one after the other, even if one
 * waits. Neither the route nor the Close waits for them.
 */
#ifndef SIGNALBOX_GATEWAY_ROUTES_LOCAL_H
#define SIGNALBOX_GATEWAY_ROUTES_LOCAL_H

struct request;

/* The 101 of a Local conversion was written. */
void local_opened(struct request *r);
/* The route has ended: Disconnect handlers start, and its Local connection is closed. */
void local_route_ended(struct request *r);

#endif
