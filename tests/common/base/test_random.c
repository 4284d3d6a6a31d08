/* test_random.c - random numbers and names: their shape, and that every value may come. */
#include "common/base/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/must.h"

static void every_number_below_comes(void **state) {
    (void)state;
    for (uint64_t below = 1; below <= 5; below++) {
        unsigned seen = 0;
        for (int i = 0; i < 2000; i++) {
            uint64_t n = random_below(below);
            assert_true(n < below);
            seen |= 1u << n;
        }
        assert_int_equal(seen, (1u << below) - 1);
    }
}

static void ids_and_uuids_have_a_shape(void **state) {
    char id[17], other_id[17], uuid[37], other_uuid[37];
    unsigned variants = 0;
    (void)state;
    for (int round = 0; round < 200; round++) {
        random_id(id);
        random_id(other_id);
        random_uuid(uuid);
        random_uuid(other_uuid);
        assert_int_equal(strlen(id), 16);
        assert_int_equal(strspn(id, "0123456789abcdef"), 16);
        assert_string_not_equal(id, other_id);
        assert_int_equal(strlen(uuid), 36);
        for (int i = 0; i < 36; i++)
            assert_true(i == 8 || i == 13 || i == 18 || i == 23
                            ? uuid[i] == '-'
                            : strchr("0123456789abcdef", uuid[i]) != NULL);
        assert_int_equal(uuid[14], '4');
        assert_non_null(strchr("89ab", uuid[19]));
        variants |= 1u << (strchr("89ab", uuid[19]) - "89ab");
        assert_string_not_equal(uuid, other_uuid);
        assert_true(random_is_uuid(bytes_str(uuid)));
    }
    assert_int_equal(variants, 15);
}

static void what_is_no_uuid_of_ours(void **state) {
    static const char *const none[] = {"",
                                       "alice",
                                       "01234567-89ab-4def-8123-456789abcde",
                                       "01234567-89ab-4def-8123-456789abcdef0",
                                       "01234567-89AB-4def-8123-456789abcdef",
                                       "01234567-89ab-1def-8123-456789abcdef",
                                       "01234567-89ab-4def-7123-456789abcdef",
                                       "01234567-89ab-4def-c123-456789abcdef",
                                       "01234567-89ab-4def-8123-456789abcdeg",
                                       "01234567089ab-4def-8123-456789abcdef",
                                       "01234567-89ab-4def-8123/456789abcdef"};
    char text[] = "01234567-89ab-4def-b123-456789abcdef";
    (void)state;
    assert_true(random_is_uuid(bytes_str(text)));
    for (size_t i = 0; i < ARRAY_LEN(none); i++)
        assert_false(random_is_uuid(bytes_str(none[i])));
    for (size_t i = 0; i < sizeof(text) - 1; i++) {
        char was = text[i];
        text[i] = '\0';
        assert_false(random_is_uuid(bytes_of(text, sizeof(text) - 1)));
        text[i] = was;
    }
}

static void secrets_have_64_digits(void **state) {
    char one[65], other[65];
    (void)state;
    random_secret(one);
    random_secret(other);
    assert_int_equal(strlen(one), 64);
    assert_int_equal(strspn(one, "0123456789abcdef"), 64);
    for (int i = 0; i < 4; i++)
        assert_memory_not_equal(one + i * 16, other + i * 16, 16);
    assert_memory_not_equal(one, one + 16, 16);
}

static void all_bytes_are_filled(void **state) {
    unsigned char bytes[64], changed[64] = {0};
    (void)state;
    for (int round = 0; round < 20; round++) {
        memset(bytes, 0, sizeof(bytes));
        random_bytes(bytes, sizeof(bytes) - 1);
        for (size_t i = 0; i < sizeof(bytes); i++)
            changed[i] |= bytes[i] != 0;
    }
    for (size_t i = 0; i < sizeof(bytes) - 1; i++)
        assert_int_equal(changed[i], 1);
    assert_int_equal(changed[63], 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_number_below_comes), cmocka_unit_test(ids_and_uuids_have_a_shape),
        cmocka_unit_test(what_is_no_uuid_of_ours),  cmocka_unit_test(secrets_have_64_digits),
        cmocka_unit_test(all_bytes_are_filled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
