/*
 * sources.h - removes the high-water marks of senders that are long gone from K src.
 *
 * A mark makes a sender's repetition harmless, so it stays as long as the sender could come back: a
 * gateway's until dead:<gid> has expired, and every mark for a long time, by our own clock, after
 * the sender's last sign of life.
 */
#ifndef SIGNALBOX_BUS_CLUSTER_SOURCES_H
#define SIGNALBOX_BUS_CLUSTER_SOURCES_H

struct bus;
struct lease;
struct liveness;
struct sources;

struct sources *sources_new(struct bus *bus, const struct lease *lease);
void sources_free(struct sources *s);
/* Looks at the partitions that this process holds. Once a minute is often enough. */
void sources_sweep(struct sources *s, const struct liveness *gateways);

#endif
