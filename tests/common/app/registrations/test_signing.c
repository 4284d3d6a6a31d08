/* test_signing.c - the reference's vectors V1…V10, and what must not pass. S141–S156 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "common/app/registrations/signing.h"

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
    struct buf empty = {0}; /* nobody has the empty id, however well it is signed */
    signing_sign(&s, &nobody, BYTES_LIT(""), &empty);
    assert_true(empty.len > 40 && !signing_verify(&s, &nobody, buf_bytes(&empty)));
    buf_deinit(&empty);
    signing_deinit(&s);
}

/* Nothing is proved while signing is off. A connection is referred to by plain ids then, and by
 * signed ones only before. */
static void test_signing_off(void **state) {
    static const struct {
        const char *id;
        bool is_accepted, is_accepted_on;
    } rows[] = {
        {"plain", true, false},
        {"", false, false},
        {"s:", false, false},
        {"s:" UUID ".8qHWZA7dMwgbAO0uW3pncXp8U6YpaOJBiaXpPFqdVlg=", false, true},
    };
    struct signing off = {0}, on = {0}, unknown = {.is_on = true, .uses_server_secret = true};
    struct signing_context nobody = {BYTES_NONE, BYTES_NONE};
    (void)state;
    signing_set(&on, true, vectors[0].secret, false);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        assert_false(signing_verify(&off, &nobody, bytes_str(rows[i].id)));
        assert_false(signing_verify(&unknown, &nobody, bytes_str(rows[i].id)));
        assert_false(signing_accepts(&unknown, &nobody, bytes_str(rows[i].id)));
        assert_int_equal(signing_accepts(&off, &nobody, bytes_str(rows[i].id)),
                         rows[i].is_accepted);
        assert_int_equal(signing_accepts(&on, &nobody, bytes_str(rows[i].id)),
                         rows[i].is_accepted_on);
    }
    signing_deinit(&on);
}

static void test_secrets(void **state) {
    static const struct {
        struct bytes secret;
        const char *error;
    } rows[] = {
        {{"super-secret", 12}, NULL},
        {{"x", 1}, NULL},
        {{"s\xc3\xa9", 3}, NULL},
        {{"", 0}, "the secret is empty"},
        {{" \t\r\n", 4}, "the secret is empty"},
        {{"a\0b", 3}, "the secret has a NUL in it"},
        {{"\xff", 1}, "the secret is not valid UTF-8"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const char *error = signing_secret_error(rows[i].secret);
        if (rows[i].error == NULL)
            assert_null(error);
        else
            assert_string_equal(error, rows[i].error);
    }
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

static void the_raw_id_is_what_was_signed(void **state) {
    static const struct {
        const char *id, *raw;
    } cases[] = {{"alice", "alice"},     {"a.b", "a.b"}, {"s:alice.c2ln", "alice"},
                 {"s:a.b.c2ln", "a.b"},  {"s:", "s:"},   {"s:.c2ln", "s:.c2ln"},
                 {"s:alice", "s:alice"}, {"", ""}};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_true(bytes_equal_str(signing_raw(bytes_str(cases[i].id)), cases[i].raw));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors_V1_to_V10),
        cmocka_unit_test(test_changed_ids_do_not_pass),
        cmocka_unit_test(test_signing_off),
        cmocka_unit_test(the_raw_id_is_what_was_signed),
        cmocka_unit_test(test_secrets),
        cmocka_unit_test(test_strict_is_bound_to_who_asked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
