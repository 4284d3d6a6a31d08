/* test_close_reason.c - the table: every reason may stand in a close frame and fits one. */
#include "gateway/conn/close_reason.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "gateway/codec/ws_codec.h"

static void every_reason_is_sendable(void **state) {
    (void)state;
    for (int i = 0; i < CLOSE_REASON_COUNT; i++) {
        enum close_reason reason = (enum close_reason)i;
        if (reason != CLOSE_LOST)
            assert_true(ws_close_code_is_valid(close_reason_code(reason)));
        assert_in_range(strlen(close_reason_text(reason)), 0, WS_REASON_MAX);
    }
}

static void codes_of_the_contract(void **state) {
    (void)state;
    assert_int_equal(close_reason_code(CLOSE_NORMAL), 1000);
    assert_int_equal(close_reason_code(CLOSE_UNAVAILABLE), 1013);
    assert_int_equal(close_reason_code(CLOSE_REPLACED), 4001);
    assert_string_equal(close_reason_text(CLOSE_REPLACED), "replaced");
    assert_int_equal(close_reason_code(CLOSE_SLOW), 4002);
    assert_string_equal(close_reason_text(CLOSE_SLOW), "slow");
    assert_int_equal(close_reason_code(CLOSE_TIMEOUT), 4003);
    assert_string_equal(close_reason_text(CLOSE_TIMEOUT), "timeout");
    assert_int_equal(close_reason_code(CLOSE_GAP), 4004);
    assert_string_equal(close_reason_text(CLOSE_GAP), "gap");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_reason_is_sendable),
        cmocka_unit_test(codes_of_the_contract),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
