/* What does not work: when it is said, how it is counted, when it is over. */
#include "common/bus/redis/troubles.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/metrics.h"

enum { START = 100000 };

static const char *said(struct troubles *all, bool is_broker, bool is_blocking) {
    static char text[500];
    struct buf out = {0};
    troubles_describe(all, is_broker, is_blocking, &out);
    snprintf(text, sizeof(text), "%.*s", BYTES_FMT(buf_bytes(&out)));
    buf_deinit(&out);
    return text;
}

static int setup(void **state) {
    clock_freeze(START);
    log_set_level(LOG_ERROR);
    *state = troubles_new();
    return 0;
}

static int teardown(void **state) {
    troubles_free(*state);
    clock_freeze(0);
    return 0;
}

static void a_blip_is_not_said(void **state) {
    struct trouble t;
    trouble_init(&t, *state, TROUBLE_readers, "partition 3");
    trouble_raise(&t, BYTES_LIT("no route"));
    clock_freeze(START + 2999);
    assert_string_equal(said(*state, true, true), "");
    clock_freeze(START + 3000);
    assert_string_equal(said(*state, true, true),
                        "nothing can be read from partition 3: no route (for 3 s)");
    trouble_clear(&t);
    assert_string_equal(said(*state, true, true), "");
    trouble_raise(&t, BYTES_LIT("no route")); /* begins anew */
    assert_string_equal(said(*state, true, true), "");
    trouble_clear(&t);
    trouble_clear(&t);
}

static void many_of_a_kind_are_one_sentence(void **state) {
    struct trouble t[3], other;
    for (int i = 0; i < 3; i++) {
        char at[TROUBLE_AT_MAX];
        snprintf(at, sizeof(at), "partition %d", i);
        trouble_init(&t[i], *state, TROUBLE_readers, at);
        trouble_raise(&t[i], BYTES_LIT("ERR max number of clients reached\r\n\x01"));
        clock_freeze(START + 1000 + (uint64_t)i);
    }
    trouble_init(&other, *state, TROUBLE_heartbeat, "");
    trouble_raise(&other, BYTES_LIT("OOM"));
    assert_int_equal(metrics_get(METRIC_trouble_readers), 3);
    clock_freeze(START + 20000);
    assert_string_equal(said(*state, true, true),
                        "Redis refuses the heartbeat: OOM (for 18 s); nothing can be read from "
                        "partition 0 and 2 more: ERR max number of clients reached??? (for 20 s)");
    for (int i = 0; i < 3; i++)
        trouble_clear(&t[i]);
    trouble_clear(&other);
    assert_int_equal(metrics_get(METRIC_trouble_readers), 0);
}

static void what_blocks_whom(void **state) {
    struct trouble unowned, ingest;
    trouble_init(&unowned, *state, TROUBLE_unowned, "");
    trouble_init(&ingest, *state, TROUBLE_ingest, "by partition 1");
    trouble_raise(&unowned, BYTES_LIT("16 of 16"));
    clock_freeze(START + 9000);
    trouble_raise(&ingest, BYTES_LIT("BUSY"));
    assert_string_equal(said(*state, false, true), ""); /* a gateway goes on */
    assert_string_equal(said(*state, false, false),
                        "partitions without an owner: 16 of 16 (for 9 s)");
    assert_string_equal(said(*state, true, true),
                        "partitions without an owner: 16 of 16 (for 9 s)");
    trouble_clear(&unowned);
    trouble_clear(&ingest);
}

static void what_nobody_tries_any_more_fades(void **state) {
    struct trouble t, lasting;
    trouble_init(&t, *state, TROUBLE_registering, "");
    trouble_init(&lasting, *state, TROUBLE_writes, "");
    trouble_raise(&t, BYTES_LIT("NOPERM"));
    trouble_raise(&lasting, BYTES_LIT("NOPERM"));
    clock_freeze(START + 4000);
    trouble_raise(&t, BYTES_LIT("NOPERM"));
    clock_freeze(START + 8999);
    troubles_tick(*state);
    assert_true(trouble_is_raised(&t));
    assert_int_equal(trouble_age_ms(&t), 8999);
    clock_freeze(START + 9000);
    troubles_tick(*state);
    assert_false(trouble_is_raised(&t));
    assert_true(trouble_is_raised(&lasting));
    trouble_clear(&lasting);
}

int main(void) {
#define WITH_TROUBLES(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        WITH_TROUBLES(a_blip_is_not_said),
        WITH_TROUBLES(many_of_a_kind_are_one_sentence),
        WITH_TROUBLES(what_blocks_whom),
        WITH_TROUBLES(what_nobody_tries_any_more_fades),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
