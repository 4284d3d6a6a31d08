/* Who is alive, by counters and a clock of the test's own. */
#include "common/bus/cluster/liveness.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

struct found {
    const char *id;
    struct liveness_one one;
    unsigned gone;
};

static void find(void *ctx, const struct liveness_one *one) {
    struct found *f = ctx;
    if (strcmp(one->id, f->id) == 0)
        f->one = *one;
}

static struct liveness_one get(const struct liveness *p, const char *id) {
    struct found f = {.id = id};
    liveness_each(p, find, &f);
    return f.one;
}

static void look(struct liveness *p, uint64_t now, const char *counter) {
    liveness_begin(p, now, 1);
    if (counter != NULL)
        liveness_see(p, BYTES_LIT("g"), bytes_str(counter));
    liveness_end(p, NULL, NULL);
}

static void a_counter_must_move(void **state) {
    struct liveness *p = liveness_new();
    (void)state;
    look(p, 1000, "7");
    assert_false(get(p, "g").has_moved);
    look(p, 2000, "8");
    assert_true(get(p, "g").has_moved);
    look(p, 3000, "8");
    look(p, 4000, "8");
    assert_int_equal(get(p, "g").moved_ms, 2000);
    liveness_free(p);
}

static void our_own_sleep_is_nobodys_silence(void **state) {
    struct liveness *p = liveness_new();
    (void)state;
    look(p, 1000, "7");
    look(p, 2000, "8");
    look(p, 60000, "8");
    assert_int_equal(get(p, "g").moved_ms, 60000);
    assert_int_equal(liveness_since(p), 60000);
    look(p, 61000, "8");
    assert_int_equal(get(p, "g").moved_ms, 60000);
    liveness_free(p);
}

static void count_gone(void *ctx, const char *id) {
    struct found *f = ctx;
    assert_string_equal(id, "g");
    f->gone++;
}

static void the_gone_are_told_and_forgotten(void **state) {
    struct liveness *p = liveness_new();
    struct found f = {.id = "g"};
    (void)state;
    look(p, 1000, "7");
    assert_true(liveness_lists(p, BYTES_LIT("g")));
    liveness_begin(p, 2000, 1);
    liveness_end(p, count_gone, &f);
    assert_int_equal(f.gone, 1);
    assert_false(liveness_lists(p, BYTES_LIT("g")));
    liveness_free(p);
}

static void leavers_stay_away(void **state) {
    struct liveness *p = liveness_new();
    (void)state;
    look(p, 1000, "7");
    liveness_leave(p, BYTES_LIT("g"));
    liveness_leave(p, BYTES_LIT("unknown"));
    look(p, 2000, "8");
    assert_true(get(p, "g").has_left);
    liveness_free(p);
}

/* A look while our own heartbeat is accepted since then. */
static void look_since(struct liveness *p, uint64_t now, uint64_t since, const char *counter) {
    liveness_begin(p, now, since);
    liveness_see(p, BYTES_LIT("g"), bytes_str(counter));
    liveness_end(p, NULL, NULL);
}

static void silence_counts_only_while_we_are_heard(void **state) {
    struct liveness *p = liveness_new();
    (void)state;
    look_since(p, 1000, 500, "7");
    look_since(p, 2000, 500, "8");
    for (uint64_t now = 3000; now <= 20000;
         now += 1000) /* Redis refuses our heartbeat, and theirs */
        look_since(p, now, 0, "8");
    assert_int_equal(get(p, "g").moved_ms, 20000);
    assert_int_equal(liveness_since(p), 20000);
    look_since(p, 21000, 20400, "8"); /* accepted again: a full period from there */
    assert_int_equal(get(p, "g").moved_ms, 20400);
    assert_int_equal(liveness_since(p), 20400);
    look_since(p, 22000, 20400, "8");
    assert_int_equal(get(p, "g").moved_ms, 20400);
    assert_true(get(p, "g").has_moved);
    liveness_free(p);
}

static void a_refusal_between_two_looks_counts_too(void **state) {
    struct liveness *p = liveness_new();
    (void)state;
    look_since(p, 1000, 500, "7");
    look_since(p, 2000, 500, "8");
    look_since(p, 3000, 2900, "8"); /* refused and accepted again meanwhile */
    assert_int_equal(get(p, "g").moved_ms, 2900);
    liveness_free(p);
}

/* Whoever may write there can invent processes: they are not looked at for ever, and cost no more. */
static void forged_heartbeats_are_bounded(void **state) {
    struct liveness *p = liveness_new();
    char id[LIVENESS_ID_MAX];
    (void)state;
    for (int round = 0; round < 2; round++) {
        liveness_begin(p, 1000 + (uint64_t)round, 1);
        liveness_see(p, BYTES_LIT("a\0b"), BYTES_LIT("1"));
        liveness_see(p, BYTES_LIT("nul"), BYTES_LIT("1\0"));
        for (int i = 0; i < LIVENESS_MAX + 5; i++) {
            snprintf(id, sizeof(id), "%d", i);
            liveness_see(p, bytes_str(id), BYTES_LIT("1"));
        }
        liveness_end(p, NULL, NULL);
    }
    snprintf(id, sizeof(id), "%d", LIVENESS_MAX - 1);
    assert_true(liveness_lists(p, bytes_str(id)));
    snprintf(id, sizeof(id), "%d", LIVENESS_MAX);
    assert_false(liveness_lists(p, bytes_str(id)));
    assert_false(liveness_lists(p, BYTES_LIT("a")) || liveness_lists(p, BYTES_LIT("nul")));
    liveness_free(p);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_counter_must_move),
        cmocka_unit_test(our_own_sleep_is_nobodys_silence),
        cmocka_unit_test(silence_counts_only_while_we_are_heard),
        cmocka_unit_test(a_refusal_between_two_looks_counts_too),
        cmocka_unit_test(the_gone_are_told_and_forgotten),
        cmocka_unit_test(leavers_stay_away),
        cmocka_unit_test(forged_heartbeats_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
