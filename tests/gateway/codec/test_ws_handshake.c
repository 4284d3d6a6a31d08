/* test_ws_handshake.c - who asks for a WebSocket, who is refused with what, and the exact lines of
 * the 101. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/http/http_head.h"
#include "gateway/codec/ws_handshake.h"

#define GET    "GET /chat HTTP/1.1\r\nHost: a\r\n"
#define UP     "Upgrade: websocket\r\n"
#define CONN   "Connection: Upgrade\r\n"
#define SAMPLE "dGhlIHNhbXBsZSBub25jZQ=="
#define KEY    "Sec-WebSocket-Key: " SAMPLE "\r\n"
#define V13    "Sec-WebSocket-Version: 13\r\n"

static struct http_head head;

static void parse(const char *text) {
    int status;
    const char *reason = NULL;
    if (http_head_parse(bytes_str(text), 16384, &head, &status, &reason) != PARSE_OK)
        fail_msg("%s: %s", text, reason);
}

static void test_check(void **state) {
    (void)state;
    static const struct {
        int status;
        bool is_request;
        const char *head;
    } cases[] = {
        {0, true, GET UP CONN KEY V13 "\r\n"},
        {0, true,
         GET "Upgrade: h2c, WebSocket\r\nConnection: keep-alive, upgrade\r\n" KEY V13 "\r\n"},
        {0, true, GET UP CONN "Sec-WebSocket-Key:   " SAMPLE " \t\r\n" V13 "\r\n"},
        {0, true, GET UP CONN "Sec-WebSocket-Key: +/zzzzzzzzzzzzzzzzzzzz==\r\n" V13 "\r\n"},
        {405, true, "POST /chat HTTP/1.1\r\nHost: a\r\n" UP CONN KEY V13 "\r\n"},
        {405, true, "get /chat HTTP/1.1\r\nHost: a\r\n" UP CONN KEY V13 "\r\n"},
        {412, true, GET UP CONN V13 "\r\n"},
        {412, false, GET "\r\n"},
        {412, false, GET "Upgrade: h2c\r\n\r\n"},
        {400, true, GET UP CONN "Sec-WebSocket-Key:\r\n" V13 "\r\n"},
        {400, true, GET UP CONN "Sec-WebSocket-Key: short\r\n" V13 "\r\n"},
        {400, true, GET UP CONN "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=\r\n" V13 "\r\n"},
        {400, true, GET UP CONN "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZTE=\r\n" V13 "\r\n"},
        {400, true, GET UP CONN "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZTEy\r\n" V13 "\r\n"},
        {400, true, GET UP CONN "Sec-WebSocket-Key: dGhlIHNhbXB=ZSBub25jZQ==\r\n" V13 "\r\n"},
        {400, true, GET UP CONN "Sec-WebSocket-Key: dGhlIHNhbXB-ZSBub25jZQ==\r\n" V13 "\r\n"},
        {400, true, GET UP CONN "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==x\r\n" V13 "\r\n"},
        {400, true, GET UP CONN KEY KEY V13 "\r\n"},
        {426, true, "GET /chat HTTP/1.0\r\n" UP CONN KEY V13 "\r\n"},
        {426, true, GET CONN KEY V13 "\r\n"},
        {426, true, GET "Upgrade: websockets\r\n" CONN KEY V13 "\r\n"},
        {426, true, GET UP KEY V13 "\r\n"},
        {426, true, GET UP "Connection: keep-alive\r\n" KEY V13 "\r\n"},
        {426, true, GET UP CONN KEY "\r\n"},
        {426, true, GET UP CONN KEY "Sec-WebSocket-Version: 8\r\n\r\n"},
        {426, true, GET UP CONN KEY "Sec-WebSocket-Version: 013\r\n\r\n"},
        {426, true, GET UP CONN KEY "Sec-WebSocket-Version: 13, 8\r\n\r\n"},
        {426, true, GET UP CONN KEY V13 "Sec-WebSocket-Version: 8\r\n\r\n"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct bytes key;
        const char *reason;
        parse(cases[i].head);
        int status = ws_handshake_check(&head, &key, &reason);
        if (status != cases[i].status || ws_handshake_is_request(&head) != cases[i].is_request)
            fail_msg("%s: %d", cases[i].head, status);
        assert_int_equal(key.len, status == 0 ? 24 : 0);
        assert_int_equal(reason == NULL, status == 0);
    }
}

static void test_offers(void **state) {
    (void)state;
    parse(GET
          "Sec-WebSocket-Protocol: chat,, superChat ,v1.x\r\nsec-websocket-protocol: last\r\n\r\n");
    assert_true(ws_handshake_offers(&head, "chat"));
    assert_true(ws_handshake_offers(&head, "superChat"));
    assert_true(ws_handshake_offers(&head, "v1.x"));
    assert_true(ws_handshake_offers(&head, "last"));
    assert_false(ws_handshake_offers(&head, "Chat"));
    assert_false(ws_handshake_offers(&head, "superchat"));
    assert_false(ws_handshake_offers(&head, ""));
    parse(GET "\r\n");
    assert_false(ws_handshake_offers(&head, "chat"));
}

static const char short_reply[] = "HTTP/1.1 101 Switching Protocols\r\n"
                                  "Upgrade: websocket\r\n"
                                  "Connection: Upgrade\r\n"
                                  "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
                                  "X-PODE-SIGNAL-CLIENT-ID: id\r\n"
                                  "X-PODE-SIGNAL-NAME: /chat\r\n"
                                  "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
                                  "Server: Signalbox\r\n"
                                  "\r\n";

static const char long_reply[] = "HTTP/1.1 101 Switching Protocols\r\n"
                                 "Upgrade: websocket\r\n"
                                 "Connection: Upgrade\r\n"
                                 "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
                                 "X-PODE-SIGNAL-CLIENT-ID: id\r\n"
                                 "X-PODE-SIGNAL-NAME: /chat\r\n"
                                 "X-PODE-SIGNAL-GROUP:  g \r\n"
                                 "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
                                 "Server: Signalbox\r\n"
                                 "Sec-WebSocket-Protocol: chat\r\n"
                                 "Sec-WebSocket-Extensions: permessage-deflate\r\n"
                                 "Set-Cookie: a=b\r\n"
                                 "X-Other: c\r\n"
                                 "\r\n";

static struct ws_reply_fields plain_fields(void) {
    return (struct ws_reply_fields){
        .client_id = BYTES_LIT("id"), .name = BYTES_LIT("/chat"), .now = 784111777};
}

static void expect_reply(const struct ws_reply_fields *fields, const char *want) {
    struct buf out = {0};
    assert_true(ws_handshake_reply(&out, BYTES_LIT("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), fields));
    buf_append_char(&out, '\0');
    assert_string_equal(out.ptr, want);
    buf_deinit(&out);
}

static void test_reply(void **state) {
    (void)state;
    struct ws_reply_fields fields = plain_fields();
    expect_reply(&fields, short_reply);
    fields.group = BYTES_LIT(" \t ");
    expect_reply(&fields, short_reply);
    fields.group = BYTES_LIT(" g ");
    fields.subprotocol = BYTES_LIT("chat");
    fields.extensions = BYTES_LIT("permessage-deflate");
    fields.extra = BYTES_LIT("Set-Cookie: a=b\r\nX-Other: c\r\n");
    expect_reply(&fields, long_reply);
}

static void refuses(struct ws_reply_fields fields) {
    struct buf out = {0};
    buf_append_str(&out, "before");
    assert_false(ws_handshake_reply(&out, BYTES_LIT("accept"), &fields));
    assert_true(bytes_equal_str(buf_bytes(&out), "before"));
    buf_deinit(&out);
}

static void test_reply_refuses_line_breaks(void **state) {
    (void)state;
    static const struct bytes evil[] = {{"a\rb", 3}, {"a\nb", 3}, {"a\0b", 3}, {"a\r\nX: y", 7}};
    for (size_t i = 0; i < ARRAY_LEN(evil); i++) {
        struct ws_reply_fields fields = plain_fields();
        fields.client_id = evil[i];
        refuses(fields);
        fields = plain_fields();
        fields.name = evil[i];
        refuses(fields);
        fields = plain_fields();
        fields.group = evil[i];
        refuses(fields);
        fields = plain_fields();
        fields.subprotocol = evil[i];
        refuses(fields);
        fields = plain_fields();
        fields.extensions = evil[i];
        refuses(fields);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_check),
        cmocka_unit_test(test_offers),
        cmocka_unit_test(test_reply),
        cmocka_unit_test(test_reply_refuses_line_breaks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
