/*
 * outq.h - what waits to be written to one connection: ranges of frame chunks, bounded.
 *
 *     ranges  | chunk a [120,640) | chunk b [0,64) | own chunk [0,4096) |
 *               ^ head: partly written ranges shrink from the front
 *
 * A frame that lies right after the last range of the same chunk lengthens that range, so that the
 * eight messages of one turn become one buffer of one write. With a policy that drops messages,
 * every message keeps a range of its own.
 *
 * A message to one of several that share the connection is two ranges: a head of its own and a body
 * that others share. They are queued and dropped together.
 *
 * A shared chunk lives as long as a part of it waits for any client. From OUTQ_SHARED_MAX ranges
 * on, the queue of a slow client therefore copies small frames into chunks of its own.
 *
 * Empty, it owns no memory: the first two ranges lie in the struct.
 */
#ifndef SIGNALBOX_GATEWAY_CONN_OUTQ_H
#define SIGNALBOX_GATEWAY_CONN_OUTQ_H

#include "common/app/registrations/registrations.h"
#include "gateway/codec/frame.h"

/* What a range is. */
enum outq_kind {
    OUTQ_CONTROL, /* never dropped: control frames, HTTP */
    OUTQ_MESSAGE, /* a message, or several side by side */
    OUTQ_HEAD,    /* the begin of a message, … */
    OUTQ_BODY     /* … whose rest is the next range */
};

struct outq_range {
    struct frame_chunk *chunk;
    uint32_t start;
    uint32_t len : 30;
    uint32_t kind : 2; /* enum outq_kind */
};

enum { OUTQ_INLINE = 2, OUTQ_SHARED_MAX = 8, OUTQ_OWN_CHUNK_BYTES = 16 * 1024 };

struct outq {
    struct outq_range *ranges; /* a ring of cap; NULL: the ring is `inlined` */
    uint32_t cap, head, count;
    bool is_begun;     /* the first range is partly written, … */
    uint32_t begun_at; /* … and started here before that */
    size_t bytes;
    struct frame_arena own; /* chunks of this queue alone */
    struct outq_range inlined[OUTQ_INLINE];
};

enum outq_result {
    OUTQ_OK,
    OUTQ_DROPPED, /* the policy dropped something, perhaps the frame itself */
    OUTQ_FULL     /* SLOW_CLOSE: nothing was queued, and the owner closes */
};

void outq_init(struct outq *q);
/* Drops everything. */
void outq_deinit(struct outq *q);

/* Queues without a bound: control frames, HTTP, the first messages after a 101. */
void outq_push(struct outq *q, struct frame f, bool is_message);
/* Whether a message of `len` bytes would be over the bound. Into an empty queue everything fits. */
static inline bool outq_would_overflow(const struct outq *q, size_t len, size_t max_bytes) {
    /* A range costs its own memory too, so a queue of tiny messages has an end. */
    return q->count > 0 && q->bytes + q->count * sizeof(struct outq_range) + len > max_bytes;
}
/* Queues a message that is not over the bound. */
void outq_push_fitting(struct outq *q, struct frame f, enum slow_policy policy);
/* Queues a message, or applies the policy when it is over the bound. *dropped_out counts the
 * messages that the policy dropped. */
enum outq_result outq_push_message(struct outq *q, struct frame f, size_t max_bytes,
                                   enum slow_policy policy, unsigned *dropped_out);

/* A message in two parts. A policy drops messages that are its sender's own: is_own says it of a
 * head. */
struct outq_parts {
    struct frame head, body;
    bool (*is_own)(const void *ctx, struct bytes head);
    const void *ctx;
};
/* Queues one that is not over the bound. */
void outq_push_fitting_parts(struct outq *q, const struct outq_parts *parts);
/* Queues one, or applies the policy. */
enum outq_result outq_push_parts(struct outq *q, const struct outq_parts *parts, size_t max_bytes,
                                 enum slow_policy policy, unsigned *dropped_out);
/* Drops every message that is not begun; control frames stay. The first range may hold several
 * messages, of which only the begun one stays: message_len returns the length of the message at the
 * front of `rest`. NULL when every message has a range of its own. */
typedef size_t outq_message_len_fn(struct bytes rest);
unsigned outq_drop_messages(struct outq *q, outq_message_len_fn *message_len);

/* The i-th range from the front, i < count. */
static inline struct bytes outq_at(const struct outq *q, uint32_t i) {
    const struct outq_range *ring = q->ranges != NULL ? q->ranges : q->inlined;
    const struct outq_range *r = &ring[(q->head + i) & (q->cap - 1)];
    return bytes_of(r->chunk->data + r->start, r->len);
}
/* The first `len` bytes are written. */
void outq_wrote(struct outq *q, size_t len);

#endif
