/*
 * test_deflate.c - permessage-deflate: the examples of RFC 7692, what must not be taken for a
 * message, the bounds, and round trips over every window. Every message is inflated at once, in the
 * smallest steps, and from memory of exactly its size.
 */
#include "gateway/codec/deflate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "common/base/close_reason.h"

#define BYTES(text)                                                                                \
    { "" text, sizeof(text) - 1 }

/* ---- inflating */

static enum parse run(const struct inflate_what *what, size_t work, struct buf *out,
                      struct ws_error *error, size_t *steps_out) {
    struct inflater inflater = {0};
    enum parse result = PARSE_MORE;
    struct inflate_what own = *what;
    char *block = malloc(what->payload.len + 1);
    memcpy(block + 1, what->payload.ptr == NULL ? "" : what->payload.ptr, what->payload.len);
    own.payload.ptr = block + 1;
    inflater_begin(&inflater, &own);
    for (*steps_out = 0; result == PARSE_MORE; (*steps_out)++)
        result = inflater_step(&inflater, work, out, error);
    inflater_deinit(&inflater);
    free(block);
    return result;
}

/* "text" or "!1007 why". free() */
static char *inflated(struct bytes payload, bool is_text, size_t max_bytes) {
    struct inflate_what what = {.payload = payload, .is_text = is_text, .max_bytes = max_bytes};
    struct buf texts[2] = {{0}, {0}};
    for (size_t i = 0; i < 2; i++) {
        struct ws_error error;
        size_t steps;
        if (run(&what, i == 0 ? SIZE_MAX / 4 : 1, &texts[i], &error, &steps) == PARSE_OK) {
            assert_true(texts[i].len <= max_bytes);
            continue;
        }
        buf_clear(&texts[i]);
        buf_printf(&texts[i], "!%d %s", error.close_code, error.text);
    }
    assert_true(bytes_equal(buf_bytes(&texts[0]), buf_bytes(&texts[1])));
    buf_deinit(&texts[1]);
    return buf_take(&texts[0]);
}

static const char damaged[] = "!1007 compressed message is damaged";
static const char incomplete[] = "!1007 compressed message is not complete";

static const struct {
    const char *name;
    struct bytes payload;
    const char *want;
} payloads[] = {
    {"7.2.3.1 one block", BYTES("\xf2\x48\xcd\xc9\xc9\x07\x00"), "Hello"},
    {"7.2.3.3 a block without compression", BYTES("\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00"),
     "Hello"},
    {"7.2.3.4 a final block", BYTES("\xf3\x48\xcd\xc9\xc9\x07\x00\x00"), "Hello"},
    {"7.2.3.5 two blocks", BYTES("\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00"), "Hello"},
    {"7.2.3.6 an empty message", BYTES("\x00"), ""},
    {"an empty fixed block", BYTES("\x02\x00"), ""},
    {"a final block and nothing after it", BYTES("\xf3\x48\xcd\xc9\xc9\x07\x00"), "Hello"},
    {"a final block in the middle",
     BYTES("\xf3\x48\xcd\xc9\xc9\x07\x00\xf2\x48\xcd\xc9\xc9\x07\x00"), "HelloHello"},
    {"two final blocks", BYTES("\xf3\x48\xcd\xc9\xc9\x07\x00\xf3\x48\xcd\xc9\xc9\x07\x00\x00"),
     "HelloHello"},
    {"an empty final block", BYTES("\x03\x00\x00"), ""},
    {"a stored final block", BYTES("\x01\x05\x00\xfa\xffHello\x00"), "Hello"},
    {"7.2.3.2 refers to the message before", BYTES("\xf2\x00\x11\x00\x00"), damaged},
    {"refers to what is before a final block",
     BYTES("\xf3\x48\xcd\xc9\xc9\x07\x00\xf2\x00\x11\x00\x00"), damaged},
    {"nothing at all", BYTES(""), incomplete},
    {"without the header of the last block", BYTES("\xf2\x48\xcd\xc9\xc9\x07"), incomplete},
    {"with the four bytes that are left out", BYTES("\xf2\x48\xcd\xc9\xc9\x07\x00\x00\x00\xff\xff"),
     incomplete},
    {"with them and a header", BYTES("\xf2\x48\xcd\xc9\xc9\x07\x00\x00\x00\xff\xff\x00"), "Hello"},
    {"a block type that is reserved", BYTES("\x07\x00"), damaged},
    {"a length that is not that of a stored block", BYTES("\x00\x05\x00\xfb\xffHello\x00"),
     damaged},
    {"a stored block that lacks four bytes", BYTES("\x00\x09\x00\xf6\xffHello"), incomplete},
    {"a distance before the beginning", BYTES("\x4b\x04\xa2\x00"), damaged},
    {"no UTF-8", BYTES("\x00\x01\x00\xfe\xff\xff\x00"), "!1007 text is not UTF-8"},
    {"half a character", BYTES("\x00\x01\x00\xfe\xff\xc3\x00"),
     "!1007 text ends within a character"},
    {"a character over two blocks", BYTES("\x00\x01\x00\xfe\xff\xc3\x00\x01\x00\xfe\xff\xa9\x00"),
     "\xc3\xa9"},
};

static void test_payloads(void **state) {
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(payloads); i++) {
        char *text = inflated(payloads[i].payload, true, 1000);
        if (strcmp(text, payloads[i].want) != 0)
            fail_msg("%s: %s", payloads[i].name, text);
        free(text);
    }
}

static void test_binary_is_not_checked(void **state) {
    struct bytes half = BYTES("\x00\x01\x00\xfe\xff\xc3\x00");
    (void)state;
    char *text = inflated(half, false, 1000);
    assert_string_equal(text, "\xc3");
    free(text);
}

/* A sender has to end with the header of an empty stored block: without it nothing is complete. */
static void test_every_cut_is_an_error(void **state) {
    static const char *const texts[] = {
        "Hello", "hello hello hello", "0123456789abcdefghijklmnopqrstuvwxyz ABCDEFGHIJKLMNOP",
        "{\"type\":\"message\",\"data\":{\"a\":[1,2,3,4,5,6,7,8,9,10],\"b\":\"message\"}}"};
    struct deflater deflater;
    size_t cuts = 0;
    (void)state;
    deflater_init(&deflater);
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct buf payload = {0};
        deflate_message(&deflater, DEFLATE_WINDOW_MAX, bytes_str(texts[i]), &payload);
        for (size_t len = 0; len < payload.len; len++, cuts++) {
            char *text = inflated(bytes_of(payload.ptr, len), true, 1000);
            if (text[0] != '!')
                fail_msg("%s: cut at %zu is %s", texts[i], len, text);
            free(text);
        }
        buf_deinit(&payload);
    }
    assert_true(cuts > 100);
    deflater_deinit(&deflater);
}

/* ---- the bounds */

static struct bytes zeros(size_t len) {
    static char *block;
    free(block);
    block = calloc(1, len + 1);
    return bytes_of(block, len);
}

/* One stream over all of it, as any sender may make it. */
static struct buf deflated(struct bytes text, int level) {
    struct z_stream_s z = {0};
    struct buf out = {0};
    size_t room = text.len + text.len / 2 + 1000;
    assert_int_equal(deflateInit2(&z, level, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY), Z_OK);
    z.next_in = (unsigned char *)text.ptr;
    z.avail_in = (unsigned)text.len;
    z.next_out = (unsigned char *)buf_reserve(&out, room);
    z.avail_out = (unsigned)room;
    assert_int_equal(deflate(&z, Z_SYNC_FLUSH), Z_OK);
    buf_added(&out, room - z.avail_out - 4);
    deflateEnd(&z);
    return out;
}

static void test_limit(void **state) {
    static const size_t sizes[] = {0, 1, 100, 65535, 65536, 65537, 1000000};
    static const int levels[] = {0, 1, 9};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++)
        for (size_t k = 0; k < ARRAY_LEN(levels); k++) {
            struct buf exact = deflated(zeros(sizes[i]), levels[k]);
            struct buf beyond = deflated(zeros(sizes[i] + 1), levels[k]);
            assert_true(exact.len <= inflate_payload_max(sizes[i]));
            struct inflate_what what = {.payload = buf_bytes(&exact), .max_bytes = sizes[i]};
            struct buf out = {0};
            struct ws_error error = {0};
            size_t steps;
            assert_int_equal(run(&what, INFLATE_STEP, &out, &error, &steps), PARSE_OK);
            assert_int_equal(out.len, sizes[i]);
            buf_clear(&out);
            what.payload = buf_bytes(&beyond);
            assert_int_equal(run(&what, INFLATE_STEP, &out, &error, &steps), PARSE_BAD);
            assert_int_equal(error.close_code, close_reason_code(CLOSE_TOO_BIG));
            assert_true(out.len <= sizes[i] + 1);
            buf_deinit(&out);
            buf_deinit(&exact);
            buf_deinit(&beyond);
        }
}

/* A thousand times as much comes out: no more than the limit is ever made of it. */
static void test_bomb(void **state) {
    struct buf bomb = deflated(zeros(20000000), 9), out = {0};
    struct inflate_what what = {.payload = buf_bytes(&bomb), .max_bytes = 100000};
    struct ws_error error;
    size_t steps;
    (void)state;
    assert_true(bomb.len < 30000);
    assert_int_equal(run(&what, SIZE_MAX / 4, &out, &error, &steps), PARSE_BAD);
    assert_int_equal(error.close_code, close_reason_code(CLOSE_TOO_BIG));
    assert_int_equal(out.len, 100001);
    assert_true(out.cap < 1000000);
    buf_deinit(&out);
    buf_deinit(&bomb);
}

static struct buf repeated(struct bytes piece, size_t times) {
    struct buf all = {0};
    for (size_t i = 0; i < times; i++)
        buf_append(&all, piece);
    buf_append_char(&all, '\0');
    return all;
}

static enum parse result_of(const struct buf *payload, size_t *steps_out) {
    struct inflate_what what = {.payload = buf_bytes(payload), .max_bytes = 4194304};
    struct buf out = {0};
    struct ws_error error = {0};
    enum parse result = run(&what, INFLATE_STEP, &out, &error, steps_out);
    assert_true(result == PARSE_OK || error.close_code == close_reason_code(CLOSE_TOO_BIG));
    buf_deinit(&out);
    return result;
}

/* Blocks of nothing, each in its own form, up to the bound of work and one more. */
static void test_empty_blocks(void **state) {
    static const struct {
        const char *name;
        struct bytes block;
        size_t cost;
    } cases[] = {
        {"stored", BYTES("\x00\x00\x00\xff\xff"), 5},
        /* Three bits, seven of its end; four of them are five bytes. */
        {"fixed", BYTES("\x02\x08\x20\x80\x00"), 5},
        {"final", BYTES("\x03\x00"), 2 + 64},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        size_t most = INFLATE_IDLE_MAX / cases[i].cost, steps;
        struct buf few = repeated(cases[i].block, most - 2);
        struct buf many = repeated(cases[i].block, most + 2);
        struct buf flood = repeated(cases[i].block, 4194304 / cases[i].block.len);
        if (result_of(&few, &steps) != PARSE_OK)
            fail_msg("%s: refused below the bound", cases[i].name);
        assert_true(steps > 2);
        if (result_of(&many, &steps) != PARSE_BAD || result_of(&flood, &steps) != PARSE_BAD)
            fail_msg("%s: taken beyond the bound", cases[i].name);
        assert_true(steps < 10);
        buf_deinit(&few);
        buf_deinit(&many);
        buf_deinit(&flood);
    }
}

/* A sender that flushes after every byte: seven bytes for each, however long the message is. */
static void test_flushed_after_every_byte(void **state) {
    struct bytes a = BYTES("\x4a\x04\x00\x00\x00\xff\xff");
    struct buf all = repeated(a, 100000);
    size_t steps;
    (void)state;
    assert_int_equal(result_of(&all, &steps), PARSE_OK);
    buf_deinit(&all);
}

static void test_steps_are_small(void **state) {
    struct buf noise = {0};
    size_t steps;
    (void)state;
    for (size_t i = 0; i < 1000000; i++)
        buf_append_char(&noise, (char)(i * i * 31 >> 7));
    struct buf stored = deflated(buf_bytes(&noise), 0);
    assert_int_equal(result_of(&stored, &steps), PARSE_OK);
    assert_in_range(steps, stored.len / (INFLATE_STEP / INFLATE_RATIO_MAX), stored.len / 8192);
    buf_deinit(&stored);
    buf_deinit(&noise);
}

/* ---- deflating */

static void fill(struct buf *text, size_t len, unsigned kind) {
    uint32_t random = 12345 + kind;
    buf_clear(text);
    while (text->len < len) {
        random = random * 1103515245 + 12345;
        if (kind == 0)
            buf_append_char(text, (char)(random >> 16));
        else
            buf_printf(text, "{\"name\":\"number %u\",\"value\":%u},", random >> 28, random >> 24);
    }
    text->len = len;
}

static void test_round_trips(void **state) {
    static const size_t sizes[] = {0,    1,     2,     125,   126,    1000,
                                   8191, 16384, 16385, 65536, 100000, DEFLATE_BYTES_MAX};
    struct deflater deflater;
    struct buf text = {0}, payload = {0}, out = {0};
    (void)state;
    deflater_init(&deflater);
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++)
        for (int bits = DEFLATE_WINDOW_MIN; bits <= DEFLATE_WINDOW_MAX; bits++)
            for (unsigned kind = 0; kind < 2; kind++) {
                struct ws_error error;
                size_t steps;
                fill(&text, sizes[i], kind);
                buf_clear(&payload);
                buf_clear(&out);
                deflate_message(&deflater, bits, buf_bytes(&text), &payload);
                assert_true(payload.len > 0 && payload.len <= inflate_payload_max(text.len));
                assert_true(kind == 0 || sizes[i] < 1000 || payload.len < text.len / 2);
                struct inflate_what what = {buf_bytes(&payload), kind == 1, sizes[i]};
                assert_int_equal(run(&what, INFLATE_STEP, &out, &error, &steps), PARSE_OK);
                assert_true(bytes_equal(buf_bytes(&out), buf_bytes(&text)));
            }
    buf_deinit(&text);
    buf_deinit(&payload);
    buf_deinit(&out);
    deflater_deinit(&deflater);
}

/* Thoroughly up to a size, quickly beyond. */
static void test_large_ones_are_compressed_less(void **state) {
    struct deflater deflater;
    struct buf text = {0}, most = {0}, beyond = {0};
    (void)state;
    deflater_init(&deflater);
    fill(&text, DEFLATE_THOROUGH_MAX + 1, 1);
    deflate_message(&deflater, 15, bytes_head(buf_bytes(&text), text.len - 1), &most);
    deflate_message(&deflater, 15, buf_bytes(&text), &beyond);
    assert_true(beyond.len > most.len + most.len / 20);
    buf_clear(&beyond);
    deflate_message(&deflater, 15, bytes_head(buf_bytes(&text), text.len - 1), &beyond);
    assert_true(bytes_equal(buf_bytes(&beyond), buf_bytes(&most)));
    buf_deinit(&text);
    buf_deinit(&most);
    buf_deinit(&beyond);
    deflater_deinit(&deflater);
}

/* A peer with that window, and with 8 where we use 9, has to be able to read it. */
static void test_windows_are_kept(void **state) {
    struct deflater deflater;
    struct buf text = {0}, payload = {0};
    (void)state;
    deflater_init(&deflater);
    fill(&text, 200000, 1);
    for (int bits = 8; bits <= DEFLATE_WINDOW_MAX; bits++) {
        struct z_stream_s z = {0};
        char *out = malloc(text.len + 1);
        buf_clear(&payload);
        deflate_message(&deflater, bits < DEFLATE_WINDOW_MIN ? DEFLATE_WINDOW_MIN : bits,
                        buf_bytes(&text), &payload);
        assert_int_equal(inflateInit2(&z, -bits), Z_OK);
        /* In pieces, since a whole message at once needs no window. */
        z.next_in = (unsigned char *)payload.ptr;
        z.next_out = (unsigned char *)out;
        z.avail_in = (unsigned)payload.len;
        size_t got = 0;
        while (z.avail_in > 0) {
            unsigned char piece[64];
            z.next_out = piece;
            z.avail_out = sizeof(piece);
            int result = inflate(&z, Z_SYNC_FLUSH);
            assert_true(result == Z_OK);
            memcpy(out + got, piece, sizeof(piece) - z.avail_out);
            got += sizeof(piece) - z.avail_out;
        }
        inflateEnd(&z);
        assert_true(got > text.len - 64);
        assert_memory_equal(out, text.ptr, got);
        free(out);
    }
    buf_deinit(&text);
    buf_deinit(&payload);
    deflater_deinit(&deflater);
}

/* Safari and undici fail at a final block, and no message may look back at another. */
static void test_messages_are_independent_and_not_final(void **state) {
    struct deflater deflater;
    struct buf first = {0}, second = {0};
    (void)state;
    deflater_init(&deflater);
    deflate_message(&deflater, 15, BYTES_LIT("Hello"), &first);
    deflate_message(&deflater, 15, BYTES_LIT("Hello"), &second);
    assert_true(bytes_equal(buf_bytes(&first), BYTES_LIT("\xf2\x48\xcd\xc9\xc9\x07\x00")));
    assert_true(bytes_equal(buf_bytes(&first), buf_bytes(&second)));
    buf_clear(&first);
    deflate_message(&deflater, 15, BYTES_NONE, &first);
    assert_true(bytes_equal(buf_bytes(&first), BYTES_LIT("\0")));
    buf_deinit(&first);
    buf_deinit(&second);
    deflater_deinit(&deflater);
}

static void test_surrounded(void **state) {
    static const size_t around[] = {1, 100, DEFLATE_STORED_MAX};
    static const size_t sizes[] = {0, 5, 1000, 70000};
    struct deflater deflater;
    struct buf before = {0}, text = {0}, body = {0}, whole = {0}, out = {0};
    (void)state;
    deflater_init(&deflater);
    for (size_t i = 0; i < ARRAY_LEN(around); i++)
        for (size_t k = 0; k < ARRAY_LEN(sizes); k++) {
            struct ws_error error;
            size_t steps;
            fill(&before, around[i], 1);
            fill(&text, sizes[k], 1);
            buf_clear(&body);
            buf_clear(&whole);
            buf_clear(&out);
            deflate_message(&deflater, 12, buf_bytes(&text), &body);
            deflate_surround(buf_bytes(&before), buf_bytes(&body), BYTES_LIT("}"), &whole);
            struct inflate_what what = {buf_bytes(&whole), true, before.len + text.len + 1};
            assert_int_equal(run(&what, INFLATE_STEP, &out, &error, &steps), PARSE_OK);
            buf_append(&before, buf_bytes(&text));
            buf_append_char(&before, '}');
            assert_true(bytes_equal(buf_bytes(&out), buf_bytes(&before)));
        }
    buf_deinit(&before);
    buf_deinit(&text);
    buf_deinit(&body);
    buf_deinit(&whole);
    buf_deinit(&out);
    deflater_deinit(&deflater);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_payloads),
        cmocka_unit_test(test_binary_is_not_checked),
        cmocka_unit_test(test_every_cut_is_an_error),
        cmocka_unit_test(test_limit),
        cmocka_unit_test(test_bomb),
        cmocka_unit_test(test_empty_blocks),
        cmocka_unit_test(test_flushed_after_every_byte),
        cmocka_unit_test(test_steps_are_small),
        cmocka_unit_test(test_round_trips),
        cmocka_unit_test(test_large_ones_are_compressed_less),
        cmocka_unit_test(test_windows_are_kept),
        cmocka_unit_test(test_messages_are_independent_and_not_final),
        cmocka_unit_test(test_surrounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
