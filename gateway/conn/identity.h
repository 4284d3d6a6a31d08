/*
 * identity.h - who a WebSocket connection is: Name, group, client id, its value in the registry,
 * and what signal routes may know of its upgrade request. Made once, at the conversion; never
 * changes.
 */
#ifndef SIGNALBOX_GATEWAY_CONN_IDENTITY_H
#define SIGNALBOX_GATEWAY_CONN_IDENTITY_H

#include "common/base/buf.h"

struct identity {
    struct bytes name, group, client_id; /* group: empty without one */
    struct bytes value;                  /* connection value; empty for a Local one */
    struct bytes session;                /* encoded struct session; empty for a Local one */
    uint64_t number;                     /* of the connection in this process */
    uint64_t connected_ms;               /* wall clock */
    bool is_local, is_v1;
};

/* One block of memory with copies of all texts; free with free(). */
struct identity *identity_new(const struct identity *from);

#endif
