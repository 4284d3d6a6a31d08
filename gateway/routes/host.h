/*
 * host.h - what the app's handlers do to the world when they run in a gateway: signalbox.send and
 * signalbox.close, as entries for the brokers.
 *
 * The broadcast levels are checked first, for all Names. The handler goes on when Redis has taken
 * every entry, or after 10 s with an error. A handler whose connection is Local talks only to that.
 */
#ifndef SIGNALBOX_GATEWAY_ROUTES_HOST_H
#define SIGNALBOX_GATEWAY_ROUTES_HOST_H

/* The ctx is the struct gateway. */
extern const struct app_host host_of_gateway;

#endif
