/* outq.c - see outq.h. outq_push_fitting is the fast path of the process: keep it short. */
#include "gateway/conn/outq.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/memory_budget.h"
#include "common/base/must.h"

enum { LEN_BITS = (1 << 30) - 1 }; /* of outq_range.len */

static struct outq_range *range_at(struct outq *q, uint32_t i) {
    struct outq_range *ring = q->ranges != NULL ? q->ranges : q->inlined;
    return &ring[(q->head + i) & (q->cap - 1)];
}

static struct frame frame_of(const struct outq_range *r) {
    return (struct frame){.chunk = r->chunk, .start = r->start, .len = r->len};
}

void outq_init(struct outq *q) {
    memset(q, 0, sizeof(*q));
    q->cap = OUTQ_INLINE;
    frame_arena_init(&q->own, OUTQ_OWN_CHUNK_BYTES);
}

/* The ring that is on the heap, if it is. */
static int64_t ring_bytes(const struct outq *q) {
    return q->ranges != NULL ? (int64_t)(q->cap * sizeof(struct outq_range)) : 0;
}

static void release_memory(struct outq *q) {
    if (q->ranges != NULL) {
        memory_add(MEMORY_outgoing, -ring_bytes(q));
        free(q->ranges);
    }
    q->ranges = NULL;
    q->cap = OUTQ_INLINE;
    q->head = q->count = 0;
    q->is_begun = false;
    frame_arena_deinit(&q->own);
}

void outq_deinit(struct outq *q) {
    for (uint32_t i = 0; i < q->count; i++)
        frame_unref(frame_of(range_at(q, i)));
    q->bytes = 0;
    release_memory(q);
}

static void grow(struct outq *q) {
    uint32_t cap = q->cap * 2 < 8 ? 8 : q->cap * 2;
    struct outq_range *ranges = mem_alloc(cap * sizeof(*ranges));
    for (uint32_t i = 0; i < q->count; i++)
        ranges[i] = *range_at(q, i);
    memory_add(MEMORY_outgoing, -ring_bytes(q));
    free(q->ranges);
    q->ranges = ranges;
    q->cap = cap;
    q->head = 0;
    memory_add(MEMORY_outgoing, ring_bytes(q));
}

/* Takes the reference that comes with f. */
static void append_take(struct outq *q, struct frame f, enum outq_kind kind) {
    if (q->count == q->cap)
        grow(q);
    *range_at(q, q->count) = (struct outq_range){
        .chunk = f.chunk, .start = f.start, .len = f.len & LEN_BITS, .kind = kind & 3};
    q->count++;
    q->bytes += f.len;
}

static bool may_merge(struct outq *q, struct frame f, enum outq_kind kind) {
    if (q->count == 0)
        return false;
    struct outq_range *last = range_at(q, q->count - 1);
    return last->kind == kind && frame_follows(frame_of(last), f);
}

static void lengthen(struct outq *q, struct frame f) {
    struct outq_range *last = range_at(q, q->count - 1);
    last->len += f.len & LEN_BITS;
    q->bytes += f.len;
}

static void push(struct outq *q, struct frame f, enum outq_kind kind, bool merges) {
    MUST(f.len <= LEN_BITS);
    if (merges && may_merge(q, f, kind)) {
        lengthen(q, f);
        return;
    }
    if (q->count < OUTQ_SHARED_MAX || f.len > OUTQ_OWN_CHUNK_BYTES / 4) {
        append_take(q, frame_ref(f), kind);
        return;
    }
    struct frame own = frame_make(&q->own, BYTES_NONE, frame_bytes(f));
    if (merges && may_merge(q, own, kind)) {
        lengthen(q, own);
        frame_unref(own);
    } else {
        append_take(q, own, kind);
    }
}

void outq_push(struct outq *q, struct frame f, bool is_message) {
    if (f.len > 0)
        push(q, f, is_message ? OUTQ_MESSAGE : OUTQ_CONTROL, !is_message);
}

/* Removes the i-th range. The ring closes from the front, which is the shorter way for
 * drop_oldest. */
static void remove_at(struct outq *q, uint32_t i) {
    struct outq_range gone = *range_at(q, i);
    for (; i > 0; i--)
        *range_at(q, i) = *range_at(q, i - 1);
    q->head = (q->head + 1) & (q->cap - 1);
    q->count--;
    q->bytes -= gone.len;
    frame_unref(frame_of(&gone));
}

/* Cuts the begun range after the message that was begun. */
static void cut_begun(struct outq *q, outq_message_len_fn *message_len) {
    struct outq_range *r = range_at(q, 0);
    uint32_t end = r->start + r->len, at = q->begun_at;
    while (at < r->start) {
        size_t len = message_len(bytes_of(r->chunk->data + at, end - at));
        MUST(len > 0 && len <= end - at);
        at += (uint32_t)len;
    }
    q->bytes -= end - at;
    r->len = (at - r->start) & LEN_BITS;
}

/* Whether a message begins here that may go; a body goes only with its head. parts: NULL, or whose
 * sender's messages are meant. */
static bool is_droppable(const struct outq_range *r, const struct outq_parts *parts) {
    if (parts == NULL)
        return r->kind == OUTQ_MESSAGE || r->kind == OUTQ_HEAD;
    return r->kind == OUTQ_HEAD && parts->is_own(parts->ctx, frame_bytes(frame_of(r)));
}

/* Drops what is not begun. */
static unsigned drop_whole(struct outq *q, const struct outq_parts *parts) {
    uint32_t first = q->is_begun ? 1 : 0, kept = first;
    unsigned dropped = 0;
    bool goes = false;
    for (uint32_t i = first; i < q->count; i++) {
        struct outq_range r = *range_at(q, i);
        if (r.kind != OUTQ_BODY) {
            goes = is_droppable(&r, parts);
            dropped += goes;
        }
        if (goes) {
            q->bytes -= r.len;
            frame_unref(frame_of(&r));
        } else {
            *range_at(q, kept++) = r;
        }
    }
    q->count = kept;
    if (q->count == 0)
        release_memory(q);
    return dropped;
}

unsigned outq_drop_messages(struct outq *q, outq_message_len_fn *message_len) {
    if (q->is_begun && range_at(q, 0)->kind == OUTQ_MESSAGE && message_len != NULL)
        cut_begun(q, message_len);
    if (q->is_begun && range_at(q, 0)->len == 0) {
        q->is_begun = false;
        remove_at(q, 0);
    }
    return drop_whole(q, NULL);
}

static bool drop_oldest(struct outq *q, const struct outq_parts *parts) {
    for (uint32_t i = q->is_begun ? 1 : 0; i < q->count; i++) {
        struct outq_range *r = range_at(q, i);
        if (!is_droppable(r, parts))
            continue;
        if (r->kind == OUTQ_HEAD)
            remove_at(q, i + 1);
        remove_at(q, i);
        return true;
    }
    return false;
}

/* Applies the policy to what is queued already. OUTQ_OK: the message is queued now; *dropped_out
 * says whether others had to go for it. */
static enum outq_result make_room(struct outq *q, size_t len, const struct outq_parts *parts,
                                  size_t max_bytes, enum slow_policy policy,
                                  unsigned *dropped_out) {
    switch (policy) {
    case SLOW_CLOSE: return OUTQ_FULL;
    case SLOW_DROP_NEWEST: *dropped_out = 1; return OUTQ_DROPPED;
    case SLOW_LATEST:
        *dropped_out = parts == NULL ? outq_drop_messages(q, NULL) : drop_whole(q, parts);
        break;
    case SLOW_DROP_OLDEST:
        while (outq_would_overflow(q, len, max_bytes) && drop_oldest(q, parts))
            (*dropped_out)++;
        break;
    }
    return OUTQ_OK;
}

void outq_push_fitting(struct outq *q, struct frame f, enum slow_policy policy) {
    push(q, f, OUTQ_MESSAGE, policy == SLOW_CLOSE);
}

enum outq_result outq_push_message(struct outq *q, struct frame f, size_t max_bytes,
                                   enum slow_policy policy, unsigned *dropped_out) {
    *dropped_out = 0;
    if (!outq_would_overflow(q, f.len, max_bytes)) {
        outq_push_fitting(q, f, policy);
        return OUTQ_OK;
    }
    enum outq_result result = make_room(q, f.len, NULL, max_bytes, policy, dropped_out);
    if (result != OUTQ_OK)
        return result;
    push(q, f, OUTQ_MESSAGE, false);
    return OUTQ_DROPPED;
}

void outq_push_fitting_parts(struct outq *q, const struct outq_parts *parts) {
    push(q, parts->head, OUTQ_HEAD, false);
    push(q, parts->body, OUTQ_BODY, false);
}

enum outq_result outq_push_parts(struct outq *q, const struct outq_parts *parts, size_t max_bytes,
                                 enum slow_policy policy, unsigned *dropped_out) {
    size_t len = parts->head.len + parts->body.len;
    *dropped_out = 0;
    enum outq_result result = OUTQ_OK;
    if (outq_would_overflow(q, len, max_bytes))
        result = make_room(q, len, parts, max_bytes, policy, dropped_out);
    /* The queue may be full of what is others'. */
    if (result == OUTQ_OK && outq_would_overflow(q, len, max_bytes)) {
        ++*dropped_out;
        result = OUTQ_DROPPED;
    }
    if (result != OUTQ_OK)
        return result;
    outq_push_fitting_parts(q, parts);
    return *dropped_out > 0 ? OUTQ_DROPPED : OUTQ_OK;
}

void outq_wrote(struct outq *q, size_t len) {
    MUST(len <= q->bytes);
    q->bytes -= len;
    while (len > 0) {
        struct outq_range *r = range_at(q, 0);
        if (len < r->len) {
            if (!q->is_begun)
                q->begun_at = r->start;
            r->start += (uint32_t)len;
            r->len -= (uint32_t)len & LEN_BITS;
            q->is_begun = true;
            return;
        }
        len -= r->len;
        frame_unref(frame_of(r));
        q->head = (q->head + 1) & (q->cap - 1);
        q->count--;
        q->is_begun = false;
    }
    if (q->count == 0)
        release_memory(q);
}
