/*
 * frame.h - encoded bytes, made once and sent to many: immutable, reference counted, side by side.
 *
 * Frames are written one after the other into a shared chunk. Two that lie side by side can travel
 * as one range:
 *
 *     chunk  |--- frame a ---|--- frame b ---|-- frame c --|.... room ....|
 *            refs = the arena (while it fills the chunk) + one for each frame_ref
 *
 * A client's queue holds one reference for each range: to lengthen range a by b when
 * frame_follows(a, b), it adds b.len to a.len and takes no reference to b. Any part of a chunk's
 * bytes keeps all of it alive.
 *
 * The count is a plain integer: frames stay within their thread.
 */
#ifndef SIGNALBOX_CODEC_FRAME_H
#define SIGNALBOX_CODEC_FRAME_H

#include "common/base/bytes.h"

struct frame_chunk {
    uint32_t refs;
    uint32_t len;
    uint32_t cap;
    char data[];
};

/* A range of a chunk, a plain value: copying it does not count; frame_ref does. */
struct frame {
    struct frame_chunk *chunk;
    uint32_t start;
    uint32_t len;
};

#define FRAME_NONE ((struct frame){0})

struct frame_arena {
    struct frame_chunk *current; /* NULL before the first frame */
    uint32_t chunk_bytes;
};

enum { FRAME_CHUNK_BYTES = 64 * 1024 };

/* chunk_bytes: the size of shared chunks, FRAME_CHUNK_BYTES unless there is a reason. */
void frame_arena_init(struct frame_arena *arena, uint32_t chunk_bytes);
/* Frames made from it may outlive it. */
void frame_arena_deinit(struct frame_arena *arena);

/* Makes one frame of header and payload, with one reference for the caller. A frame longer than a
 * quarter of a chunk gets a chunk of its own. The bytes of a chunk are not written again while any
 * frame of it is referenced. */
struct frame frame_make(struct frame_arena *arena, struct bytes header, struct bytes payload);

/* Both accept FRAME_NONE. frame_ref returns its argument. */
struct frame frame_ref(struct frame f);
void frame_unref(struct frame f);

/* Whether `next` starts where `range` ends, in the same chunk. */
static inline bool frame_follows(struct frame range, struct frame next) {
    return range.chunk != NULL && range.chunk == next.chunk &&
           next.start == range.start + range.len;
}

/* Borrowed for as long as the reference is held. */
static inline struct bytes frame_bytes(struct frame f) {
    return f.chunk == NULL ? BYTES_NONE : bytes_of(f.chunk->data + f.start, f.len);
}

#endif
