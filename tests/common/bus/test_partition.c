/* test_partition.c - the checksum is Redis Cluster's, and the tags spread evenly over any number of
 * nodes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "common/bus/partition.h"

static void test_crc16_is_that_of_redis_cluster(void **state) {
    (void)state;
    assert_int_equal(partition_crc16(BYTES_LIT("123456789")), 0x31c3);
    assert_int_equal(partition_crc16(BYTES_LIT("foo")) % 16384, 12182);
    assert_int_equal(partition_crc16(BYTES_LIT("")), 0);
}

/* On n nodes with equal shares of the slots: exactly even where n divides, else within three. */
static void test_tags_spread_over_nodes(void **state) {
    (void)state;
    for (unsigned partitions = 1; partitions <= 256; partitions *= 2) {
        partition_init(partitions);
        for (unsigned nodes = 1; nodes <= 32; nodes++) {
            unsigned on_node[32] = {0}, least = partitions, most = 0;
            for (unsigned p = 0; p < partitions; p++)
                on_node[partition_crc16(bytes_str(partition_tag(p))) % 16384 * nodes / 16384]++;
            for (unsigned n = 0; n < nodes; n++) {
                least = on_node[n] < least ? on_node[n] : least;
                most = on_node[n] > most ? on_node[n] : most;
            }
            assert_true(most - least <= 3);
            if (partitions % nodes == 0)
                assert_int_equal(most, least);
        }
    }
}

static void test_keys(void **state) {
    (void)state;
    struct buf out = {0};
    partition_init(16);
    struct bytes key = key_of(&out, 3, "c:", BYTES_LIT("a b"));
    assert_true(bytes_starts_with(key, BYTES_LIT("sb:{")));
    assert_memory_equal(key.ptr + key.len - 7, "}:c:a b", 7);
    for (unsigned p = 0; p < 16; p++)
        for (unsigned q = 0; q < p; q++)
            assert_string_not_equal(partition_tag(p), partition_tag(q));
    assert_true(partition_of(BYTES_LIT("Msg"), 16) == partition_crc16(BYTES_LIT("Msg")) % 16);
    buf_deinit(&out);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_crc16_is_that_of_redis_cluster),
        cmocka_unit_test(test_tags_spread_over_nodes),
        cmocka_unit_test(test_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
