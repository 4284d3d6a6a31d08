/*
 * forward.h - appends to the `in` streams of other partitions what an entry led to, exactly once.
 *
 * A forwarded entry's sequence text comes from the entry that led to it (its stream id and an
 * index), so the source's high-water mark recognises a repetition by the next owner. All that is
 * for one partition goes in one call. Entries for which publishers gave idempotency keys go in
 * calls of their own, one after the other.
 */
#ifndef SIGNALBOX_BUS_LOG_FORWARD_H
#define SIGNALBOX_BUS_LOG_FORWARD_H

#include "common/bus/log/envelope.h"

struct bus;
struct forward;

/* 20 digits for the ms of the entry's id, 20 for its seq, 4 for the index. */
enum { FORWARD_SEQ_TEXT = 45, FORWARD_INDEX_MAX = 9999 };
const char *forward_seq(struct message_id entry, unsigned index, char text_out[FORWARD_SEQ_TEXT]);

/* source: "p<k>" for a partition, "x" for the public stream. Its sequence texts never fall within a
 * generation (lease.h), at most 2^53. */
struct forward *forward_new(struct bus *bus, const char *source, uint64_t generation);
/* No more callbacks. NULL is legal. */
void forward_close(struct forward *f);

/* Copies. once: the publisher's idempotency key as a whole Redis key (append_once_key), or empty.
 * Not while sending. */
void forward_add(struct forward *f, unsigned partition, const char *seq, struct bytes entry,
                 struct bytes once);
size_t forward_bytes(const struct forward *f);
size_t forward_count(const struct forward *f);
/* Bytes of the largest entry that is held. */
size_t forward_largest(const struct forward *f);

/* is_busy: Redis refused some for now; call forward_repeat later. Otherwise every call was answered
 * and nothing is held any more. It is called inside forward_send only if nothing can be sent. */
typedef void forward_done_fn(void *ctx, bool is_busy);
void forward_send(struct forward *f, forward_done_fn *done, void *ctx);
void forward_repeat(struct forward *f);

/* Appends one entry at once, without a source: the publisher's key alone keeps it from being there
 * twice. */
void forward_publish_once(struct bus *bus, unsigned partition, struct bytes name, struct bytes key,
                          struct bytes entry);

#endif
