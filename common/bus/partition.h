/*
 * partition.h - which partition a Name belongs to, and what Redis keys are called.
 *
 * part(name) = crc16(name) mod P. All keys of partition p begin with K(p) = "sb:{<tag>}:", where
 * the tag is the shortest base-36 string whose Redis Cluster slot lies in the p-th of P equal
 * shares of the slots, so that partitions spread evenly over the nodes of a cluster.
 */
#ifndef SIGNALBOX_BUS_PARTITION_H
#define SIGNALBOX_BUS_PARTITION_H

#include "common/base/buf.h"

enum { PARTITIONS_MAX = 1024 };

/* CRC16-CCITT (XMODEM), as Redis Cluster uses it. */
unsigned partition_crc16(struct bytes data);
unsigned partition_of(struct bytes name, unsigned partitions);

/* Computes the tags for this many partitions (a power of two up to PARTITIONS_MAX). Once, at start.
 */
void partition_init(unsigned partitions);

/* "sb:{tag}:" + what + tail, into `out` after clearing it; the result borrows from it.
 *     key_of(&b, p, "in", BYTES_NONE)   key_of(&b, p, "c:", name) */
struct bytes key_of(struct buf *out, unsigned partition, const char *what, struct bytes tail);
/* The tag of a partition, NUL-terminated. */
const char *partition_tag(unsigned partition);

/* Keys and channels that are not of one partition. The secret lives as long as any process renews
 * it. */
enum { SECRET_TTL_MS = 60000 };
#define KEY_CONFIG      "sb:{sb}:cfg"
#define KEY_GATEWAYS    "sb:{sb}:gw"
#define KEY_BROKERS     "sb:{sb}:br"
#define KEY_DEAD        "sb:{sb}:dead:"
#define KEY_RULES       "sb:{sb}:rules"
#define CHANNEL_CONTROL "sb:{sb}:ctl"
#define CHANNEL_PROBE   "sb:{sb}:probe:"
#define CHANNEL_TRACE   "sb:{sb}:trace:" /* and a token: the hops that somebody follows (trace.h) */
#define KEY_PUBLIC_OWN  "sb:{sb}:xown"   /* as K own, of the reading of the public stream */
#define KEY_SECRET      "sb:{sb}:secret"
#define PUBLIC_SEND     "signalbox:send"
#define PUBLIC_REFUSED  "signalbox:refused"

#endif
