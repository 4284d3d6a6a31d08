/* test_message_frames.c - one message as each kind of wire has it. */
#include "gateway/session/message_frames.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/settings.h"
#include "gateway/session/client.h"

static void assert_frame(struct frame f, const char *expected) {
    if (!bytes_equal_str(frame_bytes(f), expected))
        fail_msg("%.*s", BYTES_FMT(frame_bytes(f)));
    frame_unref(f);
}

#define ID                                                                                         \
    { 5, 7 }

static void each_wire_has_its_form(void **state) {
    static const struct {
        struct message m;
        enum wire wire;
        const char *frame;
    } cases[] = {
        {{.id = ID, .kind = MESSAGE_DATA, .data = BYTES_LIT("hi")}, WIRE_WS, "\x81\x02hi"},
        {{.id = ID, .kind = MESSAGE_DATA, .data = BYTES_LIT("hi")},
         WIRE_SSE,
         "id: 5-7\ndata: hi\n\n"},
        {{.id = ID, .kind = MESSAGE_DATA, .data = BYTES_LIT("hi")},
         WIRE_SSE_CHUNKED,
         "12\r\nid: 5-7\ndata: hi\n\n\r\n"},
        {{.id = ID, .kind = MESSAGE_DATA, .flags = FLAG_BINARY, .data = BYTES_LIT("\xff\x10")},
         WIRE_SSE,
         "event: binary\nid: 5-7\ndata: /xA=\n\n"},
        {{.kind = MESSAGE_DATA, .data = BYTES_LIT("hi")}, WIRE_SSE, "data: hi\n\n"}, /* Local */
        {{.id = ID, .kind = MESSAGE_DATA, .data = BYTES_LIT("a\nb")},
         WIRE_SSE_V1,
         "id: 5-7\n"
         "data: {\"type\":\"message\",\"id\":\"5-7\",\"name\":\"N\",\"data\":\"a\\nb\"}\n\n"},
        {{.id = ID, .kind = MESSAGE_DATA, .flags = FLAG_BINARY, .data = BYTES_LIT("\xff\x10")},
         WIRE_SSE_V1,
         "id: 5-7\ndata: {\"type\":\"message\",\"id\":\"5-7\",\"name\":\"N\","
         "\"data\":\"/xA=\",\"binary\":true}\n\n"},
        {{.id = ID, .kind = MESSAGE_NOTE, .data = BYTES_LIT("{}")},
         WIRE_SSE_CHUNKED_V1,
         "a\r\ndata: {}\n\n\r\n"}, /* it has no place in the log to resume from */
    };
    struct message_frames frames;
    (void)state;
    message_frames_init(&frames);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_frame(message_frames_make(&frames, &cases[i].m, BYTES_LIT("N"), cases[i].wire),
                     cases[i].frame);
    message_frames_deinit(&frames);
}

static void a_stream_begins_with_its_hello(void **state) {
    static const struct identity who = {.name = BYTES_LIT("N"), .client_id = BYTES_LIT("me")};
    static const struct settings settings = {.ping_ms = 1000};
    static const struct hello hello = {
        .who = &who, .settings = &settings, .position = {5, 7}, .recovered = WIRE_RECOVERED};
    static const char head[] = "event: hello\nid: 5-7\nretry: ";
    struct message_frames frames;
    (void)state;
    message_frames_init(&frames);
    struct frame f = message_frames_hello(&frames, WIRE_SSE, &hello);
    assert_true(bytes_starts_with(frame_bytes(f), bytes_str(head)));
    struct bytes rest = bytes_from(frame_bytes(f), sizeof(head) - 1);
    uint64_t retry_ms;
    assert_true(bytes_to_u64(bytes_split(&rest, '\n'), &retry_ms));
    assert_true(retry_ms >= 1000 && retry_ms < 3000);
    assert_true(
        bytes_starts_with(rest, BYTES_LIT("data: {\"type\":\"hello\",\"clientId\":\"me\"")));
    assert_true(bytes_ends_with(rest, BYTES_LIT("}\n\n")));
    frame_unref(f);
    message_frames_deinit(&frames);
}

static void a_text_of_v1_is_a_frame_or_an_event(void **state) {
    struct message_frames frames;
    (void)state;
    message_frames_init(&frames);
    assert_frame(message_frames_text(&frames, WIRE_WS_V1_DEFLATE, "live", BYTES_LIT("{}")),
                 "\x81\x02{}");
    assert_frame(message_frames_text(&frames, WIRE_SSE, "live", BYTES_LIT("{}")),
                 "event: live\ndata: {}\n\n");
    assert_frame(message_frames_text(&frames, WIRE_SSE_CHUNKED_V1, "live", BYTES_LIT("{}")),
                 "16\r\nevent: live\ndata: {}\n\n\r\n");
    message_frames_deinit(&frames);
}

static void one_wire_does_not_take_the_frame_of_another(void **state) {
    struct message m = {.id = ID, .kind = MESSAGE_DATA, .data = BYTES_LIT("hi")};
    struct message_frames frames;
    (void)state;
    message_frames_init(&frames);
    for (int i = 0; i < 2; i++) {
        assert_frame(message_frames_make(&frames, &m, BYTES_LIT("N"), WIRE_WS), "\x81\x02hi");
        assert_frame(message_frames_make(&frames, &m, BYTES_LIT("N"), WIRE_SSE),
                     "id: 5-7\ndata: hi\n\n");
    }
    message_frames_deinit(&frames);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_wire_has_its_form), cmocka_unit_test(a_stream_begins_with_its_hello),
        cmocka_unit_test(a_text_of_v1_is_a_frame_or_an_event),
        cmocka_unit_test(one_wire_does_not_take_the_frame_of_another)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
