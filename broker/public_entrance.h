/*
 * public_entrance.h - the two public entrances of Redis, for redis-cli, the CLI and programs.
 *
 *     XADD signalbox:send '*' m '{…}'   durable: a slot of its own (inbox.h) reads the stream and
 *                                       forwards
 *     PUBLISH signalbox:send '{…}'      at most once: every broker hears it, and each takes the
 *                                       shares of the partitions it owns; without a Name the
 *                                       owner of the public slot takes it. What was published
 *                                       before a slot was taken is not its new owner's
 *
 * What is refused goes to the log, a counter and the stream signalbox:refused.
 */
#ifndef SIGNALBOX_BROKER_PUBLIC_ENTRANCE_H
#define SIGNALBOX_BROKER_PUBLIC_ENTRANCE_H

#include "broker/entry/processing.h"

struct heard_takes;
struct lease;

/* An entry of the public stream. */
void public_entrance_process(struct processing *p);
/* A message of the public channel. */
void public_entrance_on_published(const struct entry_parts *parts, const struct lease *lease,
                                  const struct heard_takes *heard, struct bytes text);

#endif
