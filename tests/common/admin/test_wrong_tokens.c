/* test_wrong_tokens.c - guessing a token: how often, by whom, and for how long. */
#include "common/admin/wrong_tokens.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

enum { NOW = 1000000 };

static struct wrong_tokens guesses;

static int forget(void **state) {
    (void)state;
    guesses = (struct wrong_tokens){0};
    return 0;
}

static struct ip ip_of(const char *text) {
    struct ip ip;
    assert_true(ip_parse(bytes_str(text), &ip));
    return ip;
}

static void guess(const char *address, int times, uint64_t now_ms) {
    for (int i = 0; i < times; i++)
        wrong_tokens_count(&guesses, ip_of(address), now_ms);
}

static bool may(const char *address, uint64_t now_ms) {
    return wrong_tokens_may_try(&guesses, ip_of(address), now_ms);
}

static void ten_and_then_ten_a_minute(void **state) {
    (void)state;
    assert_true(may("10.0.0.1", NOW));
    guess("10.0.0.1", WRONG_TOKENS_MAX - 1, NOW);
    assert_true(may("10.0.0.1", NOW));
    guess("10.0.0.1", 1, NOW);
    assert_false(may("10.0.0.1", NOW));
    assert_true(may("10.0.0.2", NOW));
    assert_false(may("10.0.0.1", NOW + WRONG_TOKENS_MS - 1));
    assert_true(may("10.0.0.1", NOW + WRONG_TOKENS_MS));
    guess("10.0.0.1", 1, NOW + WRONG_TOKENS_MS);
    assert_false(may("10.0.0.1", NOW + WRONG_TOKENS_MS));
    assert_true(may("10.0.0.1", NOW + 3 * WRONG_TOKENS_MS));
}

static void what_is_long_ago_is_forgotten(void **state) {
    (void)state;
    guess("10.0.0.1", WRONG_TOKENS_MAX, NOW);
    guess("10.0.0.1", WRONG_TOKENS_MAX - 1, NOW + 3600000);
    assert_true(may("10.0.0.1", NOW + 3600000));
}

static void a_network_counts_as_one(void **state) {
    (void)state;
    static const struct {
        const char *guesses, *asks;
        bool is_same;
    } rows[] = {
        {"2001:db8:1:2::1", "2001:db8:1:2:ffff::9", true},
        {"2001:db8:1:2::1", "2001:db8:1:3::1", false},
        {"::ffff:10.0.0.1", "10.0.0.1", true},
        {"10.0.0.1", "::ffff:10.0.0.2", false},
        {"::1", "10.0.0.1", false},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        forget(NULL);
        guess(rows[i].guesses, WRONG_TOKENS_MAX, NOW);
        assert_int_equal(may(rows[i].asks, NOW), !rows[i].is_same);
    }
}

/* The one that has guessed least goes, and whoever guesses on is still known. */
static void many_addresses_are_bounded(void **state) {
    (void)state;
    char address[24];
    guess("10.0.0.1", WRONG_TOKENS_MAX, NOW);
    for (int i = 0; i < 4 * WRONG_TOKENS_ADDRESSES_MAX; i++) {
        snprintf(address, sizeof(address), "10.1.%d.%d", i / 256, i % 256);
        guess(address, 1, NOW);
        assert_true(may(address, NOW));
    }
    assert_false(may("10.0.0.1", NOW));
    guess(address, WRONG_TOKENS_MAX - 1, NOW);
    assert_false(may(address, NOW));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(ten_and_then_ten_a_minute, forget),
        cmocka_unit_test_setup(what_is_long_ago_is_forgotten, forget),
        cmocka_unit_test_setup(a_network_counts_as_one, forget),
        cmocka_unit_test_setup(many_addresses_are_bounded, forget),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
