/* test_registry_member.c - the member of a gateway's set, written and read. */
#include "common/bus/cluster/registry_member.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void there_and_back(void **state) {
    static const struct registry_row rows[] = {
        {{"Room", 4}, {"alice", 5}, {"gid:7:1700000000000|staff", 25}},
        {{"*", 1}, {"a b\n\xff", 5}, {"gid:1:0|", 8}},
        {{"N", 1}, {"id", 2}, {"v\0w", 3}}, /* only the first two NULs divide */
        {{"N", 1}, {"", 0}, {"v", 1}},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct buf member = {0};
        struct registry_row back;
        registry_member_encode(&member, &rows[i]);
        assert_true(registry_member_decode(buf_bytes(&member), &back));
        assert_true(bytes_equal(back.name, rows[i].name));
        assert_true(bytes_equal(back.client_id, rows[i].client_id));
        assert_true(bytes_equal(back.value, rows[i].value));
        buf_deinit(&member);
    }
}

static void as_it_stands_in_redis(void **state) {
    struct buf member = {0};
    (void)state;
    registry_member_encode(&member,
                           &(struct registry_row){BYTES_LIT("N"), BYTES_LIT("i"), BYTES_LIT("v")});
    assert_true(bytes_equal(buf_bytes(&member), BYTES_LIT("N\0i\0v")));
    buf_deinit(&member);
}

static void what_is_no_member(void **state) {
    static const struct bytes bad[] = {{"", 0},       {"N", 1},  {"N\0", 2}, {"N\0i", 3},
                                       {"N\0i\0", 4}, {"\0", 1}, {"\0\0", 2}};
    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct registry_row row;
        assert_false(registry_member_decode(bad[i], &row));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(there_and_back),
                                       cmocka_unit_test(as_it_stands_in_redis),
                                       cmocka_unit_test(what_is_no_member)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
