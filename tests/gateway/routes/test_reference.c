/* test_reference.c - how the X-PODE-SIGNAL-* headers are read. */
#include "gateway/routes/reference.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "common/http/http_head.h"

static void values_are_utf8_latin1_or_percent_encoded(void **state) {
    static const struct {
        const char *value;
        bool is_encoded;
        const char *expected;
    } cases[] = {
        {"plain", false, "plain"},
        {"J\xc3\xbcrgen", false, "J\xc3\xbcrgen"},
        {"J\xfcrgen", false, "J\xc3\xbcrgen"},               /* ISO 8859-1 */
        {"\xc3\xbc\xfc", false, "\xc3\x83\xc2\xbc\xc3\xbc"}, /* one wrong byte: all of it is */
        {"J%C3%BCrgen", false, "J%C3%BCrgen"},
        {"J%C3%BCrgen", true, "J\xc3\xbcrgen"},
        {"J%FCrgen", true, "J\xc3\xbcrgen"},
        {"a+b%2", true, "a+b%2"}, /* a plus is no space; what is no encoding stays */
        {"", true, ""},
    };
    struct buf out = {0};
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        reference_read(bytes_str(cases[i].value), cases[i].is_encoded, &out);
        if (!bytes_equal_str(buf_bytes(&out), cases[i].expected))
            fail_msg("%s: %.*s", cases[i].value, BYTES_FMT(buf_bytes(&out)));
    }
    buf_deinit(&out);
}

static bool fits(const char *fields, const char *group) {
    struct http_head head;
    const char *reason;
    char text[512];
    int status;
    snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nHost: h\r\n%s\r\n", fields);
    assert_int_equal(http_head_parse(bytes_str(text), sizeof(text), &head, &status, &reason),
                     PARSE_OK);
    return reference_group_fits(&head, bytes_str(group));
}

#define GROUP "X-PODE-SIGNAL-GROUP: "

static void any_of_the_groups_fits(void **state) {
    (void)state;
    assert_true(fits("", "Users"));
    assert_true(fits("", ""));
    assert_true(fits(GROUP "\r\n", "Users"));
    assert_true(fits(GROUP " , ,\r\n", "Users")); /* names none */
    assert_true(fits(GROUP "users\r\n", "Users"));
    assert_true(fits(GROUP "admins, users\r\n", "Users"));
    assert_true(fits(GROUP "admins\r\n" GROUP "users\r\n", "Users"));
    assert_true(fits(GROUP "a, b\r\n", "a, b")); /* one group with a comma */
    assert_true(fits(GROUP "J%C3%BCrgen\r\n", "J\xc3\xbcrgen"));
    assert_true(fits(GROUP "J\xfcrgen\r\n", "j\xc3\x9crgen"));
    assert_false(fits(GROUP "admins\r\n", "Users"));
    assert_false(fits(GROUP "admins\r\n", ""));
    assert_false(fits(GROUP "user\r\n", "Users"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_utf8_latin1_or_percent_encoded),
        cmocka_unit_test(any_of_the_groups_fits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
