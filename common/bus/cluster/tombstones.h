/* tombstones.h - tombstones of gateways, and which gateways a partition knows. */
#ifndef SIGNALBOX_BUS_CLUSTER_TOMBSTONES_H
#define SIGNALBOX_BUS_CLUSTER_TOMBSTONES_H

#include <stdbool.h>

#include "common/base/bytes.h"

struct bus;

/* partition: as asked for, or TOMBSTONES_ALL. is_buried is false too when Redis went away before it
 * answered. */
enum { TOMBSTONES_ALL = 0xffff };
typedef void tombstones_fn(void *ctx, const char *gateway, unsigned partition, bool is_buried);

/* declare_dead.lua: unless its counter moved since. */
void tombstones_bury(struct bus *bus, const char *gateway, const char *counter, tombstones_fn *fn,
                     void *ctx);
/* partition: where the asker would act on it. */
void tombstones_ask(struct bus *bus, const char *gateway, unsigned partition, tombstones_fn *fn,
                    void *ctx);

/* Every gateway that ever registered in the partition and was not reaped there. */
typedef void tombstones_known_fn(void *ctx, unsigned partition, struct bytes gateway);
void tombstones_list_known(struct bus *bus, unsigned partition, tombstones_known_fn *fn, void *ctx);

#endif
