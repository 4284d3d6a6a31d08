/* test_resume_token.c - tokens there and back, and those that nobody made, or that are too old. */
#include "gateway/session/resume_token.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum { NOW_S = 1800000000 };

static const struct resume_key key = {"a key"}, other_key = {"another"};

static struct resume_token a_token(void) {
    return (struct resume_token){.issued_s = NOW_S,
                                 .position = {1795792526944, 7},
                                 .name = BYTES_LIT("Zürich \"1\""),
                                 .client_id = BYTES_LIT("5d12f974-7b1a-4524-ab93-6afbf42c4ffa"),
                                 .value = BYTES_LIT("g1:7:1795792526944|lobby")};
}

static void it_is_read_as_it_was_made(void **state) {
    struct resume_token made = a_token(), read;
    struct buf text = {0}, scratch = {0};
    (void)state;
    for (int i = 0; i < 4; i++) { /* every remainder of Base64 */
        made.value.len--;
        buf_clear(&text);
        resume_token_append(&text, &key, &made);
        for (size_t k = 0; k < text.len; k++)
            assert_non_null(strchr(
                "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", text.ptr[k]));
        assert_true(resume_token_read(buf_bytes(&text), &key, NOW_S, &scratch, &read));
        assert_true(read.issued_s == NOW_S);
        assert_int_equal(message_id_compare(read.position, made.position), 0);
        assert_true(bytes_equal(read.name, made.name));
        assert_true(bytes_equal(read.client_id, made.client_id));
        assert_true(bytes_equal(read.value, made.value));
    }
    buf_deinit(&text);
    buf_deinit(&scratch);
}

static void nobody_else_makes_one(void **state) {
    struct resume_token made = a_token(), read;
    struct buf text = {0}, scratch = {0};
    (void)state;
    resume_token_append(&text, &key, &made);
    assert_false(resume_token_read(buf_bytes(&text), &other_key, NOW_S, &scratch, &read));
    for (size_t i = 0; i < text.len; i++) { /* each of its characters counts, each bit of them */
        char was = text.ptr[i];
        text.ptr[i] = was == 'A' ? 'B' : 'A';
        assert_false(resume_token_read(buf_bytes(&text), &key, NOW_S, &scratch, &read));
        text.ptr[i] = was;
        assert_false(
            resume_token_read(bytes_head(buf_bytes(&text), i), &key, NOW_S, &scratch, &read));
    }
    buf_append_char(&text, 'A');
    assert_false(resume_token_read(buf_bytes(&text), &key, NOW_S, &scratch, &read));
    buf_deinit(&text);
    buf_deinit(&scratch);
}

static void it_has_its_time(void **state) {
    static const struct {
        uint64_t now_s;
        bool is_valid;
    } cases[] = {{NOW_S - 100, true}, /* by a clock that is behind */
                 {NOW_S + RESUME_TOKEN_SECONDS - 1, true},
                 {NOW_S + RESUME_TOKEN_SECONDS, false}};
    struct resume_token made = a_token(), read;
    struct buf text = {0}, scratch = {0};
    (void)state;
    resume_token_append(&text, &key, &made);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_int_equal(resume_token_read(buf_bytes(&text), &key, cases[i].now_s, &scratch, &read),
                         cases[i].is_valid);
    buf_deinit(&text);
    buf_deinit(&scratch);
}

static void its_length_has_a_bound(void **state) {
    static char name[RESUME_TOKEN_MAX];
    struct resume_token made = a_token(), read;
    struct buf text = {0}, scratch = {0};
    size_t len = RESUME_TOKEN_MAX / 4 * 3;
    (void)state;
    memset(name, 'n', sizeof(name));
    for (made.name = bytes_of(name, len); text.len == 0; made.name.len--)
        resume_token_append(&text, &key, &made);
    assert_int_equal(text.len, RESUME_TOKEN_MAX);
    assert_true(resume_token_read(buf_bytes(&text), &key, NOW_S, &scratch, &read));
    buf_append_str(&text, "AAAA");
    assert_false(resume_token_read(buf_bytes(&text), &key, NOW_S, &scratch, &read));
    buf_deinit(&text);
    buf_deinit(&scratch);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_read_as_it_was_made), cmocka_unit_test(nobody_else_makes_one),
        cmocka_unit_test(it_has_its_time), cmocka_unit_test(its_length_has_a_bound)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
