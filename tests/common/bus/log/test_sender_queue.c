/* Several senders in turn, and the order of each. */
#include "common/bus/log/sender_queue.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

enum { ITEMS = 12 };

struct fixture {
    struct sender_queue queue;
    struct sender a, b, c;
    struct sender_item items[ITEMS];
    size_t count;
};

static struct fixture begin(void) {
    return (struct fixture){0};
}

static struct sender_item *push(struct fixture *f, struct sender *sender, size_t len) {
    struct sender_item *item = &f->items[f->count++];
    *item = (struct sender_item){.len = len};
    sender_queue_push(&f->queue, sender, item);
    return item;
}

/* Takes and tells which item it was. */
static size_t take(struct fixture *f, struct sender_items *from) {
    return (size_t)(sender_queue_take(&f->queue, from) - f->items);
}

static void who_has_nothing_on_the_way_is_quick(void **state) {
    (void)state;
    struct fixture f = begin();
    sender_queue_init(&f.queue);
    struct sender_item *first = push(&f, &f.a, 10);
    push(&f, &f.a, 10);
    push(&f, &f.a, 10);
    push(&f, &f.b, 10);
    push(&f, NULL, SENDER_QUEUE_LARGE);
    push(&f, &f.c, SENDER_QUEUE_LARGE - 1);
    assert_int_equal(take(&f, &f.queue.quick), 0);
    assert_int_equal(take(&f, &f.queue.quick), 3);
    assert_int_equal(take(&f, &f.queue.quick), 4);
    assert_int_equal(take(&f, &f.queue.quick), 5);
    assert_true(STAILQ_EMPTY(&f.queue.quick));
    /* What is quick may be refused for a while, and what waits would pass it. */
    assert_true(STAILQ_EMPTY(&f.queue.waiting));
    sender_queue_done(&f.queue, first);
    assert_int_equal(take(&f, &f.queue.waiting), 1);
    assert_int_equal(take(&f, &f.queue.waiting), 2);
    assert_true(STAILQ_EMPTY(&f.queue.waiting));
}

static void those_who_wait_take_turns(void **state) {
    (void)state;
    struct fixture f = begin();
    const size_t order[] = {0, 3, 6, 1, 4, 2, 5};
    sender_queue_init(&f.queue);
    for (int i = 0; i < 3; i++)
        push(&f, &f.a, SENDER_QUEUE_LARGE);
    for (int i = 0; i < 3; i++)
        push(&f, &f.b, SENDER_QUEUE_LARGE);
    push(&f, &f.c, SENDER_QUEUE_LARGE);
    for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++)
        assert_int_equal(take(&f, &f.queue.waiting), order[i]);
}

static void a_sender_is_quick_again_when_all_has_arrived(void **state) {
    (void)state;
    struct fixture f = begin();
    sender_queue_init(&f.queue);
    struct sender_item *first = push(&f, &f.a, 10);
    assert_int_equal(take(&f, &f.queue.quick), 0);
    struct sender_item *second = push(&f, &f.a, 10); /* the first is under way */
    assert_true(STAILQ_EMPTY(&f.queue.quick) && STAILQ_EMPTY(&f.queue.waiting));
    sender_queue_done(&f.queue, first);
    assert_int_equal(take(&f, &f.queue.waiting), 1);
    sender_queue_done(&f.queue, second);
    push(&f, &f.a, 10);
    assert_int_equal(take(&f, &f.queue.quick), 2);
}

static void what_a_sender_said_stays_when_it_leaves(void **state) {
    (void)state;
    struct fixture f = begin();
    sender_queue_init(&f.queue);
    struct sender_item *first = push(&f, &f.a, 10);
    struct sender_item *second = push(&f, &f.a, 10);
    sender_leave(&f.a);
    f.a.newest = &f.items[ITEMS - 1]; /* the memory is another's now */
    assert_int_equal(take(&f, &f.queue.quick), 0);
    sender_queue_done(&f.queue, first);
    assert_int_equal(take(&f, &f.queue.waiting), 1);
    sender_queue_done(&f.queue, second);
    assert_ptr_equal(f.a.newest, &f.items[ITEMS - 1]);
}

/* One that is taken from the line and done later lets the next one in once. */
static void the_next_one_is_let_in_once(void **state) {
    (void)state;
    struct fixture f = begin();
    sender_queue_init(&f.queue);
    struct sender_item *first = push(&f, &f.a, SENDER_QUEUE_LARGE);
    struct sender_item *second = push(&f, &f.a, 10);
    assert_int_equal(take(&f, &f.queue.waiting), 0);
    sender_queue_done(&f.queue, first);
    assert_int_equal(take(&f, &f.queue.waiting), 1);
    assert_true(STAILQ_EMPTY(&f.queue.waiting));
    sender_queue_done(&f.queue, second);
    assert_null(f.a.newest);
}

static void who_is_quick(void **state) {
    (void)state;
    struct fixture f = begin();
    sender_queue_init(&f.queue);
    assert_true(sender_is_quick(NULL, SENDER_QUEUE_LARGE));
    assert_true(sender_is_quick(&f.a, SENDER_QUEUE_LARGE - 1));
    assert_false(sender_is_quick(&f.a, SENDER_QUEUE_LARGE));
    sender_leave(&f.a); /* with nothing on the way */
    push(&f, &f.a, 10);
    assert_false(sender_is_quick(&f.a, 1));
    sender_leave(&f.a);
    assert_true(sender_is_quick(&f.a, 1));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_has_nothing_on_the_way_is_quick),
        cmocka_unit_test(those_who_wait_take_turns),
        cmocka_unit_test(a_sender_is_quick_again_when_all_has_arrived),
        cmocka_unit_test(what_a_sender_said_stays_when_it_leaves),
        cmocka_unit_test(the_next_one_is_let_in_once),
        cmocka_unit_test(who_is_quick),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
