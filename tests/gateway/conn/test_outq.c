/* test_outq.c - merging, bounds, policies, and that an empty queue owns nothing. */
#include "gateway/conn/outq.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/buf.h"

struct fixture {
    struct frame_arena arena;
    struct outq q;
};

static int setup(void **state) {
    struct fixture *f = calloc(1, sizeof(*f));
    frame_arena_init(&f->arena, FRAME_CHUNK_BYTES);
    outq_init(&f->q);
    *state = f;
    return 0;
}

static int teardown(void **state) {
    struct fixture *f = *state;
    outq_deinit(&f->q);
    frame_arena_deinit(&f->arena);
    free(f);
    return 0;
}

static enum outq_result push(struct fixture *f, const char *text, size_t max_bytes,
                             enum slow_policy policy, unsigned *dropped_out) {
    struct frame frame = frame_make(&f->arena, BYTES_NONE, bytes_str(text));
    enum outq_result result = outq_push_message(&f->q, frame, max_bytes, policy, dropped_out);
    frame_unref(frame);
    return result;
}

static enum outq_result push_close(struct fixture *f, const char *text) {
    unsigned dropped;
    return push(f, text, 1 << 20, SLOW_CLOSE, &dropped);
}

/* Other traffic in the shared arena. */
static void disturb(struct fixture *f) {
    frame_unref(frame_make(&f->arena, BYTES_NONE, BYTES_LIT("elsewhere")));
}

static void assert_content(struct fixture *f, const char *expected) {
    struct buf all = {0};
    for (uint32_t i = 0; i < f->q.count; i++)
        buf_append(&all, outq_at(&f->q, i));
    buf_append_char(&all, '\0');
    assert_string_equal(all.ptr, expected);
    assert_int_equal(f->q.bytes, strlen(expected));
    buf_deinit(&all);
}

static void eight_messages_of_a_turn_are_one_range(void **state) {
    struct fixture *f = *state;
    for (int i = 0; i < 8; i++)
        assert_int_equal(push_close(f, "abcd"), OUTQ_OK);
    assert_int_equal(f->q.count, 1);
    assert_int_equal(f->q.bytes, 32);
    assert_null(f->q.ranges);
}

static void dropping_policies_keep_boundaries(void **state) {
    struct fixture *f = *state;
    unsigned dropped;
    for (int i = 0; i < 5; i++)
        assert_int_equal(push(f, "abcd", 1 << 20, SLOW_DROP_OLDEST, &dropped), OUTQ_OK);
    assert_int_equal(f->q.count, 5);
}

static void control_frames_are_no_messages(void **state) {
    struct fixture *f = *state;
    push_close(f, "ab");
    struct frame ping = frame_make(&f->arena, BYTES_NONE, BYTES_LIT("P"));
    outq_push(&f->q, ping, false);
    frame_unref(ping);
    assert_int_equal(f->q.count, 2);
    assert_int_equal(outq_drop_messages(&f->q, NULL), 1);
    assert_content(f, "P");
}

static void partial_writes_go_on_where_they_stopped(void **state) {
    struct fixture *f = *state;
    push_close(f, "abcd");
    disturb(f);
    push_close(f, "efgh");
    outq_wrote(&f->q, 3);
    assert_content(f, "defgh");
    outq_wrote(&f->q, 2);
    assert_content(f, "fgh");
    outq_wrote(&f->q, 3);
    assert_int_equal(f->q.count, 0);
    assert_null(f->q.ranges);
    assert_null(f->q.own.current);
}

static void a_full_queue_is_told(void **state) {
    struct fixture *f = *state;
    unsigned dropped;
    assert_int_equal(push(f, "0123456789", 4, SLOW_CLOSE, &dropped), OUTQ_OK); /* it was empty */
    assert_int_equal(push(f, "x", 4, SLOW_CLOSE, &dropped), OUTQ_FULL);
    assert_content(f, "0123456789");
}

static void drop_oldest_drops_what_is_not_begun(void **state) {
    struct fixture *f = *state;
    size_t max = 3 * (4 + sizeof(struct outq_range));
    unsigned dropped;
    push(f, "aaaa", max, SLOW_DROP_OLDEST, &dropped);
    outq_wrote(&f->q, 1);
    push(f, "bbbb", max, SLOW_DROP_OLDEST, &dropped);
    push(f, "cccc", max, SLOW_DROP_OLDEST, &dropped);
    assert_int_equal(push(f, "dddd", max, SLOW_DROP_OLDEST, &dropped), OUTQ_DROPPED);
    assert_int_equal(dropped, 1);
    assert_content(f, "aaaccccdddd");
}

static void drop_newest_and_latest(void **state) {
    struct fixture *f = *state;
    size_t max = 2 * (4 + sizeof(struct outq_range));
    unsigned dropped;
    push(f, "aaaa", max, SLOW_DROP_NEWEST, &dropped);
    push(f, "bbbb", max, SLOW_DROP_NEWEST, &dropped);
    assert_int_equal(push(f, "cccc", max, SLOW_DROP_NEWEST, &dropped), OUTQ_DROPPED);
    assert_int_equal(dropped, 1);
    assert_content(f, "aaaabbbb");
    assert_int_equal(push(f, "dddd", max, SLOW_LATEST, &dropped), OUTQ_DROPPED);
    assert_int_equal(dropped, 2);
    assert_content(f, "dddd");
}

/* A "message" of this test begins with its length as a digit. */
static size_t digit_len(struct bytes rest) {
    return (size_t)(rest.ptr[0] - '0');
}

static void a_begun_range_is_cut_after_the_begun_message(void **state) {
    struct fixture *f = *state;
    push_close(f, "3ab");
    push_close(f, "4cde");
    push_close(f, "2f");
    assert_int_equal(f->q.count, 1);
    outq_wrote(&f->q, 5); /* one byte into "cde" */
    outq_drop_messages(&f->q, digit_len);
    assert_content(f, "de");
    outq_wrote(&f->q, 2);
    assert_int_equal(f->q.count, 0);
}

static void a_begun_range_at_a_boundary_is_dropped_whole(void **state) {
    struct fixture *f = *state;
    push_close(f, "3ab");
    push_close(f, "4cde");
    outq_wrote(&f->q, 3);
    outq_drop_messages(&f->q, digit_len);
    assert_int_equal(f->q.count, 0);
    assert_int_equal(f->q.bytes, 0);
}

static void a_long_queue_copies_into_chunks_of_its_own(void **state) {
    struct fixture *f = *state;
    for (int i = 0; i < OUTQ_SHARED_MAX; i++) {
        push_close(f, "s");
        disturb(f);
    }
    assert_int_equal(f->q.count, OUTQ_SHARED_MAX);
    for (int i = 0; i < 100; i++) {
        push_close(f, "o");
        disturb(f);
    }
    assert_int_equal(f->q.count, OUTQ_SHARED_MAX + 1);
    assert_int_equal(f->q.bytes, OUTQ_SHARED_MAX + 100);
    outq_wrote(&f->q, f->q.bytes);
    assert_null(f->q.own.current);
}

static void the_ring_wraps(void **state) {
    struct fixture *f = *state;
    struct buf expected = {0};
    unsigned dropped;
    for (int i = 0; i < 300; i++) {
        char text[8];
        snprintf(text, sizeof(text), "%04d", i);
        push(f, text, 1 << 20, SLOW_LATEST, &dropped);
        buf_append_str(&expected, text);
        if (i % 3 == 2) {
            outq_wrote(&f->q, 5);
            buf_consume(&expected, 5);
        }
    }
    buf_append_char(&expected, '\0');
    assert_content(f, expected.ptr);
    buf_deinit(&expected);
}

/* ---- messages in two parts */

static bool is_own(const void *ctx, struct bytes head) {
    return head.len > 0 && head.ptr[0] == *(const char *)ctx;
}

/* head: "<sender>…". */
static enum outq_result push_parts(struct fixture *f, const char *head, const char *body,
                                   size_t max_bytes, enum slow_policy policy,
                                   unsigned *dropped_out) {
    struct outq_parts parts = {.head = frame_make(&f->arena, BYTES_NONE, bytes_str(head)),
                               .body = frame_make(&f->arena, BYTES_NONE, bytes_str(body)),
                               .is_own = is_own,
                               .ctx = head};
    enum outq_result result = outq_push_parts(&f->q, &parts, max_bytes, policy, dropped_out);
    frame_unref(parts.head);
    frame_unref(parts.body);
    return result;
}

/* A queue of a's and b's, with whole messages and control frames between. */
static void fill_with_parts(struct fixture *f, size_t max_bytes) {
    unsigned dropped;
    push_parts(f, "a<", "1>", max_bytes, SLOW_LATEST, &dropped);
    push_parts(f, "b<", "1>", max_bytes, SLOW_LATEST, &dropped);
    push_close(f, "mmmm");
    push_parts(f, "a<", "2>", max_bytes, SLOW_LATEST, &dropped);
    struct frame control = frame_make(&f->arena, BYTES_NONE, BYTES_LIT("c"));
    outq_push(&f->q, control, false);
    frame_unref(control);
    assert_content(f, "a<1>b<1>mmmma<2>c");
}

static void a_policy_drops_the_parts_of_one_sender(void **state) {
    struct fixture *f = *state;
    const size_t large = 1 << 20;
    unsigned dropped;
    fill_with_parts(f, large);
    size_t full = f->q.bytes + f->q.count * sizeof(struct outq_range);
    assert_int_equal(push_parts(f, "a<", "3>", full, SLOW_CLOSE, &dropped), OUTQ_FULL);
    assert_int_equal(push_parts(f, "a<", "3>", full, SLOW_DROP_NEWEST, &dropped), OUTQ_DROPPED);
    assert_int_equal(dropped, 1);
    assert_content(f, "a<1>b<1>mmmma<2>c");
    assert_int_equal(push_parts(f, "a<", "3>", full, SLOW_DROP_OLDEST, &dropped), OUTQ_DROPPED);
    assert_int_equal(dropped, 1);
    assert_content(f, "b<1>mmmma<2>ca<3>");
    assert_int_equal(push_parts(f, "a<", "4>", full, SLOW_LATEST, &dropped), OUTQ_DROPPED);
    assert_int_equal(dropped, 2);
    assert_content(f, "b<1>mmmmca<4>");
    /* What is others' stays, even if there is no room then. */
    assert_int_equal(push_parts(f, "x<", "1>", 8, SLOW_LATEST, &dropped), OUTQ_DROPPED);
    assert_int_equal(dropped, 1);
    assert_int_equal(push_parts(f, "a<", "5>", 8, SLOW_DROP_OLDEST, &dropped), OUTQ_DROPPED);
    assert_int_equal(dropped, 2);
    assert_content(f, "b<1>mmmmc");
}

/* Wherever the socket stopped, a message that was begun is finished, and no other is. */
static void a_begun_message_keeps_both_parts(void **state) {
    static const struct {
        size_t written;
        const char *rest;
    } cases[] = {{0, "c"}, {1, "<1>c"}, {2, "1>c"}, {3, ">c"}, {4, "c"}, {5, "<1>c"}, {6, "1>c"}};
    struct fixture *f = *state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        fill_with_parts(f, 1 << 20);
        outq_wrote(&f->q, cases[i].written);
        (void)outq_drop_messages(&f->q, NULL);
        assert_content(f, cases[i].rest);
        outq_deinit(&f->q);
        outq_init(&f->q);
    }
}

static void parts_beside_a_slow_queue(void **state) {
    struct fixture *f = *state;
    unsigned dropped;
    for (int i = 0; i < 2 * OUTQ_SHARED_MAX; i++) { /* from some on they are copied */
        push_parts(f, "a<", "1>", 1 << 20, SLOW_DROP_OLDEST, &dropped);
        disturb(f);
    }
    assert_int_equal(f->q.count, 4 * OUTQ_SHARED_MAX);
    assert_int_equal(outq_drop_messages(&f->q, NULL), 2 * OUTQ_SHARED_MAX);
    assert_content(f, "");
}

int main(void) {
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(eight_messages_of_a_turn_are_one_range),
        TEST(dropping_policies_keep_boundaries),
        TEST(control_frames_are_no_messages),
        TEST(partial_writes_go_on_where_they_stopped),
        TEST(a_full_queue_is_told),
        TEST(drop_oldest_drops_what_is_not_begun),
        TEST(drop_newest_and_latest),
        TEST(a_begun_range_is_cut_after_the_begun_message),
        TEST(a_begun_range_at_a_boundary_is_dropped_whole),
        TEST(a_long_queue_copies_into_chunks_of_its_own),
        TEST(the_ring_wraps),
        TEST(a_policy_drops_the_parts_of_one_sender),
        TEST(a_begun_message_keeps_both_parts),
        TEST(parts_beside_a_slow_queue),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
