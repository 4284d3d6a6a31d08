/*
 * ingest.h - appends entries to the `in` streams of partitions: exactly once, in order, in batches.
 *
 * One batch is in flight for each partition (at most 128 entries or 256 KiB, one entry at least).
 * After a lost connection, a timeout, BUSY or OOM the same batch is sent again; the source's
 * high-water mark in Redis makes that harmless.
 *
 * An entry that Redis does not take because of its size (capacity.h) is refused for good, with
 * -EMSGSIZE, and the others go on. Entries of 64 KiB and more travel alone, so that no other entry
 * is refused with them.
 *
 * Bound: `max_bytes` over all partitions. ingest_push refuses beyond it; on_room reports when half
 * of it is free again.
 */
#ifndef SIGNALBOX_BUS_LOG_INGEST_H
#define SIGNALBOX_BUS_LOG_INGEST_H

#include "common/base/bytes.h"
#include "common/base/must.h"

struct bus;
struct ingest;

/* status 0: Redis has it. -EMSGSIZE: it is larger than Redis takes. -ECANCELED: given up by
 * ingest_free. */
typedef void ingest_done_fn(void *ctx, int status);

/* The source is bus_id(bus) with this prefix ("" for a gateway, "b" for a broker's sends that
 * belong to no entry). A process that was declared dead has a new id, and its next batches go out
 * under it. bus must outlive the loop's last turn. */
struct ingest *ingest_new(struct bus *bus, const char *source_prefix, size_t max_bytes,
                          void (*on_room)(void *ctx), void *ctx);
void ingest_free(struct ingest *i);

/* Copies the entry. done may be NULL; it is never called inside. 0, -ENOBUFS at the bound,
 * or -EMSGSIZE when Redis is known not to take an entry of that size. */
MUST_CHECK int ingest_push(struct ingest *i, unsigned partition, struct bytes entry,
                           ingest_done_fn *done, void *ctx);
/* Bytes and entries that Redis has not confirmed. */
size_t ingest_bytes(const struct ingest *i);
size_t ingest_count(const struct ingest *i);

#endif
