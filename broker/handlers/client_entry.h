/* client_entry.h - finds the app's handler for a client's message and calls it. */
#ifndef SIGNALBOX_BROKER_HANDLERS_CLIENT_ENTRY_H
#define SIGNALBOX_BROKER_HANDLERS_CLIENT_ENTRY_H

#include <stdbool.h>

struct processing;

/* false: no signal route is for this message. */
bool signal_route_process(struct processing *p);

#endif
