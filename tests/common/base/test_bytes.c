/* test_bytes.c - borrowed runs of bytes: ends, absent values, NULs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/bytes.h"
#include "common/base/must.h"

#define LIT(text) BYTES_LIT(text)

static void test_parts(void **state) {
    (void)state;
    struct bytes b = LIT("abc"), none = BYTES_NONE;
    assert_true(bytes_equal_str(bytes_from(b, 1), "bc"));
    assert_true(bytes_from(b, 3).len == 0 && bytes_from(b, 3).ptr == b.ptr + 3);
    assert_true(bytes_from(b, 4).len == 0 && bytes_from(b, 4).ptr == b.ptr + 3);
    assert_true(bytes_equal_str(bytes_head(b, 2), "ab"));
    assert_true(bytes_equal_str(bytes_head(b, 4), "abc"));
    assert_null(bytes_from(none, 1).ptr);
    assert_null(bytes_str(NULL).ptr);
    assert_non_null(bytes_str("").ptr);
    assert_true(bytes_equal_str(bytes_trim(LIT(" \t a b\t ")), "a b"));
    assert_int_equal(bytes_trim(LIT(" \t ")).len, 0);
    assert_true(bytes_equal_str(bytes_trim(LIT("\na\n")), "\na\n"));
}

static void test_comparing(void **state) {
    (void)state;
    static const struct {
        struct bytes a, b;
        int order; /* -1, 0, 1 */
        bool is_same_without_case, starts, ends;
    } rows[] = {
        {LIT("abc"), LIT("abc"), 0, true, true, true},
        {LIT("abc"), LIT("ABC"), 1, true, false, false},
        {LIT("abc"), LIT("ab"), 1, false, true, false},
        {LIT("abc"), LIT("bc"), -1, false, false, true},
        {LIT("a\0b"), LIT("a\0c"), -1, false, false, false},
        {LIT("\xff"), LIT("a"), 1, false, false, false}, /* as unsigned bytes */
        {LIT("a@"), LIT("a`"), -1, false, false, false}, /* 0x40 and 0x60 are no letters */
        {LIT("["), LIT("{"), -1, false, false, false},
        {LIT(""), LIT(""), 0, true, true, true},
        {LIT(""), BYTES_NONE, 0, true, true, true},
        {LIT("a"), BYTES_NONE, 1, false, true, true},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        int order = bytes_compare(rows[i].a, rows[i].b);
        assert_int_equal((order > 0) - (order < 0), rows[i].order);
        assert_int_equal(bytes_equal(rows[i].a, rows[i].b), rows[i].order == 0);
        assert_int_equal(bytes_equal_nocase(rows[i].a, rows[i].b), rows[i].is_same_without_case);
        assert_int_equal(bytes_starts_with(rows[i].a, rows[i].b), rows[i].starts);
        assert_int_equal(bytes_ends_with(rows[i].a, rows[i].b), rows[i].ends);
    }
}

static void test_finding_and_splitting(void **state) {
    (void)state;
    assert_int_equal(bytes_find(LIT("a.b.c"), '.'), 1);
    assert_int_equal(bytes_find_last(LIT("a.b.c"), '.'), 3);
    assert_int_equal(bytes_find(LIT("abc"), '.'), -1);
    assert_int_equal(bytes_find_last(BYTES_NONE, '.'), -1);
    assert_int_equal(bytes_find(LIT("a\0b"), '\0'), 1);
    static const char *const parts[] = {"a", "", "b", ""};
    struct bytes rest = LIT("a,,b,");
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        assert_non_null(rest.ptr);
        assert_true(bytes_equal_str(bytes_split(&rest, ','), parts[i]));
    }
    assert_null(rest.ptr);
    rest = LIT("whole");
    assert_true(bytes_equal_str(bytes_split(&rest, ','), "whole"));
    assert_null(rest.ptr);
}

static void test_numbers(void **state) {
    (void)state;
    static const struct {
        const char *text;
        bool is_number;
        uint64_t value;
    } rows[] = {
        {"0", true, 0},
        {"007", true, 7},
        {"18446744073709551615", true, UINT64_MAX},
        {"18446744073709551616", false, 0},
        {"99999999999999999999", false, 0},
        {"", false, 0},
        {"-1", false, 0},
        {"+1", false, 0},
        {" 1", false, 0},
        {"1 ", false, 0},
        {"1a", false, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        uint64_t value = 0;
        assert_int_equal(bytes_to_u64(bytes_str(rows[i].text), &value), rows[i].is_number);
        assert_true(value == rows[i].value);
    }
}

static void test_hex_and_lower(void **state) {
    (void)state;
    for (int c = 0; c < 256; c++) {
        const char digits[] = "0123456789abcdef0123456789ABCDEF";
        const char *at = c == '\0' ? NULL : strchr(digits, c);
        assert_int_equal(bytes_hex_value((char)c), at == NULL ? -1 : (at - digits) % 16);
        assert_int_equal((unsigned char)bytes_lower((char)c),
                         c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
    }
}

static void test_copies_end_with_a_nul(void **state) {
    (void)state;
    char *copy = bytes_dup(LIT("a\0b"));
    assert_memory_equal(copy, "a\0b", 4);
    free(copy);
    copy = bytes_dup(BYTES_NONE);
    assert_string_equal(copy, "");
    free(copy);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parts),
        cmocka_unit_test(test_comparing),
        cmocka_unit_test(test_finding_and_splitting),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_hex_and_lower),
        cmocka_unit_test(test_copies_end_with_a_nul),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
