/* stream.c - see stream.h. */
#include "tests/world/redis/stream.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/must.h"

enum { NODE_ENTRIES = 100, NODE_BYTES = 4096, ENTRY_COST = 16, PART_COST = 4 };

int entry_id_compare(struct entry_id a, struct entry_id b) {
    if (a.ms != b.ms)
        return a.ms < b.ms ? -1 : 1;
    return a.seq < b.seq ? -1 : a.seq > b.seq;
}

bool entry_id_step(struct entry_id *id, int by) {
    uint64_t edge = by > 0 ? UINT64_MAX : 0;
    if (id->seq != edge) {
        id->seq += (uint64_t)by;
        return true;
    }
    if (id->ms == edge)
        return false;
    id->ms += (uint64_t)by;
    id->seq = by > 0 ? 0 : UINT64_MAX;
    return true;
}

bool entry_id_parse(struct bytes text, uint64_t seq_missing, struct entry_id *id_out) {
    bool has_seq = bytes_find(text, '-') >= 0;
    struct bytes ms = bytes_split(&text, '-');
    id_out->seq = seq_missing;
    return bytes_to_u64(ms, &id_out->ms) && (!has_seq || bytes_to_u64(text, &id_out->seq));
}

/* ---- entries ---- */

static struct entry *entry_new(struct entry_id id, const struct bytes *parts, unsigned count) {
    size_t bytes = 0;
    for (unsigned i = 0; i < count; i++)
        bytes += parts[i].len;
    struct entry *e = mem_alloc(sizeof(*e) + count * sizeof(parts[0]) + bytes);
    char *at = (char *)&e->parts[count];
    *e = (struct entry){.id = id, .holders = 1, .count = count, .bytes = bytes};
    for (unsigned i = 0; i < count; i++) {
        e->parts[i] = bytes_of(at, parts[i].len);
        if (parts[i].len > 0)
            memcpy(at, parts[i].ptr, parts[i].len);
        at += parts[i].len;
    }
    return e;
}

static size_t cost_of(const struct entry *e) {
    return ENTRY_COST + e->bytes + PART_COST * (size_t)e->count;
}

static size_t entry_drop(struct entry *e) {
    size_t cost = cost_of(e);
    if (--e->holders == 0)
        free(e);
    return cost;
}

/* ---- the stream ---- */

void entries_deinit(struct entries *s) {
    for (size_t i = 0; i < s->count; i++)
        entry_drop(entries_at(s, i));
    free(s->slots);
}

void entries_copy(struct entries *to, const struct entries *from) {
    *to = *from;
    to->first = 0;
    to->room = from->count;
    to->slots = mem_alloc((from->count + 1) * sizeof(to->slots[0]));
    if (from->count > 0)
        memcpy(to->slots, from->slots + from->first, from->count * sizeof(to->slots[0]));
    for (size_t i = 0; i < to->count; i++)
        entries_at(to, i)->holders++;
}

size_t entries_find(const struct entries *s, struct entry_id id) {
    size_t low = 0, high = s->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (entry_id_compare(entries_at(s, middle)->id, id) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void make_room(struct entries *s) {
    if (s->first + s->count < s->room)
        return;
    if (s->first > s->count) {
        memmove(s->slots, s->slots + s->first, s->count * sizeof(s->slots[0]));
        s->first = 0;
        return;
    }
    s->room = s->room * 2 + 8;
    s->slots = mem_realloc(s->slots, s->room * sizeof(s->slots[0]));
}

/* Which node takes an entry of so many bytes. */
static uint64_t node_for(struct entries *s, size_t bytes) {
    bool is_gone = s->count == 0 || s->slots[s->first + s->count - 1].node != s->node;
    if (is_gone || s->node_count >= NODE_ENTRIES || s->node_bytes >= NODE_BYTES) {
        s->node++;
        s->node_count = s->node_bytes = 0;
    }
    s->node_count++;
    s->node_bytes += bytes;
    return s->node;
}

size_t entries_append(struct entries *s, struct entry_id id, const struct bytes *parts,
                      unsigned count) {
    struct entry *e = entry_new(id, parts, count);
    uint64_t node = node_for(s, cost_of(e));
    make_room(s);
    s->slots[s->first + s->count++] = (struct entry_slot){e, node};
    s->last = id;
    s->added++;
    return cost_of(e);
}

size_t entries_delete(struct entries *s, size_t place) {
    struct entry_slot *at = s->slots + s->first + place;
    struct entry *e = at->entry;
    if (entry_id_compare(e->id, s->max_deleted) > 0)
        s->max_deleted = e->id;
    memmove(at, at + 1, (s->count - place - 1) * sizeof(*at));
    s->count--;
    return entry_drop(e);
}

size_t entries_drop_front(struct entries *s, size_t count) {
    size_t freed = 0;
    for (size_t i = 0; i < count; i++)
        freed += entry_drop(entries_at(s, i));
    s->first += count;
    s->count -= count;
    return freed;
}

/* The largest number of entries, at most `most`, that are whole nodes. */
static size_t whole_nodes(const struct entries *s, size_t most) {
    const struct entry_slot *slots = s->slots + s->first;
    while (most > 0 && most < s->count && slots[most].node == slots[most - 1].node)
        most--;
    return most;
}

size_t entries_over_length(const struct entries *s, uint64_t most, bool is_approximate) {
    size_t over = s->count > most ? s->count - (size_t)most : 0;
    return is_approximate ? whole_nodes(s, over) : over;
}

size_t entries_below_id(const struct entries *s, struct entry_id least, bool is_approximate) {
    size_t below = entries_find(s, least);
    return is_approximate ? whole_nodes(s, below) : below;
}
