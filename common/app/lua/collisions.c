/*
 * collisions.c - see collisions.h. The keys of a part are counted by the place that they will have,
 * in a table of counters that is smaller than the part: what falls into one chain falls into one
 * counter. Not so texts: their hashes are not in the part, and a pointer in a block that may be no
 * part must not be followed. But texts that meet in the larger part are in one chain of this one,
 * too, since the sizes are powers of two, and chains are in the part.
 */
#include "common/app/lua/collisions.h"

#include <limits.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <lua.h>

#include "common/base/must.h"

enum { COUNTERS = 1024, KIND_MASK = 0x0f, KIND_FLOAT = LUA_TNUMBER | 1 << 4 };

/* A node of the hash part of a table (lobject.h). */
struct node {
    uint64_t value;
    uint8_t value_kind, key_kind;
    int32_t next;
    union {
        lua_Integer integer;
        lua_Number number;
        const void *pointer;
    } key;
};

_Static_assert(sizeof(struct node) == NODE_BYTES, "a node as Lua lays it out");

void collisions_deinit(struct collisions *c) {
    free(c->parts);
    free(c->sizes);
    *c = (struct collisions){0};
}

void collisions_note(struct collisions *c, const void *part, size_t size) {
    if (c->count == c->room) {
        c->room = c->room == 0 ? 16 : 2 * c->room;
        c->parts = mem_realloc(c->parts, c->room * sizeof(*c->parts));
        c->sizes = mem_realloc(c->sizes, c->room * sizeof(*c->sizes));
    }
    c->parts[c->count] = part;
    c->sizes[c->count++] = size;
}

void collisions_forget(struct collisions *c, const void *part) {
    for (size_t i = c->count; i-- > 0;) {
        if (c->parts[i] != part)
            continue;
        c->parts[i] = c->parts[--c->count];
        c->sizes[i] = c->sizes[c->count];
        return;
    }
}

/* As l_hashfloat of ltable.c: most digits of the fraction do not count. */
static uint64_t hash_of_float(lua_Number n) {
    int exponent;
    n = frexp(n, &exponent) * -(lua_Number)INT_MIN;
    if (!(n >= (lua_Number)INT64_MIN && n < -(lua_Number)INT64_MIN))
        return 0;
    uint32_t hash = (uint32_t)exponent + (uint32_t)(int64_t)n;
    return hash <= INT_MAX ? hash : ~hash;
}

/* False for a free node and for texts. */
static bool hash_of(const struct node *n, uint64_t *hash_out) {
    int kind = n->key_kind & KIND_MASK;
    if (n->key_kind == LUA_TNUMBER)
        *hash_out = (uint64_t)n->key.integer;
    else if (n->key_kind == KIND_FLOAT)
        *hash_out = hash_of_float(n->key.number);
    else if (kind >= LUA_TTABLE && kind <= LUA_TTHREAD)
        *hash_out = (uint32_t)(uintptr_t)n->key.pointer;
    else
        return false;
    return true;
}

/* So that keys at even distances, which are common, do not meet in one counter. */
static unsigned counter_of(uint64_t place) {
    uint64_t x = place * 0x9E3779B97F4A7C15u;
    x = (x ^ x >> 32) * 0xD6E8FEB86659FD93u;
    return (unsigned)(x >> 32) % COUNTERS;
}

/* Other blocks have the size of a part, too: what repeats in them is no key. */
static bool part_would_chain(const void *part, size_t count, uint64_t modulus) {
    static uint32_t counters[COUNTERS];
    static int64_t latest[COUNTERS];
    size_t limit = CHAIN_MAX + 4 * count / COUNTERS;
    uint64_t hash;
    memset(counters, 0, sizeof(counters));
    memset(latest, 0, sizeof(latest));
    for (size_t i = 0; i < count; i++) {
        struct node n;
        memcpy(&n, (const char *)part + i * sizeof(n), sizeof(n));
        if (!hash_of(&n, &hash))
            continue;
        unsigned at = counter_of(hash % modulus);
        counters[at] += n.key.integer != latest[at];
        latest[at] = n.key.integer;
        if (counters[at] > limit)
            return true;
    }
    return false;
}

/* Whether more than CHAIN_MAX texts are in the chain that begins at `at`. Takes the steps that it
 * goes from *steps, so that no block that is no part keeps it. */
static bool is_long_chain(const struct node *nodes, size_t count, size_t at, size_t *steps) {
    size_t texts = 0;
    for (int64_t i = (int64_t)at; *steps > 0; (*steps)--) {
        texts += (nodes[i].key_kind & KIND_MASK) == LUA_TSTRING;
        int64_t next = i + nodes[i].next;
        if (texts > CHAIN_MAX || next == i || next < 0 || next >= (int64_t)count)
            break;
        i = next;
    }
    return texts > CHAIN_MAX;
}

static bool has_long_chain(const void *part, size_t count) {
    const struct node *nodes = part;
    size_t steps = 2 * count;
    bool *follows = mem_zalloc(count), is_long = false;
    for (size_t i = 0; i < count; i++) {
        int64_t next = (int64_t)i + nodes[i].next;
        if (nodes[i].next != 0 && next >= 0 && next < (int64_t)count)
            follows[next] = true;
    }
    for (size_t i = 0; i < count && !is_long; i++)
        is_long = !follows[i] && nodes[i].next != 0 && is_long_chain(nodes, count, i, &steps);
    free(follows);
    return is_long;
}

bool collisions_would_chain(const struct collisions *c, size_t new_size) {
    uint64_t modulus = new_size / NODE_BYTES - 1;
    for (size_t i = 0; i < c->count; i++)
        if (part_would_chain(c->parts[i], c->sizes[i] / NODE_BYTES, modulus) ||
            has_long_chain(c->parts[i], c->sizes[i] / NODE_BYTES))
            return true;
    return false;
}
