/*
 * partition.h - which partition a Name belongs to, and what keys and channels are called.
 *
 * part(name) = crc16(name) mod P. All keys of partition p begin with K(p) = "sb:{<tag>}:" after
 * the prefix of the fleet, where the tag is the shortest base-36 string whose Redis Cluster slot
 * lies in the p-th of P equal shares of the slots, so that partitions spread evenly over the nodes
 * of a cluster.
 */
#ifndef SIGNALBOX_BUS_PARTITION_H
#define SIGNALBOX_BUS_PARTITION_H

#include "common/base/buf.h"

enum { PARTITIONS_MAX = 1024 };

/* CRC16-CCITT (XMODEM), as Redis Cluster uses it. */
unsigned partition_crc16(struct bytes data);
unsigned partition_of(struct bytes name, unsigned partitions);

/* Computes the tags. partitions: a power of two up to PARTITIONS_MAX. Once, at start. */
void partition_init(unsigned partitions);

/* The tag of a partition, NUL-terminated. */
const char *partition_tag(unsigned partition);

/*
 * The fleet: processes that share one database of one Redis and one prefix. Every name below
 * carries it, so that two fleets never meet. Redis' channels know no databases, therefore a channel
 * also names one that is not 0:
 *
 *     key       <prefix>sb:{tag}:in          channel   <prefix>sb:{tag}:n:Msg        database 0
 *     key       <prefix>sb:{tag}:in          channel   db7:<prefix>sb:{tag}:n:Msg    database 7
 */
enum {
    FLEET_PREFIX_MAX = 64,
    FLEET_NAME_MAX = 128 /* of a name below, without what follows a colon */
};

/* 0, or -EINVAL with one line in error_out: at most 64 letters, digits and `:._-/`, and not
 * beginning as a channel of another database does ("db7:"). "" is legal. */
MUST_CHECK int fleet_check(const char *prefix, char error_out[200]);
/* Which fleet this process is of; once, at start, with a prefix that was checked. Before that it is
 * the one of database 0 without a prefix. */
void fleet_init(const char *prefix, int db);

/* The rows of keys.def. */
enum partition_key {
#define KEY_OF_PARTITION(name, ...) KEY_##name,
#include "common/bus/keys.def"
    PARTITION_KEY_COUNT
};

enum partition_channel {
#define CHANNEL_OF_PARTITION(name, ...) CHANNEL_##name,
#include "common/bus/keys.def"
    PARTITION_CHANNEL_COUNT
};

enum fleet_key {
#define KEY(name, ...) KEY_##name,
#include "common/bus/keys.def"
    KEY_COUNT
};

enum fleet_channel {
#define CHANNEL(name, ...) CHANNEL_##name,
#include "common/bus/keys.def"
    CHANNEL_COUNT
};

enum { SECRET_TTL_MS = 60000 };

/* prefix + "sb:{tag}:" + text of the key + tail, into `out` after clearing it; the result borrows
 * from it.
 *
 *     key_of(&b, p, KEY_IN, BYTES_NONE)   key_of(&b, p, KEY_CONNECTIONS, name)
 *
 * The number of partitions in place of one of them means the public stream, which has an IN, an
 * OWN, a LEASE and DEAD_LETTERS of its own. */
struct bytes key_of(struct buf *out, unsigned partition, enum partition_key key, struct bytes tail);
struct bytes channel_of(struct buf *out, unsigned partition, enum partition_channel channel,
                        struct bytes tail);
/* What all keys of this kind look like to SCAN's MATCH, in any partition and with any tail. */
struct bytes key_pattern(struct buf *out, enum partition_key key);

/* Texts that stay until the end of the process; one that ends with a colon wants a tail. */
const char *fleet_key(enum fleet_key key);
const char *fleet_channel(enum fleet_channel channel);
/* What stands before "sb:" and "signalbox:" in this fleet's keys and channels: for hints. */
const char *fleet_key_prefix(void);
const char *fleet_channel_prefix(void);

#endif
