/* arena.h - memory that is given back all at once. A zeroed struct is an empty arena. */
#ifndef SIGNALBOX_BASE_ARENA_H
#define SIGNALBOX_BASE_ARENA_H

#include "common/base/bytes.h"

struct arena_block;
struct arena {
    struct arena_block *blocks;
};

/* Aligned for anything. */
void *arena_room(struct arena *a, size_t len);
/* Absent stays absent, empty stays empty. */
struct bytes arena_copy(struct arena *a, struct bytes b);
struct bytes_list arena_list(struct arena *a, struct bytes_list list);
void arena_clear(struct arena *a);

#endif
