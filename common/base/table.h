/*
 * table.h - the tables of uthash, under a hash that nobody outside can predict.
 *
 * Strangers choose client ids, Names, groups and paths. Under a hash that they can compute they
 * could choose thousands that share a bucket, and each look-up would walk all of them. The key of
 * this hash is random in every process. Include this file, never <uthash.h>.
 */
#ifndef SIGNALBOX_BASE_TABLE_H
#define SIGNALBOX_BASE_TABLE_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "common/base/must.h"

/* SipHash-1-3 of len bytes, its 64 bits folded into 32. Not for what leaves the process. */
uint32_t table_hash(const void *key, size_t len);
/* The same under a key of the caller's choice, all 64 bits of it: how the tests know the hash. */
uint64_t table_hash_keyed(const uint64_t secret[2], const void *key, size_t len);

/* The key may be NULL when its length is 0. */
#define HASH_FUNCTION(ptr, len, hash_out) ((hash_out) = table_hash(ptr, len))
#define HASH_KEYCMP(a, b, len)            ((len) > 0 ? memcmp(a, b, len) : 0)
#define uthash_malloc(size)               mem_alloc(size)

#include <uthash.h> // IWYU pragma: export

#endif
