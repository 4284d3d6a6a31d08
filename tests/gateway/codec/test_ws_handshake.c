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

#define E         "Sec-WebSocket-Extensions: "
#define PMD       "permessage-deflate"
#define RESET     PMD "; server_no_context_takeover; client_no_context_takeover"
#define SERVER(n) "; server_max_window_bits=" n
#define CLIENT(n) "; client_max_window_bits=" n

static const struct {
    const char *lines;
    int window_bits; /* 0: nothing is agreed on */
    const char *answer;
} offers[] = {
    {"", 0, ""},
    {"X: permessage-deflate\r\n", 0, ""},
    {E "\r\n", 0, ""},
    {E PMD "\r\n", 15, RESET},
    {"sec-websocket-extensions:\t" PMD " \r\n", 15, RESET},
    {E "Permessage-Deflate\r\n", 0, ""},
    {E "x-webkit-deflate-frame\r\n", 0, ""},
    /* Flags are agreed to, whether they are offered or not. */
    {E PMD "; client_no_context_takeover\r\n", 15, RESET},
    {E PMD ";server_no_context_takeover;client_no_context_takeover\r\n", 15, RESET},
    {E PMD "; server_no_context_takeover=1\r\n", 0, ""},
    {E PMD "; server_no_context_takeover; server_no_context_takeover\r\n", 0, ""},
    {E PMD "; client_no_context_takeover=\"\"\r\n", 0, ""},
    {E PMD "; client_no_context_takeover; client_no_context_takeover\r\n", 0, ""},
    /* What the server sends keeps within what was asked for. */
    {E PMD SERVER("15") "\r\n", 15, RESET SERVER("15")},
    {E PMD SERVER("12") "\r\n", 12, RESET SERVER("12")},
    {E PMD SERVER("9") "\r\n", 9, RESET SERVER("9")},
    {E PMD SERVER("8") "\r\n", 9, RESET SERVER("8")},
    {E PMD SERVER("7") "\r\n", 0, ""},
    {E PMD SERVER("16") "\r\n", 0, ""},
    {E PMD SERVER("0") "\r\n", 0, ""},
    {E PMD SERVER("010") "\r\n", 0, ""},
    {E PMD SERVER("-9") "\r\n", 0, ""},
    {E PMD SERVER("9.0") "\r\n", 0, ""},
    {E PMD SERVER("4294967305") "\r\n", 0, ""},
    {E PMD SERVER("18446744073709551625") "\r\n", 0, ""},
    {E PMD "; server_max_window_bits\r\n", 0, ""},
    {E PMD SERVER("10") SERVER("10") "\r\n", 0, ""},
    {E PMD SERVER("\"10\"") "\r\n", 10, RESET SERVER("10")},
    {E PMD SERVER("\"1\\1\"") "\r\n", 11, RESET SERVER("11")},
    {E PMD SERVER("\" 10\"") "\r\n", 0, ""},
    /* The client's own limit is echoed, or left alone. */
    {E PMD "; client_max_window_bits\r\n", 15, RESET},
    {E PMD CLIENT("15") "\r\n", 15, RESET CLIENT("15")},
    {E PMD CLIENT("8") "\r\n", 15, RESET CLIENT("8")},
    {E PMD CLIENT("\"9\"") "\r\n", 15, RESET CLIENT("9")},
    {E PMD CLIENT("16") "\r\n", 0, ""},
    {E PMD CLIENT("7") "\r\n", 0, ""},
    {E PMD CLIENT("") "\r\n", 0, ""},
    {E PMD "; client_max_window_bits; client_max_window_bits\r\n", 0, ""},
    {E PMD "; client_max_window_bits" CLIENT("10") "\r\n", 0, ""},
    {E PMD CLIENT("12") "; client_no_context_takeover" SERVER("9") "\r\n", 9,
     RESET SERVER("9") CLIENT("12")},
    /* An offer that cannot be kept is declined, and the next is looked at. */
    {E PMD "; unknown\r\n", 0, ""},
    {E PMD "; unknown=1, " PMD "\r\n", 15, RESET},
    {E PMD SERVER("7") ", " PMD SERVER("10") ", " PMD "\r\n", 10, RESET SERVER("10")},
    {E "x-other; a=\"b, " PMD "; c\"\r\n", 0, ""},
    {E "x-other; a=\"b\", " PMD "\r\n", 15, RESET},
    {E "x-other; a, x-third ,," PMD " ; client_max_window_bits , x-last\r\n", 15, RESET},
    {E "x-other\r\n" E PMD SERVER("11") "\r\n", 11, RESET SERVER("11")},
    {E PMD SERVER("7") "\r\n" E PMD "\r\n", 15, RESET},
    /* What is no list of extensions ends its line. */
    {E PMD ";\r\n", 0, ""},
    {E PMD "; =1\r\n", 0, ""},
    {E PMD " x\r\n", 0, ""},
    {E "; " PMD "\r\n", 0, ""},
    {E PMD SERVER("\"10") "\r\n", 0, ""},
    {E PMD SERVER("\"10\\\"") "\r\n", 0, ""},
    {E PMD SERVER("\"10\\") "\r\n", 0, ""},
    {E "x-other;, " PMD "\r\n" E PMD "\r\n", 15, RESET},
    {E ",,,\r\n" E PMD ",\r\n", 15, RESET},
};

static void test_deflate(void **state) {
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(offers); i++) {
        struct buf text = {0};
        buf_printf(&text, GET "%s\r\n", offers[i].lines);
        buf_append_char(&text, '\0');
        parse(text.ptr);
        struct ws_deflate agreed = ws_handshake_deflate(&head);
        if (agreed.window_bits != offers[i].window_bits ||
            strcmp(agreed.answer, offers[i].answer) != 0)
            fail_msg("%s: %d %s", offers[i].lines, agreed.window_bits, agreed.answer);
        buf_deinit(&text);
    }
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
        cmocka_unit_test(test_deflate),
        cmocka_unit_test(test_reply),
        cmocka_unit_test(test_reply_refuses_line_breaks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
