/*
 * reap.h - gateways that died: declaring one dead, and removing (reaping) what it registered.
 *
 *     heartbeat silent ─ reap_declare_dead ─▶ dead:<gid> for a day ─ each owner of a partition ─▶
 *     reap_start: fence the partition against it (fence_gateway.lua), then read its set K g:<gid>
 *     page by page and write a Disconnect for each member (unregister.lua), then remove it from gws
 *
 * Each reaping ends by itself. The next sweep finds what broke off. Who is silent, and when, is
 * decided by the broker's reaper.
 */
#ifndef SIGNALBOX_BUS_CLUSTER_REAP_H
#define SIGNALBOX_BUS_CLUSTER_REAP_H

#include "common/base/bytes.h"

struct bus;
struct reaps;

enum { REAP_ALL_PARTITIONS = 0xffff, REAP_GATEWAY_MAX = 40 };

/* partition: as asked for, or REAP_ALL_PARTITIONS. is_dead is false too when Redis went away before
 * it answered. */
typedef void reap_dead_fn(void *ctx, const char *gateway, unsigned partition, bool is_dead);
/* Declares it dead unless its counter has moved since. */
void reap_declare_dead(struct bus *bus, const char *gateway, const char *counter, reap_dead_fn *fn,
                       void *ctx);
/* partition: where the caller would act on the answer. */
void reap_ask_dead(struct bus *bus, const char *gateway, unsigned partition, reap_dead_fn *fn,
                   void *ctx);

/* Every gateway that ever registered in the partition and was not reaped there. */
typedef void reap_gateway_fn(void *ctx, unsigned partition, struct bytes gateway);
void reap_list_gateways(struct bus *bus, unsigned partition, reap_gateway_fn *fn, void *ctx);

struct reaps *reaps_new(struct bus *bus);
/* Once no answer can come any more. NULL is legal. */
void reaps_free(struct reaps *all);
/* Does nothing while the same is under way. */
void reap_start(struct reaps *all, unsigned partition, struct bytes gateway);

#endif
