/* What a bound of Redis' on one argument is told by, and learned from. */
#include "common/bus/redis/capacity.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "common/base/clock.h"
#include "common/base/log.h"

enum { BIG = 2000000, BIGGER = 3000000, START_MS = 1000000 };

static void nothing_is_known_at_first(void **state) {
    struct capacity c = {0};
    (void)state;
    assert_true(capacity_most(&c) == SIZE_MAX);
    assert_true(capacity_may_send(&c, BIG, false));
    clock_freeze(1); /* soon after the start of the machine */
    assert_true(capacity_most(&c) == SIZE_MAX);
    c.told = BIG;
    assert_int_equal(capacity_most(&c), BIG);
}

static void a_proof_is_enough_and_expires(void **state) {
    struct capacity c = {0};
    (void)state;
    clock_freeze(START_MS);
    capacity_sent(&c, BIG);
    capacity_broke(&c, BIG, true);
    assert_int_equal(capacity_most(&c), BIG - 1);
    capacity_learn(&c, BIGGER); /* no news */
    assert_int_equal(capacity_most(&c), BIG - 1);
    clock_freeze(START_MS + CAPACITY_KEEP_MS);
    assert_true(capacity_most(&c) == SIZE_MAX);
}

static void a_suspect_goes_alone_and_on_a_proven_link(void **state) {
    struct capacity c = {0};
    (void)state;
    capacity_sent(&c, BIG);
    capacity_sent(&c, BIGGER);
    capacity_broke(&c, BIG, false);
    assert_true(capacity_may_send(&c, CAPACITY_LARGE - 1, false));
    assert_false(capacity_may_send(&c, BIG, false));
    assert_false(capacity_may_send(&c, CAPACITY_LARGE, false));
    assert_true(capacity_may_send(&c, BIG, true));
    capacity_sent(&c, BIG);
    assert_false(capacity_may_send(&c, BIGGER, true));
    capacity_answered(&c, BIG); /* it was not this one */
    assert_true(capacity_may_send(&c, BIGGER, false));
}

static void breaks_in_a_row_are_proof(void **state) {
    struct capacity c = {0};
    (void)state;
    for (int i = 0; i < CAPACITY_BREAKS - 1; i++)
        capacity_broke(&c, BIG, false);
    capacity_broke(&c, BIGGER, false); /* another one: counted from the beginning */
    assert_true(capacity_most(&c) == SIZE_MAX);
    for (int i = 0; i < CAPACITY_BREAKS - 1; i++) {
        assert_true(capacity_most(&c) == SIZE_MAX);
        capacity_broke(&c, BIGGER, false);
    }
    assert_int_equal(capacity_most(&c), BIGGER - 1);
    assert_true(capacity_may_send(&c, BIG, false));
}

/* What is learned and what Redis told: the smaller one counts, as long as it is fresh. */
static void the_smaller_bound_counts(void **state) {
    struct capacity c = {.told = BIGGER};
    (void)state;
    capacity_learn(&c, BIG);
    assert_int_equal(capacity_most(&c), BIG - 1);
    c.told = BIG - 2;
    assert_int_equal(capacity_most(&c), BIG - 2);
    capacity_learn(&c, BIG - 1); /* no news */
    assert_int_equal(c.learned, BIG - 1);
    capacity_learn(&c, BIG - 2);
    assert_int_equal(capacity_most(&c), BIG - 3);
    c.told = BIGGER;
    clock_freeze(START_MS + CAPACITY_KEEP_MS - 1);
    assert_int_equal(capacity_most(&c), BIG - 3);
    clock_freeze(START_MS + CAPACITY_KEEP_MS);
    assert_int_equal(capacity_most(&c), BIGGER);
}

/* From CAPACITY_LARGE on an argument is suspected; answers to it and to larger ones clear it. */
static void what_is_large(void **state) {
    struct capacity c = {0};
    (void)state;
    capacity_broke(&c, CAPACITY_LARGE - 1, false);
    assert_int_equal(c.suspect, 0);
    capacity_broke(&c, CAPACITY_LARGE, false);
    assert_int_equal(c.suspect, CAPACITY_LARGE);
    capacity_sent(&c, CAPACITY_LARGE - 1);
    assert_int_equal(c.in_flight, 0);
    capacity_sent(&c, CAPACITY_LARGE);
    capacity_sent(&c, CAPACITY_LARGE + 1);
    assert_int_equal(c.in_flight, 2);
    capacity_answered(&c, CAPACITY_LARGE - 1);
    assert_int_equal(c.in_flight, 2);
    c.suspect = CAPACITY_LARGE + 1;
    capacity_answered(&c, CAPACITY_LARGE);
    assert_int_equal(c.suspect, CAPACITY_LARGE + 1);
    capacity_answered(&c, CAPACITY_LARGE + 1);
    assert_int_equal(c.suspect, 0);
    assert_int_equal(c.in_flight, 0);
}

static void small_ones_are_never_in_question(void **state) {
    struct capacity c = {0};
    (void)state;
    for (int i = 0; i < 10; i++)
        capacity_broke(&c, i % 2 == 0 ? 0 : CAPACITY_LARGE - 1, true);
    assert_true(capacity_most(&c) == SIZE_MAX && capacity_may_send(&c, BIG, false));
}

static int set_up(void **state) {
    (void)state;
    log_set_level(LOG_ERROR);
    clock_freeze(START_MS);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(nothing_is_known_at_first, set_up),
        cmocka_unit_test_setup(a_proof_is_enough_and_expires, set_up),
        cmocka_unit_test_setup(a_suspect_goes_alone_and_on_a_proven_link, set_up),
        cmocka_unit_test_setup(breaks_in_a_row_are_proof, set_up),
        cmocka_unit_test_setup(the_smaller_bound_counts, set_up),
        cmocka_unit_test_setup(what_is_large, set_up),
        cmocka_unit_test_setup(small_ones_are_never_in_question, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
