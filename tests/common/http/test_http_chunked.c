/* test_http_chunked.c - the chunked coding: bodies whole and cut at every place, and what is none.
 */
#include "common/http/http_chunked.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define RAW(text) BYTES_LIT(text)
#define HEAD      "head"

enum { MAX_BYTES = 20 };

static int status;
static const char *reason;

/* Feeds pieces of `step` bytes after a head; the buffer is left with what there is then. */
static enum parse feed(struct http_chunked *d, struct buf *in, struct bytes body, size_t step) {
    enum parse result = PARSE_MORE;
    buf_clear(in);
    buf_append_str(in, HEAD);
    http_chunked_init(d, strlen(HEAD));
    for (size_t i = 0; i < body.len && result == PARSE_MORE; i += step) {
        buf_append(in, bytes_head(bytes_from(body, i), step));
        result = http_chunked_feed(d, in, MAX_BYTES, &status, &reason);
        if (result == PARSE_MORE)
            assert_int_equal(d->at, in->len);
    }
    return result;
}

static void test_right(void **state) {
    (void)state;
    static const struct {
        struct bytes in;
        const char *payload;
    } cases[] = {
        {RAW("0\r\n\r\n"), ""},
        {RAW("5\r\nhello\r\n0\r\n\r\n"), "hello"},
        {RAW("1\r\na\r\n2\r\nbc\r\n000\r\n\r\n"), "abc"},
        {RAW("A\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n"), "01234567890123456789"},
        {RAW("0000000000000003\r\n\r\n\r\r\n0\r\n\r\n"), "\r\n\r"},
        {RAW("3;name=value\r\nabc\r\n0;last\r\n\r\n"), "abc"},
        {RAW("3 \t;a=\"b;c\" ; d\r\nabc\r\n0\r\n\r\n"), "abc"},
        {RAW("1;\xC3\xA9\r\na\r\n0\r\n\r\n"), "a"},
        {RAW("1\r\na\r\n0\r\nExpires: never\r\nX-A:\r\n\r\n"), "a"},
    };
    struct http_chunked d;
    struct buf in = {0};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        for (size_t step = 1; step <= cases[i].in.len; step++) {
            if (feed(&d, &in, cases[i].in, step) != PARSE_OK)
                fail_msg("%zu by %zu: %s", i, step, reason);
            assert_true(
                bytes_equal_str(bytes_from(buf_bytes(&in), strlen(HEAD)), cases[i].payload));
            assert_int_equal(d.at, in.len);
            assert_memory_equal(in.ptr, HEAD, strlen(HEAD));
        }
    buf_deinit(&in);
}

/* What follows belongs to the next request, wherever the reads are cut. */
static void test_what_follows(void **state) {
    (void)state;
    struct bytes body = RAW("3\r\nabc\r\n0\r\nX: y\r\n\r\n"), next = RAW("GET / HTTP/1.1\r\n");
    struct buf all = {0}, in = {0};
    struct http_chunked d;
    buf_append(&all, body);
    buf_append(&all, next);
    for (size_t step = 1; step <= all.len; step++) {
        assert_int_equal(feed(&d, &in, buf_bytes(&all), step), PARSE_OK);
        assert_int_equal(d.at, strlen(HEAD) + 3);
        assert_true(bytes_starts_with(next, bytes_from(buf_bytes(&in), d.at)));
    }
    assert_true(bytes_equal(bytes_from(buf_bytes(&in), d.at), next));
    buf_deinit(&all);
    buf_deinit(&in);
}

/* Refused at the byte that is wrong, however the reads are cut. */
static void test_wrong(void **state) {
    (void)state;
    static const struct {
        int status;
        struct bytes in; /* its last byte is the wrong one */
    } cases[] = {
        {400, RAW("\r")},
        {400, RAW(";")},
        {400, RAW(" ")},
        {400, RAW("\n")},
        {400, RAW("x")},
        {400, RAW("-")},
        {400, RAW("+")},
        {400, RAW("0x")},
        {400, RAW("0,")},
        {400, RAW("\0")},
        {400, RAW("1_")},
        {400, RAW("00000000000000000")},
        {400, RAW("3\n")},
        {400, RAW("3\rx")},
        {400, RAW("3 \r")},
        {400, RAW("3 3")},
        {400, RAW("3;a\n")},
        {400, RAW("3;a\0")},
        {400, RAW("3;a\x01")},
        {400, RAW("3;a\r\r")},
        {400, RAW("3\r\nabcd")},
        {400, RAW("3\r\nabc\n")},
        {400, RAW("3\r\nabc\rx")},
        {400, RAW("3\r\nabc0")},
        {400, RAW("0\r\n\n")},
        {400, RAW("0\r\n\rx")},
        {400, RAW("0\r\n ")},
        {400, RAW("0\r\n:")},
        {400, RAW("0\r\nX ")},
        {400, RAW("0\r\nX\r")},
        {400, RAW("0\r\nX: y\n")},
        {400, RAW("0\r\nX: y\r\n ")},
        {400, RAW("0\r\nX: \0")},
        {413, RAW("15")},
        {413, RAW("ff")},
        {413, RAW("14\r\n01234567890123456789\r\n1")},
        {413, RAW("7\r\n0123456\r\ne")},
    };
    struct http_chunked d;
    struct buf in = {0};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct bytes text = cases[i].in;
        for (size_t step = 1; step <= text.len; step++)
            if (feed(&d, &in, text, step) != PARSE_BAD || status != cases[i].status)
                fail_msg("%zu by %zu: %d", i, step, status);
        if (feed(&d, &in, bytes_head(text, text.len - 1), 1) != PARSE_MORE)
            fail_msg("%zu: refused too early", i);
    }
    buf_deinit(&in);
}

static void expect_bound(const char *before, const char *after, size_t own_bytes) {
    struct http_chunked d;
    struct buf in = {0}, body = {0};
    buf_append_str(&body, before);
    for (size_t i = own_bytes; i < HTTP_CHUNKED_REST_MAX; i++)
        buf_append_char(&body, 'x');
    size_t fits = body.len;
    buf_append_str(&body, after);
    assert_int_equal(feed(&d, &in, buf_bytes(&body), 1000), PARSE_OK);
    body.len = fits;
    buf_append_char(&body, 'x');
    assert_int_equal(feed(&d, &in, buf_bytes(&body), 1000), PARSE_BAD);
    assert_int_equal(status, 431);
    buf_deinit(&in);
    buf_deinit(&body);
}

/* Extensions and trailers share one bound. */
static void test_the_rest_is_bounded(void **state) {
    (void)state;
    expect_bound("1;", "\r\na\r\n0\r\n\r\n", 1);
    expect_bound("0\r\nX:", "\r\n\r\n", 2);
    expect_bound("1;ab\r\na\r\n0 ;c\r\nX:", "\r\n\r\n", 8);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_right),
        cmocka_unit_test(test_what_follows),
        cmocka_unit_test(test_wrong),
        cmocka_unit_test(test_the_rest_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
