/* Pages follow the size of what they bring, and what Redis is willing to answer. */
#include "common/bus/redis/paging.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "common/base/clock.h"
#include "common/base/must.h"

enum { TOP = 128, KIB = 1024, STEP_MS = 50 };

static uint64_t now;

static void break_it(struct paging *p) {
    clock_freeze(now += STEP_MS);
    paging_broke(p);
}

static void follows_the_size(void **state) {
    struct paging p;
    (void)state;
    paging_init(&p, 16, TOP);
    paging_read(&p, 16, 16);
    assert_int_equal(p.count, 32);
    paging_read(&p, 5, 5); /* not full: as it is */
    assert_int_equal(p.count, 32);
    paging_read(&p, 32, 32 * 100 * KIB);
    assert_int_equal(p.count, 10);
    paging_read(&p, 10, 10 * 4096 * KIB);
    assert_int_equal(p.count, 1);
    for (int i = 0; i < 20; i++)
        paging_read(&p, p.count, 0);
    assert_int_equal(p.count, TOP);
}

static void halves_until_it_is_stuck(void **state) {
    struct paging p;
    (void)state;
    paging_init(&p, 16, TOP);
    for (unsigned expected = 8; expected >= 1; expected /= 2) {
        break_it(&p);
        assert_int_equal(p.count, expected);
        paging_broke(&p); /* another read of the same connection */
        assert_int_equal(p.count, expected);
    }
    for (int i = 0; i < PAGING_STUCK; i++) {
        assert_false(paging_is_stuck(&p));
        break_it(&p);
    }
    assert_true(paging_is_stuck(&p));
    paging_read(&p, 1, 10);
    assert_false(paging_is_stuck(&p));
}

static void grows_again_slowly(void **state) {
    struct paging p;
    (void)state;
    paging_init(&p, 8, TOP);
    break_it(&p);
    for (int i = 0; i < PAGING_GOOD - 1; i++)
        paging_read(&p, p.count, 0);
    assert_int_equal(p.count, 4);
    for (int i = 0; i < 10 * PAGING_GOOD; i++)
        paging_read(&p, p.count, 0);
    assert_int_equal(p.count, TOP);
}

/* Up to PAGING_BYTES a page may grow; beyond, the next has as many as fit by the mean. */
static void the_bound_in_bytes(void **state) {
    static const struct {
        size_t entries, bytes;
        unsigned count;
    } rows[] = {{16, PAGING_BYTES, 32},    {16, PAGING_BYTES + 1, 15}, {15, PAGING_BYTES, 16},
                {16, 2 * PAGING_BYTES, 7}, {1, 2 * PAGING_BYTES, 1},   {0, 0, 16}};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct paging p;
        paging_init(&p, 16, TOP);
        paging_read(&p, rows[i].entries, rows[i].bytes);
        assert_int_equal(p.count, rows[i].count);
    }
}

/* At one entry nothing can be halved; at the top nothing is doubled. */
static void both_ends(void **state) {
    struct paging p;
    (void)state;
    paging_init(&p, 2, 100);
    break_it(&p);
    break_it(&p);
    assert_int_equal(p.count, 1);
    paging_read(&p, 1, 0);
    assert_int_equal(p.count, 1);
    static const unsigned most[] = {2, 4, 8, 16, 32, 64, 100, 100};
    for (size_t i = 0; i < ARRAY_LEN(most); i++) {
        for (int good = i == 0; good < PAGING_GOOD; good++)
            paging_read(&p, p.count, 0);
        assert_int_equal(p.most, most[i]);
    }
    assert_int_equal(p.count, 100);
}

/* Breaks of one moment are one, and what grew again is halved again. */
static void breaks_of_one_moment(void **state) {
    struct paging p;
    (void)state;
    paging_init(&p, 64, TOP);
    paging_broke(&p);
    clock_freeze(now + 19);
    paging_broke(&p);
    assert_int_equal(p.count, 32);
    clock_freeze(now + 20);
    paging_broke(&p);
    assert_int_equal(p.count, 16);
    assert_int_equal(p.most, 16);
    for (int i = 0; i < PAGING_GOOD; i++)
        paging_read(&p, p.count, 0);
    assert_int_equal(p.most, 32);
    assert_int_equal(p.count, 32);
    for (int i = 0; i < PAGING_GOOD - 1; i++)
        paging_read(&p, p.count, 0);
    assert_int_equal(p.most, 32);
    clock_freeze(now + 60);
    paging_broke(&p);
    for (int i = 0; i < PAGING_GOOD - 1; i++)
        paging_read(&p, p.count, 0);
    assert_int_equal(p.most, 16); /* counted from the break on */
}

static int set_up(void **state) {
    (void)state;
    clock_freeze(now = 1000000);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(follows_the_size, set_up),
        cmocka_unit_test_setup(halves_until_it_is_stuck, set_up),
        cmocka_unit_test_setup(grows_again_slowly, set_up),
        cmocka_unit_test_setup(the_bound_in_bytes, set_up),
        cmocka_unit_test_setup(both_ends, set_up),
        cmocka_unit_test_setup(breaks_of_one_moment, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
