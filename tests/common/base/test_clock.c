/* test_clock.c - the text of a moment, and a clock that stands still for tests. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "common/base/clock.h"
#include "common/base/must.h"

static void test_format(void **state) {
    (void)state;
    static const struct {
        uint64_t ms;
        const char *text;
    } rows[] = {
        {0, "1970-01-01T00:00:00.000Z"},
        {951782399999, "2000-02-28T23:59:59.999Z"},
        {951782400000, "2000-02-29T00:00:00.000Z"},
        {1769903999123, "2026-01-31T23:59:59.123Z"},
        {4294967296000, "2106-02-07T06:28:16.000Z"}, /* more than 32 bits of seconds */
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char text[32];
        clock_format_utc(rows[i].ms, text);
        assert_string_equal(text, rows[i].text);
    }
}

static void test_freeze(void **state) {
    (void)state;
    clock_freeze(1234);
    assert_int_equal(clock_ms(), 1234);
    assert_int_equal(clock_us(), 1234000);
    assert_true(clock_wall_ms() > 1234); /* the wall clock goes on */
    clock_freeze(0);
    uint64_t before = clock_us();
    assert_true(clock_us() >= before);
    assert_true(clock_ms() != 1234);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_format),
                                       cmocka_unit_test(test_freeze)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
