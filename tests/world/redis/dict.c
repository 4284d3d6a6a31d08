/* dict.c - see dict.h. */
#include "tests/world/redis/dict.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/must.h"

enum { SIZE_MIN = 4, FILL_MIN_PERCENT = 10 };

void dict_init(struct dict *d, uint64_t seed) {
    *d = (struct dict){.seed = seed};
    TAILQ_INIT(&d->order);
}

void dict_deinit(struct dict *d) {
    struct dict_entry *e;
    while ((e = TAILQ_FIRST(&d->order)) != NULL) {
        TAILQ_REMOVE(&d->order, e, order);
        free(e);
    }
    free(d->buckets);
    dict_init(d, d->seed);
}

static uint64_t mix(uint64_t h) {
    h ^= h >> 32;
    h *= 0xd6e8feb86659fd93u;
    return h ^ h >> 32;
}

static uint64_t hash_of(const struct dict *d, struct bytes key) {
    uint64_t h = d->seed ^ key.len * 0x9e3779b97f4a7c15u, word;
    for (; key.len >= sizeof(word); key = bytes_from(key, sizeof(word))) {
        memcpy(&word, key.ptr, sizeof(word));
        h = mix(h ^ word) * 0x9e3779b97f4a7c15u;
    }
    word = 0;
    if (key.len > 0)
        memcpy(&word, key.ptr, key.len);
    return mix(mix(h ^ word));
}

static struct dict_entry **bucket_of(const struct dict *d, uint64_t hash) {
    return &d->buckets[hash & (d->size - 1)];
}

static void resize(struct dict *d, size_t size) {
    struct dict_entry *e;
    free(d->buckets);
    d->buckets = mem_zalloc(size * sizeof(struct dict_entry *));
    d->size = size;
    DICT_EACH(e, d) {
        struct dict_entry **bucket = bucket_of(d, e->hash);
        e->chain = *bucket;
        *bucket = e;
    }
}

static size_t size_for(size_t count) {
    size_t size = SIZE_MIN;
    while (size < count)
        size *= 2;
    return size;
}

struct dict_entry *dict_find(const struct dict *d, struct bytes key) {
    if (d->count == 0)
        return NULL;
    uint64_t hash = hash_of(d, key);
    struct dict_entry *e = *bucket_of(d, hash);
    while (e != NULL && (e->hash != hash || !bytes_equal(dict_key(e), key)))
        e = e->chain;
    return e;
}

struct dict_entry *dict_add(struct dict *d, struct bytes key) {
    if (d->count >= d->size)
        resize(d, size_for(d->count + 1));
    struct dict_entry *e = mem_zalloc(sizeof(*e) + key.len);
    e->hash = hash_of(d, key);
    e->len = key.len;
    if (key.len > 0)
        memcpy(e->key, key.ptr, key.len);
    struct dict_entry **bucket = bucket_of(d, e->hash);
    e->chain = *bucket;
    *bucket = e;
    TAILQ_INSERT_TAIL(&d->order, e, order);
    d->count++;
    return e;
}

void dict_remove(struct dict *d, struct dict_entry *e) {
    struct dict_entry **at = bucket_of(d, e->hash);
    while (*at != e)
        at = &(*at)->chain;
    *at = e->chain;
    TAILQ_REMOVE(&d->order, e, order);
    free(e);
    d->count--;
    if (d->size > SIZE_MIN && d->count * 100 / d->size < FILL_MIN_PERCENT)
        resize(d, size_for(d->count));
}

static uint64_t reversed(uint64_t v) {
    uint64_t r = 0;
    for (int i = 0; i < 64; i++, v >>= 1)
        r = r << 1 | (v & 1);
    return r;
}

/* Bits above the mask are set before the reversed counter is advanced, so that the carry goes from
 * the highest bit of the mask downwards. */
static uint64_t next_cursor(uint64_t cursor, uint64_t mask) {
    return reversed(reversed(cursor | ~mask) + 1);
}

uint64_t dict_scan(const struct dict *d, uint64_t cursor, dict_fn *fn, void *ctx) {
    if (d->count == 0)
        return 0;
    uint64_t mask = d->size - 1;
    for (struct dict_entry *e = d->buckets[cursor & mask]; e != NULL; e = e->chain)
        fn(ctx, e);
    return next_cursor(cursor, mask);
}

void dict_each_bucket(const struct dict *d, dict_fn *fn, void *ctx) {
    uint64_t cursor = 0;
    do
        cursor = dict_scan(d, cursor, fn, ctx);
    while (cursor != 0);
}
