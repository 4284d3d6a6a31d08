/* test_gap.c - what shows that a message is missing, and when a suspicion becomes a loss. */
#include "common/bus/log/gap.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define ID(term, seq) ((struct message_id){term, seq})

static void predecessors(void **state) {
    static const struct {
        struct message_id at, prev;
        bool is_gap;
    } cases[] = {
        {{5, 3}, {5, 3}, false}, /* the next one */
        {{5, 3}, {5, 2}, false}, /* its predecessor was passed by the other log */
        {{5, 3}, {5, 4}, true},  {{5, 3}, {6, 1}, true},
        {{5, 3}, {0, 0}, false}, /* the predecessor is not known */
        {{5, 3}, {6, 0}, false}, /* the log began in term 6 */
        {{0, 0}, {5, 1}, true},  {{5, UINT64_MAX}, {6, 1}, true},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_int_equal(gap_is_before(cases[i].at, cases[i].prev), cases[i].is_gap);
}

static void either_log_may_be_behind(void **state) {
    const struct message_id at[LOG_COUNT] = {{5, 3}, {5, 7}};
    (void)state;
    assert_false(gap_is_behind(at, (struct message_id[]){ID(5, 3), ID(5, 7)}));
    assert_true(gap_is_behind(at, (struct message_id[]){ID(5, 4), ID(5, 7)}));
    assert_true(gap_is_behind(at, (struct message_id[]){ID(5, 3), ID(5, 8)}));
    assert_false(gap_is_behind(at, (struct message_id[]){ID(6, 0), MESSAGE_ID_NONE}));
}

struct test {
    struct gap_suspicions all;
    struct gap_suspicion first, second;
};

static void a_suspicion_waits_for_its_heartbeat(void **state) {
    struct test t = {.first = {.is_open = false}};
    const struct message_id last[] = {ID(5, 4), ID(5, 7)}, later[] = {ID(5, 9), ID(5, 9)};
    (void)state;
    TAILQ_INIT(&t.all);
    gap_suspect(&t.all, &t.first, last, 10);
    gap_suspect(&t.all, &t.first, later, 11); /* open already */
    gap_suspect(&t.all, &t.second, later, 11);
    assert_null(gap_next_certain(&t.all, 9));
    assert_ptr_equal(gap_next_certain(&t.all, 10), &t.first);
    assert_true(t.first.is_certain && !t.first.is_open);
    assert_true(message_id_compare(t.first.last[LOG_OWN], ID(5, 4)) == 0);
    assert_null(gap_next_certain(&t.all, 10));
    gap_forget(&t.all, &t.second);
    assert_null(gap_next_certain(&t.all, UINT64_MAX));
}

static void only_a_certain_suspicion_is_a_loss(void **state) {
    struct test t = {.first = {.is_open = false}};
    const struct message_id last[] = {ID(5, 4), ID(5, 7)};
    struct message_id at[] = {ID(5, 3), ID(5, 8)};
    (void)state;
    TAILQ_INIT(&t.all);
    gap_suspect(&t.all, &t.first, last, 1);
    assert_false(gap_settle(&t.first, at));
    assert_true(message_id_compare(at[LOG_OWN], ID(5, 3)) == 0);
    gap_next_certain(&t.all, 1);
    assert_true(gap_settle(&t.first, at));
    assert_true(message_id_compare(at[LOG_OWN], ID(5, 4)) == 0);
    assert_true(message_id_compare(at[LOG_EVERY], ID(5, 8)) == 0);
    assert_false(gap_settle(&t.first, at)); /* reported once */
}

static void what_came_meanwhile_is_no_loss(void **state) {
    struct test t = {.first = {.is_open = false}};
    const struct message_id last[] = {ID(5, 4), MESSAGE_ID_NONE};
    struct message_id at[] = {ID(5, 4), ID(5, 4)};
    (void)state;
    TAILQ_INIT(&t.all);
    gap_suspect(&t.all, &t.first, last, 1);
    gap_next_certain(&t.all, 1);
    assert_false(gap_settle(&t.first, at));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(predecessors),
        cmocka_unit_test(either_log_may_be_behind),
        cmocka_unit_test(a_suspicion_waits_for_its_heartbeat),
        cmocka_unit_test(only_a_certain_suspicion_is_a_loss),
        cmocka_unit_test(what_came_meanwhile_is_no_loss),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
