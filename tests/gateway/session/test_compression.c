/* test_compression.c - what is compressed, how often, and what comes out of it at the other end. */
#include "gateway/session/compression.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/metrics.h"
#include "gateway/session/message_frames.h"

enum { LEAST = 100 };

static struct message_frames frames;

static int setup(void **state) {
    (void)state;
    message_frames_init(&frames);
    message_frames_compress(&frames, LEAST);
    metrics_set(METRIC_compressions, 0);
    metrics_set(METRIC_compressions_in_bytes, 0);
    metrics_set(METRIC_compressions_out_bytes, 0);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    message_frames_deinit(&frames);
    return 0;
}

static struct bytes text_of(size_t len, char seed) {
    static char text[DEFLATE_BYTES_MAX + 2];
    text[0] = '[';
    for (size_t i = 1; i < len; i++)
        text[i] = "0123456789, "[(i * (size_t)seed + i / 7) % 12];
    text[len - 1] = ']';
    return bytes_of(text, len);
}

static struct message message_of(struct bytes data, unsigned flags) {
    return (struct message){
        .id = {1, 7}, .kind = MESSAGE_DATA, .flags = flags | FLAG_JSON, .data = data};
}

/* What a client sees of a frame: its first byte, and the payload, inflated. */
static int read_frame(struct frame f, struct buf *out) {
    struct bytes b = frame_bytes(f);
    unsigned first = (unsigned char)b.ptr[0], len = (unsigned char)b.ptr[1];
    struct inflater inflater = {0};
    struct inflate_what what = {.payload = bytes_from(b, len < 126    ? 2
                                                         : len == 126 ? 4
                                                                      : 10),
                                .max_bytes = 2 * DEFLATE_BYTES_MAX};
    struct ws_error error;
    buf_clear(out);
    if ((first & WS_RSV1) != 0) {
        inflater_begin(&inflater, &what);
        assert_int_equal(inflater_step(&inflater, SIZE_MAX / 4, out, &error), PARSE_OK);
        inflater_deinit(&inflater);
    } else {
        buf_append(out, what.payload);
    }
    return (int)first;
}

/* Makes the frame for a wire, and checks what it says. Whether it is compressed. */
static bool make(const struct message *m, const char *name, enum wire wire) {
    struct buf got = {0}, want = {0};
    struct frame f = message_frames_make(&frames, m, bytes_str(name), wire);
    int first = read_frame(f, &got);
    bool is_binary = (m->flags & FLAG_BINARY) != 0 && !wire_is_v1(wire);
    assert_int_equal(first & ~WS_RSV1, is_binary ? 0x82 : 0x81);
    if (wire_is_v1(wire))
        wire_message(&want, bytes_str(name), m->id, m->flags, m->data);
    else
        buf_append(&want, m->data);
    assert_true(bytes_equal(buf_bytes(&got), buf_bytes(&want)));
    frame_unref(f);
    buf_deinit(&got);
    buf_deinit(&want);
    return (first & WS_RSV1) != 0;
}

static int64_t compressions(void) {
    return metrics_get(METRIC_compressions);
}

static void wires(void **state) {
    (void)state;
    for (int v1 = 0; v1 < 2; v1++) {
        enum wire plain = wire_of_ws(v1 == 1, 0);
        assert_int_equal(wire_window_bits(plain), 0);
        assert_int_equal(wire_is_v1(plain), v1);
        assert_int_equal(wire_uncompressed(plain), plain);
        for (int bits = DEFLATE_WINDOW_MIN; bits <= DEFLATE_WINDOW_MAX; bits++) {
            enum wire wire = wire_of_ws(v1 == 1, bits);
            assert_in_range(wire, plain + 1, WIRE_COUNT - 1);
            assert_int_equal(wire_window_bits(wire), bits);
            assert_int_equal(wire_is_v1(wire), v1);
            assert_int_equal(wire_uncompressed(wire), plain);
        }
    }
}

static void once_for_each_window(void **state) {
    struct message m = message_of(text_of(5000, 3), 0);
    (void)state;
    for (int round = 0; round < 3; round++)
        for (int bits = DEFLATE_WINDOW_MIN; bits <= DEFLATE_WINDOW_MAX; bits++) {
            assert_true(make(&m, "N", wire_of_ws(false, bits)));
            assert_true(make(&m, "N", wire_of_ws(true, bits)));
        }
    assert_int_equal(compressions(), DEFLATE_WINDOWS);
    assert_int_equal(metrics_get(METRIC_compressions_in_bytes), DEFLATE_WINDOWS * 5000);
    assert_in_range(metrics_get(METRIC_compressions_out_bytes), 1, DEFLATE_WINDOWS * 2500);
}

/* Other Names, other partitions, other turns; as long as it is the same message. */
static void once_for_every_name(void **state) {
    struct message m = message_of(text_of(1000, 3), 0);
    (void)state;
    for (uint64_t i = 0; i < 20; i++) {
        char name[] = "N-x";
        name[2] = (char)('a' + i);
        m.id = (struct message_id){i % 4, 100 + i};
        assert_true(make(&m, name, wire_of_ws(i % 3 == 0, 15)));
        message_frames_forget(&frames);
    }
    assert_int_equal(compressions(), 1);
    m.flags |= FLAG_BINARY;
    assert_true(make(&m, "N", wire_of_ws(false, 15)));
    assert_int_equal(compressions(), 2);
    m = message_of(text_of(1000, 4), 0);
    assert_true(make(&m, "N", wire_of_ws(false, 15)));
    assert_int_equal(compressions(), 3);
}

/* In signalbox.v1 a string and bytes are another text. */
static void strings_and_bytes(void **state) {
    struct message m = message_of(text_of(1000, 3), 0);
    (void)state;
    static const unsigned flags[] = {0, FLAG_BINARY, FLAG_BINARY | FLAG_JSON};
    for (size_t i = 0; i < ARRAY_LEN(flags); i++) {
        m.flags = flags[i];
        for (int round = 0; round < 2; round++) {
            assert_true(make(&m, "N\"x\"", wire_of_ws(false, 12)));
            assert_true(make(&m, "N\"x\"", wire_of_ws(true, 12)));
            assert_true(make(&m, "other", wire_of_ws(true, 12)));
        }
        assert_int_equal(compressions(), 2 * (i + 1));
    }
}

static void bounds(void **state) {
    static const struct {
        size_t len;
        bool is_compressed;
    } cases[] = {{LEAST - 1, false},           {LEAST, true},
                 {DEFLATE_THOROUGH_MAX, true}, {DEFLATE_THOROUGH_MAX + 1, true},
                 {DEFLATE_BYTES_MAX, true},    {DEFLATE_BYTES_MAX + 1, false}};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct message m = message_of(text_of(cases[i].len, 3), 0);
        assert_int_equal(make(&m, "N", wire_of_ws(false, 15)), cases[i].is_compressed);
        assert_int_equal(make(&m, "N", wire_of_ws(true, 15)), cases[i].is_compressed);
        message_frames_forget(&frames);
        assert_true(frames.compression.data.cap <= (size_t)64 * 1024);
    }
}

/* As a string of signalbox.v1 it would be six times as long. */
static void a_string_that_grows_too_much(void **state) {
    struct buf text = {0};
    (void)state;
    for (int i = 0; i < 100000; i++)
        buf_append_char(&text, i % 3 == 0 ? '\x01' : 'a');
    struct message m = {.kind = MESSAGE_DATA, .data = buf_bytes(&text)};
    assert_true(make(&m, "N", wire_of_ws(false, 15)));
    m.data = bytes_head(m.data, 90000);
    assert_true(make(&m, "N", wire_of_ws(true, 15)));
    memset(text.ptr, 1, text.len);
    m.data = bytes_head(buf_bytes(&text), 100000);
    assert_false(make(&m, "N", wire_of_ws(true, 15)));
    buf_deinit(&text);
}

static void who_gets_it_as_it_is(void **state) {
    struct message m = message_of(text_of(1000, 3), 0);
    (void)state;
    m.flags |= FLAG_UNCOMPRESSED;
    assert_false(make(&m, "N", wire_of_ws(false, 15)));
    assert_false(make(&m, "N", wire_of_ws(true, 15)));
    m.flags &= ~(unsigned)FLAG_UNCOMPRESSED;
    assert_false(make(&m, "N", wire_of_ws(false, 0)));
    assert_false(make(&m, "N", wire_of_ws(true, 0)));
    frames.compression.min_bytes = 0;
    assert_false(make(&m, "N", wire_of_ws(false, 15)));
    assert_int_equal(compressions(), 0);
}

/* What would not get smaller is tried once. */
static void noise(void **state) {
    struct buf text = {0};
    uint32_t random = 1;
    (void)state;
    for (int i = 0; i < 3000; i++)
        buf_append_char(&text, (char)((random = random * 1103515245 + 12345) >> 20));
    struct message m = {.kind = MESSAGE_DATA, .flags = FLAG_BINARY, .data = buf_bytes(&text)};
    for (int round = 0; round < 3; round++)
        assert_false(make(&m, "N", wire_of_ws(false, 15)));
    assert_int_equal(compressions(), 1);
    assert_true(make(&m, "N", wire_of_ws(true, 15))); /* Base64 has less in it */
    buf_deinit(&text);
}

/* An error or an acknowledgement of signalbox.v1 is a whole text already. */
static void notes(void **state) {
    struct message m = message_of(text_of(1000, 3), 0);
    struct buf got = {0};
    (void)state;
    m.kind = MESSAGE_NOTE;
    struct frame f = message_frames_make(&frames, &m, BYTES_LIT("N"), wire_of_ws(true, 15));
    assert_int_equal(read_frame(f, &got), 0x81);
    assert_true(bytes_equal(buf_bytes(&got), m.data));
    frame_unref(f);
    buf_deinit(&got);
    assert_int_equal(compressions(), 0);
}

/* A frame that waits for a client outlives everything that made it. */
static void frames_are_shared_and_stay(void **state) {
    struct message m = message_of(text_of(1000, 3), 0);
    struct buf got = {0};
    (void)state;
    struct frame a = message_frames_make(&frames, &m, BYTES_LIT("A"), wire_of_ws(false, 15));
    struct frame b = message_frames_make(&frames, &m, BYTES_LIT("B"), wire_of_ws(false, 15));
    assert_true(a.chunk == b.chunk && a.start == b.start && a.len == b.len);
    frame_unref(b);
    for (char seed = 4; seed < 100; seed++) {
        struct message other = message_of(text_of(5000, seed), 0);
        assert_true(make(&other, "A", wire_of_ws(false, 15)));
    }
    (void)text_of(1000, 3);
    assert_int_equal(read_frame(a, &got), 0x81 | WS_RSV1);
    assert_true(bytes_equal(buf_bytes(&got), m.data));
    frame_unref(a);
    buf_deinit(&got);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(wires, setup, teardown),
        cmocka_unit_test_setup_teardown(once_for_each_window, setup, teardown),
        cmocka_unit_test_setup_teardown(once_for_every_name, setup, teardown),
        cmocka_unit_test_setup_teardown(strings_and_bytes, setup, teardown),
        cmocka_unit_test_setup_teardown(bounds, setup, teardown),
        cmocka_unit_test_setup_teardown(a_string_that_grows_too_much, setup, teardown),
        cmocka_unit_test_setup_teardown(who_gets_it_as_it_is, setup, teardown),
        cmocka_unit_test_setup_teardown(noise, setup, teardown),
        cmocka_unit_test_setup_teardown(notes, setup, teardown),
        cmocka_unit_test_setup_teardown(frames_are_shared_and_stay, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
