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

struct bus;

/* A row of the registry: (name, client id) → connection value. */
struct registry_row {
    struct bytes name, client_id;
    struct bytes value;
    struct bytes details; /* what the value does not say (conn_details_read); or empty */
};

void registry_member_encode(struct buf *out, const struct registry_row *row);
/* The row borrows from the member. False for the empty one of fence_gateway.lua, and for what is
 * none. */
bool registry_member_decode(struct bytes member, struct registry_row *row_out);

struct redisReply;

/* A page of the set of this gateway, and what to do with its rows. A row may come twice. */
enum { REGISTRY_CURSOR_SIZE = 24 };
typedef void registry_row_fn(void *ctx, const struct registry_row *row);
/* cursor: "0" for the first one, and again after the last one. */
struct command registry_members_scan(unsigned partition, struct bytes gateway, const char *cursor);
/* False when the reply is no page. */
MUST_CHECK bool registry_members_page(const struct redisReply *reply,
                                      char cursor_out[REGISTRY_CURSOR_SIZE], registry_row_fn *fn,
                                      void *ctx);

/* For how much longer than a history it is known what a Name without a connection had, in s. */
enum { REGISTRY_MEMBER_MARGIN_S = 60 };

/* The call of unregister.lua that removes the row from the set of this gateway. cause: see
 * registry_unregister. */
struct command registry_member_remove(const struct bus *bus, unsigned partition,
                                      struct bytes gateway, const struct registry_row *row,
                                      struct bytes cause);

#endif
