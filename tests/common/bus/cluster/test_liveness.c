/* Who is alive, by counters and a clock of the test's own. */
#include "common/bus/cluster/liveness.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/must.h"

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

/* The gap is our own from one millisecond beyond its bound on. */
static void the_bound_of_a_gap(void **state) {
    struct liveness *p = liveness_new();
    (void)state;
    look(p, 1000, "7");
    look(p, 2000, "8");
    look(p, 2000 + HEARTBEAT_GAP_MS, "8");
    assert_int_equal(get(p, "g").moved_ms, 2000);
    assert_int_equal(liveness_since(p), 1000);
    look(p, 2000 + 2 * HEARTBEAT_GAP_MS + 1, "8");
    assert_int_equal(get(p, "g").moved_ms, 2000 + 2 * HEARTBEAT_GAP_MS + 1);
    assert_int_equal(liveness_since(p), 2000 + 2 * HEARTBEAT_GAP_MS + 1);
    liveness_free(p);
}

static void after_an_interruption_everybody_has_just_moved(void **state) {
    struct liveness *p = liveness_new();
    (void)state;
    look(p, 1000, "7");
    look(p, 2000, "8");
    liveness_restart(p, 3000);
    assert_int_equal(get(p, "g").moved_ms, 3000);
    assert_int_equal(liveness_since(p), 3000);
    assert_true(liveness_has_moved(p, BYTES_LIT("g")) && liveness_lists(p, BYTES_LIT("g")));
    look(p, 4000, "8");
    assert_int_equal(get(p, "g").moved_ms, 3000);
    liveness_free(p);
}

/* Its latest counter says so, and it is seen with the next one that moves. */
static void the_unfit_say_so(void **state) {
    static const struct {
        const char *counter;
        bool is_unfit;
    } looks[] = {{"7", false},    {"8" HEARTBEAT_UNFIT, true}, {"8" HEARTBEAT_UNFIT, true},
                 {"9", false},    {HEARTBEAT_UNFIT, true},     {"10" HEARTBEAT_UNFIT "x", false},
                 {"unfit", false}};
    struct liveness *p = liveness_new();
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(looks); i++) {
        look(p, 1000 * (i + 1), looks[i].counter);
        assert_int_equal(get(p, "g").is_unfit, looks[i].is_unfit);
        assert_string_equal(get(p, "g").counter, looks[i].counter);
        assert_int_equal(liveness_has_moved(p, BYTES_LIT("g")), i > 0);
    }
    assert_false(liveness_has_moved(p, BYTES_LIT("nobody")));
    liveness_free(p);
}

/* What cannot be ours is passed over: the longest id and counter that are kept, and one beyond. */
static void ids_and_counters_have_a_length(void **state) {
    char text[LIVENESS_ID_MAX + 1];
    struct liveness *p = liveness_new();
    (void)state;
    memset(text, 'x', sizeof(text));
    liveness_begin(p, 1000, 1);
    liveness_see(p, bytes_of(text, LIVENESS_ID_MAX - 1), BYTES_LIT("1"));
    liveness_see(p, bytes_of(text, LIVENESS_ID_MAX), BYTES_LIT("1"));
    liveness_see(p, BYTES_LIT("c"), bytes_of(text, HEARTBEAT_VALUE_MAX - 1));
    liveness_see(p, BYTES_LIT("d"), bytes_of(text, HEARTBEAT_VALUE_MAX));
    liveness_see(p, BYTES_LIT("e"), BYTES_LIT(""));
    liveness_end(p, NULL, NULL);
    assert_true(liveness_lists(p, bytes_of(text, LIVENESS_ID_MAX - 1)));
    assert_false(liveness_lists(p, bytes_of(text, LIVENESS_ID_MAX)));
    assert_true(liveness_lists(p, BYTES_LIT("c")) && liveness_lists(p, BYTES_LIT("e")));
    assert_false(liveness_lists(p, BYTES_LIT("d")));
    assert_int_equal(strlen(get(p, "c").counter), HEARTBEAT_VALUE_MAX - 1);
    liveness_free(p);
}

/* One that went and comes again is a new one. */
static void who_comes_again_has_to_move_again(void **state) {
    struct liveness *p = liveness_new();
    (void)state;
    look(p, 1000, "7");
    look(p, 2000, "8");
    liveness_leave(p, BYTES_LIT("g"));
    look(p, 3000, NULL);
    look(p, 4000, "9");
    assert_false(get(p, "g").has_moved || get(p, "g").has_left);
    assert_int_equal(get(p, "g").moved_ms, 4000);
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
        cmocka_unit_test(the_bound_of_a_gap),
        cmocka_unit_test(after_an_interruption_everybody_has_just_moved),
        cmocka_unit_test(the_unfit_say_so),
        cmocka_unit_test(ids_and_counters_have_a_length),
        cmocka_unit_test(who_comes_again_has_to_move_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
