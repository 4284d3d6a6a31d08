/* test_http_reply.c - what response heads look like, and that no value can break out of its line.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <locale.h>
#include <string.h>

#include "common/http/http_reply.h"

#define RAW(text)                                                                                  \
    { "" text, sizeof(text) - 1 }

static void expect(struct buf *out, const char *want) {
    buf_append_char(out, '\0');
    assert_string_equal(out->ptr, want);
    buf_deinit(out);
}

static void test_whole_reply(void **state) {
    (void)state;
    struct buf out = {0};
    http_reply_begin(&out, 1, 200);
    assert_true(http_reply_header(&out, BYTES_LIT("Content-Type"), BYTES_LIT("text/plain")));
    http_reply_end(&out, 5, true, BYTES_LIT("hello"));
    expect(&out, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n"
                 "Connection: keep-alive\r\n\r\nhello");
}

static void test_closing_reply(void **state) {
    (void)state;
    struct buf out = {0};
    http_reply_begin(&out, 0, 404);
    http_reply_end(&out, 0, false, BYTES_NONE);
    expect(&out, "HTTP/1.0 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
}

static void test_length_without_body(void **state) {
    (void)state;
    struct buf out = {0};
    http_reply_begin(&out, 1, 200);
    http_reply_end(&out, INT64_C(5000000000), false, BYTES_NONE);
    expect(&out, "HTTP/1.1 200 OK\r\nContent-Length: 5000000000\r\nConnection: close\r\n\r\n");
}

static void test_body_without_length(void **state) {
    (void)state;
    struct buf out = {0};
    http_reply_begin(&out, 1, 200);
    http_reply_end(&out, HTTP_NO_LENGTH, true, BYTES_LIT(": hi\n\n"));
    expect(&out, "HTTP/1.1 200 OK\r\nConnection: keep-alive\r\n\r\n: hi\n\n");
}

static void test_headers_refused(void **state) {
    (void)state;
    static const struct {
        struct bytes name, value;
        bool is_good;
    } cases[] = {
        {RAW("X"), RAW("v"), true},
        {RAW("X-y_z.1"), RAW(""), true},
        {RAW("X"), RAW("a\tb \xC3\xA4"), true},
        {RAW("X"), RAW("a\rb"), false},
        {RAW("X"), RAW("a\nb"), false},
        {RAW("X"), RAW("a\r\nSet-Cookie: b"), false},
        {RAW("X"), RAW("a\0"), false},
        {RAW("X"), RAW("a\x1B"), false},
        {RAW("X"), RAW("a\x7F"), false},
        {RAW(""), RAW("v"), false},
        {RAW("X Y"), RAW("v"), false},
        {RAW("X:"), RAW("v"), false},
        {RAW("X\0"), RAW("v"), false},
        {RAW("X\r\nY"), RAW("v"), false},
        {RAW("\xC3\xA4"), RAW("v"), false},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct buf out = {0};
        assert_int_equal(http_reply_header(&out, cases[i].name, cases[i].value), cases[i].is_good);
        assert_int_equal(out.len,
                         cases[i].is_good ? cases[i].name.len + cases[i].value.len + 4 : 0);
        buf_deinit(&out);
    }
}

static void test_lines_dropped(void **state) {
    static const struct {
        const char *lines, *name, *want;
    } cases[] = {
        {"", "A", ""},
        {"A: 1\r\n", "A", ""},
        {"A: 1\r\nB: A: 2\r\na: 3\r\n", "A", "B: A: 2\r\n"},
        {"A: 1\r\nAB: 2\r\n", "AB", "A: 1\r\n"},
        {"A: 1\r\nAB: 2\r\n", "B", "A: 1\r\nAB: 2\r\n"},
    };
    struct buf lines = {0};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        buf_append_str(&lines, cases[i].lines);
        http_reply_drop(&lines, bytes_str(cases[i].name));
        expect(&lines, cases[i].want);
    }
}

static void test_status_text(void **state) {
    (void)state;
    assert_string_equal(http_status_text(101), "Switching Protocols");
    assert_string_equal(http_status_text(426), "Upgrade Required");
    assert_string_equal(http_status_text(505), "HTTP Version Not Supported");
    assert_string_equal(http_status_text(299), "Unknown");
}

static void test_date(void **state) {
    (void)state;
    static const struct {
        time_t when;
        const char *want;
    } cases[] = {
        {784111777, "Sun, 06 Nov 1994 08:49:37 GMT"}, {0, "Thu, 01 Jan 1970 00:00:00 GMT"},
        {951827696, "Tue, 29 Feb 2000 12:34:56 GMT"}, {4102444799, "Thu, 31 Dec 2099 23:59:59 GMT"},
        {-1, "Wed, 31 Dec 1969 23:59:59 GMT"},
    };
    setlocale(LC_ALL, "");
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char out[HTTP_DATE_SIZE];
        http_date(cases[i].when, out);
        assert_string_equal(out, cases[i].want);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole_reply),         cmocka_unit_test(test_closing_reply),
        cmocka_unit_test(test_length_without_body), cmocka_unit_test(test_body_without_length),
        cmocka_unit_test(test_headers_refused),     cmocka_unit_test(test_lines_dropped),
        cmocka_unit_test(test_status_text),         cmocka_unit_test(test_date),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
