/* test_http_path.c - the canonical form of paths: what has one, which, and what has none. D16 */
#include "common/http/http_path.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/buf.h"

#define RAW(text) BYTES_LIT(text)

/* Appends to what is there already, and is its own form. */
static void expect_form(struct bytes path, const char *want) {
    struct buf out = {0}, again = {0};
    buf_append_str(&out, "www");
    const char *error = http_path_canonical(path, &out);
    struct bytes form = bytes_from(buf_bytes(&out), 3);
    if (error != NULL || !bytes_equal_str(form, want))
        fail_msg("%.*s gave '%.*s' (%s), not %s", BYTES_FMT(path), BYTES_FMT(form),
                 error == NULL ? "no error" : error, want);
    assert_memory_equal(out.ptr, "www", 3);
    assert_null(http_path_canonical(form, &again));
    assert_true(bytes_equal(buf_bytes(&again), form));
    buf_deinit(&out);
    buf_deinit(&again);
}

static void expect_none(struct bytes path, const char *reason) {
    struct buf out = {0};
    buf_append_str(&out, "www");
    const char *error = http_path_canonical(path, &out);
    if (error == NULL || strstr(error, reason) == NULL)
        fail_msg("%.*s: '%s', not '%s'", BYTES_FMT(path), error == NULL ? "no error" : error,
                 reason);
    assert_int_equal(out.len, 3);
    buf_deinit(&out);
}

static void test_forms(void **state) {
    (void)state;
    static const struct {
        struct bytes in;
        const char *want;
    } cases[] = {
        {RAW("/"), "/"},
        {RAW("/a"), "/a"},
        {RAW("/a/"), "/a/"},
        {RAW("/a/b.txt"), "/a/b.txt"},
        /* the ways round a guard */
        {RAW("//private/s.txt"), "/private/s.txt"},
        {RAW("/%70rivate/s.txt"), "/private/s.txt"},
        {RAW("/./private/s.txt"), "/private/s.txt"},
        {RAW("/x/../private/s.txt"), "/private/s.txt"},
        {RAW("/x/%2e%2E/private//./s.txt"), "/private/s.txt"},
        {RAW("/private%2Fs.txt"), "/private%2Fs.txt"},
        {RAW("/private%2fs.txt"), "/private%2Fs.txt"},
        {RAW("/rooms/%73taff"), "/rooms/staff"},
        {RAW("//a///b"), "/a/b"},
        {RAW("/./a/./b/."), "/a/b/"},
        {RAW("/a/../b"), "/b"},
        {RAW("/a/.."), "/"},
        {RAW("/a/b/.."), "/a/"},
        {RAW("/a/b/../"), "/a/"},
        {RAW("/a//.."), "/"},
        {RAW("/a/b/../../c"), "/c"},
        {RAW("/a%2Fb/../c"), "/c"},
        /* an embedded '/' neither separates nor climbs */
        {RAW("/a%2F..%2F..%2Fb"), "/a%2F..%2F..%2Fb"},
        {RAW("/..%2Fa"), "/..%2Fa"},
        {RAW("/%2F"), "/%2F"},
        {RAW("/%2e%2f"), "/.%2F"},
        /* decoded once only */
        {RAW("/%252e%252e/x"), "/%252e%252e/x"},
        {RAW("/private%252Fs.txt"), "/private%252Fs.txt"},
        {RAW("/%2570rivate"), "/%2570rivate"},
        {RAW("/100%25"), "/100%25"},
        {RAW("/a%20b+c"), "/a b+c"},
        {RAW("/a%3Fb%23c%3bd;e"), "/a?b#c;d;e"},
        {RAW("/caf%C3%A9"), "/caf\xC3\xA9"},
        {RAW("/caf\xC3\xA9"), "/caf\xC3\xA9"},
        {RAW("/caf\xC3%a9"), "/caf\xC3\xA9"},
        {RAW("/..."), "/..."},
        {RAW("/.a/..b"), "/.a/..b"},
        {RAW("/:id/*"), "/:id/*"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        expect_form(cases[i].in, cases[i].want);
}

static void test_no_form(void **state) {
    (void)state;
    static const struct {
        struct bytes in;
        const char *reason;
    } cases[] = {
        {RAW("/.."), "above the root"},
        {RAW("/../a"), "above the root"},
        {RAW("//../a"), "above the root"},
        {RAW("/a/../.."), "above the root"},
        {RAW("/a/../../a"), "above the root"},
        {RAW("/%2e%2e/a"), "above the root"},
        {RAW("/.%2e"), "above the root"},
        {RAW("/./../a"), "above the root"},
        {RAW("/a%00"), "control"},
        {RAW("/a\0b"), "control"},
        {RAW("/a%0Ab"), "control"},
        {RAW("/a%09b"), "control"},
        {RAW("/a%7f"), "control"},
        {RAW("/a\\b"), "backslash"},
        {RAW("/a%5Cb"), "backslash"},
        {RAW("/a%"), "'%'"},
        {RAW("/a%4"), "'%'"},
        {RAW("/a%g0"), "'%'"},
        {RAW("/a%4/1"), "'%'"},
        {RAW("/a%/../b"), "'%'"},
        {RAW("/%u0041"), "'%'"},
        {RAW("/%ff"), "UTF-8"},
        {RAW("/%C3"), "UTF-8"},
        {RAW("/%C3/%A9"), "UTF-8"},
        {RAW("/%C0%AF"), "UTF-8"},
        {RAW("/%c0%ae%c0%ae/a"), "UTF-8"},
        {RAW("/%ED%A0%80"), "UTF-8"},
        {RAW("/%ff/../a"), "UTF-8"},
        {RAW("a"), "start"},
        {RAW("%2fa"), "start"},
        {RAW("*"), "start"},
        {RAW(""), "start"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        expect_none(cases[i].in, cases[i].reason);
}

/* The bound is that of the form: escapes and what is resolved away do not count. */
static void test_length(void **state) {
    (void)state;
    struct buf path = {0}, out = {0};
    buf_append_char(&path, '/');
    while (path.len < HTTP_PATH_MAX)
        buf_append_char(&path, 'a');
    assert_null(http_path_canonical(buf_bytes(&path), &out));
    assert_true(bytes_equal(buf_bytes(&out), buf_bytes(&path)));
    buf_clear(&out);
    buf_append_char(&path, 'a');
    expect_none(buf_bytes(&path), "1024");
    path.len = 0;
    buf_append_str(&path, "/");
    for (int i = 0; i < 1023; i++)
        buf_append_str(&path, "%41");
    assert_null(http_path_canonical(buf_bytes(&path), &out));
    assert_int_equal(out.len, HTTP_PATH_MAX);
    buf_append_str(&path, "/");
    expect_none(buf_bytes(&path), "1024");
    buf_deinit(&path);
    buf_deinit(&out);
}

static void expect_file(const char *canonical, const char *want) {
    struct buf out = {0};
    assert_int_equal(http_path_to_file(bytes_str(canonical), &out), want != NULL);
    assert_true(bytes_equal_str(buf_bytes(&out), want == NULL ? "" : want));
    buf_deinit(&out);
}

static void test_to_file(void **state) {
    (void)state;
    expect_file("/a/b c", "/a/b c");
    expect_file("/100%25", "/100%");
    expect_file("/a%252Fb", "/a%2Fb");
    expect_file("/a%2Fb", NULL);
    expect_file("/%2F", NULL);
    expect_file("/x%2F", NULL);
}

static void expect_url(const char *canonical, const char *want) {
    struct buf out = {0};
    http_path_to_url(bytes_str(canonical), &out);
    assert_true(bytes_equal_str(buf_bytes(&out), want));
    buf_deinit(&out);
}

/* Letters, digits and what RFC 3986, 3.3 lets stand in a segment; every other byte is escaped. */
static void test_every_byte_in_a_url(void **state) {
    (void)state;
    for (int c = 1; c < 256; c++) {
        const char in[] = {'/', (char)c, '\0'};
        char expected[8];
        struct buf out = {0};
        bool is_plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                        (c >= '0' && c <= '9') || strchr("-._~!$&'()*+,;=:@/%", c) != NULL;
        snprintf(expected, sizeof(expected), is_plain ? "/%c" : "/%%%02X", c);
        http_path_to_url(bytes_str(in), &out);
        if (!bytes_equal_str(buf_bytes(&out), expected))
            fail_msg("0x%02x: %.*s", (unsigned)c, BYTES_FMT(buf_bytes(&out)));
        buf_deinit(&out);
    }
}

static void test_to_url(void **state) {
    (void)state;
    expect_url("/a/b-c;d:e@f", "/a/b-c;d:e@f");
    expect_url("/a b?#\"<", "/a%20b%3F%23%22%3C");
    expect_url("/caf\xC3\xA9", "/caf%C3%A9");
    expect_url("/a%2Fb%25", "/a%2Fb%25");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forms),  cmocka_unit_test(test_no_form),
        cmocka_unit_test(test_length), cmocka_unit_test(test_to_file),
        cmocka_unit_test(test_to_url), cmocka_unit_test(test_every_byte_in_a_url),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
