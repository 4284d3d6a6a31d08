/*
 * ingest.h - appends entries to the `in` streams of partitions: exactly once, in order, in batches.
 *
 * One batch is in flight for each partition (at most 128 entries or 256 KiB, one entry at least).
 * After a lost connection or a timeout the same batch is sent again; the source's high-water mark
 * in Redis makes that harmless. After BUSY or OOM it is sent later.
 *
 * Senders have fair shares: the entries of one keep their order, and those of several are taken in
 * turn (sender_queue.h). Bulk, which is what a sender adds to what it has on the way, and every
 * entry of 64 KiB and more, waits while 1,000 entries or 1 MiB wait in the partition's stream
 * already; what others say passes it. One batch over 256 KiB is under way in all; the next
 * waits while the brokers have not read those of other partitions, more than 4 MiB with it; while
 * somebody waits so, what his own partition was given counts, too.
 *
 * An entry that Redis does not take because of its size (capacity.h) is refused for good, with
 * -EMSGSIZE, and the others go on. Entries of 64 KiB and more travel alone, so that no other entry
 * is refused with them.
 *
 * Bound: `max_bytes` over all partitions, of which bulk may have three quarters. ingest_push
 * refuses beyond it; on_room reports when half of it is free again.
 */
#ifndef SIGNALBOX_BUS_LOG_INGEST_H
#define SIGNALBOX_BUS_LOG_INGEST_H

#include "common/base/bytes.h"
#include "common/base/must.h"
#include "common/bus/log/sender_queue.h"

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

/* Copies the entry. A sender always names the same partition, and calls sender_leave before its
 * memory goes; NULL: it is nobody's, and no bulk. done may be NULL; it is never called inside.
 * 0, -ENOBUFS at the bound, or -EMSGSIZE when Redis is known not to take an entry of that size. */
MUST_CHECK int ingest_push(struct ingest *i, unsigned partition, struct sender *sender,
                           struct bytes entry, ingest_done_fn *done, void *ctx);
/* Bytes and entries that Redis has not confirmed. */
size_t ingest_bytes(const struct ingest *i);
size_t ingest_count(const struct ingest *i);

#endif
