/* connection_events.h - entries CONNECT and DISCONNECT: the app's event handlers of that Name. */
#ifndef SIGNALBOX_BROKER_HANDLERS_CONNECTION_EVENTS_H
#define SIGNALBOX_BROKER_HANDLERS_CONNECTION_EVENTS_H

struct processing;

void connection_events_process(struct processing *p);

#endif
