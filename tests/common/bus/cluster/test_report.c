/* test_report.c - what is written is what is read, and nothing that a text contains ends its line.
 */
#include "common/bus/cluster/report.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/bus/notice.h"

static void lines_come_back(void **state) {
    struct report r = {0};
    struct buf text = {0};
    struct report_line line;
    struct notice n;
    (void)state;
    report_restart(&r, "port %d", 8095);
    report_error(&r, "app.lua:3: a\nb\r\nc");
    buf_printf(&text, "report tok 0123456789abcdef %s", r.has_failed ? "failed" : "done");
    buf_append(&text, buf_bytes(&r.lines));
    assert_true(notice_decode(buf_bytes(&text), &n) && report_is_for(&n, "tok"));
    assert_true(!n.report.is_done && bytes_equal_str(n.report.id, "0123456789abcdef"));
    struct bytes rest = n.report.lines;
    assert_true(report_next(&rest, &line));
    assert_true(bytes_equal_str(line.kind, "restart") && bytes_equal_str(line.text, "port 8095"));
    assert_true(report_next(&rest, &line));
    assert_true(bytes_equal_str(line.kind, "error"));
    assert_true(bytes_equal_str(line.text, "app.lua:3: a b  c"));
    assert_false(report_next(&rest, &line));
    buf_deinit(&text);
    report_deinit(&r);
}

static void other_notices_are_no_report(void **state) {
    static const char *const notices[] = {"",
                                          "report",
                                          "report tok",
                                          "report tok ",
                                          "report other id done",
                                          "reload tok",
                                          "reports tok id done"};
    struct notice n;
    (void)state;
    for (size_t i = 0; i < sizeof(notices) / sizeof(notices[0]); i++)
        assert_false(notice_decode(bytes_str(notices[i]), &n) && report_is_for(&n, "tok"));
    assert_true(notice_decode(BYTES_LIT("report tok id done"), &n) && report_is_for(&n, "tok"));
    assert_true(n.report.is_done && n.report.lines.len == 0);
}

/* The longest line that is kept whole, and one beyond. */
static void a_line_is_cut(void **state) {
    static char text[REPORT_LINE_MAX + 2];
    (void)state;
    for (size_t len = REPORT_LINE_MAX - 1; len <= REPORT_LINE_MAX + 1; len++) {
        struct report r = {0};
        struct report_line line;
        memset(text, 'x', len);
        text[len] = '\0';
        report_error(&r, "%s", text);
        report_restart(&r, "%s", "");
        struct bytes rest = buf_bytes(&r.lines);
        assert_true(report_next(&rest, &line));
        assert_int_equal(line.text.len, len < REPORT_LINE_MAX ? len : REPORT_LINE_MAX);
        assert_true(report_next(&rest, &line));
        assert_true(bytes_equal_str(line.kind, "restart") && line.text.len == 0);
        assert_false(report_next(&rest, &line));
        report_deinit(&r);
    }
}

/* The last error counts even where no line is kept any more. */
static void a_failure_beyond_the_last_line_is_one(void **state) {
    struct report r = {0};
    (void)state;
    for (int i = 0; i < REPORT_LINES_MAX; i++)
        report_restart(&r, "%d", i);
    assert_false(r.has_failed);
    report_error(&r, "late");
    assert_true(r.has_failed);
    assert_int_equal(r.count, REPORT_LINES_MAX);
    report_deinit(&r);
}

static void a_report_is_bounded(void **state) {
    struct report r = {0};
    char *text = malloc(100000);
    (void)state;
    memset(text, 'x', 99999);
    text[99999] = '\0';
    for (int i = 0; i < 1000; i++)
        report_restart(&r, "%s", text);
    assert_int_equal(r.count, REPORT_LINES_MAX);
    assert_true(r.lines.len <= REPORT_LINES_MAX * (REPORT_LINE_MAX + sizeof("\nrestart ")));
    free(text);
    report_deinit(&r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_come_back),
        cmocka_unit_test(other_notices_are_no_report),
        cmocka_unit_test(a_report_is_bounded),
        cmocka_unit_test(a_line_is_cut),
        cmocka_unit_test(a_failure_beyond_the_last_line_is_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
