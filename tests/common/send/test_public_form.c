/* test_public_form.c - what the HTTP API takes, and what goes into Redis for it. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

#include "common/send/public_form.h"

enum { MAX_BYTES = 10 };

static int check(enum public_op op, const char *text, const char *id, const char *expected) {
    struct buf out = {0}, error = {0};
    int status = public_form_check(op, bytes_str(text), bytes_str(id), MAX_BYTES, &out, &error);
    if (status == 0) {
        assert_int_equal(error.len, 0);
        assert_int_equal(out.len, strlen(expected));
        if (out.len > 0)
            assert_memory_equal(out.ptr, expected, out.len);
    } else {
        assert_true(error.len > 0);
        assert_null(memchr(error.ptr, '\n', error.len));
        assert_int_equal(out.len, 0);
    }
    buf_deinit(&out);
    buf_deinit(&error);
    return status;
}

static void test_sends(void **state) {
    static const struct {
        const char *text, *id, *expected;
    } rows[] = {
        {"{\"data\":1.50}", "", "{\"data\":1.50}"},
        {" { \"data\" : [1, 2] } ", "", "{\"data\" : [1, 2] }"},
        {"{\"data\":\"x\"}", "k", "{\"id\":\"k\",\"data\":\"x\"}"},
        {"{\"data\":\"x\"}", "a\"b", "{\"id\":\"a\\\"b\",\"data\":\"x\"}"},
        {"{\"data\":\"x\",\"ID\":\"k\"}", "k", "{\"data\":\"x\",\"ID\":\"k\"}"},
        {"{\"data\":0,\"name\":[\"a\",\"b\"],\"group\":\"g\",\"client_id\":null}", "",
         "{\"data\":0,\"name\":[\"a\",\"b\"],\"group\":\"g\",\"client_id\":null}"},
        {"\xef\xbb\xbf {\"data\":1}", "k", "{\"id\":\"k\",\"data\":1}"},
        /* nothing to do */
        {"{\"data\":null}", "", ""},
        {"{\"data\":1,\"clientId\":[]}", "k", ""},
        {"{\"op\":\"send\",\"data\":\"x\",\"binary\":true}", "",
         "{\"op\":\"send\",\"data\":\"x\",\"binary\":true}"},
        {"{\"data\":\"\\u00e4234567890\"}", "", NULL},
        {"{\"data\":\"\\u00e423456789\"}", "", "{\"data\":\"\\u00e423456789\"}"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        int status = check(PUBLIC_OP_SEND, rows[i].text, rows[i].id, rows[i].expected);
        assert_int_equal(status, rows[i].expected != NULL ? 0 : 413);
    }
}

static void test_closes(void **state) {
    static const struct {
        const char *text, *id, *expected;
    } rows[] = {
        {"{}", "", "{\"op\":\"close\"}"},
        {"{}", "k", "{\"op\":\"close\",\"id\":\"k\"}"},
        {"{\"name\":\"N\"}", "", "{\"op\":\"close\",\"name\":\"N\"}"},
        {"{\"op\":\"close\",\"code\":1001}", "", "{\"op\":\"close\",\"code\":1001}"},
        {"{\"code\":4999,\"reason\":\"x\"}", "",
         "{\"op\":\"close\",\"code\":4999,\"reason\":\"x\"}"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_int_equal(check(PUBLIC_OP_CLOSE, rows[i].text, rows[i].id, rows[i].expected), 0);
}

static void test_mistakes(void **state) {
    static const char *const sends[] = {
        "",
        "{",
        "[]",
        "\"x\"",
        "null",
        "{\"name\":\"N\"}",
        "{\"data\":1,\"name\":7}",
        "{\"data\":1,\"name\":[7]}",
        "{\"data\":1,\"group\":{}}",
        "{\"data\":1,\"clientId\":true}",
        "{\"data\":1,\"binary\":1}",
        "{\"data\":1,\"id\":1}",
        "{\"data\":1,\"op\":\"close\"}",
        "{\"data\":1,\"id\":\"other\"}",
        "{\"data\":1,\"id\":null}",
        "{\"data\":1,\"id\":\"\"}",
        "{\"data\":1,\"op\":null}",
        "{\"data\":1,\"client\":\"c\"}",
        "{\"data\":1,\"names\":\"c\"}",
        "{\"data\":1,\"clientId\":\"c\",\"client_id\":\"c\"}",
    };
    static const char *const closes[] = {
        "{\"code\":999}",     "{\"code\":1005}", "{\"code\":5000}",   "{\"code\":\"1000\"}",
        "{\"code\":1e3}",     "{\"reason\":1}",  "{\"op\":\"send\"}", "{\"op\":null}",
        "{\"client\":\"c\"}", "{\"data\":1}"};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(sends); i++)
        assert_int_equal(check(PUBLIC_OP_SEND, sends[i], "k", ""), 400);
    for (size_t i = 0; i < ARRAY_LEN(closes); i++)
        assert_int_equal(check(PUBLIC_OP_CLOSE, closes[i], "", ""), 400);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_sends), cmocka_unit_test(test_closes),
                                       cmocka_unit_test(test_mistakes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
