/*
 * collisions.h - no large table whose keys fall into one chain.
 *
 * Lua's place for a number in a table is a remainder that anybody can compute, and a table that
 * grows looks for each of its keys again, all in one instruction that no hook interrupts. 65,537
 * numbers that a client chose, in an app that only uses them as keys, take five seconds. The place
 * of a text comes from a hash with a seed of 32 bits, which the order of `next` gives away. So the
 * state's allocator tells us about every block that may be the hash part of a table, and asks
 * before it makes a larger one.
 *
 *     allocator                                collisions
 *     new part of 2^k nodes wanted ──▶ collisions_would_chain: would the keys of a part that
 *                                              exists fall into one chain there?
 *     has it               ──▶ collisions_note
 *     frees it             ──▶ collisions_forget
 *
 * Which part is the growing one is unknown, so all are looked at: a few, since small ones do not
 * count, in a time below that of growing. This reads nodes as Lua 5.4 lays them out;
 * test_collisions proves it for the library in use.
 */
#ifndef SIGNALBOX_APP_LUA_COLLISIONS_H
#define SIGNALBOX_APP_LUA_COLLISIONS_H

#include <stdbool.h>
#include <stddef.h>

enum {
    NODE_BYTES = 24,
    PART_MIN_NODES = 8192,
    CHAIN_MAX = 4096 /* keys of one chain: some 20 ms for the step in which they move */
};

/* Zeroed at the start. */
struct collisions {
    const void **parts; /* with their sizes */
    size_t *sizes;
    size_t count, room;
};

void collisions_deinit(struct collisions *c);

/* Whether a block of that size may be the hash part of a table that is worth a look. */
static inline bool collisions_is_part(size_t size) {
    size_t nodes = size / NODE_BYTES;
    return nodes >= PART_MIN_NODES && size % NODE_BYTES == 0 && (nodes & (nodes - 1)) == 0;
}

void collisions_note(struct collisions *c, const void *part, size_t size);
/* Nothing happens to a block that was not noted. */
void collisions_forget(struct collisions *c, const void *part);
bool collisions_would_chain(const struct collisions *c, size_t new_size);

#endif
