/* test_inflating.c - small messages at once, large ones one after the other, a step in a turn. */
#include "gateway/conn/inflating.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/metrics.h"

enum { SENDERS = 4 };

struct sender {
    struct fixture *f;
    struct inflation *inflation;
    unsigned steps;
    enum parse result; /* PARSE_MORE as long as there is none */
    size_t message_len;
    int close_code;
};

static struct fixture {
    uv_loop_t loop;
    struct inflating inflating;
    struct deflater deflater;
    struct sender senders[SENDERS];
    char ends[16]; /* in which order the senders' messages came to an end */
} fixture;

static int setup(void **state) {
    struct fixture *f = &fixture;
    *f = (struct fixture){0};
    uv_loop_init(&f->loop);
    inflating_init(&f->inflating, &f->loop);
    deflater_init(&f->deflater);
    for (int i = 0; i < SENDERS; i++)
        f->senders[i] = (struct sender){.f = f, .result = PARSE_MORE};
    metrics_set(METRIC_inflations, 0);
    metrics_set(METRIC_inflations_in_bytes, 0);
    metrics_set(METRIC_inflations_out_bytes, 0);
    *state = f;
    return 0;
}

static int teardown(void **state) {
    struct fixture *f = *state;
    assert_int_equal(metrics_get(METRIC_inflations_waiting), 0);
    inflating_deinit(&f->inflating);
    deflater_deinit(&f->deflater);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&f->loop), 0);
    return 0;
}

/* So many zeros, compressed: several blocks of the largest that one call takes. */
static struct buf zeros(struct fixture *f, size_t blocks) {
    static char block[DEFLATE_BYTES_MAX];
    struct buf all = {0};
    for (size_t i = 0; i < blocks; i++) {
        deflate_message(&f->deflater, 15, bytes_of(block, sizeof(block)), &all);
        if (i + 1 < blocks)
            buf_append(&all, BYTES_LIT("\0\0\xff\xff"));
    }
    return all;
}

static void on_step(void *ctx, enum parse result, const struct inflate_what *what,
                    struct bytes message, const struct ws_error *error) {
    struct sender *s = ctx;
    s->steps++;
    assert_false(what->is_text);
    if (result == PARSE_MORE)
        return;
    s->inflation = NULL;
    s->result = result;
    s->message_len = message.len;
    s->close_code = result == PARSE_BAD ? error->close_code : 0;
    strcat(s->f->ends, (char[]){(char)('a' + (s - s->f->senders)), '\0'});
}

static struct inflate_what what_of(const struct buf *payload) {
    return (struct inflate_what){.payload = buf_bytes(payload), .max_bytes = 64 * 1024 * 1024};
}

static enum parse try(struct fixture *f, int sender, struct buf payload) {
    struct inflate_what what = what_of(&payload);
    struct bytes message;
    struct ws_error error;
    enum parse result = inflating_try(&f->inflating, &f->senders[sender], &what, &message, &error);
    buf_deinit(&payload);
    return result;
}

static void queue(struct fixture *f, int sender, struct buf payload) {
    struct inflate_what what = what_of(&payload);
    size_t len = payload.len;
    f->senders[sender].inflation =
        inflating_queue(&f->inflating, &what, &payload, on_step, &f->senders[sender]);
    assert_null(payload.ptr);
    assert_true(inflation_memory(f->senders[sender].inflation) >= len);
}

static void turns(struct fixture *f, unsigned times) {
    for (unsigned i = 0; i < times; i++)
        (void)uv_run(&f->loop, UV_RUN_NOWAIT);
}

static void small_at_once(void **state) {
    struct fixture *f = *state;
    struct buf payload = {0};
    deflate_message(&f->deflater, 15, BYTES_LIT("hello"), &payload);
    struct inflate_what what = what_of(&payload);
    struct bytes message;
    struct ws_error error;
    what.is_text = true;
    assert_int_equal(inflating_try(&f->inflating, f, &what, &message, &error), PARSE_OK);
    assert_true(bytes_equal(message, BYTES_LIT("hello")));
    assert_int_equal(metrics_get(METRIC_inflations), 1);
    assert_int_equal(metrics_get(METRIC_inflations_in_bytes), payload.len);
    assert_int_equal(metrics_get(METRIC_inflations_out_bytes), 5);
    assert_int_equal(inflating_try(&f->inflating, f, &what, &message, &error), PARSE_OK);
    assert_true(bytes_equal(message, BYTES_LIT("hello"))); /* nothing of the one before */
    metrics_set(METRIC_inflations, 1);
    what.payload = bytes_head(what.payload, 3);
    assert_int_equal(inflating_try(&f->inflating, f, &what, &message, &error), PARSE_BAD);
    assert_int_equal(error.close_code, 1007);
    assert_int_equal(metrics_get(METRIC_inflations), 1);
    buf_deinit(&payload);
}

static void large_in_steps(void **state) {
    struct fixture *f = *state;
    struct sender *s = &f->senders[0];
    assert_int_equal(try(f, 0, zeros(f, 20)), PARSE_MORE);
    struct buf payload = zeros(f, 20);
    size_t payload_len = payload.len;
    queue(f, 0, payload);
    assert_int_equal(metrics_get(METRIC_inflations_waiting), 1);
    for (unsigned turn = 1; s->result == PARSE_MORE; turn++) {
        turns(f, 1);
        assert_int_equal(s->steps, turn);
        assert_true(s->inflation == NULL ||
                    inflation_memory(s->inflation) <= 4 * (size_t)turn * INFLATE_STEP);
    }
    assert_in_range(s->steps, 20, 25);
    assert_int_equal(s->result, PARSE_OK);
    assert_int_equal(s->message_len, 20 * DEFLATE_BYTES_MAX);
    assert_int_equal(metrics_get(METRIC_inflations_in_bytes), payload_len);
    assert_int_equal(metrics_get(METRIC_inflations_out_bytes), 20 * DEFLATE_BYTES_MAX);
    assert_false(uv_is_active((uv_handle_t *)&f->inflating.step));
}

/* Small ones of others do not wait for it. */
static void one_after_the_other(void **state) {
    struct fixture *f = *state;
    struct buf small = {0};
    queue(f, 0, zeros(f, 10));
    queue(f, 1, zeros(f, 10));
    queue(f, 2, zeros(f, 1));
    turns(f, 5);
    assert_int_equal(f->senders[1].steps + f->senders[2].steps, 0);
    deflate_message(&f->deflater, 9, BYTES_LIT("small"), &small);
    assert_int_equal(try(f, 3, small), PARSE_OK);
    turns(f, 40);
    assert_string_equal(f->ends, "abc");
    assert_int_equal(metrics_get(METRIC_inflations), 4);
}

static void cancelled(void **state) {
    struct fixture *f = *state;
    for (int i = 0; i < SENDERS; i++)
        queue(f, i, zeros(f, 3));
    turns(f, 1);
    inflation_cancel(f->senders[0].inflation); /* which is being inflated, … */
    inflation_cancel(f->senders[2].inflation); /* … and one that waits */
    inflation_cancel(NULL);
    turns(f, 20);
    assert_string_equal(f->ends, "bd");
    queue(f, 0, zeros(f, 3));
    inflation_cancel(f->senders[0].inflation);
    assert_false(uv_is_active((uv_handle_t *)&f->inflating.step));
    assert_int_equal(inflation_memory(NULL), 0);
}

static void bad_ones(void **state) {
    struct fixture *f = *state;
    struct buf cut = zeros(f, 3), bomb = zeros(f, 3);
    cut.len--;
    queue(f, 0, cut);
    struct inflate_what what = what_of(&bomb);
    what.max_bytes = 2 * DEFLATE_BYTES_MAX;
    f->senders[1].inflation = inflating_queue(&f->inflating, &what, &bomb, on_step, &f->senders[1]);
    turns(f, 20);
    assert_int_equal(f->senders[0].close_code, 1007);
    assert_int_equal(f->senders[1].close_code, 1009);
    assert_int_equal(metrics_get(METRIC_inflations), 0);
}

static struct buf hello(struct fixture *f) {
    struct buf payload = {0};
    deflate_message(&f->deflater, 15, BYTES_LIT("hello"), &payload);
    return payload;
}

/* Messages that are nearly large, until one has to wait. */
static void spend_a_turn(struct fixture *f, int sender) {
    static char half[DEFLATE_BYTES_MAX / 2];
    unsigned done = 0;
    for (enum parse result = PARSE_OK; result == PARSE_OK; done++) {
        struct buf payload = {0};
        deflate_message(&f->deflater, 15, bytes_of(half, sizeof(half)), &payload);
        result = try(f, sender, payload);
        assert_true(done < 20);
    }
    assert_in_range(done, 7, 9);
}

/* The rest of what one sender has in a turn has to wait, and what others have has not. */
static void turn_of_one_sender(void **state) {
    struct fixture *f = *state;
    spend_a_turn(f, 0);
    assert_int_equal(try(f, 0, hello(f)), PARSE_MORE);
    assert_int_equal(try(f, 1, hello(f)), PARSE_OK);
    spend_a_turn(f, 0);
    uint64_t now_ms = uv_now(&f->loop);
    while (uv_now(&f->loop) == now_ms)
        uv_update_time(&f->loop);
    assert_int_equal(try(f, 0, hello(f)), PARSE_OK);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(small_at_once, setup, teardown),
        cmocka_unit_test_setup_teardown(large_in_steps, setup, teardown),
        cmocka_unit_test_setup_teardown(one_after_the_other, setup, teardown),
        cmocka_unit_test_setup_teardown(cancelled, setup, teardown),
        cmocka_unit_test_setup_teardown(bad_ones, setup, teardown),
        cmocka_unit_test_setup_teardown(turn_of_one_sender, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
