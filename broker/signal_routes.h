/* signal_routes.h - finds the app's handler for a client's message and calls it. */
#ifndef SIGNALBOX_BROKER_SIGNAL_ROUTES_H
#define SIGNALBOX_BROKER_SIGNAL_ROUTES_H

#include <stdbool.h>

struct outcome;

/* false: no signal route is for this message. */
bool signal_routes_process(struct outcome *o);

#endif
