/*
 * rules.h - what is set at run time for the whole cluster: a hash in Redis, a copy in every
 * process.
 *
 * Fields: "level:<name, lower case>" or "level:*", "scope", "signing", … Values are short texts; an
 * empty value means unset (back to the app file). A change is written, published on the control
 * channel, and applied by every process on the notice; everything is read again on reconnect and
 * every 30 s.
 */
#ifndef SIGNALBOX_BUS_CLUSTER_RULES_H
#define SIGNALBOX_BUS_CLUSTER_RULES_H

#include "common/base/bytes.h"

struct bus;
struct notice;
struct rules;

/* on_change is called for every field at (re)load and change; value empty: unset. */
struct rules *rules_new(struct bus *bus,
                        void (*on_change)(void *ctx, struct bytes field, struct bytes value),
                        void *ctx);
void rules_free(struct rules *r);

typedef void rules_done_fn(void *ctx, int status);
/* fn once Redis has it and every process was told; on_change fires here before. status -EIO: Redis
 * refused it (out of memory, disk full), nothing changed. */
void rules_set(struct rules *r, struct bytes field, struct bytes value, rules_done_fn *fn,
               void *ctx);

/* on_notice is called for every other notice of the control channel. */
void rules_on_notice(struct rules *r, void (*on_notice)(void *ctx, const struct notice *n),
                     void *ctx);

#endif
