/* test_json_text.c - the sender's text survives: numbers, key order, escapes. S172–S185, D6 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "common/json/json_text.h"

static struct json_document *must_open(const char *text) {
    struct buf error = {0};
    struct json_document *d = json_open(bytes_str(text), &error);
    assert_non_null(d);
    buf_deinit(&error);
    return d;
}

static void assert_refused(const char *text) {
    struct buf error = {0};
    assert_null(json_open(bytes_str(text), &error));
    assert_true(error.len > 0);
    buf_deinit(&error);
}

static void test_compact_keeps_numbers_and_order(void **state) {
    (void)state;
    static const char *const rows[][2] = {
        {" { \"b\" : 1.50 , \"a\":[1, 2 ,3e+2 ] } ", "{\"b\":1.50,\"a\":[1,2,3e+2]}"},
        {"\t12345678901234567890123 ", "12345678901234567890123"},
        {"\" a b \\\" c \"", "\" a b \\\" c \""},
        {"[ ]", "[]"},
        {"{\"a\":\"x : , y\"}", "{\"a\":\"x : , y\"}"},
        {"-0", "-0"},
        {"true\n", "true"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct buf out = {0};
        struct json_document *d = must_open(rows[i][0]);
        json_append_compact(&out, json_root(d));
        assert_true(bytes_equal_str(buf_bytes(&out), rows[i][1]));
        buf_deinit(&out);
        json_close(d);
    }
}

static void test_members_without_case(void **state) {
    (void)state;
    struct json_document *d =
        must_open("{\"x\":{\"MESSAGE\":0},\"Message\":\"hi\",\"CLIENTID\":[1,\"b\"]}");
    struct json_value root = json_root(d);
    assert_int_equal(json_member(root, "message").kind, JSON_KIND_STRING);
    assert_int_equal(json_member(root, "clientId").kind, JSON_KIND_ARRAY);
    assert_int_equal(json_member(root, "group").kind, JSON_KIND_ABSENT);
    struct json_document *escaped = must_open("{\"m\\u0065ss\\u0041ge\":1}");
    assert_int_equal(json_member(json_root(escaped), "message").kind, JSON_KIND_NUMBER);
    json_close(escaped);
    assert_int_equal(json_member(json_member(root, "message"), "x").kind, JSON_KIND_ABSENT);
    json_close(d);
}

static void append_each(void *ctx, struct json_value element) {
    json_append_text(ctx, element);
    buf_append_char(ctx, ';');
}

static void test_each(void **state) {
    (void)state;
    static const char *const rows[][2] = {{"[null, true, {}]", "null;true;{};"},
                                          {"[1, \"b\" ,[2]]", "1;b;[2];"},
                                          {"\"one\"", "one;"},
                                          {"null", ""},
                                          {"[]", ""}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct buf out = {0};
        struct json_document *d = must_open(rows[i][0]);
        json_each(json_root(d), append_each, &out);
        assert_true(bytes_equal_str(buf_bytes(&out), rows[i][1]));
        buf_deinit(&out);
        json_close(d);
    }
}

static void test_strings_unescaped_and_back(void **state) {
    (void)state;
    struct buf out = {0};
    struct json_document *d =
        must_open("\"a\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0041\\u00e9\\u20ac\\ud83d\\ude00z\"");
    json_append_text(&out, json_root(d));
    assert_true(
        bytes_equal_str(buf_bytes(&out), "a\"\\/\b\f\n\r\tA\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80z"));
    json_close(d);
    buf_clear(&out);
    json_append_string(&out, BYTES_LIT("q\"\\\n\x01\xc3\xa9"));
    assert_true(bytes_equal_str(buf_bytes(&out), "\"q\\\"\\\\\\n\\u0001\xc3\xa9\""));
    buf_deinit(&out);
}

/* Half of a surrogate pair has a place in JSON and none in UTF-8. */
static void test_half_characters(void **state) {
    static const struct {
        const char *text, *plain;
        size_t where;
    } rows[] = {
        {"\"\\ud83d\\ude00\"", "\xf0\x9f\x98\x80", 0},
        {"\"a\\ud83d\"", "a\xef\xbf\xbd", 2},
        {"\"\\n\\ude00b\"",
         "\n\xef\xbf\xbd"
         "b",
         3},
        {"\"\\ud83d\\u0041\"",
         "\xef\xbf\xbd"
         "A",
         1},
        {"\"\\ud83d\\ud83d\\ude00\"", "\xef\xbf\xbd\xf0\x9f\x98\x80", 1},
        {"\"\\u0041\\ude00\"",
         "A"
         "\xef\xbf\xbd",
         7},
        {"\"\\ude00\\ud83d\"", "\xef\xbf\xbd\xef\xbf\xbd", 1},
        {"\"\\ud800\\udc00\"", "\xf0\x90\x80\x80", 0},
        {"\"\\udbff\\udfff\"", "\xf4\x8f\xbf\xbf", 0},
        {"\"\\ud7ff\\ue000\"", "\xed\x9f\xbf\xee\x80\x80", 0},
        {"\"\\ud800\\ue000\"", "\xef\xbf\xbd\xee\x80\x80", 1},
        {"\"\\udbff\\udbff\"", "\xef\xbf\xbd\xef\xbf\xbd", 1},
        {"\"\\\\ud83d\"", "\\ud83d", 0},
        {"7", "7", 0},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct buf out = {0};
        struct json_document *d = must_open(rows[i].text);
        json_append_text(&out, json_root(d));
        assert_true(bytes_equal_str(buf_bytes(&out), rows[i].plain));
        assert_int_equal(json_half_character(json_root(d)), rows[i].where);
        buf_deinit(&out);
        json_close(d);
    }
}

#define BAD "\xef\xbf\xbd"

static void test_any_bytes_become_json(void **state) {
    static const char *const rows[][2] = {
        {"", "\"\""},
        {"h\xc3\xa9", "\"h\xc3\xa9\""},
        {"\xff\xfe\x9b\"", "\"" BAD BAD BAD "\\\"\""},
        {"\xed\xa0\x80", "\"" BAD BAD BAD "\""},
        {"cut \xe2\x82", "\"cut " BAD BAD "\""},
        {"a\xc3z\x1b", "\"a" BAD "z\\u001b\""},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct buf out = {0};
        json_append_string(&out, bytes_str(rows[i][0]));
        assert_true(bytes_equal_str(buf_bytes(&out), rows[i][1]));
        buf_deinit(&out);
    }
}

static void test_refused(void **state) {
    (void)state;
    static const char *const rows[] = {"",     "{",        "hello",     "{'a':1}", "[1,]",
                                       "01",   "1 2",      "nul",       "\"a",     "\"\\x\"",
                                       "// c", "\"\xff\"", "{\"a\" 1}", "\"\t\""};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_refused(rows[i]);
}

/* No spelling of a key that could be known is missed, and no other is read. */
static void test_keys(void **state) {
    char room[JSON_KEY_ROOM], text[JSON_KEY_ROOM + 7] = "";
    (void)state;
    assert_true(bytes_equal_str(json_key(BYTES_LIT("p\\u0061th"), room), "path"));
    assert_true(bytes_equal_str(json_key(BYTES_LIT("plain"), room), "plain"));
    assert_true(bytes_equal(json_key(BYTES_LIT("a\\u0000"), room), BYTES_LIT("a\0")));
    for (int i = 0; i < JSON_KEY_MAX; i++)
        memcpy(text + i * 6, "\\u0061", 6);
    assert_int_equal(json_key(bytes_of(text, JSON_KEY_ROOM), room).len, JSON_KEY_MAX);
    memcpy(text + JSON_KEY_ROOM, "\\u0061", 6);
    assert_null(json_key(bytes_of(text, JSON_KEY_ROOM + 6), room).ptr);
    struct json_document *d = must_open("{\"p\\u0041th\":1,\"\":2}");
    assert_int_equal(json_member(json_root(d), "path").kind, JSON_KIND_NUMBER);
    assert_int_equal(json_member(json_root(d), "").kind, JSON_KIND_NUMBER);
    json_close(d);
}

static void test_truth_and_emptiness_S175_S181(void **state) {
    (void)state;
    static const struct {
        const char *text;
        bool is_truthy, is_empty;
    } rows[] = {{"true", 1, 0}, {"false", 0, 0}, {"\"false\"", 1, 0}, {"\"\"", 0, 1},
                {"0", 0, 0},    {"0.0", 0, 0},   {"1", 1, 0},         {"null", 0, 1},
                {"[]", 0, 1},   {"[0]", 1, 0},   {"{}", 1, 1},        {"{\"a\":1}", 1, 0}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct json_document *d = must_open(rows[i].text);
        assert_int_equal(json_is_truthy(json_root(d)), rows[i].is_truthy);
        assert_int_equal(json_is_empty(json_root(d)), rows[i].is_empty);
        json_close(d);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_compact_keeps_numbers_and_order),
        cmocka_unit_test(test_members_without_case),
        cmocka_unit_test(test_each),
        cmocka_unit_test(test_strings_unescaped_and_back),
        cmocka_unit_test(test_half_characters),
        cmocka_unit_test(test_any_bytes_become_json),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_keys),
        cmocka_unit_test(test_truth_and_emptiness_S175_S181),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
