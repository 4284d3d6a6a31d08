/* test_seal.c - what is sealed can be opened by who knows the key, and by nobody else. */
#include "common/base/seal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static const unsigned char key[SEAL_KEY] = "0123456789abcdef0123456789abcde", other[SEAL_KEY];

static void comes_back(void **state) {
    static const char *const texts[] = {"", "a", "a text of some length, longer than a block"};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct buf sealed = {0}, again = {0}, text = {0};
        seal(key, BYTES_LIT("about"), bytes_str(texts[i]), &sealed);
        seal(key, BYTES_LIT("about"), bytes_str(texts[i]), &again);
        assert_int_equal(sealed.len, strlen(texts[i]) + SEAL_MORE);
        assert_false(bytes_equal(buf_bytes(&sealed), buf_bytes(&again)));
        assert_true(seal_open(key, BYTES_LIT("about"), buf_bytes(&sealed), &text));
        assert_true(bytes_equal_str(buf_bytes(&text), texts[i]));
        buf_deinit(&sealed);
        buf_deinit(&again);
        buf_deinit(&text);
    }
}

static void nothing_else_does(void **state) {
    struct buf sealed = {0}, text = {0};
    (void)state;
    seal(key, BYTES_LIT("about"), BYTES_LIT("text"), &sealed);
    struct bytes all = buf_bytes(&sealed);
    assert_false(seal_open(other, BYTES_LIT("about"), all, &text));
    assert_false(seal_open(key, BYTES_LIT("about this"), all, &text));
    for (size_t len = 0; len < all.len; len++)
        assert_false(seal_open(key, BYTES_LIT("about"), bytes_head(all, len), &text));
    for (size_t i = 0; i < all.len; i++) {
        sealed.ptr[i] ^= 1;
        assert_false(seal_open(key, BYTES_LIT("about"), all, &text));
        sealed.ptr[i] ^= 1;
    }
    assert_int_equal(text.len, 0);
    buf_deinit(&sealed);
    buf_deinit(&text);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(comes_back),
                                       cmocka_unit_test(nothing_else_does)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
