/* test_http_head.c - which heads are right, which are refused with what, how early, and what is
 * read from them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/http/http_head.h"

#define RAW(text)                                                                                  \
    { "" text, sizeof(text) - 1 }
#define GET  "GET / HTTP/1.1\r\n"
#define HOST "Host: a\r\n"
#define END  "\r\n"

enum { MAX_BYTES = 16 * 1024 };

static struct http_head head;
static int status;
static const char *reason;

/* Parses from memory of exactly that size, which stays until the next call. */
static enum parse parse(struct bytes in, size_t max_bytes) {
    static char *block;
    free(block);
    block = mem_alloc(in.len);
    if (in.len > 0)
        memcpy(block, in.ptr, in.len);
    status = 0;
    reason = NULL;
    return http_head_parse(bytes_of(block, in.len), max_bytes, &head, &status, &reason);
}

static void expect_bytes(const char *what, struct bytes got, const char *want) {
    if (want == NULL ? got.ptr != NULL : !bytes_equal_str(got, want))
        fail_msg("%s: got '%.*s', want '%s'", what, BYTES_FMT(got), want == NULL ? "none" : want);
}

static const struct {
    struct bytes in;
    const char *method, *path, *query, *host;
    int minor_version;
} rights[] = {
    {RAW(GET HOST END), "GET", "/", NULL, "a", 1},
    {RAW("\r\n" GET HOST END), "GET", "/", NULL, "a", 1},
    {RAW("GET /a/b?c=d&e?f HTTP/1.1\r\n" HOST END), "GET", "/a/b", "c=d&e?f", "a", 1},
    {RAW("GET /? HTTP/1.1\r\n" HOST END), "GET", "/", "", "a", 1},
    {RAW("GET /x HTTP/1.0\r\n\r\n"), "GET", "/x", NULL, NULL, 0},
    {RAW("GET /x HTTP/1.0\r\nHost: h\r\n\r\n"), "GET", "/x", NULL, "h", 0},
    {RAW("M-SEARCH!#$%&'*+.^_`|~ //x HTTP/1.1\r\n" HOST END), "M-SEARCH!#$%&'*+.^_`|~", "//x", NULL,
     "a", 1},
    {RAW("GET /%41%zz{|}\"<>^ HTTP/1.1\r\n" HOST END), "GET", "/%41%zz{|}\"<>^", NULL, "a", 1},
    {RAW("GET http://b.org:81/x?y HTTP/1.1\r\n" HOST END), "GET", "/x", "y", "b.org:81", 1},
    {RAW("GET HTTPS://b.org HTTP/1.1\r\n" HOST END), "GET", "/", NULL, "b.org", 1},
    {RAW("GET http://b.org?y HTTP/1.1\r\n" HOST END), "GET", "/", "y", "b.org", 1},
    {RAW("GET http://[::1]:80/ HTTP/1.0\r\n\r\n"), "GET", "/", NULL, "[::1]:80", 0},
    {RAW(GET "Host:\r\n\r\n"), "GET", "/", NULL, "", 1},
    {RAW(GET "hOST: \t example.org:8080 \t\r\n\r\n"), "GET", "/", NULL, "example.org:8080", 1},
    {RAW(GET "Host: [fe80::1.2.3.4]\r\n\r\n"), "GET", "/", NULL, "[fe80::1.2.3.4]", 1},
    {RAW(GET "Host: a_b-c.~%20:\r\n\r\n"), "GET", "/", NULL, "a_b-c.~%20:", 1},
    {RAW(GET HOST "X:\r\nY: \t\r\nZ: a\tb \xFF\r\n\r\n"), "GET", "/", NULL, "a", 1},
};

static void test_right(void **state) {
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rights); i++) {
        if (parse(rights[i].in, MAX_BYTES) != PARSE_OK)
            fail_msg("%zu: %d %s", i, status, reason);
        assert_int_equal(head.length, rights[i].in.len);
        assert_int_equal(head.minor_version, rights[i].minor_version);
        expect_bytes("method", head.method, rights[i].method);
        expect_bytes("path", head.path, rights[i].path);
        expect_bytes("query", head.query, rights[i].query);
        expect_bytes("host", head.host, rights[i].host);
    }
}

/* Each beginning of a right head is a correct beginning, and what follows the head does not matter.
 */
static void test_right_in_pieces(void **state) {
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rights); i++) {
        struct buf longer = {0};
        for (size_t cut = 0; cut < rights[i].in.len; cut++)
            if (parse(bytes_head(rights[i].in, cut), MAX_BYTES) != PARSE_MORE)
                fail_msg("%zu cut at %zu: %d %s", i, cut, status, reason);
        buf_append(&longer, rights[i].in);
        buf_append(&longer, BYTES_LIT("\n\0\r body"));
        assert_int_equal(parse(buf_bytes(&longer), MAX_BYTES), PARSE_OK);
        assert_int_equal(head.length, rights[i].in.len);
        assert_int_equal(parse(buf_bytes(&longer), rights[i].in.len), PARSE_OK);
        buf_deinit(&longer);
    }
}

static const struct {
    int status;
    struct bytes in;
    size_t at; /* bytes after which it is refused; 0: all of them */
} wrongs[] = {
    {400, RAW("\n"), 0},
    {400, RAW("\r\n\r\n"), 0},
    {400, RAW("\r\n \r\n"), 0},
    {400, RAW("GET / HTTP/1.1\n"), 0},
    {400, RAW("GET / HTTP/1.1\rX"), 0},
    {400, RAW(GET "Host: a\n"), 0},
    {400, RAW(GET "Host: a\rb"), 0},
    {400, RAW(GET HOST "\rX"), 0},
    {400, RAW(GET HOST "X: a\0"), 0},
    {400, RAW(GET HOST "X: a\x01"), 0},
    {400, RAW(GET HOST "X: a\x7F"), 0},
    {400, RAW("\x16\x03\x01"), 1},
    {400, RAW("G\0"), 0},
    {400, RAW("GET\t/ HTTP/1.1\r\n"), 0},
    {400, RAW(" GET / HTTP/1.1\r\n"), 0},
    {400, RAW("GET  / HTTP/1.1\r\n"), 0},
    {400, RAW("GET /  HTTP/1.1\r\n"), 0},
    {400, RAW("GET / HTTP/1.1 \r\n"), 0},
    {400, RAW("GET /\r\n"), 0},
    {400, RAW("GET\r\n"), 0},
    {400, RAW("G(T / HTTP/1.1\r\n"), 0},
    {400, RAW("G\xC3T / HTTP/1.1\r\n"), 0},
    {400, RAW("GET / http/1.1\r\n"), 0},
    {400, RAW("GET / HTTP/11\r\n"), 0},
    {400, RAW("GET / HTTP/1.10\r\n"), 0},
    {400, RAW("GET / HTTP/1,1\r\n"), 0},
    {400, RAW("GET / HTTP/1./\r\n"), 0},
    {400, RAW("GET / HTTP/1.:\r\n"), 0},
    {400, RAW("GET / HTTP//.1\r\n"), 0},
    {400, RAW("GET / HTTP/:.1\r\n"), 0},
    {505, RAW("GET / HTTP/0.1\r\n"), 0},
    {505, RAW("GET / HTTP/1.9\r\n"), 0},
    {505, RAW("GET / HTTP/9.0\r\n"), 0},
    {505, RAW("GET / HTTP/1.2\r\n"), 0},
    {505, RAW("GET / HTTP/0.9\r\n"), 0},
    {505, RAW("PRI * HTTP/2.0\r\n"), 0},
    {400, RAW("OPTIONS * HTTP/1.1\r\n"), 0},
    {400, RAW("CONNECT a:80 HTTP/1.1\r\n"), 0},
    {400, RAW("GET x HTTP/1.1\r\n"), 0},
    {400, RAW("GET ?x HTTP/1.1\r\n"), 0},
    {400, RAW("GET ftp://a/ HTTP/1.1\r\n"), 0},
    {400, RAW("GET http:// HTTP/1.1\r\n"), 0},
    {400, RAW("GET http:///x HTTP/1.1\r\n"), 0},
    {400, RAW("GET http://u:p@a/ HTTP/1.1\r\n"), 0},
    {400, RAW("GET http://u@a/ HTTP/1.1\r\n"), 0},
    {400, RAW("GET /#f HTTP/1.1\r\n"), 0},
    {400, RAW("GET /a\tb HTTP/1.1\r\n"), 0},
    {400, RAW("GET /\xC3\xA4 HTTP/1.1\r\n"), 0},
    {400, RAW(GET END), 0},
    {400, RAW(GET "X: y\r\n\r\n"), 0},
    {400, RAW("GET http://a/ HTTP/1.1\r\n\r\n"), 0},
    {400, RAW(GET HOST HOST), 0},
    {400, RAW("GET / HTTP/1.0\r\n" HOST HOST), 0},
    {400, RAW(GET "Host: a b\r\n"), 0},
    {400, RAW(GET "Host: a,b:x\r\n"), 0},
    {400, RAW(GET "Host: a/b\r\n"), 0},
    {400, RAW(GET "Host: u@a\r\n"), 0},
    {400, RAW(GET "Host: a:65536\r\n"), 0},
    {400, RAW(GET "Host: a:000080\r\n"), 0},
    {400, RAW(GET "Host: :80\r\n"), 0},
    {400, RAW(GET "Host: a:8:0\r\n"), 0},
    {400, RAW(GET "Host: [::1\r\n"), 0},
    {400, RAW(GET "Host: []\r\n"), 0},
    {400, RAW(GET "Host: [::1]x\r\n"), 0},
    {400, RAW(GET "Host: [::g]\r\n"), 0},
    {400, RAW(GET "Host: a%2\r\n"), 0},
    {400, RAW(GET "Host: \xC3\xA4\r\n"), 0},
    {400, RAW(GET "Host : a\r\n"), 0},
    {400, RAW(GET "Host\t: a\r\n"), 0},
    {400, RAW(GET ": a\r\n"), 0},
    {400, RAW(GET "Host\r\n"), 0},
    {400, RAW(GET "H(st: a\r\n"), 0},
    {400, RAW(GET "H\xC3st: a\r\n"), 0},
    {400, RAW(GET " Host: a\r\n"), 0},
    {400, RAW(GET HOST "X: a\r\n b\r\n"), 0},
    {400, RAW(GET HOST "X: a\r\n\tb: c\r\n"), 0},
    {400, RAW(GET HOST "Content-Length: 1\r\nContent-Length: 2\r\n"), 0},
    {400, RAW(GET HOST "Content-Length: 1\r\ncontent-length: 1\r\n"), 0},
    {400, RAW(GET HOST "Content-Length: 1, 1\r\n"), 0},
    {400, RAW(GET HOST "Content-Length: +1\r\n"), 0},
    {400, RAW(GET HOST "Content-Length: -1\r\n"), 0},
    {400, RAW(GET HOST "Content-Length: 0x1\r\n"), 0},
    {400, RAW(GET HOST "Content-Length:\r\n"), 0},
    {400, RAW(GET HOST "Content-Length: 18446744073709551616\r\n"), 0},
    {501, RAW(GET HOST "transfer-encoding: identity\r\n"), 0},
    {501, RAW(GET HOST "Transfer-Encoding:\r\n"), 0},
    {501, RAW(GET HOST "Transfer-Encoding: gzip, chunked\r\n"), 0},
    {501, RAW(GET HOST "Transfer-Encoding: chunked, chunked\r\n"), 0},
    {501, RAW(GET HOST "Transfer-Encoding: chunked, identity\r\n"), 0},
    {501, RAW(GET HOST "Transfer-Encoding: chunked;q=1\r\n"), 0},
    {501, RAW(GET HOST "Transfer-Encoding: \"chunked\"\r\n"), 0},
    {501, RAW(GET HOST "Transfer-Encoding: xchunked\r\n"), 0},
    {400, RAW("GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n"), 0},
    {400, RAW(GET HOST "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n"), 0},
    {400, RAW(GET HOST "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n"), 0},
    {400, RAW(GET HOST "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n"), 0},
    {400, RAW(GET HOST "Transfer-Encoding: chunked\r\nTransfer-encoding: chunked\r\n"), 0},
    {400, RAW(GET HOST "Transfer-Encoding : chunked\r\n"), 0},
};

static void test_wrong(void **state) {
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(wrongs); i++) {
        struct bytes in = wrongs[i].in;
        size_t at = wrongs[i].at == 0 ? in.len : wrongs[i].at;
        for (size_t n = 0; n <= in.len; n++) {
            enum parse got = parse(bytes_head(in, n), MAX_BYTES);
            if (got != (n < at ? PARSE_MORE : PARSE_BAD) || (n >= at && status != wrongs[i].status))
                fail_msg("%zu after %zu bytes: %d %d %s", i, n, (int)got, status, reason);
        }
        assert_non_null(reason);
    }
}

static void test_max_bytes(void **state) {
    (void)state;
    struct buf in = {0};
    buf_append_str(&in, "GET /");
    while (in.len < 100)
        buf_append_char(&in, 'x');
    assert_int_equal(parse(buf_bytes(&in), 101), PARSE_MORE);
    assert_int_equal(parse(buf_bytes(&in), 100), PARSE_BAD);
    assert_int_equal(status, 414);
    buf_append_str(&in, " HTTP/1.1\r\nHost: ");
    assert_int_equal(parse(buf_bytes(&in), 100), PARSE_BAD);
    assert_int_equal(status, 414);
    assert_int_equal(parse(buf_bytes(&in), in.len + 1), PARSE_MORE);
    assert_int_equal(parse(buf_bytes(&in), in.len), PARSE_BAD);
    assert_int_equal(status, 431);
    buf_append_str(&in, "\r\n\r\n");
    assert_int_equal(parse(buf_bytes(&in), in.len - 1), PARSE_BAD);
    assert_int_equal(status, 431);
    assert_int_equal(parse(buf_bytes(&in), in.len), PARSE_OK);
    buf_deinit(&in);
}

static void test_count_of_fields(void **state) {
    (void)state;
    for (size_t count = HTTP_HEAD_HEADERS_MAX; count <= HTTP_HEAD_HEADERS_MAX + 1; count++) {
        struct buf in = {0};
        buf_append_str(&in, GET HOST);
        for (size_t i = 1; i < count; i++)
            buf_append_str(&in, "X: y\r\n");
        buf_append_str(&in, END);
        bool fits = count == HTTP_HEAD_HEADERS_MAX;
        assert_int_equal(parse(buf_bytes(&in), MAX_BYTES), fits ? PARSE_OK : PARSE_BAD);
        assert_int_equal(fits ? (int)head.header_count : status,
                         fits ? HTTP_HEAD_HEADERS_MAX : 431);
        buf_deinit(&in);
    }
}

static void test_count_of_parameters(void **state) {
    (void)state;
    for (int more = 0; more < 2; more++) {
        struct buf in = {0};
        buf_append_str(&in, "GET /?a");
        for (size_t i = 1; i < HTTP_HEAD_PARAMETERS_MAX + (size_t)more; i++)
            buf_append_str(&in, "&a");
        buf_append_str(&in, " HTTP/1.1\r\n" HOST "\r\n");
        assert_int_equal(parse(buf_bytes(&in), MAX_BYTES), more ? PARSE_BAD : PARSE_OK);
        if (more)
            assert_int_equal(status, 414);
        buf_deinit(&in);
    }
}

static void test_fields_are_found(void **state) {
    (void)state;
    struct bytes in =
        BYTES_LIT(GET HOST "X-A: one\r\nx-b: \t two words \t\r\nX-a:three\r\nE:\r\n\r\n");
    assert_int_equal(parse(in, MAX_BYTES), PARSE_OK);
    assert_int_equal(head.header_count, 5);
    expect_bytes("x-a", http_head_find(&head, "x-a"), "one");
    expect_bytes("X-B", http_head_find(&head, "X-B"), "two words");
    expect_bytes("E", http_head_find(&head, "E"), "");
    assert_non_null(http_head_find(&head, "E").ptr);
    expect_bytes("X", http_head_find(&head, "X"), NULL);
    assert_int_equal(http_head_count(&head, "X-A"), 2);
    assert_int_equal(http_head_count(&head, "Host"), 1);
    assert_int_equal(http_head_count(&head, "Hos"), 0);
}

static void test_tokens(void **state) {
    (void)state;
    struct bytes in = BYTES_LIT(
        GET HOST "Connection: keep-alive, \tUpGrade ,,x\r\nConnection:last\r\nE:\r\n\r\n");
    assert_int_equal(parse(in, MAX_BYTES), PARSE_OK);
    assert_true(http_head_has_token(&head, "connection", "upgrade"));
    assert_true(http_head_has_token(&head, "connection", "Keep-Alive"));
    assert_true(http_head_has_token(&head, "connection", "x"));
    assert_true(http_head_has_token(&head, "connection", "last"));
    assert_false(http_head_has_token(&head, "connection", "keep"));
    assert_false(http_head_has_token(&head, "E", "x"));
    assert_false(http_head_has_token(&head, "none", "x"));
}

static void test_flags(void **state) {
    (void)state;
    static const struct {
        struct bytes in;
        bool keeps, expects, has_length;
        uint64_t length;
    } cases[] = {
        {RAW(GET HOST END), true, false, false, 0},
        {RAW(GET HOST "Connection: close\r\n\r\n"), false, false, false, 0},
        {RAW(GET HOST "Connection: x, Close\r\n\r\n"), false, false, false, 0},
        {RAW("GET / HTTP/1.0\r\n\r\n"), false, false, false, 0},
        {RAW("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n"), true, false, false, 0},
        {RAW("GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n"), false, false, false, 0},
        {RAW(GET HOST "Content-Length: 0\r\n\r\n"), true, false, true, 0},
        {RAW(GET HOST "Content-Length: 007\r\n\r\n"), true, false, true, 7},
        {RAW(GET HOST "Content-Length: 18446744073709551615\r\n\r\n"), true, false, true,
         UINT64_MAX},
        {RAW(GET HOST "Expect: 100-Continue\r\n\r\n"), true, true, false, 0},
        {RAW(GET HOST "Expect: other\r\n\r\n"), true, false, false, 0},
        {RAW("GET / HTTP/1.0\r\nExpect: 100-continue\r\n\r\n"), false, false, false, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_int_equal(parse(cases[i].in, MAX_BYTES), PARSE_OK);
        assert_int_equal(head.wants_keep_alive, cases[i].keeps);
        assert_int_equal(head.expects_continue, cases[i].expects);
        assert_int_equal(head.has_content_length, cases[i].has_length);
        assert_false(head.is_chunked);
        assert_true(head.content_length == cases[i].length);
    }
}

static void test_chunked(void **state) {
    (void)state;
    struct bytes heads[] = {RAW(GET HOST "Transfer-Encoding: chunked\r\n\r\n"),
                            RAW(GET HOST "transfer-ENCODING:\t CHUNKED \r\n\r\n")};
    for (size_t i = 0; i < ARRAY_LEN(heads); i++) {
        assert_int_equal(parse(heads[i], MAX_BYTES), PARSE_OK);
        assert_true(head.is_chunked && !head.has_content_length && head.content_length == 0);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_right),
        cmocka_unit_test(test_right_in_pieces),
        cmocka_unit_test(test_wrong),
        cmocka_unit_test(test_max_bytes),
        cmocka_unit_test(test_count_of_fields),
        cmocka_unit_test(test_count_of_parameters),
        cmocka_unit_test(test_fields_are_found),
        cmocka_unit_test(test_tokens),
        cmocka_unit_test(test_flags),
        cmocka_unit_test(test_chunked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
