/* arena.c - see arena.h. */
#include "common/base/arena.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/must.h"

enum { BLOCK_BYTES = 32 * 1024, ALIGNMENT = 16 };

struct arena_block {
    _Alignas(ALIGNMENT) struct arena_block *next;
    size_t used, size;
    _Alignas(ALIGNMENT) char bytes[];
};

void *arena_room(struct arena *a, size_t len) {
    len = (len + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
    if (a->blocks == NULL || a->blocks->size - a->blocks->used < len) {
        size_t size = len > BLOCK_BYTES ? len : BLOCK_BYTES;
        struct arena_block *b = mem_alloc(sizeof(*b) + size);
        b->next = a->blocks;
        b->used = 0;
        b->size = size;
        a->blocks = b;
    }
    void *room = a->blocks->bytes + a->blocks->used;
    a->blocks->used += len;
    return room;
}

struct bytes arena_copy(struct arena *a, struct bytes b) {
    if (b.len == 0)
        return b.ptr == NULL ? BYTES_NONE : BYTES_LIT("");
    char *copy = arena_room(a, b.len);
    memcpy(copy, b.ptr, b.len);
    return bytes_of(copy, b.len);
}

struct bytes_list arena_list(struct arena *a, struct bytes_list list) {
    if (!bytes_list_is_given(list))
        return (struct bytes_list){0};
    struct bytes *items = arena_room(a, (list.count + 1) * sizeof(*items));
    for (size_t i = 0; i < list.count; i++)
        items[i] = arena_copy(a, list.items[i]);
    return (struct bytes_list){items, list.count};
}

void arena_clear(struct arena *a) {
    while (a->blocks != NULL) {
        struct arena_block *next = a->blocks->next;
        free(a->blocks);
        a->blocks = next;
    }
}
