/* test_partition.c - the checksum is Redis Cluster's, and the tags spread evenly over any number of
 * nodes. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
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
    struct bytes key = key_of(&out, 3, KEY_CONNECTIONS, BYTES_LIT("a b"));
    assert_true(bytes_starts_with(key, BYTES_LIT("sb:{")));
    assert_memory_equal(key.ptr + key.len - 7, "}:c:a b", 7);
    for (unsigned p = 0; p < 16; p++)
        for (unsigned q = 0; q < p; q++)
            assert_string_not_equal(partition_tag(p), partition_tag(q));
    assert_true(partition_of(BYTES_LIT("Msg"), 16) == partition_crc16(BYTES_LIT("Msg")) % 16);
    buf_deinit(&out);
}

/* What every process of every version must compute alike: where a Name is, and what keys are called. */
static void test_what_never_changes(void **state) {
    static const char *const tags[] = {"10", "3", "1a", "b", "11", "2", "1d", "c",
                                       "12", "1", "1c", "d", "13", "0", "1b", "a"};
    static const struct {
        enum partition_key key;
        const char *text, *of_public; /* NULL: the public stream has none */
    } keys[] = {{KEY_OWN, "own", "sb:{sb}:xown"}, {KEY_LEASE, "lease", "sb:{sb}:xlease"},
                {KEY_IN, "in", "signalbox:send"}, {KEY_DEAD_LETTERS, "dl", "sb:{sb}:xdl"},
                {KEY_SOURCES, "src", NULL},       {KEY_LAST_OF_ALL, "l*", NULL},
                {KEY_HISTORY_OF_ALL, "h*", NULL}, {KEY_DEFERRED, "w", NULL}};
    struct buf out = {0};
    (void)state;
    partition_init(ARRAY_LEN(tags));
    for (unsigned p = 0; p < ARRAY_LEN(tags); p++)
        assert_string_equal(partition_tag(p), tags[p]);
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        char text[64];
        snprintf(text, sizeof(text), "sb:{%s}:%s", tags[5], keys[i].text);
        assert_true(bytes_equal_str(key_of(&out, 5, keys[i].key, BYTES_NONE), text));
        if (keys[i].of_public != NULL)
            assert_true(bytes_equal_str(key_of(&out, ARRAY_LEN(tags), keys[i].key, BYTES_NONE),
                                        keys[i].of_public));
    }
    buf_deinit(&out);
}

/* --- fleets --- */

static const char *channel(struct buf *out, const char *name) {
    channel_of(out, 0, CHANNEL_MESSAGES, bytes_str(name));
    buf_append_char(out, '\0');
    return out->ptr;
}

/* Keys carry the prefix; channels, which know no databases, the number of one as well. */
static void test_names_of_fleets(void **state) {
    static const struct {
        const char *prefix;
        int db;
        const char *key, *pattern, *channel, *control, *stream, *entrance;
    } rows[] = {
        {"", 0, "sb:{0}:c:a", "sb:{*}:c:*", "sb:{0}:n:a", "sb:{sb}:ctl", "signalbox:send",
         "signalbox:send"},
        {"", 1, "sb:{0}:c:a", "sb:{*}:c:*", "db1:sb:{0}:n:a", "db1:sb:{sb}:ctl", "signalbox:send",
         "db1:signalbox:send"},
        {"shop:", 0, "shop:sb:{0}:c:a", "shop:sb:{*}:c:*", "shop:sb:{0}:n:a", "shop:sb:{sb}:ctl",
         "shop:signalbox:send", "shop:signalbox:send"},
        {"shop:", 65535, "shop:sb:{0}:c:a", "shop:sb:{*}:c:*", "db65535:shop:sb:{0}:n:a",
         "db65535:shop:sb:{sb}:ctl", "shop:signalbox:send", "db65535:shop:signalbox:send"},
    };
    struct buf out = {0};
    (void)state;
    partition_init(1);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        fleet_init(rows[i].prefix, rows[i].db);
        assert_true(bytes_equal_str(key_of(&out, 0, KEY_CONNECTIONS, BYTES_LIT("a")), rows[i].key));
        assert_true(bytes_equal_str(key_pattern(&out, KEY_CONNECTIONS), rows[i].pattern));
        assert_string_equal(channel(&out, "a"), rows[i].channel);
        assert_string_equal(fleet_channel(CHANNEL_CONTROL), rows[i].control);
        assert_string_equal(fleet_key(KEY_PUBLIC_SEND), rows[i].stream);
        assert_string_equal(fleet_channel(CHANNEL_PUBLIC_SEND), rows[i].entrance);
    }
    fleet_init("", 0);
    buf_deinit(&out);
}

static void test_prefixes(void **state) {
    static const char longest[] =
        "0123456789012345678901234567890123456789012345678901234567890123";
    static const struct {
        const char *prefix;
        const char *error; /* part of it; NULL: it is legal */
    } rows[] = {
        {"", NULL},
        {"shop:", NULL},
        {"a.b_c-d/e:9", NULL},
        {longest, NULL},
        {"0123456789012345678901234567890123456789012345678901234567890123x", "has 65 bytes"},
        {"a{b", "must be letters"},
        {"a}b", "must be letters"},
        {"a b", "must be letters"},
        {"a*", "must be letters"},
        {"a?", "must be letters"},
        {"[a]", "must be letters"},
        {"a\\", "must be letters"},
        {"a\nb", "must be letters"},
        {"caf\xc3\xa9", "must be letters"},
        {"db1:", "another database"},
        {"db12:shop:", "another database"},
        {"db1", NULL},
        {"db:", NULL},
        {"shop:db1:", NULL},
    };
    char error[200];
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        int result = fleet_check(rows[i].prefix, error);
        assert_int_equal(result, rows[i].error == NULL ? 0 : -EINVAL);
        if (rows[i].error != NULL)
            assert_non_null(strstr(error, rows[i].error));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_crc16_is_that_of_redis_cluster),
        cmocka_unit_test(test_tags_spread_over_nodes),
        cmocka_unit_test(test_keys),
        cmocka_unit_test(test_what_never_changes),
        cmocka_unit_test(test_names_of_fleets),
        cmocka_unit_test(test_prefixes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
