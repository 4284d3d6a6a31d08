/* test_wire.c - the JSON of signalbox.v1, and frames. */
#include "gateway/session/wire.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/settings.h"
#include "gateway/session/client.h"

static void assert_text(struct buf *text, const char *expected) {
    buf_append_char(text, '\0');
    assert_string_equal(text->ptr, expected);
    buf_deinit(text);
}

#define LIMITS                                                                                     \
    "\"limits\":{\"maxMessageBytes\":4194304,\"pingMs\":15000,\"historySeconds\":120,"             \
    "\"idSeconds\":300,\"idCount\":128}"

static void hello(void **state) {
    static const struct settings settings = {
        .max_message_bytes = 4194304, .ping_ms = 60000, .history_seconds = 120};
    struct identity who = {.name = BYTES_LIT("A\"B"), .client_id = BYTES_LIT("id-1")};
    struct hello h = {.who = &who, .settings = &settings, .position = {5, 7}};
    struct bytes groups[] = {BYTES_LIT("G"), BYTES_LIT("\"H")};
    struct buf text = {0};
    (void)state;
    wire_hello(&text, &h);
    assert_text(&text,
                "{\"type\":\"hello\",\"clientId\":\"id-1\",\"name\":\"A\\\"B\",\"group\":null,"
                "\"groups\":[],\"id\":\"5-7\",\"recovered\":null," LIMITS "}");
    h.groups = (struct bytes_list){groups, 1};
    h.recovered = WIRE_NOT_RECOVERED;
    h.is_replay_ahead = true;
    h.resume = BYTES_LIT("a-token_");
    wire_hello(&text, &h);
    assert_text(&text,
                "{\"type\":\"hello\",\"clientId\":\"id-1\",\"name\":\"A\\\"B\",\"group\":\"G\","
                "\"groups\":[\"G\"],\"id\":\"5-7\",\"recovered\":false,\"replay\":true,"
                "\"resume\":\"a-token_\"," LIMITS "}");
    h.groups = (struct bytes_list){groups, 2};
    h.recovered = WIRE_RECOVERED;
    h.is_replay_ahead = false;
    h.data = BYTES_LIT("{\"a\":1}");
    wire_hello(&text, &h);
    assert_text(&text,
                "{\"type\":\"hello\",\"clientId\":\"id-1\",\"name\":\"A\\\"B\",\"group\":\"G\","
                "\"groups\":[\"G\",\"\\\"H\"],\"id\":\"5-7\",\"recovered\":true,"
                "\"resume\":\"a-token_\"," LIMITS ",\"data\":{\"a\":1}}");
}

static void messages(void **state) {
    struct message_id id = {1, 2};
    struct buf text = {0};
    (void)state;
    wire_message(&text, BYTES_LIT("N"), id, 0, BYTES_LIT("hi \"x\""));
    assert_text(&text,
                "{\"type\":\"message\",\"id\":\"1-2\",\"name\":\"N\",\"data\":\"hi \\\"x\\\"\"}");
    wire_message(&text, BYTES_LIT("N"), id, FLAG_JSON, BYTES_LIT("{\"a\":1.50}"));
    assert_text(&text,
                "{\"type\":\"message\",\"id\":\"1-2\",\"name\":\"N\",\"data\":{\"a\":1.50}}");
    wire_message(&text, BYTES_LIT("N"), MESSAGE_ID_NONE, FLAG_BINARY,
                 BYTES_LIT("\x00\xff\x10\x20"));
    assert_text(&text, "{\"type\":\"message\",\"id\":null,\"name\":\"N\",\"data\":\"AP8QIA==\","
                       "\"binary\":true}");
}

static void frames_end_with_their_payload(void **state) {
    static const struct {
        bool is_binary;
        const char *frame;
    } cases[] = {{false, "\x81\x02hi"}, {true, "\x82\x02hi"}};
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct frame_arena arena;
        frame_arena_init(&arena, 1024);
        struct frame f = wire_frame(&arena, cases[i].is_binary, BYTES_LIT("hi"));
        assert_true(bytes_equal_str(frame_bytes(f), cases[i].frame));
        frame_unref(f);
        frame_arena_deinit(&arena);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(hello), cmocka_unit_test(messages),
                                       cmocka_unit_test(frames_end_with_their_payload)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
