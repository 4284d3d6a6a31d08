/* test_digest.c - SHA-1 and HMAC-SHA-256 against published vectors. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "common/base/digest.h"

static void test_sha1(void **state) {
    (void)state;
    char text[29];
    digest_sha1_base64(BYTES_LIT("abc"), text); /* FIPS 180 */
    assert_string_equal(text, "qZk+NkcGgWq6PiVxeFDCbJzQ2J0=");
    digest_sha1_base64(BYTES_LIT(""), text);
    assert_string_equal(text, "2jmj7l5rSw0yVb/vlWAYkK/YBwk=");
    digest_sha1_base64(BYTES_LIT("dGhlIHNhbXBsZSBub25jZQ==258EAFA5-E914-47DA-95CA-C5AB0DC85B11"),
                       text); /* RFC 6455, 1.3 */
    assert_string_equal(text, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

static void test_hmac(void **state) {
    (void)state;
    char text[45];
    digest_hmac_sha256_base64(BYTES_LIT("Jefe"), BYTES_LIT("what do ya want for nothing?"),
                              text); /* RFC 4231, case 2 */
    assert_string_equal(text, "W9zBRr9gdU5qBCQmCJV1x1oAPwidJzmDnexYuWTsOEM=");
    digest_hmac_sha256_base64(BYTES_NONE, BYTES_LIT(""), text);
    assert_string_equal(text, "thNnmggU2ex3L5XXeMNfxf8Wl8STcVZTxscSFEKSxa0=");
}

static void test_equal(void **state) {
    (void)state;
    assert_true(digest_equal(BYTES_LIT("a\0b"), BYTES_LIT("a\0b")));
    assert_false(digest_equal(BYTES_LIT("a\0b"), BYTES_LIT("a\0c")));
    assert_false(digest_equal(BYTES_LIT("ab"), BYTES_LIT("abc")));
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_sha1), cmocka_unit_test(test_hmac),
                                       cmocka_unit_test(test_equal)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
