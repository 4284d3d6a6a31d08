/* test_table.c - SipHash-1-3 as others compute it, and short chains for keys that were chosen. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/table.h"

/* Of the bytes 00 01 02 … under the key 00 … 0f; what OpenSSL's SIPHASH says for 1 and 3 rounds. */
static void it_is_siphash(void **state) {
    static const struct {
        size_t len;
        uint64_t hash;
    } cases[] = {{0, 0xabac0158050fc4dc}, {1, 0xc9f49bf37d57ca93},  {7, 0xd3927d989bb11140},
                 {8, 0x369095118d299a8e}, {15, 0xd320d86d2a519956}, {40, 0xc1d2363299e41531}};
    const uint64_t secret[2] = {0x0706050403020100, 0x0f0e0d0c0b0a0908};
    unsigned char in[64];
    (void)state;
    for (size_t i = 0; i < sizeof(in); i++)
        in[i] = (unsigned char)i;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_int_equal(table_hash_keyed(secret, in, cases[i].len), cases[i].hash);
}

enum { CHOSEN = 1000, SHARED_BITS = 10 };

struct item {
    UT_hash_handle hh;
    char key[16];
};

static unsigned unkeyed(const char *key) {
    unsigned hash;
    HASH_JEN(key, strlen(key), hash);
    return hash;
}

/* Texts that lie in one bucket under the hash that uthash has by itself. */
static struct item *chosen(void) {
    struct item *items = mem_zalloc(CHOSEN * sizeof(*items));
    for (unsigned i = 0, n = 0; n < CHOSEN; i++) {
        snprintf(items[n].key, sizeof(items[n].key), "%u", i);
        n += unkeyed(items[n].key) % (1U << SHARED_BITS) == 0;
    }
    return items;
}

static void chosen_keys_make_no_chain(void **state) {
    struct item *items = chosen(), *table = NULL;
    unsigned longest = 0;
    (void)state;
    for (int i = 0; i < CHOSEN; i++)
        HASH_ADD_KEYPTR(hh, table, items[i].key, strlen(items[i].key), &items[i]);
    for (unsigned b = 0; b < table->hh.tbl->num_buckets; b++)
        if (table->hh.tbl->buckets[b].count > longest)
            longest = table->hh.tbl->buckets[b].count;
    assert_in_range(longest, 1, 40);
    HASH_CLEAR(hh, table);
    free(items);
}

static void a_process_has_its_own_key(void **state) {
    const uint64_t none[2] = {0, 0};
    (void)state;
    uint64_t known = table_hash_keyed(none, "Name", 4);
    assert_int_not_equal(table_hash("Name", 4), (uint32_t)(known ^ known >> 32));
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(it_is_siphash),
                                       cmocka_unit_test(chosen_keys_make_no_chain),
                                       cmocka_unit_test(a_process_has_its_own_key)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
