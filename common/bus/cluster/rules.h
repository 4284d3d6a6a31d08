/*
 * rules.h - what is set at run time for the whole cluster: a hash in Redis, a copy in every
 * process.
 *
 *     "level:<name>"   the broadcast level of an event; the name is folded (fold.h), or *
 *     "scope" "signing" …   the setters of the app's API that hold everywhere (app_rules.c)
 *
 * Values are short texts, proven in Redis (proof.h): what is not is ignored. An empty value means
 * unset (back to the app file). A change is written,
 * published on the control channel, and applied by every process that reads the notice. Everything
 * is read again after a reconnect and every 30 s.
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
/* Calls fn once Redis has the value and the notice was sent to every process; on_change is called
 * here before. status -EIO: Redis refused it (out of memory, disk full), and nothing changed. */
void rules_set(struct rules *r, struct bytes field, struct bytes value, rules_done_fn *fn,
               void *ctx);

/* on_notice is called for every other notice of the control channel. */
void rules_on_notice(struct rules *r, void (*on_notice)(void *ctx, const struct notice *n),
                     void *ctx);

#endif
