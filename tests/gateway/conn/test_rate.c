/* test_rate.c - how many messages a second pass. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "gateway/conn/rate.h"

/* How many pass from now_us on, taken as soon as allowed, within a time. */
static unsigned passed(struct rate *r, uint64_t now_us, uint64_t per_second, uint64_t in_us) {
    unsigned count = 0;
    for (uint64_t end_us = now_us + in_us; now_us < end_us; count++)
        now_us += rate_take(r, now_us, per_second);
    return count;
}

static void test_burst_then_rate(void **state) {
    (void)state;
    struct rate r = {0};
    assert_in_range(passed(&r, 5000000, 100, 1), 100, 101);
    r = (struct rate){0};
    assert_in_range(passed(&r, 5000000, 100, 2000000), 299, 301);
}

static void test_ten_at_least(void **state) {
    (void)state;
    struct rate r = {0};
    assert_in_range(passed(&r, 5000000, 1, 1), 10, 11);
    r = (struct rate){0};
    assert_in_range(passed(&r, 5000000, 1, 3000000), 12, 14);
}

static void test_silence_fills_the_bucket_once(void **state) {
    (void)state;
    struct rate r = {0};
    (void)passed(&r, 5000000, 100, 1000000);
    assert_in_range(passed(&r, 500000000, 100, 1), 100, 101);
}

static void test_highest(void **state) {
    (void)state;
    struct rate r = {0};
    assert_in_range(passed(&r, 5000000, 1000000, 1), 1000000, 1000001);
}

static void test_unread_time_has_its_tokens(void **state) {
    (void)state;
    struct rate r = {0};
    rate_unread(&r, 3000000);
    rate_unread(&r, 2000000);
    assert_in_range(passed(&r, 5000000, 100, 1), 400, 401);
    assert_in_range(passed(&r, 15000000, 100, 1), 100, 101); /* once */
    rate_unread(&r, UINT64_MAX);
    assert_in_range(passed(&r, 25000000, 100, 1), 6100, 6101);
}

static void test_bytes_have_a_rate(void **state) {
    (void)state;
    struct rate r = {0};
    assert_int_equal(rate_take_bytes(&r, 5000000, 1000, 1000), 0); /* a second's worth */
    assert_int_equal(rate_take_bytes(&r, 5000000, 1, 1000), 1000);
    assert_int_equal(rate_take_bytes(&r, 6000000, 500, 1000), 0);
    r = (struct rate){0};
    assert_int_equal(rate_take_bytes(&r, 5000000, 5000, 1000), 4000000); /* whole, then a pause */
    assert_int_equal(rate_take_bytes(&r, 5000000, 67108864, 1099511627776), 4000061);
    r = (struct rate){0};
    rate_unread(&r, 3000000);
    assert_int_equal(rate_take_bytes(&r, 5000000, 5000, 1000), 1000000);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_burst_then_rate),
        cmocka_unit_test(test_ten_at_least),
        cmocka_unit_test(test_silence_fills_the_bucket_once),
        cmocka_unit_test(test_highest),
        cmocka_unit_test(test_unread_time_has_its_tokens),
        cmocka_unit_test(test_bytes_have_a_rate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
