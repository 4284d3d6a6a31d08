#include "common/bus/redis/scripts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <openssl/evp.h>

static void all_are_embedded(void **state) {
    (void)state;
    for (int i = 0; i < SCRIPT_COUNT; i++) {
        struct bytes text = script_text((enum script)i);
        assert_true(bytes_starts_with(text, BYTES_LIT("#!lua")));
        assert_int_equal(text.len, strlen(text.ptr));
        assert_int_equal(text.ptr[text.len - 1], '\n');
    }
    assert_string_equal(script_name(SCRIPT_append), "append");
    assert_string_equal(script_name(SCRIPT_COUNT - 1), script_name(SCRIPT_unlock));
}

static void digests_are_those_of_the_texts(void **state) {
    (void)state;
    for (int i = 0; i < SCRIPT_COUNT; i++) {
        struct bytes text = script_text((enum script)i);
        unsigned char digest[20];
        char hex[41];
        assert_int_equal(EVP_Digest(text.ptr, text.len, digest, NULL, EVP_sha1(), NULL), 1);
        for (size_t n = 0; n < sizeof(digest); n++)
            snprintf(hex + 2 * n, 3, "%02x", digest[n]);
        assert_string_equal(script_sha((enum script)i), hex);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(all_are_embedded),
                                       cmocka_unit_test(digests_are_those_of_the_texts)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
