/* test_proxy_header.c - headers in tables, whole and byte by byte, and what follows them. */
#include "common/net/proxy_header.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/base/buf.h"

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"
#define V4        "\xc0\x00\x02\x07\x0a\x00\x00\x05\x30\x39\x01\xbb"
#define V6                                                                                         \
    "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x07\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x08\x30\x39" \
    "\x01\xbb"
#define MAPPED                                                                                     \
    "\0\0\0\0\0\0\0\0\0\0\xff\xff\xc0\x00\x02\x07\0\0\0\0\0\0\0\0\0\0\xff\xff\x0a\0\0\x05\x30\x39" \
    "\x01\xbb"
#define REST "GET / HTTP/1.1\r\n"

/* Feeds what is wanted, at most `piece` bytes at once. The header's length, or 0 for a wrong one. */
static size_t feed(struct proxy_header *h, struct bytes in, size_t piece, enum parse *result_out) {
    size_t at = 0;
    *result_out = PARSE_MORE;
    while (*result_out == PARSE_MORE && at < in.len) {
        size_t n = proxy_header_wants(h);
        assert_true(n > 0);
        n = n < piece ? n : piece;
        n = n < in.len - at ? n : in.len - at;
        *result_out = proxy_header_feed(h, bytes_of(in.ptr + at, n));
        at += n;
    }
    return at;
}

static void headers_name_their_client(void **state) {
    static const struct {
        struct bytes header;
        const char *client;
    } rows[] = {
        {BYTES_LIT("PROXY TCP4 192.0.2.7 10.0.0.5 12345 443\r\n"), "192.0.2.7"},
        {BYTES_LIT("PROXY TCP4 1.1.1.1 1.1.1.1 0 0\r\n"), "1.1.1.1"},
        {BYTES_LIT("PROXY TCP6 2001:db8::7 2001:db8::8 12345 65535\r\n"), "2001:db8::7"},
        {BYTES_LIT("PROXY TCP6 ::ffff:192.0.2.7 ::ffff:10.0.0.5 12345 443\r\n"), "192.0.2.7"},
        {BYTES_LIT("PROXY TCP6 ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n"), NULL},
        {BYTES_LIT("PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
                   "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n"),
         "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
        {BYTES_LIT("PROXY UNKNOWN\r\n"), ""},
        {BYTES_LIT("PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n"), ""},
        {BYTES_LIT(SIGNATURE "\x21\x11\0\x0c" V4), "192.0.2.7"},
        {BYTES_LIT(SIGNATURE "\x21\x11\0\x0f" V4 "\x04\0\0"), "192.0.2.7"}, /* a TLV */
        {BYTES_LIT(SIGNATURE "\x21\x21\0\x24" V6), "2001:db8::7"},
        {BYTES_LIT(SIGNATURE "\x21\x21\0\x2a" V6 "abcdef"), "2001:db8::7"},
        {BYTES_LIT(SIGNATURE "\x21\x21\0\x24" MAPPED), "192.0.2.7"},
        {BYTES_LIT(SIGNATURE "\x20\0\0\0"), ""},        /* LOCAL */
        {BYTES_LIT(SIGNATURE "\x20\x11\0\x0c" V4), ""}, /* LOCAL, whatever follows */
        {BYTES_LIT(SIGNATURE "\x21\0\0\x02xy"), ""},    /* UNSPEC */
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        for (size_t piece = 1; piece < 200; piece += 7) {
            struct proxy_header h = {.versions = PROXY_ANY};
            struct buf all = {0};
            enum parse result;
            char text[IP_TEXT_SIZE];
            buf_append(&all, rows[i].header);
            buf_append_str(&all, REST);
            size_t taken = feed(&h, buf_bytes(&all), piece, &result);
            buf_deinit(&all);
            if (rows[i].client == NULL) {
                assert_int_equal(result, PARSE_BAD);
                continue;
            }
            assert_int_equal(result, PARSE_OK);
            assert_int_equal(taken, rows[i].header.len);
            ip_show(h.source, text);
            assert_string_equal(text, rows[i].client);
        }
    }
}

static void what_is_none_is_bad_at_once(void **state) {
    static const struct bytes rows[] = {
        BYTES_LIT("GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
        BYTES_LIT("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\0\0\0\0\0\0\0\0\0"),
        BYTES_LIT("PROXY TCP4 192.0.2.7 10.0.0.5 12345 443\n\r\n"),
        BYTES_LIT("PROXY TCP4  192.0.2.7 10.0.0.5 12345 443\r\n"),
        BYTES_LIT("PROXY TCP4 192.0.2.7 10.0.0.5 12345 443 \r\n"),
        BYTES_LIT("PROXY TCP4 192.0.2.7 10.0.0.5 12345\r\n"),
        BYTES_LIT("PROXY TCP4 192.0.2.7 10.0.0.5 12345 65536\r\n"),
        BYTES_LIT("PROXY TCP4 192.0.2.7 10.0.0.5 012345 443\r\n"),
        BYTES_LIT("PROXY TCP4 192.0.2.7 10.0.0.5 -1 443\r\n"),
        BYTES_LIT("PROXY TCP4 192.0.2.07 10.0.0.5 12345 443\r\n"),
        BYTES_LIT("PROXY TCP4 2001:db8::7 2001:db8::8 1 2\r\n"),
        BYTES_LIT("PROXY TCP6 192.0.2.7 10.0.0.5 1 2\r\n"),
        BYTES_LIT("PROXY UDP4 192.0.2.7 10.0.0.5 1 2\r\n"),
        BYTES_LIT("proxy TCP4 192.0.2.7 10.0.0.5 1 2\r\n"),
        BYTES_LIT("PROXY UNKNOWN \rx y\r\n"),
        BYTES_LIT(
            "PROXY UNKNOWN 4567890123456789012345678901234567890123456789012345678901234567890"
            "12345678901234567890123456789\r\n"), /* 110 bytes */
        BYTES_LIT(SIGNATURE "\x31\x11\0\x0c" V4), /* version 3 */
        BYTES_LIT(SIGNATURE "\x22\x11\0\x0c" V4), /* command 2 */
        BYTES_LIT(SIGNATURE "\x21\x12\0\x0c" V4), /* UDP */
        BYTES_LIT(SIGNATURE "\x21\x41\0\x0c" V4), /* a family of the future */
        BYTES_LIT(SIGNATURE "\x21\x11\0\x0b" V4), /* too short */
        BYTES_LIT(SIGNATURE "\x21\x21\0\x23" V6),
        BYTES_LIT(SIGNATURE "\x21\x31\0\xd7" V6),
        BYTES_LIT(SIGNATURE "\x20\0\x10\x01"), /* longer than 4,096 */
        BYTES_LIT("\r\n\r\n\0\r\nQUIT\r\x21\x11\0\x0c" V4),
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        for (size_t piece = 1; piece < 200; piece += 7) {
            struct proxy_header h = {.versions = PROXY_ANY};
            enum parse result;
            (void)feed(&h, rows[i], piece, &result);
            assert_int_equal(result, PARSE_BAD);
        }
    }
}

static void a_long_one_is_skipped(void **state) {
    (void)state;
    struct buf all = {0};
    struct proxy_header h = {.versions = PROXY_V2};
    enum parse result;
    buf_append(&all, BYTES_LIT(SIGNATURE "\x21\x31\x10\x00"));
    for (int i = 0; i < PROXY_V2_MAX; i++)
        buf_append_char(&all, 'u');
    size_t length = all.len;
    buf_append_str(&all, REST);
    assert_int_equal(feed(&h, buf_bytes(&all), 1000, &result), length);
    assert_int_equal(result, PARSE_OK);
    assert_false(ip_is_known(h.source));
    buf_deinit(&all);
}

static void only_the_versions_that_are_wanted(void **state) {
    static const struct bytes v1 = BYTES_LIT("PROXY TCP4 192.0.2.7 10.0.0.5 1 2\r\n");
    static const struct bytes v2 = BYTES_LIT(SIGNATURE "\x21\x11\0\x0c" V4);
    (void)state;
    for (unsigned versions = PROXY_V1; versions <= PROXY_ANY; versions++) {
        struct proxy_header first = {.versions = versions}, second = {.versions = versions};
        enum parse result;
        (void)feed(&first, v1, 100, &result);
        assert_int_equal(result, versions & PROXY_V1 ? PARSE_OK : PARSE_BAD);
        (void)feed(&second, v2, 100, &result);
        assert_int_equal(result, versions & PROXY_V2 ? PARSE_OK : PARSE_BAD);
    }
}

/* ---- from a socket */

struct read {
    int calls, status;
    struct ip source;
};

static void on_header(void *ctx, int status, struct ip source) {
    struct read *r = ctx;
    *r = (struct read){r->calls + 1, status, source};
}

static struct read read_from_socket(struct bytes in, char rest_out[64]) {
    uv_loop_t loop;
    uv_pipe_t pipe;
    struct proxy_reader reader;
    struct read got = {0};
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    uv_loop_init(&loop);
    uv_pipe_init(&loop, &pipe, 0);
    assert_int_equal(uv_pipe_open(&pipe, fds[0]), 0);
    assert_int_equal(write(fds[1], in.ptr, in.len), (ssize_t)in.len);
    shutdown(fds[1], SHUT_WR);
    proxy_reader_start(&reader, (uv_stream_t *)&pipe, PROXY_ANY, on_header, &got);
    uv_run(&loop, UV_RUN_DEFAULT);
    ssize_t n = recv(fds[0], rest_out, 63, MSG_DONTWAIT);
    rest_out[n > 0 ? n : 0] = '\0';
    uv_close((uv_handle_t *)&pipe, NULL);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
    close(fds[1]);
    return got;
}

static void what_follows_stays_in_the_socket(void **state) {
    (void)state;
    char rest[64], text[IP_TEXT_SIZE];
    struct read got =
        read_from_socket(BYTES_LIT("PROXY TCP4 192.0.2.7 10.0.0.5 1 2\r\n" REST), rest);
    ip_show(got.source, text);
    assert_string_equal(text, "192.0.2.7");
    assert_string_equal(rest, REST);
    got = read_from_socket(BYTES_LIT(SIGNATURE "\x21\x11\0\x0f" V4 "tlv" REST), rest);
    assert_int_equal(got.status, 0);
    assert_string_equal(rest, REST);
    got = read_from_socket(BYTES_LIT(REST REST), rest);
    assert_int_equal(got.status, UV_EPROTO);
    got = read_from_socket(BYTES_LIT("PROXY TCP4 192.0.2.7"), rest);
    assert_int_equal(got.status, UV_EOF);
    assert_int_equal(got.calls, 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(headers_name_their_client),
        cmocka_unit_test(what_is_none_is_bad_at_once),
        cmocka_unit_test(a_long_one_is_skipped),
        cmocka_unit_test(only_the_versions_that_are_wanted),
        cmocka_unit_test(what_follows_stays_in_the_socket),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
