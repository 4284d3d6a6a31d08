/* Large commands take turns; small ones do not wait for them. */
#include "common/bus/bulk.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static struct bulk bulk;
static struct bulk_turn *began[8];
static size_t began_count;

static void on_turn(struct bulk_turn *turn) {
    began[began_count++] = turn;
}

static int setup(void **state) {
    (void)state;
    bulk_init(&bulk);
    began_count = 0;
    return 0;
}

static void so_many_bytes_are_under_way(void **state) {
    struct bulk_turn turns[5] = {[0 ... 4] = {.on_turn = on_turn}};
    (void)state;
    assert_true(bulk_take(&bulk, &turns[0], BULK_MOST - BULK_MIN));
    assert_true(bulk_take(&bulk, &turns[1], BULK_MIN));
    assert_false(bulk_take(&bulk, &turns[2], BULK_MIN));
    assert_true(bulk_take(&bulk, &turns[3], BULK_MIN - 1));
    bulk_leave(&bulk, &turns[3]);
    assert_int_equal(began_count, 0);
    bulk_leave(&bulk, &turns[1]);
    assert_int_equal(began_count, 1);
    assert_ptr_equal(began[0], &turns[2]);
    bulk_leave(&bulk, &turns[0]);
    bulk_leave(&bulk, &turns[2]);
    assert_int_equal(bulk.bytes, 0);
    assert_true(bulk_take(&bulk, &turns[4], SIZE_MAX / 2)); /* alone */
}

/* A smaller one that would find room does not pass a larger one that waits. */
static void they_go_in_their_order(void **state) {
    struct bulk_turn turns[4] = {[0 ... 3] = {.on_turn = on_turn}};
    (void)state;
    assert_true(bulk_take(&bulk, &turns[0], BULK_MIN));
    assert_false(bulk_take(&bulk, &turns[1], BULK_MOST));
    assert_false(bulk_take(&bulk, &turns[2], BULK_MIN));
    assert_false(bulk_take(&bulk, &turns[3], BULK_MIN));
    bulk_leave(&bulk, &turns[0]);
    assert_int_equal(began_count, 1);
    assert_ptr_equal(began[0], &turns[1]);
    bulk_leave(&bulk, &turns[1]);
    assert_int_equal(began_count, 3);
    assert_ptr_equal(began[1], &turns[2]);
    assert_ptr_equal(began[2], &turns[3]);
}

static void one_that_is_given_up_lets_the_next_begin(void **state) {
    struct bulk_turn turns[3] = {[0 ... 2] = {.on_turn = on_turn}};
    (void)state;
    assert_true(bulk_take(&bulk, &turns[0], BULK_MIN));
    assert_false(bulk_take(&bulk, &turns[1], BULK_MOST));
    assert_false(bulk_take(&bulk, &turns[2], BULK_MIN));
    bulk_leave(&bulk, &turns[1]);
    assert_int_equal(began_count, 1);
    assert_ptr_equal(began[0], &turns[2]);
    bulk_leave(&bulk, &turns[1]); /* nothing is left to leave */
    assert_int_equal(bulk.bytes, 2 * BULK_MIN);
}

int main(void) {
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(so_many_bytes_are_under_way, setup),
        cmocka_unit_test_setup(they_go_in_their_order, setup),
        cmocka_unit_test_setup(one_that_is_given_up_lets_the_next_begin, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
