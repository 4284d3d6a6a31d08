/* test_public_message.c - what the public entrances accept, and the form in both directions. */
#include "common/send/public_message.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { MAX_BYTES = 20, ADMIT_BYTES = 10 };

static struct public_message m;
static char why[300];

static enum public_fault read_as(enum public_op op, const char *text) {
    struct buf error = {0};
    public_message_deinit(&m);
    enum public_fault fault = public_message_read(&m, bytes_str(text), op,
                                                  &(struct public_limits){MAX_BYTES, NULL}, &error);
    snprintf(why, sizeof(why), "%.*s", (int)error.len, error.ptr != NULL ? error.ptr : "");
    assert_int_equal(fault == PUBLIC_FINE, error.len == 0);
    buf_deinit(&error);
    return fault;
}

static bool read_text(const char *text) {
    return read_as(PUBLIC_OP_SEND, text) == PUBLIC_FINE;
}

static int teardown(void **state) {
    (void)state;
    public_message_deinit(&m);
    m = (struct public_message){0};
    return 0;
}

static void a_send(void **state) {
    (void)state;
    assert_true(read_text(
        "{\"name\":\"Msg\",\"group\":[\"a\",\"b\"],\"client_id\":\"c\",\"data\":\"hi\"}"));
    assert_int_equal(m.op, PUBLIC_OP_SEND);
    assert_int_equal(m.names.count, 1);
    assert_int_equal(m.groups.count, 2);
    assert_int_equal(m.clients.count, 1);
    assert_false(m.is_binary || m.is_json || m.is_nothing || m.has_op || m.has_id);
    assert_true(bytes_equal_str(buf_bytes(&m.data), "hi"));
}

static void data_is_verbatim_or_compact(void **state) {
    (void)state;
    assert_true(read_text("{\"data\": {\"b\": 1.0, \"a\": [ ]}}"));
    assert_true(bytes_equal_str(buf_bytes(&m.data), "{\"b\":1.0,\"a\":[]}"));
    assert_true(m.is_json && !m.is_binary);
    assert_true(read_text("\xef\xbb\xbf{\"data\":\"x\",\"binary\":true,\"id\":\"k\"}"));
    assert_true(m.is_binary && !m.is_json && m.has_id && !m.is_uncompressed);
    assert_true(read_text("{\"data\":\"x\",\"Compress\":false,\"id\":\"k\"}"));
    assert_true(m.is_uncompressed && !m.is_binary);
    assert_int_equal(public_message_delivery(&m, 0).flags, FLAG_UNCOMPRESSED);
    assert_true(read_text("{\"data\":\"x\",\"compress\":true,\"id\":\"k\"}") && !m.is_uncompressed);
    assert_true(read_text("{\"data\":\"x\",\"compress\":null,\"id\":\"k\"}") && !m.is_uncompressed);
    assert_true(bytes_equal_str(buf_bytes(&m.id), "k"));
}

static void changes_of_groups(void **state) {
    static const struct {
        const char *text;
        enum public_op op;
        int64_t code;
    } cases[] = {{"{\"op\":\"Join\",\"name\":\"N\",\"clientId\":\"a\",\"group\":[\"g\",\"h\"]}",
                  PUBLIC_OP_JOIN, GROUPS_JOIN},
                 {"{\"op\":\"leave\",\"name\":[\"N\"],\"client_id\":\"a\",\"group\":[\"g\",\"h\"]}",
                  PUBLIC_OP_LEAVE, GROUPS_LEAVE}};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct buf again = {0};
        assert_true(read_text(cases[i].text));
        struct delivery d = public_message_delivery(&m, 0);
        assert_int_equal(m.op, cases[i].op);
        assert_int_equal(d.kind, MESSAGE_GROUPS);
        assert_int_equal(d.code, cases[i].code);
        assert_int_equal(d.groups.count, 2);
        public_message_write(&again, &d);
        buf_append_char(&again, '\0');
        assert_true(read_text(again.ptr));
        assert_int_equal(m.op, cases[i].op);
        assert_int_equal(m.groups.count, 2);
        buf_deinit(&again);
    }
    assert_true(read_text("{\"op\":\"join\",\"name\":\"N\",\"clientId\":\"a\",\"group\":[]}"));
    assert_true(m.is_nothing);
}

/* Correct, and nothing to do. */
static void nothing(void **state) {
    static const char *const nothing[] = {
        "{\"data\":\"\"}",
        "{\"data\":null}",
        "{\"data\":[]}",
        "{\"data\":{}}",
        "{\"data\":1,\"clientId\":[]}",
        "{\"data\":1,\"group\":[\"\"],\"name\":\"N\"}",
        "{\"data\":1,\"name\":[null]}",
        "{\"op\":\"close\",\"clientId\":[]}",
        "{\"op\":\"close\",\"name\":\"N\",\"group\":[]}",
    };
    static const char *const something[] = {
        "{\"data\":1,\"clientId\":\"\"}",
        "{\"data\":1,\"clientId\":null,\"group\":null,\"name\":null}",
        "{\"data\":0}",
        "{\"data\":false}",
        "{\"op\":\"close\"}",
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(nothing); i++) {
        assert_true(read_text(nothing[i]));
        assert_true(m.is_nothing);
    }
    for (size_t i = 0; i < ARRAY_LEN(something); i++) {
        assert_true(read_text(something[i]));
        assert_false(m.is_nothing);
    }
}

static void a_close(void **state) {
    (void)state;
    assert_true(read_text("{\"op\":\"close\",\"name\":\"Msg\",\"code\":4000,\"reason\":\"bye\"}"));
    assert_int_equal(m.op, PUBLIC_OP_CLOSE);
    assert_int_equal(m.code, 4000);
    assert_true(bytes_equal_str(buf_bytes(&m.data), "bye"));
    assert_true(read_text("{\"OP\":\"Close\"}"));
    assert_int_equal(m.code, 1000);
    assert_int_equal(read_as(PUBLIC_OP_CLOSE, "{}"), PUBLIC_FINE);
    assert_int_equal(m.op, PUBLIC_OP_CLOSE);
}

static void refusals_say_why(void **state) {
    static const struct {
        const char *text, *why;
    } rows[] = {
        {"hello", "no JSON: a value was expected, at byte 1"},
        {"[1]", "it must be a JSON object"},
        {"{\"name\":\"Msg\"}", "data: is missing"},
        {"{\"name\":{},\"data\":1}", "name: must be a string or a list of strings"},
        {"{\"clientId\":[\"a\",1],\"data\":1}", "clientId: must be a string or a list of strings"},
        {"{\"id\":[\"a\",\"b\"],\"data\":1}", "id: must be one string"},
        {"{\"op\":\"dance\",\"data\":1}", "op: must be \"send\", \"close\", \"join\" or \"leave\""},
        {"{\"op\":null,\"data\":1}", "op: must be \"send\", \"close\", \"join\" or \"leave\""},
        {"{\"op\":\"send\",\"op\":\"close\",\"data\":1}", "op: is given twice"},
        {"{\"op\":\"join\",\"name\":\"N\",\"clientId\":\"a\"}", "group: is missing"},
        {"{\"op\":\"leave\",\"name\":\"N\",\"group\":\"g\"}", "clientId: must be one string"},
        {"{\"op\":\"join\",\"name\":[\"N\",\"M\"],\"clientId\":\"a\",\"group\":\"g\"}",
         "name: must be one string"},
        {"{\"op\":\"join\",\"name\":\"N\",\"clientId\":\"a\",\"group\":\"g\",\"data\":1}",
         "unknown key \"data\"; known are name, group, clientId, id, op"},
        {"{\"data\":\"longer than twenty bytes\"}",
         "data: has 24 bytes, more than 20 (--max-message-bytes)"},
        {"{\"data\":1,\"binary\":1}", "binary: must be true or false"},
        {"{\"data\":1,\"compress\":\"no\"}", "compress: must be true or false"},
        {"{\"op\":\"close\",\"compress\":false}",
         "unknown key \"compress\"; known are name, group, clientId, code, reason, id, op"},
        {"{\"data\":\"\\ud83d\"}",
         "data: the escape at byte 10 is half of a character, which has no UTF-8"},
        {"{\"data\":1,\"receipt\":\"a b\"}", "receipt: must be letters, digits and dashes"},
        {"{\"op\":\"close\",\"code\":1006}", "code: must be 1000, 1001, or 3000 to 4999"},
        {"{\"op\":\"close\",\"code\":\"1000\"}", "code: must be 1000, 1001, or 3000 to 4999"},
        {"{\"op\":\"close\",\"code\":1e3}", "code: must be 1000, 1001, or 3000 to 4999"},
        {"{\"op\":\"close\",\"code\":18446744073709552616}",
         "code: must be 1000, 1001, or 3000 to 4999"},
        {"{\"op\":\"close\",\"reason\":1}", "reason: must be one string"},
        {"{\"data\":1,\"code\":1000}",
         "unknown key \"code\"; known are name, group, clientId, data, binary, compress, id, op"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        assert_false(read_text(rows[i].text));
        assert_string_equal(why, rows[i].why);
    }
    assert_int_equal(read_as(PUBLIC_OP_SEND, "{\"data\":\"longer than twenty bytes\"}"),
                     PUBLIC_TOO_BIG);
}

/* For each Name the data and the address are stored once. */
static void many_names_of_much_data(void **state) {
    struct buf text = {0}, error = {0};
    (void)state;
    for (int more = 0; more < 2; more++) {
        buf_clear(&text);
        buf_append_str(&text, "{\"name\":[");
        for (int i = 0; i < 256; i++)
            buf_printf(&text, "%s\"N%d\"", i > 0 ? "," : "", i);
        buf_append_str(&text, "],\"data\":\"");
        for (int i = 0; i < 128 * 1024 + more; i++)
            buf_append_char(&text, 'x');
        buf_append_str(&text, "\"}");
        public_message_deinit(&m);
        enum public_fault fault = public_message_read(
            &m, buf_bytes(&text), PUBLIC_OP_SEND, &(struct public_limits){SIZE_MAX, NULL}, &error);
        assert_int_equal(fault, more ? PUBLIC_TOO_BIG : PUBLIC_FINE);
    }
    assert_true(bytes_equal_str(buf_bytes(&error), "name: 256 Names times 131073 bytes are more "
                                                   "than 33554432 bytes"));
    buf_deinit(&text);
    buf_deinit(&error);
}

/* What has a place within a value goes on in it. */
static void what_json_can_say(void **state) {
    static const char *const rows[] = {"[\"\\ud83d\"]", "1e400", "{\"a\":1,\"a\":2}",
                                       "\"\\u0000\""};
    static const char *const data[] = {"[\"\\ud83d\"]", "1e400", "{\"a\":1,\"a\":2}", "\0"};
    char text[60];
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        snprintf(text, sizeof(text), "{\"data\":%s}", rows[i]);
        assert_true(read_text(text));
        assert_memory_equal(m.data.ptr, data[i], m.data.len);
    }
}

/* --- requests of the HTTP API --- */

static int admit(enum public_op op, const char *text, const char *id, const char *expected) {
    struct buf out = {0}, error = {0};
    int status = public_message_admit(op, bytes_str(text), bytes_str(id),
                                      &(struct public_limits){ADMIT_BYTES, NULL}, &out, &error);
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

static void sends_are_admitted(void **state) {
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
        int status = admit(PUBLIC_OP_SEND, rows[i].text, rows[i].id, rows[i].expected);
        assert_int_equal(status, rows[i].expected != NULL ? 0 : 413);
    }
}

static void closes_are_admitted(void **state) {
    static const struct {
        const char *text, *id, *expected;
    } rows[] = {
        {"{}", "", "{\"op\":\"close\"}"},
        {"{}", "k", "{\"op\":\"close\",\"id\":\"k\"}"},
        {"\r\n{\n}", "", "{\"op\":\"close\"}"},
        {"{ \r\n\t }\n", "k", "{\"op\":\"close\",\"id\":\"k\"}\n"},
        {"{\"name\":\"N\"}", "", "{\"op\":\"close\",\"name\":\"N\"}"},
        {"{\"op\":\"close\",\"code\":1001}", "", "{\"op\":\"close\",\"code\":1001}"},
        {"{\"code\":4999,\"reason\":\"x\"}", "",
         "{\"op\":\"close\",\"code\":4999,\"reason\":\"x\"}"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_int_equal(admit(PUBLIC_OP_CLOSE, rows[i].text, rows[i].id, rows[i].expected), 0);
}

static void mistakes_are_not_admitted(void **state) {
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
        assert_int_equal(admit(PUBLIC_OP_SEND, sends[i], "k", ""), 400);
    for (size_t i = 0; i < ARRAY_LEN(closes); i++)
        assert_int_equal(admit(PUBLIC_OP_CLOSE, closes[i], "", ""), 400);
}

/* --- writing --- */

static const struct bytes two[] = {{"a\"b", 3}, {"c", 1}};

static void assert_same_list(struct bytes_list got, struct bytes_list want) {
    assert_int_equal(bytes_list_is_given(got), bytes_list_is_given(want));
    assert_int_equal(got.count, want.count);
    for (size_t i = 0; i < got.count; i++)
        assert_true(bytes_equal(got.items[i], want.items[i]));
}

static void what_is_written_is_read_as_the_same(void **state) {
    static const struct {
        struct delivery d;
        const char *text;
        size_t before_data;
    } rows[] = {
        {{.kind = MESSAGE_DATA, .data = {"x\n", 2}}, "{\"data\":\"x\\n\"}", 8},
        {{.kind = MESSAGE_DATA, .names = {two, 1}, .data = {"", 0}},
         "{\"name\":\"a\\\"b\",\"data\":\"\"}",
         22},
        {{.kind = MESSAGE_DATA,
          .names = {two, 2},
          .groups = {two, 1},
          .clients = {two, 2},
          .from = {"tok-1", 5},
          .once = {"key", 3},
          .flags = FLAG_JSON | FLAG_BINARY | FLAG_RECEIPT | FLAG_UNCOMPRESSED,
          .data = {"[1,2]", 5}},
         "{\"receipt\":\"tok-1\",\"name\":[\"a\\\"b\",\"c\"],\"group\":[\"a\\\"b\"],"
         "\"clientId\":[\"a\\\"b\",\"c\"],\"id\":\"key\",\"binary\":true,\"compress\":false,"
         "\"data\":[1,2]}",
         129},
        {{.kind = MESSAGE_DATA, .groups = {two, 0}, .data = {"x", 1}},
         "{\"group\":[],\"data\":\"x\"}",
         19},
        {{.kind = MESSAGE_CLOSE, .clients = {two, 1}, .code = 4999, .data = {"why", 3}},
         "{\"op\":\"close\",\"clientId\":[\"a\\\"b\"],\"code\":4999,\"reason\":\"why\"}",
         55},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct delivery *d = &rows[i].d;
        struct buf text = {0};
        size_t before_data = public_message_write(&text, d);
        buf_append_char(&text, '\0');
        assert_string_equal(text.ptr, rows[i].text);
        assert_true(read_text(text.ptr));
        assert_int_equal(before_data, rows[i].before_data);
        struct delivery got = public_message_delivery(&m, 7);
        assert_int_equal(got.kind, d->kind);
        assert_int_equal(got.ts_ms, 7);
        assert_int_equal(got.flags, d->flags);
        assert_int_equal(got.code, d->code);
        assert_same_list(got.names, d->names);
        assert_same_list(got.groups, d->groups);
        assert_same_list(got.clients, d->clients);
        assert_true(bytes_equal(got.from, d->from) && bytes_equal(got.once, d->once));
        assert_true(bytes_equal(got.data, d->data));
        buf_deinit(&text);
    }
}

/* A text of so many letters in the middle of another. */
static const char *with_letters(const char *format, int count) {
    static char text[4000], letters[2000];
    memset(letters, 'k', (size_t)count);
    letters[count] = '\0';
    snprintf(text, sizeof(text), format, letters);
    return text;
}

static void texts_have_bounds(void **state) {
    static const struct {
        const char *format;
        int most;
        const char *why; /* of one more */
    } rows[] = {
        {"{\"data\":1,\"id\":\"%s\"}", PUBLIC_ID_MAX, "id: has more than 256 bytes"},
        {"{\"data\":1,\"receipt\":\"%s\"}", 64, "receipt: has more than 64 bytes"},
        {"{\"op\":\"close\",\"reason\":\"%s\"}", 123, "reason: has more than 123 bytes"},
        {"{\"data\":1,\"name\":\"%s\"}", 1024, "name: has more than 1024 bytes"},
        {"{\"data\":1,\"group\":[\"a\",\"%s\"]}", 1024, "group: has more than 1024 bytes"},
        {"{\"data\":\"%s\"}", MAX_BYTES, "data: has 21 bytes, more than 20 (--max-message-bytes)"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        assert_true(read_text(with_letters(rows[i].format, rows[i].most)));
        assert_false(read_text(with_letters(rows[i].format, rows[i].most + 1)));
        assert_string_equal(why, rows[i].why);
    }
}

/* What a message becomes: one letter makes a receipt, and every kind of data its flag. */
static void what_a_message_becomes(void **state) {
    static const struct {
        const char *text;
        unsigned flags;
        const char *from;
    } rows[] = {
        {"{\"data\":\"x\"}", 0, ""},
        {"{\"data\":\"x\",\"binary\":false}", 0, ""},
        {"{\"data\":\"x\",\"binary\":null}", 0, ""},
        {"{\"data\":\"x\",\"binary\":true}", FLAG_BINARY, ""},
        {"{\"data\":7}", FLAG_JSON, ""},
        {"{\"data\":true}", FLAG_JSON, ""},
        {"{\"data\":[1]}", FLAG_JSON, ""},
        {"{\"data\":{\"a\":1},\"binary\":true}", FLAG_JSON | FLAG_BINARY, ""},
        {"{\"data\":\"x\",\"receipt\":\"\"}", 0, ""},
        {"{\"data\":\"x\",\"receipt\":\"r\"}", FLAG_RECEIPT, "r"},
        {"{\"data\":7,\"receipt\":\"R-9\"}", FLAG_RECEIPT | FLAG_JSON, "R-9"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        assert_true(read_text(rows[i].text));
        struct delivery d = public_message_delivery(&m, 5);
        assert_int_equal(d.flags, rows[i].flags);
        assert_true(bytes_equal_str(d.from, rows[i].from));
        assert_int_equal(d.ts_ms, 5);
        assert_int_equal(d.kind, MESSAGE_DATA);
    }
    assert_false(read_text("{\"data\":1,\"receipt\":\"a_b\"}"));
    assert_false(read_text("{\"op\":\"close\",\"code\":2147483648}"));
    assert_false(read_text("{\"op\":\"close\",\"code\":4294968296}")); /* 1000 in 32 bits */
    assert_false(read_text("{\"op\":\"close\",\"code\":-1000}"));
}

/* The key of the head and the key of the body. */
static void two_idempotency_keys(void **state) {
    static const struct {
        const char *text, *id;
        int status;
        const char *out;
    } rows[] = {
        {"{\"data\":1}", "", 0, "{\"data\":1}"},
        {"{\"data\":1}", "k", 0, "{\"id\":\"k\",\"data\":1}"},
        {"{\"data\":1,\"id\":\"k\"}", "", 0, "{\"data\":1,\"id\":\"k\"}"},
        {"{\"data\":1,\"id\":\"k\"}", "k", 0, "{\"data\":1,\"id\":\"k\"}"},
        {"{\"data\":1,\"id\":\"k\"}", "l", 400, ""},
        {"{\"data\":1,\"id\":\"\"}", "l", 400, ""},
        {"{\"data\":\"12345678901\"}", "", 413, ""},
        {"{\"data\":\"\"}", "k", 0, ""},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct buf out = {0}, error = {0};
        const struct public_limits limits = {ADMIT_BYTES, NULL};
        assert_int_equal(public_message_admit(PUBLIC_OP_SEND, bytes_str(rows[i].text),
                                              bytes_str(rows[i].id), &limits, &out, &error),
                         rows[i].status);
        assert_true(bytes_equal_str(buf_bytes(&out), rows[i].out));
        assert_int_equal(error.len > 0, rows[i].status != 0);
        buf_deinit(&out);
        buf_deinit(&error);
    }
}

int main(void) {
#define TEST(fn) cmocka_unit_test_teardown(fn, teardown)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(texts_have_bounds, teardown),
        cmocka_unit_test_teardown(what_a_message_becomes, teardown),
        cmocka_unit_test_teardown(two_idempotency_keys, teardown),
        TEST(a_send),
        TEST(data_is_verbatim_or_compact),
        TEST(changes_of_groups),
        TEST(nothing),
        TEST(a_close),
        TEST(refusals_say_why),
        TEST(many_names_of_much_data),
        TEST(what_json_can_say),
        TEST(sends_are_admitted),
        TEST(closes_are_admitted),
        TEST(mistakes_are_not_admitted),
        TEST(what_is_written_is_read_as_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
