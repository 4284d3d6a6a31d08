/* connection_events.h - entries CONNECT and DISCONNECT: the app's event handlers of that Name. */
#ifndef SIGNALBOX_BROKER_HANDLERS_CONNECTION_EVENTS_H
#define SIGNALBOX_BROKER_HANDLERS_CONNECTION_EVENTS_H

#include "common/base/bytes.h"

struct processing;

void connection_events_process(struct processing *p);

/* Why a connection ended: "client:1000:bye" is cause "client", code 1000, reason "bye". */
struct disconnect_cause {
    struct bytes cause, code, reason;
};
struct disconnect_cause connection_events_read_cause(struct bytes text);

#endif
