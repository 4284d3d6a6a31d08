/* The bounds of a history hold for every mix of sizes. */
#include "common/bus/log/history.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

enum { BYTES = 262144, MESSAGES = 1000 };

static const struct history_bounds bounds = {BYTES, MESSAGES};
static uint64_t seq;

static struct message_id next_id(void) {
    return (struct message_id){1, ++seq};
}

/* What stays after `count` messages, the size of each from `size_of`. */
static void fill(size_t (*size_of)(unsigned i), unsigned count) {
    struct history h = {0};
    size_t sizes[5000];
    seq = 0;
    for (unsigned i = 0; i < count; i++) {
        sizes[i] = size_of(i);
        history_add(&h, &bounds, next_id(), 1, sizes[i]);
        size_t kept = 0;
        uint64_t messages = seq - history_first(&h).seq + 1;
        for (uint64_t s = history_first(&h).seq; s <= seq; s++)
            kept += sizes[s - 1];
        assert_int_equal(kept, h.bytes);
        assert_int_equal(messages, h.messages);
        assert_true(kept <= BYTES || messages == 1);
        assert_true(messages <= MESSAGES + MESSAGES / HISTORY_CHUNKS);
        /* and not much less than is promised */
        if (history_first(&h).seq > 1)
            assert_true(messages >= MESSAGES ||
                        kept + BYTES / HISTORY_CHUNKS * 2 + sizes[history_first(&h).seq - 2] >
                            BYTES);
        assert_true(h.count <= 2 * HISTORY_CHUNKS + 2);
    }
    history_deinit(&h);
}

static size_t small(unsigned i) {
    return 60 + i % 7;
}

static size_t middling(unsigned i) {
    return 1000 + i % 1000;
}

static size_t large(unsigned i) {
    return 200000 + i;
}

static size_t huge(unsigned i) {
    return 4000000 + i;
}

/* What an average cannot describe: small ones, and now and then a megabyte. */
static size_t mixed(unsigned i) {
    return i % 50 == 49 ? 1000000 : i % 3 == 0 ? 20000 : 100;
}

static size_t any(unsigned i) {
    (void)i;
    return (size_t)1 << (rand() % 21);
}

static void bounds_hold(void **state) {
    static size_t (*const sizes[])(unsigned) = {small, middling, large, huge, mixed, any};
    (void)state;
    srand(1);
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++)
        fill(sizes[i], 3000);
}

static void bounds_may_be_tiny(void **state) {
    static const struct history_bounds tiny = {1, 1};
    struct history h = {0};
    (void)state;
    seq = 0;
    for (unsigned i = 0; i < 10; i++) {
        history_add(&h, &tiny, next_id(), 1, 100);
        assert_int_equal(history_first(&h).seq, seq);
        assert_int_equal(h.messages, 1);
    }
    history_deinit(&h);
}

static void chunks_are_a_share_of_the_bounds(void **state) {
    static const struct {
        struct history_bounds bounds;
        size_t bytes;
        uint64_t messages;
    } rows[] = {{{1, 1}, 1, 1},   {{31, 31}, 1, 1}, {{32, 32}, 1, 1},
                {{63, 63}, 1, 1}, {{64, 64}, 2, 2}, {{3200, 320}, 100, 10}};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        assert_int_equal(history_chunk_bytes(&rows[i].bounds), rows[i].bytes);
        assert_int_equal(history_chunk_messages(&rows[i].bounds), rows[i].messages);
    }
}

/* A chunk is filled to its bounds, and not beyond; an empty history has no first message. */
static void a_chunk_is_full_at_its_bounds(void **state) {
    static const struct history_bounds some = {3200, 320}; /* 100 bytes, 10 messages */
    static const struct {
        unsigned before;
        size_t each, last;
        unsigned chunks;
    } rows[] = {{9, 1, 1, 1},   {10, 1, 1, 2}, {4, 20, 20, 1},
                {4, 20, 21, 2}, {5, 20, 1, 2}, {1, 100, 1, 2}};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct history h = {0};
        seq = 0;
        assert_true(message_id_is_none(history_first(&h)));
        for (unsigned n = 0; n < rows[i].before; n++)
            history_add(&h, &some, next_id(), 1, rows[i].each);
        assert_int_equal(h.count, 1);
        history_add(&h, &some, next_id(), 1, rows[i].last);
        assert_int_equal(h.count, rows[i].chunks);
        if (h.count == 2)
            assert_int_equal(h.chunks[1].first.seq, seq);
        history_deinit(&h);
        assert_int_equal(h.count + h.cap, 0);
    }
}

/* As much as is promised stays, and one byte or message more drops the oldest chunk. */
static void the_oldest_goes_beyond_the_bounds(void **state) {
    static const struct history_bounds some = {3200, 320};
    struct history h = {0};
    (void)state;
    seq = 0;
    for (unsigned n = 0; n < 32; n++)
        history_add(&h, &some, next_id(), 1, 100);
    assert_int_equal(h.bytes, 3200);
    assert_int_equal(history_first(&h).seq, 1);
    history_add(&h, &some, next_id(), 1, 1);
    assert_int_equal(history_first(&h).seq, 2);
    assert_int_equal(h.bytes, 3101);
    history_deinit(&h);
    seq = 0;
    for (unsigned n = 0; n < 329; n++)
        history_add(&h, &some, next_id(), 1, 1);
    assert_int_equal(history_first(&h).seq, 1);
    history_add(&h, &some, next_id(), 1, 1);
    assert_int_equal(history_first(&h).seq, 11);
    assert_int_equal(h.messages, 320);
    history_add(&h, &some, next_id(), 1, 100000); /* the newest stays, alone */
    assert_int_equal(history_first(&h).seq, 331);
    assert_int_equal(h.count, 1);
    history_deinit(&h);
}

/* What a predecessor left comes in chunks. */
static void goes_on_where_another_left_off(void **state) {
    struct history h = {0};
    (void)state;
    for (uint64_t i = 0; i < 32; i++)
        history_add(&h, &bounds, (struct message_id){1, i * 10 + 1}, 10, 8000);
    assert_int_equal(history_first(&h).seq, 1);
    history_add(&h, &bounds, (struct message_id){2, 1}, 1, 8000);
    assert_int_equal(history_first(&h).seq, 11);
    assert_int_equal(h.bytes, 32 * 8000);
    history_deinit(&h);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bounds_hold),
        cmocka_unit_test(bounds_may_be_tiny),
        cmocka_unit_test(chunks_are_a_share_of_the_bounds),
        cmocka_unit_test(a_chunk_is_full_at_its_bounds),
        cmocka_unit_test(the_oldest_goes_beyond_the_bounds),
        cmocka_unit_test(goes_on_where_another_left_off),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
