/* test_frame.c - where frames lie, who keeps them alive, and that nothing is written over while it
 * is referenced. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/must.h"
#include "gateway/codec/frame.h"

static struct frame make(struct frame_arena *arena, const char *text) {
    return frame_make(arena, BYTES_LIT("H:"), bytes_str(text));
}

static void expect(struct frame f, const char *want) {
    assert_true(bytes_equal_str(frame_bytes(f), want));
}

static void test_header_and_payload(void **state) {
    (void)state;
    struct frame_arena arena;
    frame_arena_init(&arena, 1024);
    struct frame f = make(&arena, "payload");
    struct frame empty = frame_make(&arena, BYTES_NONE, BYTES_NONE);
    expect(f, "H:payload");
    assert_int_equal(empty.len, 0);
    frame_unref(f);
    frame_unref(empty);
    frame_arena_deinit(&arena);
}

static void test_neighbours_merge(void **state) {
    (void)state;
    struct frame_arena arena;
    frame_arena_init(&arena, 1024);
    struct frame a = make(&arena, "a"), b = make(&arena, "b"), c = make(&arena, "c");
    assert_true(frame_follows(a, b));
    assert_true(frame_follows(b, c));
    assert_false(frame_follows(a, c));
    assert_false(frame_follows(b, a));
    struct frame range = frame_ref(a);
    range.len += b.len;
    assert_true(frame_follows(range, c));
    range.len += c.len;
    frame_unref(a);
    frame_unref(b);
    frame_unref(c);
    expect(range, "H:aH:bH:c");
    frame_unref(range);
    frame_arena_deinit(&arena);
}

static void test_none(void **state) {
    (void)state;
    frame_unref(frame_ref(FRAME_NONE));
    assert_false(frame_follows(FRAME_NONE, FRAME_NONE));
    assert_null(frame_bytes(FRAME_NONE).ptr);
}

static void test_big_frame_alone(void **state) {
    (void)state;
    struct frame_arena arena;
    char big[300];
    memset(big, 'x', sizeof(big));
    frame_arena_init(&arena, 1024);
    struct frame a = make(&arena, "a");
    struct frame b = frame_make(&arena, BYTES_LIT("H:"), bytes_of(big, sizeof(big)));
    struct frame c = make(&arena, "c");
    assert_ptr_not_equal(a.chunk, b.chunk);
    assert_ptr_equal(a.chunk, c.chunk);
    assert_true(frame_follows(a, c));
    assert_int_equal(b.chunk->refs, 1);
    assert_int_equal(b.len, 302);
    assert_memory_equal(frame_bytes(b).ptr + 2, big, sizeof(big));
    frame_unref(a);
    frame_unref(b);
    frame_unref(c);
    frame_arena_deinit(&arena);
}

static void test_rewinds_when_unreferenced(void **state) {
    (void)state;
    struct frame_arena arena;
    frame_arena_init(&arena, 1024);
    struct frame a = make(&arena, "a");
    const char *first = frame_bytes(a).ptr;
    frame_unref(a);
    struct frame b = make(&arena, "b");
    assert_ptr_equal(frame_bytes(b).ptr, first);
    struct frame c = make(&arena, "c");
    frame_unref(b); /* c still refers: no rewind */
    struct frame d = make(&arena, "d");
    assert_true(frame_follows(c, d));
    expect(c, "H:c");
    frame_unref(c);
    frame_unref(d);
    frame_arena_deinit(&arena);
}

static void test_full_chunk_is_left(void **state) {
    (void)state;
    struct frame_arena arena;
    struct frame frames[100];
    frame_arena_init(&arena, 64);
    for (size_t i = 0; i < ARRAY_LEN(frames); i++) {
        char text[2] = {(char)('0' + i % 10), '\0'};
        frames[i] = make(&arena, text);
        assert_true(frames[i].start + frames[i].len <= frames[i].chunk->cap);
    }
    frame_arena_deinit(&arena); /* frames outlive it */
    for (size_t i = 0; i < ARRAY_LEN(frames); i++) {
        char want[4] = {'H', ':', (char)('0' + i % 10), '\0'};
        expect(frames[i], want);
        frame_unref(frames[i]);
    }
}

static void test_over_16_mib(void **state) {
    (void)state;
    struct frame_arena arena;
    size_t size = 17 * 1024 * 1024 + 1;
    char *payload = mem_alloc(size);
    memset(payload, 'p', size);
    frame_arena_init(&arena, FRAME_CHUNK_BYTES);
    struct frame f = frame_make(&arena, BYTES_LIT("0123456789"), bytes_of(payload, size));
    assert_int_equal(f.len, size + 10);
    assert_memory_equal(frame_bytes(f).ptr + 10, payload, size);
    free(payload);
    frame_unref(f);
    frame_arena_deinit(&arena);
}

/* Thousands of frames held for random times: each must read as it was made when it is let go. */
static void test_random_holding(void **state) {
    (void)state;
    struct frame_arena arena;
    struct frame held[64] = {{0}};
    unsigned values[64] = {0}, seed = 7;
    frame_arena_init(&arena, 256);
    for (unsigned i = 0; i < 100000; i++) {
        seed = seed * 1103515245 + 12345;
        size_t slot = (seed >> 16) % ARRAY_LEN(held);
        if (held[slot].chunk != NULL) {
            assert_memory_equal(frame_bytes(held[slot]).ptr, &values[slot], sizeof(unsigned));
            frame_unref(held[slot]);
            held[slot] = FRAME_NONE;
            continue;
        }
        values[slot] = i;
        held[slot] = frame_make(&arena, bytes_of(&i, sizeof(i)),
                                bytes_head(BYTES_LIT("0123456789abcdef"), seed >> 28));
    }
    for (size_t i = 0; i < ARRAY_LEN(held); i++)
        frame_unref(held[i]);
    assert_int_equal(arena.current->refs, 1);
    frame_arena_deinit(&arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_header_and_payload),
        cmocka_unit_test(test_neighbours_merge),
        cmocka_unit_test(test_none),
        cmocka_unit_test(test_big_frame_alone),
        cmocka_unit_test(test_rewinds_when_unreferenced),
        cmocka_unit_test(test_full_chunk_is_left),
        cmocka_unit_test(test_over_16_mib),
        cmocka_unit_test(test_random_holding),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
