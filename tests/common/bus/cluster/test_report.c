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

static struct bytes notice_of(const struct report *r, struct buf *out, const char *token) {
    buf_printf(out, "report %s 0123456789abcdef %s", token, r->has_failed ? "failed" : "done");
    buf_append(out, buf_bytes(&r->lines));
    return buf_bytes(out);
}

static void lines_come_back(void **state) {
    struct report r = {0};
    struct buf text = {0};
    struct bytes id, rest;
    struct report_line line;
    bool has_failed;
    (void)state;
    report_restart(&r, "port %d", 8095);
    report_error(&r, "app.lua:3: a\nb\r\nc");
    assert_true(report_read(notice_of(&r, &text, "tok"), "tok", &id, &has_failed, &rest));
    assert_true(has_failed && bytes_equal_str(id, "0123456789abcdef"));
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
    struct bytes id, rest;
    bool has_failed;
    (void)state;
    for (size_t i = 0; i < sizeof(notices) / sizeof(notices[0]); i++)
        assert_false(report_read(bytes_str(notices[i]), "tok", &id, &has_failed, &rest));
    assert_true(report_read(BYTES_LIT("report tok id done"), "tok", &id, &has_failed, &rest));
    assert_true(!has_failed && rest.len == 0);
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
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
