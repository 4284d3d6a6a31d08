/*
 * publish.h - the durable public entrance: XADD signalbox:send, for the CLI and the HTTP API.
 *
 * The message is the JSON that redis-cli users write:
 * {"name","group","clientId","data","binary","id"} or
 * {"op":"close","name",…,"code","reason"}. Its reader is the broker that owns the public stream.
 */
#ifndef SIGNALBOX_BUS_PUBLISH_H
#define SIGNALBOX_BUS_PUBLISH_H

#include "common/base/bytes.h"

struct bus;

/* status 0: Redis has it, id is the stream entry's; else negative, id is one line why not. */
typedef void publish_done_fn(void *ctx, int status, struct bytes id);
/* bus_can_send must hold. */
void publish_json(struct bus *bus, struct bytes json, publish_done_fn *fn, void *ctx);

#endif
