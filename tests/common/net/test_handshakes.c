/* test_handshakes.c - whose turn it is, and when there is no room. */
#include "common/net/handshakes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "common/base/must.h"

struct one {
    struct handshake handshake;
    unsigned calls, given_up;
};

static struct one ones[HANDSHAKES_MAX];
static struct handshakes all;
static uv_loop_t loop;
static uv_idle_t alive; /* a loop without work does not turn */

static void on_go_on(struct handshake *h) {
    container_of(h, struct one, handshake)->calls++;
}

static void on_give_up(struct handshake *h) {
    container_of(h, struct one, handshake)->given_up++;
    handshake_end(h);
}

static void begin(struct one *o) {
    *o = (struct one){.handshake = {.go_on = on_go_on, .give_up = on_give_up}};
    handshake_begin(&o->handshake, &all);
}

static void on_idle(uv_idle_t *handle) {
    (void)handle;
}

static void turn(void) {
    uv_run(&loop, UV_RUN_NOWAIT);
}

static void set_up(size_t count) {
    assert_int_equal(uv_loop_init(&loop), 0);
    assert_int_equal(uv_idle_init(&loop, &alive), 0);
    assert_int_equal(uv_idle_start(&alive, on_idle), 0);
    handshakes_init(&all, &loop);
    for (size_t i = 0; i < count; i++)
        begin(&ones[i]);
}

static void tear_down(size_t count) {
    for (size_t i = 0; i < count; i++)
        handshake_end(&ones[i].handshake);
    handshakes_deinit(&all);
    uv_close((uv_handle_t *)&alive, NULL);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
}

static bool may(size_t i) {
    return handshake_may_go_on(&ones[i].handshake);
}

static void works(size_t i, uint64_t us) {
    handshake_worked(&ones[i].handshake, us * 1000);
}

/* Until the share of the turn is used; what waits is called in its order in the next one. */
static void they_take_turns(void **state) {
    (void)state;
    set_up(HANDSHAKES_CALLED + 4);
    assert_true(may(0));
    works(0, HANDSHAKES_SHARE_US / 2);
    assert_true(may(1));
    works(1, HANDSHAKES_SHARE_US / 2);
    for (size_t i = 2; i < HANDSHAKES_CALLED + 4; i++)
        assert_false(may(i));
    assert_int_equal(ones[2].calls, 0);
    turn();
    for (size_t i = 2; i < HANDSHAKES_CALLED + 4; i++)
        assert_int_equal(ones[i].calls, i < HANDSHAKES_CALLED + 2);
    assert_false(may(0)); /* it spoke again, and comes behind those that wait */
    assert_true(may(2));
    works(2, HANDSHAKES_SHARE_US);
    assert_false(may(3)); /* called, and too late in this turn: it is the first of the next one */
    turn();
    assert_int_equal(ones[3].calls, 2);
    assert_int_equal(ones[HANDSHAKES_CALLED + 2].calls, 1);
    assert_int_equal(ones[0].calls, 0);
    assert_true(may(3));
    tear_down(HANDSHAKES_CALLED + 4);
}

/* Those that are called and are not read then, for whatever reason, hold up nobody. */
static void one_that_is_not_read_holds_up_nobody(void **state) {
    (void)state;
    set_up(HANDSHAKES_CALLED + 2);
    assert_true(may(0));
    works(0, HANDSHAKES_SHARE_US);
    for (size_t i = 1; i < HANDSHAKES_CALLED + 2; i++)
        assert_false(may(i));
    turn();
    turn();
    assert_int_equal(ones[HANDSHAKES_CALLED + 1].calls, 1);
    turn();
    assert_true(may(0));
    assert_true(may(1));
    tear_down(HANDSHAKES_CALLED + 2);
}

static void one_that_ends_leaves_its_place(void **state) {
    (void)state;
    set_up(3);
    assert_true(may(0));
    works(0, HANDSHAKES_SHARE_US);
    assert_false(may(1));
    assert_false(may(2));
    handshake_end(&ones[1].handshake);
    handshake_end(&ones[1].handshake);
    turn();
    assert_int_equal(ones[1].calls, 0);
    assert_int_equal(ones[2].calls, 1);
    handshake_end(&ones[2].handshake);
    assert_true(may(0));
    tear_down(3);
}

/* However many end while they are called, as many as ever are called after them. */
static void those_that_end_when_called_take_no_place(void **state) {
    (void)state;
    set_up(1);
    for (int round = 0; round < 3; round++) {
        assert_true(may(0));
        works(0, HANDSHAKES_SHARE_US);
        for (size_t i = 1; i <= HANDSHAKES_CALLED; i++) {
            begin(&ones[i]);
            assert_false(may(i));
        }
        turn();
        for (size_t i = 1; i <= HANDSHAKES_CALLED; i++) {
            assert_int_equal(ones[i].calls, 1);
            handshake_end(&ones[i].handshake);
        }
        turn();
    }
    tear_down(1);
}

static void pass_ms(uint64_t ms) {
    uint64_t until_ms = uv_now(&loop) + ms;
    while (uv_now(&loop) < until_ms)
        uv_update_time(&loop);
}

/* Full: only one that has been silent for a while is given up, the longest silent first. */
static void there_is_room_for_so_many(void **state) {
    (void)state;
    set_up(HANDSHAKES_MAX - 1);
    assert_true(handshakes_have_room(&all));
    begin(&ones[HANDSHAKES_MAX - 1]);
    assert_false(handshakes_have_room(&all));
    pass_ms(HANDSHAKES_SILENT_MS);
    assert_true(may(0));
    works(0, 1);
    assert_true(handshakes_have_room(&all));
    assert_int_equal(ones[0].given_up, 0);
    assert_int_equal(ones[1].given_up, 1);
    begin(&ones[1]);
    works(2, HANDSHAKES_SHARE_US);
    for (size_t i = 3; i < HANDSHAKES_MAX; i++)
        assert_false(may(i)); /* these have spoken and wait for us */
    assert_false(handshakes_have_room(&all));
    tear_down(HANDSHAKES_MAX);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(they_take_turns),
                                       cmocka_unit_test(one_that_is_not_read_holds_up_nobody),
                                       cmocka_unit_test(one_that_ends_leaves_its_place),
                                       cmocka_unit_test(those_that_end_when_called_take_no_place),
                                       cmocka_unit_test(there_is_room_for_so_many)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
