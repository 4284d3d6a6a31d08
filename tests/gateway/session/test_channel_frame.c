/* test_channel_frame.c - what a client may say on a shared WebSocket, and what a message is without
 * its channel. */
#include "gateway/session/channel_frame.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static bool read(const char *text, struct channel_frame *f, struct buf *error) {
    buf_clear(error);
    return channel_frame_read(bytes_str(text), f, error);
}

static void assert_text(struct bytes is, const char *expected) {
    if (!bytes_equal_str(is, expected))
        fail_msg("%.*s is not %s", BYTES_FMT(is), expected);
}

static void kinds_and_their_fields(void **state) {
    static const struct {
        const char *text;
        enum channel_frame_kind kind;
        uint64_t channel;
        const char *ref;
    } cases[] = {
        {"{\"type\":\"open\",\"ref\":1,\"path\":\"/\"}", CHANNEL_OPEN, 0, "1"},
        {"{\"ref\":\"a\",\"path\":\"/x\",\"type\":\"open\",\"last\":0}", CHANNEL_OPEN, 0, "\"a\""},
        {"{\"type\":\"open\",\"ref\":-1.5e3,\"path\":\"/\",\"resume\":null,\"token\":null,"
         "\"last\":null,\"channel\":null}",
         CHANNEL_OPEN, 0, "-1.5e3"},
        {"{\"type\":\"close\",\"channel\":7}", CHANNEL_CLOSE, 7, ""},
        {"{\"type\":\"close\",\"ref\":\"r\"}", CHANNEL_CLOSE, 0, "\"r\""},
        {"{\"type\":\"close\",\"ref\":\"r\",\"channel\":18446744073709551615}", CHANNEL_CLOSE,
         UINT64_MAX, "\"r\""},
        {"{\"type\":\"token\",\"token\":\"t\"}", CHANNEL_TOKEN, 0, ""},
        {"{\"type\":\"ping\"}", CHANNEL_PING, 0, ""},
        {"{\"t\\u0079pe\":\"ping\"}", CHANNEL_PING, 0, ""},
        {"\xef\xbb\xbf {\"type\":\"ping\"} ", CHANNEL_PING, 0, ""},
        {"{\"type\":\"ping\",\"channel\":3}", CHANNEL_MESSAGE, 3, ""},
        {"{\"type\":\"move\",\"channel\":3,\"ref\":4}", CHANNEL_MESSAGE, 3, "4"},
        {"{\"type\":5,\"channel\":3}", CHANNEL_MESSAGE, 3, ""},
        {"{\"channel\":3,\"ref\":{}}", CHANNEL_MESSAGE, 3, ""}, /* the broker refuses it */
    };
    struct buf error = {0};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct channel_frame f;
        if (!read(cases[i].text, &f, &error))
            fail_msg("%s: %.*s", cases[i].text, BYTES_FMT(buf_bytes(&error)));
        assert_int_equal(f.kind, cases[i].kind);
        assert_int_equal(f.channel, cases[i].channel);
        assert_text(f.ref, cases[i].ref);
    }
    buf_deinit(&error);
}

static void refs_have_a_bound(void **state) {
    struct buf error = {0};
    (void)state;
    for (int over = 0; over <= 1; over++) {
        struct channel_frame f;
        char text[300];
        snprintf(text, sizeof(text), "{\"type\":\"close\",\"ref\":%0*d}", CHANNEL_REF_MAX + over,
                 0);
        memset(strstr(text, "00"), '1', (size_t)(CHANNEL_REF_MAX + over));
        assert_int_equal(read(text, &f, &error), !over);
        assert_int_equal(f.ref.len, over ? 0 : CHANNEL_REF_MAX);
    }
    buf_deinit(&error);
}

static void what_is_refused(void **state) {
    static const struct {
        const char *text, *why, *ref;
    } cases[] = {
        {"", "JSON", ""},
        {"[{}]", "object", ""},
        {"{}", "channel is missing", ""},
        {"{\"type\":\"hello\",\"ref\":2}", "channel is missing", "2"},
        {"{\"type\":\"open\",\"path\":\"/\"}", "ref is missing", ""},
        {"{\"type\":\"open\",\"ref\":true,\"path\":\"/\"}", "ref:", ""},
        {"{\"type\":\"open\",\"ref\":1}", "path must", "1"},
        {"{\"type\":\"open\",\"ref\":1,\"path\":null}", "path must", "1"},
        {"{\"type\":\"open\",\"ref\":1,\"path\":\"/\",\"resume\":1}", "resume:", "1"},
        {"{\"type\":\"open\",\"ref\":1,\"path\":\"/\",\"token\":1}", "token:", "1"},
        {"{\"type\":\"open\",\"ref\":1,\"path\":\"/\",\"last\":1.5}", "last:", "1"},
        {"{\"type\":\"open\",\"ref\":1,\"path\":\"/\",\"last\":\"1\"}", "last:", "1"},
        {"{\"type\":\"open\",\"ref\":1,\"path\":\"/\",\"x\":1}", "unknown", "1"},
        {"{\"type\":\"open\",\"ref\":1,\"path\":\"/\",\"channel\":1}", "channel:", "1"},
        {"{\"type\":\"open\",\"ref\":1,\"path\":\"/\",\"ref\":1}", "twice", "1"},
        {"{\"type\":\"close\"}", "missing", ""},
        {"{\"type\":\"close\",\"channel\":0,\"ref\":9}", "channel:", "9"},
        {"{\"type\":\"token\"}", "token:", ""},
        {"{\"type\":\"ping\",\"type\":\"ping\"}", "twice", ""},
        {"{\"channel\":1,\"channel\":1}", "twice", ""},
        {"{\"channel\":\"1\"}", "channel:", ""},
        {"{\"channel\":01}", "JSON", ""},
        {"{\"channel\":18446744073709551616}", "channel:", ""},
    };
    struct buf error = {0};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct channel_frame f;
        if (read(cases[i].text, &f, &error))
            fail_msg("%s is taken", cases[i].text);
        buf_append_char(&error, '\0');
        if (strstr(error.ptr, cases[i].why) == NULL)
            fail_msg("%s: %s, not %s", cases[i].text, error.ptr, cases[i].why);
        assert_text(f.ref, cases[i].ref);
    }
    buf_deinit(&error);
}

static void a_message_without_its_channel(void **state) {
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"{\"channel\":7}", "{}"},
        {"{\"channel\":7,\"a\":1}", "{\"a\":1}"},
        {"{\"a\":1,\"channel\":7}", "{\"a\":1}"},
        {"{\"a\":1,\"channel\":7,\"b\":2}", "{\"a\":1,\"b\":2}"},
        {" { \"channel\" : 7 , \"a\":1}", " {  \"a\":1}"},
        {"{\"a\":1 , \"channel\" : 7 }", "{\"a\":1  }"},
        {"{\"a\":{\"channel\":8},\"channel\":7}", "{\"a\":{\"channel\":8}}"},
        {"{\"a\":\",\",\"ch\\u0061nnel\":7}", "{\"a\":\",\"}"},
        {"\xef\xbb\xbf{\"channel\":7,\"a\":1}", "\xef\xbb\xbf{\"a\":1}"},
    };
    struct buf error = {0}, message = {0};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct channel_frame f;
        assert_true(read(cases[i].text, &f, &error));
        assert_int_equal(f.channel, 7);
        buf_clear(&message);
        channel_frame_message(bytes_str(cases[i].text), &f, &message);
        assert_text(buf_bytes(&message), cases[i].message);
    }
    buf_deinit(&message);
    buf_deinit(&error);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kinds_and_their_fields),
        cmocka_unit_test(refs_have_a_bound),
        cmocka_unit_test(what_is_refused),
        cmocka_unit_test(a_message_without_its_channel),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
