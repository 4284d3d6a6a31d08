/* test_cron.c - ticks as a table: text, start, next. Times are UTC. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "common/app/registrations/cron.h"
#include "common/base/must.h"

static time_t at(const char *text) {
    struct tm t = {0};
    assert_non_null(strptime(text, "%Y-%m-%d %H:%M:%S", &t));
    return timegm(&t);
}

static void test_next_ticks(void **state) {
    (void)state;
    static const struct {
        const char *text, *after, *next;
    } rows[] = {
        {"* * * * *", "2026-01-01 00:00:00", "2026-01-01 00:01:00"},
        {"* * * * *", "2026-01-01 00:00:59", "2026-01-01 00:01:00"},
        {"@hourly", "2026-01-01 23:00:00", "2026-01-02 00:00:00"},
        {"*/15 * * * *", "2026-01-01 10:16:00", "2026-01-01 10:30:00"},
        {"5-10/5,50 3 * * *", "2026-01-01 03:10:00", "2026-01-01 03:50:00"},
        {"0 0 29 2 *", "2026-01-01 00:00:00", "2028-02-29 00:00:00"},
        {"0 12 * * mon", "2026-11-21 00:00:00", "2026-11-23 12:00:00"},
        {"0 0 * * 7", "2026-11-21 00:00:00", "2026-11-22 00:00:00"},
        {"0 0 13 * fri", "2026-11-01 00:00:00", "2026-11-06 00:00:00"},
        {"0 0 1 jan *", "2026-01-01 00:00:00", "2027-01-01 00:00:00"},
        {"@yearly", "2026-06-01 00:00:00", "2027-01-01 00:00:00"},
        {"@weekly", "2026-11-21 10:00:00", "2026-11-22 00:00:00"},
        {"59 23 31 12 *", "2026-12-31 23:59:00", "2027-12-31 23:59:00"},
        {"5/20 * * * *", "2026-01-01 00:06:00", "2026-01-01 00:25:00"},
        {"*/59 * * * *", "2026-01-01 00:00:00", "2026-01-01 00:59:00"},
        {"0 */23 * * *", "2026-01-01 00:00:00", "2026-01-01 23:00:00"},
        {"7-7 * * * *", "2026-01-01 00:06:00", "2026-01-01 00:07:00"},
        {"0 0 * * 0", "2026-11-21 00:00:00", "2026-11-22 00:00:00"},
        {"0 0 * * 6", "2026-11-21 00:00:00", "2026-11-28 00:00:00"},
        {"0 0 * dec sat", "2026-11-21 00:00:00", "2026-12-05 00:00:00"},
        {"0 0 31 * *", "2026-04-01 00:00:00", "2026-05-31 00:00:00"},
        {"@annually", "2026-01-01 00:00:00", "2027-01-01 00:00:00"},
        {"@annually", "2026-02-01 00:00:00", "2027-01-01 00:00:00"},
        {"@monthly", "2026-02-01 00:00:00", "2026-03-01 00:00:00"},
        {"@daily", "2026-02-01 00:00:00", "2026-02-02 00:00:00"},
        {"@midnight", "2026-02-01 12:00:00", "2026-02-02 00:00:00"},
        {"@MINUTELY", "2026-02-01 12:00:00", "2026-02-01 12:01:00"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct cron c;
        char error[160];
        assert_true(cron_parse(&c, rows[i].text, error));
        assert_int_equal(cron_next(&c, at(rows[i].after)), at(rows[i].next));
    }
}

static void test_never_and_last(void **state) {
    (void)state;
    struct cron c;
    char error[160];
    assert_true(cron_parse(&c, "0 0 31 2 *", error));
    assert_int_equal(cron_next(&c, at("2026-01-01 00:00:00")), -1);
    assert_true(cron_parse(&c, "@minutely", error));
    assert_int_equal(cron_last(&c, at("2026-01-01 00:05:30"), 60), at("2026-01-01 00:05:00"));
    assert_true(cron_parse(&c, "0 * * * *", error));
    assert_int_equal(cron_last(&c, at("2026-01-01 00:05:30"), 60), -1);
    assert_int_equal(cron_last(&c, at("2026-01-01 01:00:00"), 60), at("2026-01-01 01:00:00"));
    assert_int_equal(cron_last(&c, at("2026-01-01 01:00:59"), 60), at("2026-01-01 01:00:00"));
    assert_int_equal(cron_last(&c, at("2026-01-01 01:01:00"), 60), -1); /* a minute ago */
    assert_int_equal(cron_last(&c, at("2026-01-01 01:01:00"), 61), at("2026-01-01 01:00:00"));
}

static void test_wrong_texts_say_why(void **state) {
    (void)state;
    static const char *const wrong[] = {"",
                                        "* * * *",
                                        "* * * * * *",
                                        "60 * * * *",
                                        "* 24 * * *",
                                        "* * 0 * *",
                                        "* * * 13 *",
                                        "* * * * 8",
                                        "@never",
                                        "5-1 * * * *",
                                        "*/0 * * * *",
                                        "1,,2 * * * *",
                                        "a * * * *",
                                        "1- * * * *",
                                        "-1 * * * *",
                                        "*/60 * * * *",
                                        "* */24 * * *",
                                        "* * 32 * *",
                                        "* * * 0 *",
                                        "* * * * 9",
                                        "* * * * *\t*",
                                        "*/1/2 * * * *",
                                        "1-2-3 * * * *",
                                        "@",
                                        "@hourly "};
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        struct cron c;
        char error[160] = "";
        assert_false(cron_parse(&c, wrong[i], error));
        assert_true(strlen(error) > 0);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_next_ticks),
        cmocka_unit_test(test_never_and_last),
        cmocka_unit_test(test_wrong_texts_say_why),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
