/* test_notice.c - the texts of the control channel: as they always were, there and back, and what
 * anybody may publish there. */
#include "common/bus/notice.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/settings.h"
#include "common/bus/bus.h"
#include "common/bus/partition.h"
#include "common/bus/proof.h"

#define LIT BYTES_LIT

static const struct {
    const char *text;
    struct notice notice;
} wire[] = {
    {"rule 9 level:msggroup", {NOTICE_rule, .rule = {LIT("level:msg"), LIT("group")}}},
    {"rule 9 level:msg", {NOTICE_rule, .rule = {LIT("level:msg"), LIT("")}}},
    {"rule 3 a b c\nd", {NOTICE_rule, .rule = {LIT("a b"), LIT(" c\nd")}}},
    {"rule 0 ", {NOTICE_rule, .rule = {LIT(""), LIT("")}}},
    {"reload", {NOTICE_reload, .reload = {LIT("")}}},
    {"reload tok", {NOTICE_reload, .reload = {LIT("tok")}}},
    {"drain id 0 tok", {NOTICE_drain, .drain = {LIT("id"), 0, LIT("tok"), false}}},
    {"drain id 5 tok exit", {NOTICE_drain, .drain = {LIT("id"), 5, LIT("tok"), true}}},
    {"drain id 18446744073709551615",
     {NOTICE_drain, .drain = {LIT("id"), UINT64_MAX, LIT(""), false}}},
    {"drain id 5  exit", {NOTICE_drain, .drain = {LIT("id"), 5, LIT(""), true}}},
    {"undrain id tok", {NOTICE_undrain, .undrain = {LIT("id"), LIT("tok")}}},
    {"report tok id done", {NOTICE_report, .report = {LIT("tok"), LIT("id"), true, LIT("")}}},
    {"report tok id failed\nerror a b\nrestart c",
     {NOTICE_report, .report = {LIT("tok"), LIT("id"), false, LIT("\nerror a b\nrestart c")}}},
    {"trace tok 15000 client some one",
     {NOTICE_trace, .trace = {LIT("tok"), 15000, true, LIT("some one")}}},
    {"trace tok 0 name Msg", {NOTICE_trace, .trace = {LIT("tok"), 0, false, LIT("Msg")}}},
    {"lease", {NOTICE_lease, .lease = {LIT("")}}},
    {"lease 0123456789abcdef", {NOTICE_lease, .lease = {LIT("0123456789abcdef")}}},
};

static void the_texts_are_as_they_always_were(void **state) {
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(wire); i++) {
        struct buf text = {0};
        notice_encode(&text, &wire[i].notice);
        buf_append_char(&text, '\0');
        assert_string_equal(text.ptr, wire[i].text);
        buf_deinit(&text);
    }
}

static void what_is_read_is_what_was_written(void **state) {
    bool has_kind[NOTICE_COUNT] = {false};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(wire); i++) {
        struct buf again = {0};
        struct notice n;
        assert_true(notice_decode(bytes_str(wire[i].text), &n));
        assert_int_equal(n.kind, wire[i].notice.kind);
        notice_encode(&again, &n);
        assert_true(bytes_equal_str(buf_bytes(&again), wire[i].text));
        buf_deinit(&again);
        has_kind[n.kind] = true;
    }
    for (size_t i = 0; i < NOTICE_COUNT; i++)
        assert_true(has_kind[i]);
}

static void the_fields_are_where_they_belong(void **state) {
    struct notice n;
    (void)state;
    assert_true(notice_decode(LIT("drain id 5 tok exit"), &n));
    assert_true(bytes_equal_str(n.drain.id, "id") && bytes_equal_str(n.drain.token, "tok"));
    assert_true(n.drain.over_ms == 5 && n.drain.exits);
    assert_true(notice_decode(LIT("trace tok 1 client a b"), &n));
    assert_true(n.trace.is_client && bytes_equal_str(n.trace.text, "a b"));
    assert_true(notice_decode(LIT("rule 3 a bcd"), &n));
    assert_true(bytes_equal_str(n.rule.field, "a b") && bytes_equal_str(n.rule.value, "cd"));
    assert_true(notice_decode(LIT("report t i no\nx"), &n));
    assert_true(!n.report.is_done && bytes_equal_str(n.report.lines, "\nx"));
}

static void what_is_no_notice_is_refused(void **state) {
    static const char *const texts[] = {"",
                                        " ",
                                        " reload",
                                        "Reload",
                                        "reloads",
                                        "rule",
                                        "rule ",
                                        "rule x abc",
                                        "rule -1 abc",
                                        "rule 4 abc", /* one beyond its end */
                                        "rule 18446744073709551615 abc",
                                        "rule 18446744073709551616 abc",
                                        "drain",
                                        "drain id",
                                        "drain id ",
                                        "drain id 5x tok",
                                        "drain id -5 tok",
                                        "drain id 18446744073709551616 tok", /* one too many */
                                        "trace tok",
                                        "trace tok x name Msg"};
    struct notice n;
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        assert_false(notice_decode(bytes_str(texts[i]), &n));
    assert_true(notice_decode(LIT("rule 3 abc"), &n));
    assert_false(notice_decode(BYTES_NONE, &n));
}

/* Every beginning of every text, in memory of exactly its size: a sanitizer sees a byte too far. */
static void nothing_is_read_past_the_end(void **state) {
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(wire); i++) {
        for (size_t len = 0; len <= strlen(wire[i].text); len++) {
            struct notice n;
            char *copy = malloc(len + (len == 0));
            memcpy(copy, wire[i].text, len);
            (void)notice_decode(bytes_of(copy, len), &n);
            free(copy);
        }
    }
}

/* Signed with the secret of the fleet, and said to be from then. */
static bool is_believed(struct bus *bus, int64_t ago_ms) {
    struct bytes channel = bytes_str(fleet_channel(CHANNEL_CONTROL));
    struct buf text = {0}, payload = {0};
    struct notice n;
    buf_printf(&text, "%" PRIu64 " reload", clock_wall_ms() - (uint64_t)ago_ms);
    proof_append(bus, &payload, "notice", channel, buf_bytes(&text));
    bool is_read = notice_read(bus, buf_bytes(&payload), &n);
    buf_deinit(&text);
    buf_deinit(&payload);
    return is_read;
}

/* A minute, whichever clock is ahead. */
static void an_old_notice_is_not_believed(void **state) {
    char secret[] = "/tmp/test_notice_XXXXXX", program[] = "test", *arguments[] = {program, NULL};
    struct settings settings;
    uv_loop_t loop;
    int rest, fd = mkstemp(secret);
    (void)state;
    assert_int_equal(write(fd, "0123456789abcdef", 16), 16);
    close(fd);
    log_set_level(LOG_ERROR);
    assert_int_equal(settings_parse(&settings, FOR_GATEWAY, 1, arguments, &rest), SETTINGS_OK);
    settings.cluster_secret_file = secret;
    assert_int_equal(uv_loop_init(&loop), 0);
    struct bus *bus = bus_new(&loop, &settings, BUS_TOOL);
    assert_non_null(bus);
    assert_true(is_believed(bus, 0) && is_believed(bus, 59000) && is_believed(bus, -59000));
    assert_false(is_believed(bus, 61000) || is_believed(bus, -61000));
    bus_close(bus);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
    unlink(secret);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_texts_are_as_they_always_were),
        cmocka_unit_test(what_is_read_is_what_was_written),
        cmocka_unit_test(the_fields_are_where_they_belong),
        cmocka_unit_test(what_is_no_notice_is_refused),
        cmocka_unit_test(nothing_is_read_past_the_end),
        cmocka_unit_test(an_old_notice_is_not_believed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
