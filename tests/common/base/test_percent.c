/* test_percent.c - the escapes of URLs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "common/base/percent.h"

static void test_one_escape(void **state) {
    (void)state;
    static const struct {
        struct bytes in;
        int value;
    } cases[] = {
        {BYTES_LIT("%41"), 0x41}, {BYTES_LIT("%aFx"), 0xaf}, {BYTES_LIT("%00"), 0},
        {BYTES_LIT("%4"), -1},    {BYTES_LIT("%"), -1},      {BYTES_LIT(""), -1},
        {BYTES_LIT("%4g"), -1},   {BYTES_LIT("%g4"), -1},    {BYTES_LIT("41%"), -1},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_int_equal(percent_escape_value(cases[i].in), cases[i].value);
}

static void test_percent_decode(void **state) {
    (void)state;
    static const struct {
        struct bytes in;
        bool plus;
        struct bytes want;
        bool is_valid;
    } cases[] = {
        {BYTES_LIT(""), false, BYTES_LIT(""), true},
        {BYTES_LIT("abc"), false, BYTES_LIT("abc"), true},
        {BYTES_LIT("%41%4a%4A"), false, BYTES_LIT("AJJ"), true},
        {BYTES_LIT("%00%ff"), false, BYTES_LIT("\0\xFF"), true},
        {BYTES_LIT("a+b%2B"), true, BYTES_LIT("a b+"), true},
        {BYTES_LIT("a+b"), false, BYTES_LIT("a+b"), true},
        {BYTES_LIT("%"), false, BYTES_LIT("%"), false},
        {BYTES_LIT("%4"), false, BYTES_LIT("%4"), false},
        {BYTES_LIT("%zz%41"), false, BYTES_LIT("%zzA"), false},
        {BYTES_LIT("%%41"), false, BYTES_LIT("%A"), false},
        {BYTES_LIT("%2541"), false, BYTES_LIT("%41"), true},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct buf out = {0};
        assert_int_equal(percent_decode(cases[i].in, cases[i].plus, &out), cases[i].is_valid);
        assert_true(bytes_equal(buf_bytes(&out), cases[i].want));
        buf_deinit(&out);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_one_escape),
                                       cmocka_unit_test(test_percent_decode)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
