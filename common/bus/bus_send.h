/*
 * bus_send.h - sending commands to Redis. For the rooms of common/bus alone; the others call what
 * these offer. A caller names a partition and never a connection, so that one Redis or several is
 * a matter of bus_send.
 */
#ifndef SIGNALBOX_BUS_BUS_SEND_H
#define SIGNALBOX_BUS_BUS_SEND_H

#include "common/bus/bus.h"
#include "common/bus/partition.h"
#include "common/bus/redis/command.h"
#include "common/bus/redis/reply.h"
#include "common/bus/redis/scripts.h"

struct bulk;

/* In place of a partition: the keys and channels that belong to none. A number that is no partition
 * (that of the public stream) means the same. */
enum { BUS_FLEET = PARTITIONS_MAX };

/* Sends a command to the server of a partition; bus_can_send must hold. Takes the command's buffer.
 * The commands of one loop turn to one server go out in one write and run in their order. fn may be
 * NULL. */
void bus_send(struct bus *b, unsigned partition, struct command *c, reply_fn *fn, void *ctx);
/* False when an argument of so many bytes has to wait (capacity.h). */
bool bus_takes_now(const struct bus *b, unsigned partition, size_t bytes);
/* The turns of large commands to the server of a partition (bulk.h). */
struct bulk *bus_bulk(struct bus *b, unsigned partition);
/* Bytes sent to that server that its socket has not taken yet. */
size_t bus_unsent(const struct bus *b, unsigned partition);
/* The settings of Redis allow arguments of so many bytes; 0: any. */
void bus_set_largest(struct bus *b, size_t bytes);

/* Bytes that Redis uses, and its maxmemory (0: none), as of the last second. */
void bus_set_memory(struct bus *b, int64_t used, int64_t max);
/* This process made Redis use so many bytes more, or less, since then. */
void bus_add_memory(struct bus *b, int64_t bytes);
/* Whether three quarters of its maxmemory are in use. */
bool bus_is_tight(const struct bus *b);
/* What a history may hold of `bytes`: all, until Redis is tight; from there on less and less, and
 * from seven eighths of maxmemory on nothing. */
size_t bus_history_share(const struct bus *b, size_t bytes);
/* Bytes of `in` at which gateways wait: each partition's share of --max-ingest-bytes, or of a
 * quarter of maxmemory. */
int64_t bus_ingest_share(const struct bus *b);

/* Redis answered a command of ours with this error: for the log, /readyz and what a tool says.
 * command: lives for ever. See refusals.h. */
void bus_refused(struct bus *b, const char *command, const struct redisReply *error);

#endif
