/*
 * data.h - all that a Redis server keeps: its databases, their keys and values. It knows no clock
 * and no command.
 *
 * Small hashes and sets of integers are listed in an order that Redis documents by its behaviour
 * (insertion, value); others in that of their buckets. A value that grew stays large.
 *
 * Every change of a value is followed by value_charge, so that the memory in use is known.
 */
#ifndef SIGNALBOX_WORLD_REDIS_DATA_H
#define SIGNALBOX_WORLD_REDIS_DATA_H

#include "tests/world/redis/dict.h"
#include "tests/world/redis/stream.h"
#include "tests/world/redis/text.h"

enum { DATABASES = 16, EXPIRES_NEVER = -1 };

enum value_type { VALUE_STRING, VALUE_HASH, VALUE_SET, VALUE_SORTED, VALUE_STREAM };

/* A sorted set: members with their scores, and the same in order. */
struct sorted {
    struct dict members; /* value.number is the score */
    struct dict_entry **items;
    size_t room;
};

struct value {
    enum value_type type;
    bool is_small;
    int64_t expires_ms;
    size_t bytes;
    struct data *data;
    union {
        struct text *string;
        struct dict dict; /* hash: value.ptr is a struct text; set: nothing */
        struct sorted sorted;
        struct entries stream;
    };
};

struct keyspace {
    struct dict keys; /* value.ptr is a struct value */
    struct data *data;
};

struct data {
    struct keyspace databases[DATABASES];
    size_t bytes;
    uint64_t seed;
};

struct data *data_new(uint64_t seed);
/* Deep, but texts and entries are shared. */
struct data *data_copy(const struct data *from);
void data_free(struct data *d);
void keyspace_clear(struct keyspace *k);

/* Expired or not. */
struct value *keyspace_find(const struct keyspace *k, struct bytes key);
/* An empty value; the key must not be there. */
struct value *keyspace_add(struct keyspace *k, struct bytes key, enum value_type type);
void keyspace_remove(struct keyspace *k, struct bytes key);

const char *value_type_name(const struct value *v);
/* The value grew by so many bytes, or shrank. */
void value_charge(struct value *v, long bytes);
/* Nothing is in it: Redis removes such a key, unless it is a stream. */
bool value_is_empty(const struct value *v);
void value_set_string(struct value *v, struct text *string);

/* Returns true when the field is new. */
bool hash_set(struct value *v, struct bytes field, struct bytes text);
struct text *hash_get(const struct value *v, struct bytes field);
bool hash_delete(struct value *v, struct bytes field);
bool set_add(struct value *v, struct bytes member);
bool set_remove(struct value *v, struct bytes member);
/* Hash or set: in the order in which Redis lists them. */
void value_each(const struct value *v, dict_fn *fn, void *ctx);

/* Returns true when the member is new. */
bool sorted_set(struct value *v, struct bytes member, double score);
bool sorted_remove(struct value *v, struct bytes member);

#endif
