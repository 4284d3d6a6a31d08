/* test_base64.c - the vectors of RFC 4648, section 10, and texts that are none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "common/base/base64.h"

static void test_both_ways(void **state) {
    (void)state;
    static const struct {
        struct bytes plain;
        const char *text;
    } cases[] = {
        {BYTES_LIT(""), ""},
        {BYTES_LIT("f"), "Zg=="},
        {BYTES_LIT("fo"), "Zm8="},
        {BYTES_LIT("foo"), "Zm9v"},
        {BYTES_LIT("foob"), "Zm9vYg=="},
        {BYTES_LIT("fooba"), "Zm9vYmE="},
        {BYTES_LIT("foobar"), "Zm9vYmFy"},
        {BYTES_LIT("\xff\xfe\x00\xfb"), "//4A+w=="},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct buf out = {0};
        char plain[16];
        size_t len;
        base64_append(&out, cases[i].plain);
        assert_true(bytes_equal_str(buf_bytes(&out), cases[i].text));
        assert_int_equal(out.len, base64_encoded_size(cases[i].plain.len));
        assert_true(base64_decoded_max(out.len) <= sizeof(plain));
        assert_true(base64_decode(buf_bytes(&out), plain, &len));
        assert_true(bytes_equal(bytes_of(plain, len), cases[i].plain));
        buf_deinit(&out);
    }
}

static void test_wrong_texts(void **state) {
    (void)state;
    static const char *const texts[] = {
        "Z", "Zg", "Zg=", "Zg==Zg==", "Z===", "Zm9-", "Zm9_", "Zm 9v===", "=Zg=", "Zm9v\n"};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        char plain[16];
        size_t len;
        assert_false(base64_decode(bytes_str(texts[i]), plain, &len));
    }
    char plain[4];
    size_t len;
    assert_false(base64_decode(BYTES_LIT("Zm\0v"), plain, &len));
}

static void test_of_urls(void **state) {
    (void)state;
    static const struct {
        struct bytes plain;
        const char *text;
    } cases[] = {
        {BYTES_LIT(""), ""},           {BYTES_LIT("f"), "Zg"},
        {BYTES_LIT("fo"), "Zm8"},      {BYTES_LIT("foo"), "Zm9v"},
        {BYTES_LIT("foob"), "Zm9vYg"}, {BYTES_LIT("\xff\xfe\x00\xfb"), "__4A-w"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct buf out = {0}, plain = {0};
        base64url_append(&out, cases[i].plain);
        assert_true(bytes_equal_str(buf_bytes(&out), cases[i].text));
        buf_append_char(&plain, '>');
        assert_true(base64url_decode(buf_bytes(&out), &plain));
        assert_true(bytes_equal(bytes_from(buf_bytes(&plain), 1), cases[i].plain));
        buf_deinit(&out);
        buf_deinit(&plain);
    }
    static const char *const wrong[] = {"Z",    "Zg==", "Zh",  "Zm9",  "Zm9+",
                                        "Zm9/", "Zg=",  "Z g", "Zm9vZ"};
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        struct buf plain = {0};
        assert_false(base64url_decode(bytes_str(wrong[i]), &plain));
        assert_int_equal(plain.len, 0);
        buf_deinit(&plain);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_both_ways),
                                       cmocka_unit_test(test_wrong_texts),
                                       cmocka_unit_test(test_of_urls)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
