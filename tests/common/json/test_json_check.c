/* test_json_check.c - what is JSON (RFC 8259), and where it stops being that. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/json/json_check.h"

/* The complaint, or "". */
static char *judge(struct bytes text) {
    struct buf error = {0};
    bool is_json = json_check(text, &error);
    assert_int_equal(is_json, error.len == 0);
    assert_int_equal(json_check(text, NULL), is_json);
    return buf_take(&error);
}

static void expect(struct bytes text, const char *wanted) {
    char *complaint = judge(text);
    assert_string_equal(complaint, wanted);
    free(complaint);
}

static void test_accepted(void **state) {
    static const char *const rows[] = {
        "0",
        "-0",
        "-0.5e+10",
        "1E400",
        "\"\"",
        "\"\\ud83d\"",
        "\"\\udc00\\ud83d\"",
        "\"\\u0000\"",
        "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"",
        "\"\x7f\xc2\x80\xf4\x8f\xbf\xbf\"",
        " [ ] ",
        "\t{\r\n}\n",
        "[{\"a\":[{}]},[[]],null,true,false]",
        "{\"a\":1,\"a\":2,\"A\":3,\"\":4}",
        "\xef\xbb\xbf{}",
        "\xef\xbb\xbf 1",
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        expect(bytes_str(rows[i]), "");
    char digits[100000];
    memset(digits, '9', sizeof(digits));
    expect(bytes_of(digits, sizeof(digits)), "");
}

static void test_refused_with_the_place(void **state) {
    static const struct {
        const char *text, *complaint;
    } rows[] = {
        {"", "no JSON: a value was expected, at byte 1"},
        {"  ", "no JSON: a value was expected, at byte 3"},
        {"\xef\xbb\xbf", "no JSON: a value was expected, at byte 4"},
        {"\xef\xbb\xbf\xef\xbb\xbf"
         "1",
         "no JSON: a value was expected, at byte 4"},
        {"hello", "no JSON: a value was expected, at byte 1"},
        {"[1,]", "no JSON: a value was expected, at byte 4"},
        {"[1 2]", "no JSON: ',' or ']' was expected, at byte 4"},
        {"[1}", "no JSON: ',' or ']' was expected, at byte 3"},
        {"{\"a\":1]", "no JSON: ',' or '}' was expected, at byte 7"},
        {"{\"a\" 1}", "no JSON: ':' was expected, at byte 6"},
        {"{\"a\":1,}", "no JSON: a key was expected, at byte 8"},
        {"{a:1}", "no JSON: a key was expected, at byte 2"},
        {"{", "no JSON: a key was expected, at byte 2"},
        {"[", "no JSON: a value was expected, at byte 2"},
        {"[[1", "no JSON: ',' or ']' was expected, at byte 4"},
        {"1 2", "no JSON: something follows the value, at byte 3"},
        {"{}{}", "no JSON: something follows the value, at byte 3"},
        {"01", "no JSON: something follows the value, at byte 2"},
        {"-", "no JSON: a digit was expected, at byte 2"},
        {"1.", "no JSON: a digit was expected, at byte 3"},
        {"1e+", "no JSON: a digit was expected, at byte 4"},
        {"+1", "no JSON: a value was expected, at byte 1"},
        {".5", "no JSON: a value was expected, at byte 1"},
        {"NaN", "no JSON: a value was expected, at byte 1"},
        {"\"a", "no JSON: a string has no end, at byte 3"},
        {"\"a\\", "no JSON: a string has no end, at byte 4"},
        {"\"\t\"", "no JSON: a control character in a string, at byte 2"},
        {"\"\\x\"", "no JSON: an unknown escape, at byte 3"},
        {"\"\\u12g4\"", "no JSON: a wrong \\u escape, at byte 6"},
        {"[\"ab\xff\"]", "no JSON: it is not valid UTF-8, at byte 5"},
        {"[\"\xed\xa0\xbd\"]", "no JSON: it is not valid UTF-8, at byte 3"},
        {"\"\xc3", "no JSON: it is not valid UTF-8, at byte 2"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        expect(bytes_str(rows[i].text), rows[i].complaint);
    expect(BYTES_NONE, "no JSON: a value was expected, at byte 1");
    expect(bytes_of("1\0", 2), "no JSON: something follows the value, at byte 2");
    expect(bytes_of("\"\\\0\"", 4), "no JSON: an unknown escape, at byte 3");
}

static void nested(struct buf *text, size_t levels, bool is_object) {
    for (size_t i = 0; i < levels; i++)
        buf_append_str(text, is_object ? "{\"k\":" : "[");
    buf_append_str(text, "1");
    for (size_t i = 0; i < levels; i++)
        buf_append_char(text, is_object ? '}' : ']');
}

static void test_depth_has_a_bound(void **state) {
    (void)state;
    for (int is_object = 0; is_object < 2; is_object++) {
        struct buf text = {0};
        nested(&text, JSON_DEPTH_MAX, is_object);
        expect(buf_bytes(&text), "");
        buf_clear(&text);
        nested(&text, JSON_DEPTH_MAX + 1, is_object);
        expect(buf_bytes(&text), is_object
                                     ? "no JSON: nested deeper than 2048 levels, at byte 10241"
                                     : "no JSON: nested deeper than 2048 levels, at byte 2049");
        buf_deinit(&text);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accepted),
        cmocka_unit_test(test_refused_with_the_place),
        cmocka_unit_test(test_depth_has_a_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
