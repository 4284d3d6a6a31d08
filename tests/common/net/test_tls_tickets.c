/* test_tls_tickets.c - which keys are there as time passes. */
#include "common/net/tls_tickets.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

enum { PERIOD_MS = 1000 };

static struct tls_tickets *t;

static void at(uint64_t period) {
    tls_tickets_turn(t, period * PERIOD_MS + PERIOD_MS / 2);
}

static int setup(void **state) {
    (void)state;
    t = tls_tickets_new(PERIOD_MS);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    tls_tickets_unref(t);
    return 0;
}

static void a_key_lasts_for_two_periods(void **state) {
    unsigned char first[TLS_TICKET_KEY], second[TLS_TICKET_KEY];
    (void)state;
    assert_null(tls_tickets_current(t));
    at(100);
    memcpy(first, tls_tickets_current(t), TLS_TICKET_KEY);
    at(100);
    assert_memory_equal(tls_tickets_current(t), first, TLS_TICKET_KEY);
    at(101);
    memcpy(second, tls_tickets_current(t), TLS_TICKET_KEY);
    assert_memory_not_equal(second, first, TLS_TICKET_KEY);
    assert_memory_equal(tls_tickets_find(t, first), first, TLS_TICKET_KEY);
    at(102);
    assert_null(tls_tickets_find(t, first));
    assert_non_null(tls_tickets_find(t, second));
    at(110); /* long asleep */
    assert_null(tls_tickets_find(t, second));
    assert_non_null(tls_tickets_current(t));
    at(50); /* the clock was set */
    assert_non_null(tls_tickets_current(t));
}

static void the_fleet_s_keys_are_taken(void **state) {
    unsigned char keys[5][TLS_TICKET_KEY];
    (void)state;
    at(100);
    for (unsigned i = 0; i < 5; i++) {
        memset(keys[i], (int)i + 1, TLS_TICKET_KEY);
        tls_tickets_set(t, 98 + i, keys[i]); /* 98 … 102 */
    }
    assert_memory_equal(tls_tickets_current(t), keys[2], TLS_TICKET_KEY);
    assert_null(tls_tickets_find(t, keys[0])); /* too old, and too early */
    assert_null(tls_tickets_find(t, keys[4]));
    assert_non_null(tls_tickets_find(t, keys[1]));
    assert_non_null(tls_tickets_find(t, keys[3])); /* of a process whose clock is ahead */
    at(101);
    assert_memory_equal(tls_tickets_current(t), keys[3], TLS_TICKET_KEY);
    assert_null(tls_tickets_find(t, keys[1]));
}

/* The key that a process gives to the next period is for no period after that. */
static void each_period_has_its_own_key(void **state) {
    unsigned char key[TLS_TICKET_KEY];
    (void)state;
    memset(key, 7, sizeof(key));
    at(100);
    tls_tickets_set(t, 101, key);
    at(101);
    assert_memory_equal(tls_tickets_current(t), key, sizeof(key));
    at(102);
    assert_memory_not_equal(tls_tickets_current(t), key, sizeof(key));
    assert_non_null(tls_tickets_find(t, key)); /* of the period before */
    at(103);
    assert_null(tls_tickets_find(t, key));
}

static void a_clock_that_was_set_back_counts(void **state) {
    unsigned char key[TLS_TICKET_KEY];
    (void)state;
    memset(key, 7, sizeof(key));
    at(100);
    at(50);
    tls_tickets_set(t, 100, key);
    assert_null(tls_tickets_find(t, key));
    tls_tickets_set(t, 50, key);
    assert_memory_equal(tls_tickets_current(t), key, sizeof(key));
}

static void a_key_that_is_not_known_is_not_found(void **state) {
    static const unsigned char zeros[TLS_TICKET_KEY];
    (void)state;
    assert_null(tls_tickets_find(t, zeros));
    at(100);
    assert_null(tls_tickets_find(t, zeros)); /* there is neither one before nor a next one */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_key_lasts_for_two_periods, setup, teardown),
        cmocka_unit_test_setup_teardown(the_fleet_s_keys_are_taken, setup, teardown),
        cmocka_unit_test_setup_teardown(each_period_has_its_own_key, setup, teardown),
        cmocka_unit_test_setup_teardown(a_clock_that_was_set_back_counts, setup, teardown),
        cmocka_unit_test_setup_teardown(a_key_that_is_not_known_is_not_found, setup, teardown)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
