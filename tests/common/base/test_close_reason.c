/* test_close_reason.c - the table: every reason fits a close frame (that the codes may stand
 * in one is tested with the codec); and which codes applications may use. */
#include "common/base/close_reason.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void every_reason_fits_a_frame(void **state) {
    (void)state;
    for (int i = 0; i < CLOSE_REASON_COUNT; i++) {
        enum close_reason reason = (enum close_reason)i;
        assert_in_range(strlen(close_reason_text(reason)), 0, CLOSE_TEXT_MAX);
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

static void codes_of_applications(void **state) {
    (void)state;
    for (int64_t code = -1; code <= 0x10000; code++)
        assert_int_equal(close_code_is_allowed(code),
                         code == 1000 || code == 1001 || (code >= 3000 && code <= 4999));
    assert_false(close_code_is_allowed((INT64_C(1) << 32) + 1000));
}

/* RFC 6455, 7.4: what may come over the wire. */
static void codes_of_the_wire(void **state) {
    (void)state;
    for (int64_t code = -1; code <= 0x10000; code++) {
        bool is_ours =
            (code >= 1000 && code <= 1014) && code != 1004 && code != 1005 && code != 1006;
        assert_int_equal(close_code_is_valid(code), is_ours || (code >= 3000 && code <= 4999));
    }
    assert_false(close_code_is_valid((INT64_C(1) << 32) + 1000));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_reason_fits_a_frame),
        cmocka_unit_test(codes_of_the_wire),
        cmocka_unit_test(codes_of_the_contract),
        cmocka_unit_test(codes_of_applications),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
