/* frame.c - see frame.h. frame_make decides where bytes go; everything else counts. */
#include "gateway/codec/frame.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/memory_budget.h"
#include "common/base/must.h"

static struct frame_chunk *chunk_new(uint32_t cap) {
    struct frame_chunk *chunk = mem_alloc(sizeof(*chunk) + cap);
    *chunk = (struct frame_chunk){.refs = 1, .cap = cap};
    memory_add(MEMORY_outgoing, cap);
    return chunk;
}

static void chunk_unref(struct frame_chunk *chunk) {
    if (chunk == NULL)
        return;
    MUST(chunk->refs > 0);
    if (--chunk->refs > 0)
        return;
    memory_add(MEMORY_outgoing, -(int64_t)chunk->cap);
    free(chunk);
}

void frame_arena_init(struct frame_arena *arena, uint32_t chunk_bytes) {
    MUST(chunk_bytes > 0);
    *arena = (struct frame_arena){.chunk_bytes = chunk_bytes};
}

void frame_arena_deinit(struct frame_arena *arena) {
    chunk_unref(arena->current);
    arena->current = NULL;
}

/* The shared chunk with at least `len` bytes of room. */
static struct frame_chunk *chunk_with_room(struct frame_arena *arena, uint32_t len) {
    struct frame_chunk *chunk = arena->current;
    if (chunk != NULL && chunk->refs == 1)
        chunk->len = 0; /* nobody reads it any more, and it is warm in the cache: write it again */
    if (chunk != NULL && chunk->cap - chunk->len >= len)
        return chunk;
    chunk_unref(chunk);
    arena->current = chunk_new(arena->chunk_bytes);
    return arena->current;
}

static void append(struct frame_chunk *chunk, struct bytes more) {
    if (more.len > 0)
        memcpy(chunk->data + chunk->len, more.ptr, more.len);
    chunk->len += (uint32_t)more.len;
}

struct frame frame_make(struct frame_arena *arena, struct bytes header, struct bytes payload) {
    MUST(header.len <= UINT32_MAX && payload.len <= UINT32_MAX - header.len);
    uint32_t len = (uint32_t)(header.len + payload.len);
    struct frame_chunk *chunk;
    if (len > arena->chunk_bytes / 4) {
        chunk = chunk_new(len);
    } else {
        chunk = chunk_with_room(arena, len);
        chunk->refs++;
    }
    struct frame f = {.chunk = chunk, .start = chunk->len, .len = len};
    append(chunk, header);
    append(chunk, payload);
    return f;
}

struct frame frame_ref(struct frame f) {
    if (f.chunk != NULL) {
        MUST(f.chunk->refs < UINT32_MAX);
        f.chunk->refs++;
    }
    return f;
}

void frame_unref(struct frame f) {
    chunk_unref(f.chunk);
}
