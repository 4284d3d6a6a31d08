/*
 * handler_send.h - what signalbox.send and signalbox.close do when a handler runs in a gateway:
 * entries for the brokers.
 *
 * The broadcast levels are checked first, for all Names. The handler goes on when Redis has taken
 * every entry, or after 10 s with an error. What a handler of a Local connection sends goes to that
 * connection only, unless it sets ignore_event.
 */
#ifndef SIGNALBOX_GATEWAY_ROUTES_HANDLER_SEND_H
#define SIGNALBOX_GATEWAY_ROUTES_HANDLER_SEND_H

struct request;

/* The first member of what a gateway gives to app_call as its ctx. */
struct handler {
    struct request *request; /* a route's, until that ends; NULL: an event's */
};

/* The ctx is the struct routes. */
extern const struct app_host handler_send_host;

#endif
