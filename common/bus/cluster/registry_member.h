/*
 * registry_member.h - a member of the set K g:<gid>: one connection that a gateway registered in a
 * partition.
 *
 *     name NUL client_id NUL value          value: gid:connno:connected_ms|group (envelope.h)
 *
 * The gateway writes it when it registers the connection, and whoever removes the connection reads
 * it: its gateway, or, once that one is dead, the owner of the partition.
 */
#ifndef SIGNALBOX_BUS_CLUSTER_REGISTRY_MEMBER_H
#define SIGNALBOX_BUS_CLUSTER_REGISTRY_MEMBER_H

#include "common/base/buf.h"
#include "common/bus/redis/command.h"

/* A row of the registry: (name, client id) → connection value. */
struct registry_row {
    struct bytes name, client_id;
    struct bytes value;
};

void registry_member_encode(struct buf *out, const struct registry_row *row);
/* The row borrows from the member. False for the empty one of fence_gateway.lua, and for what is
 * none. */
bool registry_member_decode(struct bytes member, struct registry_row *row_out);

/* The call of unregister.lua that removes the row from the set of this gateway. cause: see
 * registry_unregister. */
struct command registry_member_remove(unsigned partition, struct bytes gateway,
                                      const struct registry_row *row, struct bytes cause);

#endif
