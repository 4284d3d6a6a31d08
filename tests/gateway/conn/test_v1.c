/* test_v1.c - what a transport says and hears in signalbox.v1. */
#include "gateway/conn/v1.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/settings.h"

static void silence_is_bounded(void **state) {
    static const struct {
        int64_t setting;
        unsigned told;
    } cases[] = {{100, 100}, {14999, 14999}, {15000, 15000}, {15001, 15000}, {3600000, 15000}};
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct settings s = {.ping_ms = cases[i].setting};
        assert_int_equal(v1_ping_ms(&s), cases[i].told);
    }
}

static void a_ping_is_nothing_but_a_ping(void **state) {
    static const struct {
        struct bytes message;
        bool is_ping;
    } cases[] = {
        {BYTES_LIT("{\"type\":\"ping\"}"), true},
        {BYTES_LIT(" {\t\"type\" :\r\n\"ping\" } "), true},
        {BYTES_LIT(""), false},
        {BYTES_LIT("{"), false},
        {BYTES_LIT("{\"type\":\"ping\""), false},
        {BYTES_LIT("{\"type\":\"ping\"}}"), false},
        {BYTES_LIT("{\"type\":\"ping\"}\0"), false},
        {BYTES_LIT("\0{\"type\":\"ping\"}"), false},
        {BYTES_LIT("{\"type\":\"pong\"}"), false},
        {BYTES_LIT("{\"type\":\"ping\",\"ref\":1}"), false},
        {BYTES_LIT("{\"message\":1,\"type\":\"ping\"}"), false},
        {BYTES_LIT("[\"type\",\"ping\"]"), false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_int_equal(v1_is_ping(cases[i].message), cases[i].is_ping);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(silence_is_bounded),
                                       cmocka_unit_test(a_ping_is_nothing_but_a_ping)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
