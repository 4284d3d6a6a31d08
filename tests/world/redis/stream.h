/*
 * stream.h - a Redis stream: entries in the order of their ids. Entries never change and are shared
 * between the copies of a stream.
 *
 * Redis keeps entries in nodes of up to 100, or 4096 bytes; trimming with ~ drops whole nodes only.
 * The bytes are estimated.
 */
#ifndef SIGNALBOX_WORLD_REDIS_STREAM_H
#define SIGNALBOX_WORLD_REDIS_STREAM_H

#include <stdint.h>

#include "common/base/bytes.h"

struct entry_id {
    uint64_t ms, seq;
};

#define ENTRY_ID_MAX ((struct entry_id){UINT64_MAX, UINT64_MAX})

struct entry {
    struct entry_id id;
    unsigned holders;
    unsigned count; /* fields and values together */
    size_t bytes;   /* of all fields and values */
    struct bytes parts[];
};

struct entry_slot {
    struct entry *entry;
    uint64_t node;
};

struct entries {
    struct entry_slot *slots;
    size_t first, count, room;
    struct entry_id last, max_deleted;
    uint64_t added;
    uint64_t node;     /* the one that is being filled */
    size_t node_count; /* entries that it ever got */
    size_t node_bytes;
};

int entry_id_compare(struct entry_id a, struct entry_id b);
/* The one after / before it; false when there is none. */
bool entry_id_step(struct entry_id *id, int by);
/* "ms-seq", or "ms" alone with seq_missing. False: it is none. */
bool entry_id_parse(struct bytes text, uint64_t seq_missing, struct entry_id *id_out);

void entries_deinit(struct entries *s);
void entries_copy(struct entries *to, const struct entries *from);

static inline struct entry *entries_at(const struct entries *s, size_t i) {
    return s->slots[s->first + i].entry;
}
/* The place of the first entry with an id that is not lower; count when there is none. */
size_t entries_find(const struct entries *s, struct entry_id id);
/* The id is later than `last`. Returns what it costs in bytes. */
size_t entries_append(struct entries *s, struct entry_id id, const struct bytes *parts,
                      unsigned count);
/* Return how many bytes are free again. */
size_t entries_delete(struct entries *s, size_t place);
size_t entries_drop_front(struct entries *s, size_t count);
/* How many entries from the front may go so that at least `most` stay / none below `least` stays;
 * whole nodes only if is_approximate. */
size_t entries_over_length(const struct entries *s, uint64_t most, bool is_approximate);
size_t entries_below_id(const struct entries *s, struct entry_id least, bool is_approximate);

#endif
