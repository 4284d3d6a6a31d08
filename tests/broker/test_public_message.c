/* What the public entrances accept. */
#include "broker/public_message.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

static struct public_message m;
static char why[200];

static bool read_text(const char *text) {
    struct buf error = {0};
    public_message_deinit(&m);
    bool is_good = public_message_init(&m, bytes_str(text), 5, 20, &error);
    snprintf(why, sizeof(why), "%.*s", (int)error.len, error.ptr != NULL ? error.ptr : "");
    buf_deinit(&error);
    return is_good;
}

static int teardown(void **state) {
    (void)state;
    public_message_deinit(&m);
    m = (struct public_message){0};
    return 0;
}

static void a_send(void **state) {
    (void)state;
    assert_true(
        read_text("{\"name\":\"Msg\",\"group\":[\"a\",\"b\"],\"clientId\":1,\"data\":\"hi\"}"));
    assert_int_equal(m.delivery.kind, MESSAGE_DATA);
    assert_int_equal(m.delivery.names.count, 1);
    assert_int_equal(m.delivery.groups.count, 2);
    assert_int_equal(m.delivery.clients.count, 1);
    assert_int_equal(m.delivery.flags, 0);
    assert_true(bytes_equal_str(m.delivery.data, "hi"));
    assert_int_equal(m.delivery.ts_ms, 5);
}

static void data_is_verbatim_or_compact(void **state) {
    (void)state;
    assert_true(read_text("{\"data\": {\"b\": 1.0, \"a\": [ ]}}"));
    assert_true(bytes_equal_str(m.delivery.data, "{\"b\":1.0,\"a\":[]}"));
    assert_int_equal(m.delivery.flags, FLAG_JSON);
    assert_true(read_text("{\"data\":\"x\",\"binary\":true,\"id\":\"k\"}"));
    assert_int_equal(m.delivery.flags, FLAG_BINARY);
    assert_true(bytes_equal_str(m.delivery.once, "k"));
}

static void empty_data_is_nothing(void **state) {
    static const char *const empty[] = {"\"\"", "null", "[]", "{}"};
    char text[40];
    (void)state;
    for (size_t i = 0; i < 4; i++) {
        snprintf(text, sizeof(text), "{\"data\":%s}", empty[i]);
        assert_true(read_text(text));
        assert_true(m.is_nothing);
    }
}

static void a_close(void **state) {
    (void)state;
    assert_true(read_text("{\"op\":\"close\",\"name\":\"Msg\",\"code\":4000,\"reason\":\"bye\"}"));
    assert_int_equal(m.delivery.kind, MESSAGE_CLOSE);
    assert_int_equal(m.delivery.code, 4000);
    assert_true(bytes_equal_str(m.delivery.data, "bye"));
    assert_true(read_text("{\"op\":\"close\"}"));
    assert_int_equal(m.delivery.code, 1000);
    assert_false(read_text("{\"op\":\"close\",\"code\":1006}"));
    assert_false(read_text("{\"op\":\"close\",\"code\":\"x\"}"));
}

static void refusals_say_why(void **state) {
    (void)state;
    assert_false(read_text("hello"));
    assert_false(read_text("[1]"));
    assert_string_equal(why, "it must be a JSON object");
    assert_false(read_text("{\"name\":\"Msg\"}"));
    assert_string_equal(why, "data is missing");
    assert_false(read_text("{\"name\":{},\"data\":1}"));
    assert_string_equal(why, "name must be a text or a list of texts");
    assert_false(read_text("{\"id\":[\"a\",\"b\"],\"data\":1}"));
    assert_string_equal(why, "id must be one text");
    assert_false(read_text("{\"op\":\"dance\",\"data\":1}"));
    assert_string_equal(why, "op must be \"send\" or \"close\"");
    assert_false(read_text("{\"data\":\"longer than twenty bytes\"}"));
    assert_string_equal(why, "data is larger than --max-message-bytes");
}

int main(void) {
#define TEST(fn) cmocka_unit_test_teardown(fn, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_send),
        TEST(data_is_verbatim_or_compact),
        TEST(empty_data_is_nothing),
        TEST(a_close),
        TEST(refusals_say_why),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
