/* test_signing.c - the reference's vectors V1…V10, and what must not pass. S141–S156 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "common/app/signing.h"

#define UUID    "5d12f974-7b1a-4524-ab93-6afbf42c4ffa"
#define MOZILLA "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36"

static const struct {
    const char *secret;
    bool is_strict;
    const char *user_agent, *address, *id, *signed_id;
} vectors[] = {
    {"super-secret", 0, "", "", UUID, "s:" UUID ".8qHWZA7dMwgbAO0uW3pncXp8U6YpaOJBiaXpPFqdVlg="},
    {"Sup3rS3cr37!", 0, "", "", "my-client-id",
     "s:my-client-id.dWeBSAxPRuhkQKBBIiLvAcRZ6vAZAI8G7+qcGvoOA+Q="},
    {"super-secret", 0, "", "", "123456", "s:123456.LRfqtigDk9NuvkwNN7CxGDhd1oxugnaM019TeEpqYMQ="},
    {"super-secret", 0, "", "", "a.b.c", "s:a.b.c.tBB4oIVEdS4brO2pweVwWIqaVLmq6wZ4vrqEX2G66Fw="},
    {"sécret€", 0, "", "", "clïent", "s:clïent.MmaRATGR2SGRXz4mERyNCJz0TI4Tfr5mqpkzlj1rIrs="},
    {"super-secret", 1, MOZILLA, "127.0.0.1", UUID,
     "s:" UUID ".02fwhUCf4dFHXU7Q75D3wMsRwtUDZj3Qghl6Li1sm1c="},
    {"super-secret", 1, "", "127.0.0.1", "my-client-id",
     "s:my-client-id.g+xJucfwhDoNuxzOUb9JirwnslHWDMxj8yhAVX5yKF4="},
    {"super-secret", 1, "curl/8.5.0", "::1", "my-client-id",
     "s:my-client-id.hfjQCc1cINRs58Hkv/9iWrbOlkOrqH7Jt2pK6EMamug="},
    {"super-secret", 1, "curl/8.5.0", "::ffff:127.0.0.1", "my-client-id",
     "s:my-client-id.WR/Z/g2JRRNUQIVqktKGS0zd8GMi/zud7/IVQjCWI3I="},
    {"super-secret", 1, "", "", "my-client-id",
     "s:my-client-id.tunfLy/VtJtfFFxBGFhAeTX/0TVQK0DhVgemMszmIMQ="},
};

static void test_vectors_V1_to_V10(void **state) {
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(vectors); i++) {
        struct signing s = {0};
        struct buf out = {0};
        struct signing_context who = {bytes_str(vectors[i].user_agent),
                                      bytes_str(vectors[i].address)};
        signing_set(&s, true, vectors[i].secret, vectors[i].is_strict);
        signing_sign(&s, &who, bytes_str(vectors[i].id), &out);
        assert_true(bytes_equal_str(buf_bytes(&out), vectors[i].signed_id));
        assert_true(signing_verify(&s, &who, buf_bytes(&out)));
        buf_deinit(&out);
        signing_deinit(&s);
    }
}

/* Any changed byte, also the case of a letter of the signature, does not pass. S155 */
static void test_changed_ids_do_not_pass(void **state) {
    (void)state;
    struct signing s = {0};
    struct signing_context nobody = {BYTES_NONE, BYTES_NONE};
    char id[128];
    signing_set(&s, true, vectors[0].secret, false);
    size_t len = strlen(vectors[0].signed_id);
    for (size_t i = 0; i < len; i++) {
        memcpy(id, vectors[0].signed_id, len + 1);
        id[i] = (char)(id[i] ^ 0x20);
        assert_false(signing_verify(&s, &nobody, bytes_str(id)));
    }
    static const char *const wrong[] = {
        "", "s:", "s:.", "s:a", "s:a.", "plain", "s:.8qHWZA7dMwgbAO0uW3pncXp8U6YpaOJBiaXpPFqdVlg="};
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
        assert_false(signing_verify(&s, &nobody, bytes_str(wrong[i])));
    signing_deinit(&s);
}

static void test_signing_off_takes_only_plain_ids(void **state) {
    (void)state;
    struct signing s = {0};
    struct signing_context nobody = {BYTES_NONE, BYTES_NONE};
    assert_true(signing_verify(&s, &nobody, BYTES_LIT("plain")));
    assert_false(signing_verify(&s, &nobody, BYTES_LIT("")));
    assert_false(signing_verify(&s, &nobody, bytes_str(vectors[0].signed_id)));
}

/* A strict id does not pass for another user agent or address. S151 */
static void test_strict_is_bound_to_who_asked(void **state) {
    (void)state;
    struct signing s = {0};
    struct bytes id = bytes_str(vectors[5].signed_id);
    signing_set(&s, true, "super-secret", true);
    struct signing_context other_agent = {BYTES_LIT("curl"), BYTES_LIT("127.0.0.1")};
    struct signing_context other_address = {BYTES_LIT(MOZILLA), BYTES_LIT("127.0.0.2")};
    assert_false(signing_verify(&s, &other_agent, id));
    assert_false(signing_verify(&s, &other_address, id));
    signing_deinit(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors_V1_to_V10),
        cmocka_unit_test(test_changed_ids_do_not_pass),
        cmocka_unit_test(test_signing_off_takes_only_plain_ids),
        cmocka_unit_test(test_strict_is_bound_to_who_asked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
