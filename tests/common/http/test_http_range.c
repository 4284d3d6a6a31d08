/* test_http_range.c - RFC 9110, 14.1.2 in a table. */
#include "common/http/http_range.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define MANY "99999999999999999999999999"

static void test_ranges(void **state) {
    (void)state;
    static const struct {
        const char *value;
        uint64_t size;
        enum http_range want;
        uint64_t begin, end;
    } cases[] = {
        {"bytes=0-499", 10000, HTTP_RANGE_PART, 0, 500},
        {"bytes=500-999", 10000, HTTP_RANGE_PART, 500, 1000},
        {"bytes=-500", 10000, HTTP_RANGE_PART, 9500, 10000},
        {"bytes=9500-", 10000, HTTP_RANGE_PART, 9500, 10000},
        {"bytes=0-0", 10, HTTP_RANGE_PART, 0, 1},
        {"bytes=-1", 10, HTTP_RANGE_PART, 9, 10},
        {"bytes=9-9", 10, HTTP_RANGE_PART, 9, 10},
        {"bytes=0-", 10, HTTP_RANGE_PART, 0, 10},
        {"bytes=0-10", 10, HTTP_RANGE_PART, 0, 10},
        {"bytes=5-" MANY, 10, HTTP_RANGE_PART, 5, 10},
        {"bytes=-" MANY, 10, HTTP_RANGE_PART, 0, 10},
        {"bytes=-11", 10, HTTP_RANGE_PART, 0, 10},
        {"BYTES=1-2", 10, HTTP_RANGE_PART, 1, 3},
        {"bytes= 1-2 ", 10, HTTP_RANGE_PART, 1, 3},
        {"bytes=007-8", 10, HTTP_RANGE_PART, 7, 9},
        {"bytes=10-", 10, HTTP_RANGE_NONE, 0, 0},
        {"bytes=10-20", 10, HTTP_RANGE_NONE, 0, 0},
        {"bytes=" MANY "-", 10, HTTP_RANGE_NONE, 0, 0},
        {"bytes=-0", 10, HTTP_RANGE_NONE, 0, 0},
        {"bytes=0-", 0, HTTP_RANGE_NONE, 0, 0},
        {"bytes=-5", 0, HTTP_RANGE_ALL, 0, 0},
        {"bytes=18446744073709551615-18446744073709551615", UINT64_MAX, HTTP_RANGE_NONE, 0, 0},
        {"bytes=5-4", 10, HTTP_RANGE_ALL, 0, 0},
        {"bytes=0-1,3-4", 10, HTTP_RANGE_ALL, 0, 0},
        {"bytes=0-1,", 10, HTTP_RANGE_ALL, 0, 0},
        {"bytes=-", 10, HTTP_RANGE_ALL, 0, 0},
        {"bytes=", 10, HTTP_RANGE_ALL, 0, 0},
        {"bytes", 10, HTTP_RANGE_ALL, 0, 0},
        {"bytes=1", 10, HTTP_RANGE_ALL, 0, 0},
        {"bytes=a-b", 10, HTTP_RANGE_ALL, 0, 0},
        {"bytes=1-b", 10, HTTP_RANGE_ALL, 0, 0},
        {"bytes=+1-2", 10, HTTP_RANGE_ALL, 0, 0},
        {"bytes=1--2", 10, HTTP_RANGE_ALL, 0, 0},
        {"bytes=--2", 10, HTTP_RANGE_ALL, 0, 0},
        {"lines=1-2", 10, HTTP_RANGE_ALL, 0, 0},
        {"", 10, HTTP_RANGE_ALL, 0, 0},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint64_t begin = 0, end = 0;
        enum http_range got =
            http_range_parse(bytes_str(cases[i].value), cases[i].size, &begin, &end);
        if (got != cases[i].want)
            fail_msg("%s: %d", cases[i].value, (int)got);
        if (got != HTTP_RANGE_PART)
            continue;
        assert_int_equal(begin, cases[i].begin);
        assert_int_equal(end, cases[i].end);
    }
    assert_int_equal(http_range_parse(BYTES_NONE, 10, &(uint64_t){0}, &(uint64_t){0}),
                     HTTP_RANGE_ALL);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_ranges)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
