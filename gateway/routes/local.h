/*
 * local.h - Local connections: they belong to their route, no other process knows of them, and
 * their Connect and Disconnect handlers run here: one after the other, also when one waits. Neither
 * the route nor the Close waits for them.
 */
#ifndef SIGNALBOX_GATEWAY_ROUTES_LOCAL_H
#define SIGNALBOX_GATEWAY_ROUTES_LOCAL_H

struct request;

/* The 101 of a Local conversion was written. */
void local_opened(struct request *r);
/* The route has ended: a Local connection is closed, its Disconnect before the Close. */
void local_route_ended(struct request *r);

#endif
