/*
 * dict.h - a hash table from bytes to whatever its owner keeps there, with two orders: that of
 * insertion, which is how Redis lists what is small, and that of its buckets, which is how Redis
 * lists what is large and how it scans. The second follows from the seed.
 *
 * A scan is Redis': its cursor counts buckets with the highest bit as the lowest, so that an entry
 * that is there all the time is seen although the table grows or shrinks meanwhile; it may be seen
 * twice.
 */
#ifndef SIGNALBOX_WORLD_REDIS_DICT_H
#define SIGNALBOX_WORLD_REDIS_DICT_H

#include <stdint.h>
#include <sys/queue.h>

#include "common/base/bytes.h"

struct dict_entry {
    struct dict_entry *chain;
    TAILQ_ENTRY(dict_entry) order;
    uint64_t hash;
    union {
        void *ptr;
        double number;
    } value;
    size_t len;
    char key[];
};

TAILQ_HEAD(dict_order, dict_entry);

struct dict {
    struct dict_entry **buckets;
    size_t size, count; /* size is a power of two, or 0 */
    uint64_t seed;
    struct dict_order order;
};

#define DICT_EACH(e, d) TAILQ_FOREACH (e, &(d)->order, order)

void dict_init(struct dict *d, uint64_t seed);
/* What the values point to is the caller's to free before. */
void dict_deinit(struct dict *d);

static inline struct bytes dict_key(const struct dict_entry *e) {
    return bytes_of(e->key, e->len);
}

/* NULL when it is not there. */
struct dict_entry *dict_find(const struct dict *d, struct bytes key);
/* The key must not be there. Its value is NULL. */
struct dict_entry *dict_add(struct dict *d, struct bytes key);
void dict_remove(struct dict *d, struct dict_entry *e);

typedef void dict_fn(void *ctx, struct dict_entry *e);

/* Calls fn for each entry of the bucket at the cursor; it must change nothing. Returns the next
 * cursor, 0 after the last. */
uint64_t dict_scan(const struct dict *d, uint64_t cursor, dict_fn *fn, void *ctx);
/* All of them in the order of their buckets. */
void dict_each_bucket(const struct dict *d, dict_fn *fn, void *ctx);

#endif
