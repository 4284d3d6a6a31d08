/* How long a link waits, and when one of its connections counts as proven. */
#include "common/bus/redis/attempts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/must.h"

static void in_range(unsigned ms, unsigned middle) {
    assert_in_range(ms, middle * 7 / 10, middle * 13 / 10 + 1);
}

static void the_wait_doubles_up_to_two_seconds(void **state) {
    static const unsigned rows[] = {50, 100, 200, 400, 800, 1600, 2000, 2000};
    struct attempts a = {0};
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        in_range(attempts_failed(&a, false), rows[i]);
}

static void a_cut_waits_a_quarter_of_a_second_sixteen_times(void **state) {
    static const unsigned rows[] = {50, 100, 200, 250};
    struct attempts a = {0};
    (void)state;
    for (size_t i = 0; i < 16; i++)
        in_range(attempts_failed(&a, true), rows[i < 3 ? i : 3]);
    in_range(attempts_failed(&a, true), 2000);
}

static void a_proof_takes_two_seconds_and_an_answer(void **state) {
    struct attempts a = {.failures = 5};
    (void)state;
    attempts_began(&a);
    attempts_lasted(&a, 5000, "test");
    assert_false(a.is_proven); /* nothing was answered */
    attempts_began(&a);
    a.has_succeeded = true;
    attempts_lasted(&a, 1999, "test");
    assert_false(a.is_proven);
    assert_int_equal(a.failures, 5);
    attempts_lasted(&a, 1, "test");
    assert_true(a.is_proven);
    in_range(attempts_failed(&a, false), 50);
    attempts_began(&a);
    assert_false(a.is_proven);
    assert_false(a.has_succeeded);
}

/* Proven once, it is not proven again; a failure counts from there. */
static void a_link_that_lasts_is_proven_once(void **state) {
    struct attempts a = {.failures = 5, .is_warned = true};
    (void)state;
    attempts_began(&a);
    a.has_succeeded = true;
    attempts_lasted(&a, 2000, "test");
    assert_true(a.is_proven && !a.is_warned);
    assert_int_equal(a.failures, 0);
    (void)attempts_failed(&a, true);
    assert_int_equal(a.failures, 1);
    attempts_lasted(&a, 5000, "test");
    assert_int_equal(a.failures, 1);
}

/* Numbers are no news, other words are, but not more often than every five seconds. */
static void the_same_trouble_is_said_once(void **state) {
    static const struct {
        unsigned after_ms;
        const char *trouble;
        bool is_news;
    } rows[] = {{0, "timeout of 100 ms", true}, {9000, "timeout of 250 ms", false},
                {0, "timeout of  ms", true},    {4999, "timeout of 9 s", false},
                {1, "timeout of 9 s", true},    {4999, "refused", false},
                {1, "refused", true},           {9000, "refused 1", true},
                {9000, "refused 1 2", true},    {9000, "1 refused", true},
                {9000, "2 refused", false},     {9000, "refused", true}};
    struct attempts a = {0};
    uint64_t now = 100000, warned_ms = 0;
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        clock_freeze(now += rows[i].after_ms);
        attempts_log(&a, "test", rows[i].trouble);
        if ((a.warned_ms == now && now != warned_ms) != rows[i].is_news)
            fail_msg("row %zu: %s", i, rows[i].trouble);
        warned_ms = a.warned_ms;
    }
    clock_freeze(0);
}

/* Nobody waits as long as the others: from seven to thirteen tenths, and all in between. */
static void waits_are_spread(void **state) {
    unsigned least = UINT_MAX, most = 0;
    (void)state;
    for (int i = 0; i < 4000; i++) {
        struct attempts a = {.failures = 20};
        unsigned ms = attempts_failed(&a, false);
        least = ms < least ? ms : least;
        most = ms > most ? ms : most;
    }
    assert_in_range(least, 1400, 1410);
    assert_in_range(most, 2590, 2600);
}

/* Whatever the clock says. */
static void the_first_trouble_is_always_said(void **state) {
    static const char *const next[] = {"", "a", "a1", "a1b", "a1c", "a1b2", "1", "b1b"};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(next); i++) {
        struct attempts a = {0};
        clock_freeze(1000);
        attempts_log(&a, "test", "a22b");
        assert_true(a.is_warned);
        assert_string_equal(a.warned, "a22b");
        clock_freeze(9000);
        attempts_log(&a, "test", next[i]);
        assert_int_equal(a.warned_ms, strcmp(next[i], "a1b") == 0 ? 1000 : 9000);
    }
    clock_freeze(0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_wait_doubles_up_to_two_seconds),
        cmocka_unit_test(a_cut_waits_a_quarter_of_a_second_sixteen_times),
        cmocka_unit_test(a_link_that_lasts_is_proven_once),
        cmocka_unit_test(waits_are_spread),
        cmocka_unit_test(the_first_trouble_is_always_said),
        cmocka_unit_test(the_same_trouble_is_said_once),
        cmocka_unit_test(a_proof_takes_two_seconds_and_an_answer)};
    log_set_level(LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
