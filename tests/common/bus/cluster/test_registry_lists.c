/* test_registry_lists.c - places for lists: how many, in what order, and how much they hold. */
#include "common/bus/cluster/registry_lists.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "common/base/bytes.h"
#include "common/bus/cluster/registry.h"

struct list {
    struct list_place place;
    unsigned turn; /* which one it was; 0: none yet */
};

static unsigned turns;

static void on_turn(struct list_place *place) {
    container_of(place, struct list, place)->turn = ++turns;
}

static void they_wait_in_line(void **state) {
    enum { ALL = REGISTRY_LISTS_MAX + REGISTRY_LISTS_WAITING_MAX };
    static struct list lists[ALL + 1];
    struct registry_lists *l = registry_lists_new();
    (void)state;
    turns = 0;
    for (int i = 0; i <= ALL; i++) {
        lists[i].place.on_turn = on_turn;
        assert_true(registry_lists_enter(l, &lists[i].place) == (i < ALL));
    }
    assert_int_equal(turns, REGISTRY_LISTS_MAX);
    registry_lists_leave(l, &lists[ALL].place); /* has no place */
    for (int i = 0; i < ALL; i++) {
        assert_int_equal(lists[i].turn, i + 1);
        registry_lists_leave(l, &lists[i].place);
    }
    assert_int_equal(turns, ALL);
    registry_lists_unref(l);
}

static void what_lists_hold_is_bounded(void **state) {
    struct list a = {.place.on_turn = on_turn}, b = a;
    struct registry_lists *l = registry_lists_new();
    (void)state;
    assert_true(registry_lists_enter(l, &a.place) && registry_lists_enter(l, &b.place));
    assert_true(registry_lists_hold(l, &a.place, REGISTRY_LISTS_BYTES_MAX - 10));
    assert_true(registry_lists_hold(l, &b.place, 10));
    assert_false(registry_lists_hold(l, &b.place, 1));
    registry_lists_leave(l, &b.place);
    assert_true(registry_lists_hold(l, &a.place, 10));
    registry_lists_leave(l, &a.place);
    registry_lists_unref(l);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(they_wait_in_line),
        cmocka_unit_test(what_lists_hold_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
