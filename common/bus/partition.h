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

/* Computes the tags for this many partitions (a power of two up to PARTITIONS_MAX). Once, at start.
 */
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

/* prefix + "sb:{tag}:" + what + tail, into `out` after clearing it; the result borrows from it.
 *     key_of(&b, p, "in", BYTES_NONE)   key_of(&b, p, "c:", name) */
struct bytes key_of(struct buf *out, unsigned partition, const char *what, struct bytes tail);
/* The channel of that name: channel_of(&b, p, "n:", name). */
struct bytes channel_of(struct buf *out, unsigned partition, const char *what, struct bytes tail);
/* What a key of any partition looks like to SCAN's MATCH: key_pattern(&b, "c:*"). */
struct bytes key_pattern(struct buf *out, const char *what);

/* Keys and channels that are not of one partition; a text that ends with a colon wants something
 * after it. To add one: a line here. */
#define FLEET_KEYS(X)                                                                              \
    X(CONFIG, "sb:{sb}:cfg")                                                                       \
    X(GATEWAYS, "sb:{sb}:gw")                                                                      \
    X(BROKERS, "sb:{sb}:br")                                                                       \
    X(DEAD, "sb:{sb}:dead:")                                                                       \
    X(ABOUT, "sb:{sb}:about:") /* and an id: what a process says of itself (about.h) */            \
    X(RULES, "sb:{sb}:rules")                                                                      \
    X(VALUE, "sb:{sb}:kv:")                                                                        \
    X(LOCK, "sb:{sb}:lock:")                                                                       \
    X(WAY, "sb:{sb}:way")                 /* see probe_write.lua */                                \
    X(SECRET, "sb:{sb}:secret")           /* lives as long as any process renews it */             \
    X(PUBLIC_OWN, "sb:{sb}:xown")         /* as K own, of the reading of the public stream */      \
    X(PUBLIC_LEASE, "sb:{sb}:xlease")     /* as K lease */                                         \
    X(PUBLIC_DEAD_LETTERS, "sb:{sb}:xdl") /* as K dl */                                            \
    X(PUBLIC_SEND, "signalbox:send")                                                               \
    X(PUBLIC_REFUSED, "signalbox:refused")
#define FLEET_CHANNELS(X)                                                                          \
    X(CONTROL, "sb:{sb}:ctl")                                                                      \
    X(PROBE, "sb:{sb}:probe:")                                                                     \
    X(TRACE, "sb:{sb}:trace:")     /* and a token: the hops that somebody follows (trace.h) */     \
    X(RECEIPT, "sb:{sb}:receipt:") /* and a token: a gateway's reports (publish.h) */              \
    X(PUBLIC_SEND, "signalbox:send")

enum { SECRET_TTL_MS = 60000 };

enum fleet_key {
#define X(name, text) KEY_##name,
    FLEET_KEYS(X)
#undef X
        KEY_COUNT
};

enum fleet_channel {
#define X(name, text) CHANNEL_##name,
    FLEET_CHANNELS(X)
#undef X
        CHANNEL_COUNT
};

/* Texts that stay until the end of the process. */
const char *fleet_key(enum fleet_key key);
const char *fleet_channel(enum fleet_channel channel);
/* What stands before "sb:" and "signalbox:" in this fleet's keys and channels: for hints. */
const char *fleet_key_prefix(void);
const char *fleet_channel_prefix(void);

#endif
