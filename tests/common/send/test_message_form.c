/* test_message_form.c - the keys of JSON from outside, and the addresses in it: D5, D18. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/send/message_form.h"

/* The error of reading it, or "". */
static char *judge(const char *text, unsigned form) {
    struct message_form f = {0};
    struct buf error = {0};
    struct json_document *d = json_open(bytes_str(text), &error);
    assert_non_null(d);
    bool is_fine = message_form_read(&f, d, json_root(d), form, &error) == FORM_FINE;
    assert_int_equal(is_fine, error.len == 0);
    json_close(d);
    return buf_take(&error);
}

static void test_keys(void **state) {
    static const struct {
        unsigned form;
        const char *text, *error;
    } rows[] = {
        {FORM_SEND,
         "{\"name\":1,\"group\":1,\"clientId\":1,\"data\":1,\"binary\":1,\"id\":1,\"op\":1}", ""},
        {FORM_SEND, "{\"client_id\":1}", ""},
        {FORM_SEND, "{\"CLIENT_ID\":1,\"Name\":2}", ""},
        {FORM_SEND, "{\"client\\u0049d\":1}", ""},
        {FORM_SEND, "{\"receipt\":1}", ""},
        {FORM_SEND, "[{\"x\":1}]", ""},
        {FORM_SEND, "{\"client\":1}",
         "unknown key \"client\"; known are name, group, clientId, data, binary, compress, id, op"},
        {FORM_CLOSE, "{\"data\":1}",
         "unknown key \"data\"; known are name, group, clientId, code, reason, id, op"},
        {FORM_CLIENT, "{\"message\":1,\"groups\":1}",
         "unknown key \"groups\"; known are message, path, group, clientId, direct, ref, compress"},
        {FORM_CLIENT, "{\"message\":1,\"name\":\"N\"}",
         "unknown key \"name\"; known are message, path, group, clientId, direct, ref, compress"},
        {FORM_QUERY, "{\"clientid_\":1}",
         "unknown key \"clientid_\"; known are name, group, clientId"},
        {FORM_QUERY, "{\"\":1}", "unknown key \"\"; known are name, group, clientId"},
        {FORM_QUERY, "{\"name\\u0000\":1}",
         "unknown key \"name\\u0000\"; known are name, group, clientId"},
        {FORM_QUERY, "{\"client-id\":1}",
         "unknown key \"client-id\"; known are name, group, clientId"},
        {FORM_QUERY,
         "{\"0123456789012345678901234567890123456789012345678901234567890123456789\":1}",
         "unknown key \"012345678901234567890123456789012345678901234567890123456789012…\"; known "
         "are "
         "name, group, clientId"},
        {FORM_SEND, "{\"name\":1,\"name\":1}", "name: is given twice"},
        {FORM_SEND, "{\"x\":1,\"name\":1,\"name\":1}", "name: is given twice"},
        {FORM_SEND, "{\"name\":null,\"NAME\":1}",
         "name: is given twice, the second time as \"NAME\""},
        {FORM_SEND, "{\"client_id\":1,\"clientId\":1}", "clientId: is given twice"},
        {FORM_SEND, "{\"clientId\":1,\"client_id\":1}",
         "clientId: is given twice, the second time as \"client_id\""},
        {FORM_SEND, "{\"clientId\":1,\"client\\u0049d\":1}",
         "clientId: is given twice, the second time as \"client\\u0049d\""},
        /* only the object's own keys count */
        {FORM_SEND, "{\"data\":{\"client\":1,\"client\":2},\"name\":[{\"x\":1}]}", ""},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char *error = judge(rows[i].text, rows[i].form);
        if (strcmp(error, rows[i].error) != 0)
            fail_msg("%s\n  gave     %s\n  expected %s", rows[i].text, error, rows[i].error);
        free(error);
    }
}

/* "a,b" for those two, "-" when nothing was given, "" for an empty list; "! error". */
static void expect_texts(const char *value, unsigned flags, const char *wanted) {
    struct message_form f = {0};
    struct texts t = {0};
    struct buf text = {0}, error = {0}, out = {0};
    buf_printf(&text, "{\"clientId\":%s}", value);
    struct json_document *d = json_open(buf_bytes(&text), &error);
    assert_non_null(d);
    assert_int_equal(message_form_read(&f, d, json_root(d), FORM_SEND, &error), FORM_FINE);
    if (!message_form_texts(&f, KEY_CLIENT_ID, flags, &t, &error))
        buf_printf(&out, "! %.*s", BYTES_FMT(buf_bytes(&error)));
    else if (!bytes_list_is_given(texts_list(&t)))
        buf_append_str(&out, "-");
    else
        for (size_t i = 0; i < t.count; i++)
            buf_printf(&out, "%s%.*s", i > 0 ? "," : "", BYTES_FMT(t.items[i]));
    buf_append_char(&out, '\0');
    if (strcmp(out.ptr, wanted) != 0)
        fail_msg("%.100s\n  gave     %s\n  expected %s", value, out.ptr, wanted);
    json_close(d);
    texts_deinit(&t);
    buf_deinit(&text);
    buf_deinit(&error);
    buf_deinit(&out);
}

static void test_values(void **state) {
    static const struct {
        const char *value;
        unsigned flags;
        const char *texts;
    } rows[] = {
        {"\"a\"", 0, "a"},
        {"[\"a\",\"b\"]", 0, "a,b"},
        {"\"\\u0061\"", 0, "a"},
        {"null", 0, "-"},
        {"\"\"", 0, "-"},
        /* an empty list, and one that nothing is left of, is given and addresses nobody */
        {"[]", 0, ""},
        {"[\"\"]", 0, ""},
        {"[null,\"\",null]", 0, ""},
        {"[null,\"a\",\"\"]", 0, "a"},
        {"7", 0, "! clientId: must be a string or a list of strings"},
        {"7", TEXTS_NUMBERS, "7"},
        {"[1.50,\"a\"]", TEXTS_NUMBERS, "1.50,a"},
        {"[\"a\",7]", 0, "! clientId: must be a string or a list of strings"},
        {"true", TEXTS_NUMBERS, "! clientId: must be a string or a list of strings"},
        {"[false]", TEXTS_NUMBERS, "! clientId: must be a string or a list of strings"},
        {"{}", 0, "! clientId: must be a string or a list of strings"},
        {"{\"a\":1}", TEXTS_NUMBERS, "! clientId: must be a string or a list of strings"},
        {"[[\"a\"]]", TEXTS_NUMBERS, "! clientId: must be a string or a list of strings"},
        {"[\"a\",{}]", TEXTS_NUMBERS, "! clientId: must be a string or a list of strings"},
        {"[\"a\"]", TEXTS_ONE, "! clientId: must be one string"},
        {"[]", TEXTS_ONE, "! clientId: must be one string"},
        {"\"a\\nb\"", 0, "! clientId: has a line end or a NUL in it"},
        {"[\"\\u0000\"]", 0, "! clientId: has a line end or a NUL in it"},
        {"\"a\\ud83d\"", 0,
         "! clientId: the escape at byte 15 is half of a character, which has no UTF-8"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        expect_texts(rows[i].value, rows[i].flags, rows[i].texts);
}

static void test_bounds(void **state) {
    struct buf value = {0}, wanted = {0};
    (void)state;
    for (int more = 0; more < 2; more++) {
        buf_clear(&value);
        buf_clear(&wanted);
        buf_append_char(&value, '"');
        for (int i = 0; i < ADDRESS_BYTES_MAX + more; i++) {
            buf_append_char(&value, 'x');
            buf_append_char(&wanted, 'x');
        }
        buf_append_str(&value, "\"");
        buf_append_char(&value, '\0');
        buf_append_char(&wanted, '\0');
        expect_texts(value.ptr, 0, more ? "! clientId: has more than 1024 bytes" : wanted.ptr);
    }
    for (int more = 0; more < 2; more++) {
        buf_clear(&value);
        buf_clear(&wanted);
        for (int i = 0; i < ADDRESS_LIST_MAX + more; i++) {
            buf_printf(&value, "%s\"x\"", i > 0 ? "," : "[");
            buf_printf(&wanted, "%sx", i > 0 ? "," : "");
        }
        buf_append_str(&value, "]");
        buf_append_char(&value, '\0');
        buf_append_char(&wanted, '\0');
        expect_texts(value.ptr, 0, more ? "! clientId: has more than 1000 elements" : wanted.ptr);
    }
    buf_deinit(&value);
    buf_deinit(&wanted);
}

/* In the objects of a text together; what is known and what is not counts alike. */
static void test_count_of_keys(void **state) {
    struct message_form f = {.keys = FORM_KEYS_MAX - 3};
    struct buf error = {0};
    struct json_document *d = json_open(BYTES_LIT("{\"x\":1,\"name\":1,\"y\":1}"), &error);
    (void)state;
    assert_int_equal(message_form_read(&f, d, json_root(d), FORM_SEND, &error), FORM_UNKNOWN);
    assert_int_equal(f.keys, FORM_KEYS_MAX);
    f.keys = FORM_KEYS_MAX - 2;
    assert_int_equal(message_form_read(&f, d, json_root(d), FORM_SEND, &error), FORM_BROKEN);
    assert_true(bytes_equal_str(buf_bytes(&error), "there are more than 10000 keys"));
    json_close(d);
    buf_deinit(&error);
}

/* Elements count, also those that say nothing; the first unknown key is the one that is named. */
static void test_bounds_of_a_list(void **state) {
    static const char *const elements[] = {"\"a\"", "null", "\"\""};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(elements); i++) {
        for (int more = 0; more < 2; more++) {
            struct buf value = {0}, wanted = {0};
            for (int n = 0; n < ADDRESS_LIST_MAX + more; n++) {
                buf_printf(&value, "%s%s", n == 0 ? "[" : ",", elements[i]);
                if (i == 0)
                    buf_append_str(&wanted, n == 0 ? "a" : ",a");
            }
            buf_append(&value, bytes_of("]\0", 2));
            buf_append_char(&wanted, '\0');
            expect_texts(value.ptr, 0,
                         more ? "! clientId: has more than 1000 elements" : wanted.ptr);
            buf_deinit(&value);
            buf_deinit(&wanted);
        }
    }
    char *error = judge("{\"first\":1,\"second\":2}", FORM_QUERY);
    assert_string_equal(error, "unknown key \"first\"; known are name, group, clientId");
    free(error);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bounds_of_a_list), cmocka_unit_test(test_keys),
        cmocka_unit_test(test_values),           cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_count_of_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
