/* graves.h - tombstones of gateways, and which gateways a partition knows. */
#ifndef SIGNALBOX_BUS_GRAVES_H
#define SIGNALBOX_BUS_GRAVES_H

#include <stdbool.h>

#include "common/base/bytes.h"

struct bus;

/* partition: as asked for, or GRAVES_ALL. is_buried is false too when Redis went away before it
 * answered. */
enum { GRAVES_ALL = 0xffff };
typedef void graves_fn(void *ctx, const char *gateway, unsigned partition, bool is_buried);

/* bury.lua: unless its counter moved since. */
void graves_bury(struct bus *bus, const char *gateway, const char *counter, graves_fn *fn,
                 void *ctx);
/* partition: where the asker would act on it. */
void graves_ask(struct bus *bus, const char *gateway, unsigned partition, graves_fn *fn, void *ctx);

/* Every gateway that ever registered in the partition and was not reaped there. */
typedef void graves_known_fn(void *ctx, unsigned partition, struct bytes gateway);
void graves_list_known(struct bus *bus, unsigned partition, graves_known_fn *fn, void *ctx);

#endif
