/* test_store.c - values, counters, locks and the secret, as several processes see them. */
#include "common/bus/cluster/store.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/bus/bus_send.h"
#include "common/bus/partition.h"
#include "tests/common/bus/bus_room.h"

struct test {
    struct bus_room room;
    struct bus *a, *b;
    unsigned answers;
    int status;
    char value[64]; /* "none" when there is none */
};

static int setup(void **state) {
    static struct test t;
    memset(&t, 0, sizeof(t));
    bus_room_init(&t.room, 1);
    t.a = bus_room_join(&t.room, BUS_BROKER);
    t.b = bus_room_join(&t.room, BUS_GATEWAY);
    *state = &t;
    return 0;
}

static int teardown(void **state) {
    struct test *t = *state;
    if (t->a != NULL)
        bus_close(t->a);
    bus_close(t->b);
    bus_room_deinit(&t->room);
    return 0;
}

static void on_answer(void *ctx, int status, struct bytes value) {
    struct test *t = ctx;
    t->status = status;
    snprintf(t->value, sizeof(t->value), "%.*s",
             BYTES_FMT(value.ptr == NULL ? BYTES_LIT("none") : value));
    t->answers++;
}

static void expect(struct test *t, int status, const char *value) {
    assert_int_equal(t->answers, 0); /* never inside the call */
    bus_room_until(&t->room, &t->answers, 1, 3000);
    t->answers = 0;
    assert_int_equal(t->status, status);
    if (value != NULL)
        assert_string_equal(t->value, value);
}

static void values_are_shared(void **state) {
    struct test *t = *state;
    struct bytes key = BYTES_LIT("a key");
    store_get(t->a, key, on_answer, t);
    expect(t, 0, "none");
    store_set(t->a, key, BYTES_LIT("v"), 0, on_answer, t);
    expect(t, 0, NULL);
    store_get(t->b, key, on_answer, t);
    expect(t, 0, "v");
    store_delete(t->b, key, on_answer, t);
    expect(t, 0, "1");
    store_delete(t->b, key, on_answer, t);
    expect(t, 0, "0");
    store_set(t->a, key, BYTES_LIT(""), 0, on_answer, t); /* empty is not absent */
    expect(t, 0, NULL);
    store_get(t->b, key, on_answer, t);
    expect(t, 0, "");
}

static void counters(void **state) {
    struct test *t = *state;
    struct bytes key = BYTES_LIT("n");
    store_incr(t->a, key, 5, 60000, on_answer, t);
    expect(t, 0, "5");
    store_incr(t->b, key, -7, 0, on_answer, t);
    expect(t, 0, "-2");
    assert_true(atoi(bus_room_ask(&t->room, "PTTL %sn", fleet_key(KEY_VALUE))) > 0);
    store_set(t->a, key, BYTES_LIT("text"), 0, on_answer, t);
    expect(t, 0, NULL);
    store_incr(t->a, key, 1, 0, on_answer, t);
    expect(t, -EINVAL, NULL);
}

static void values_expire(void **state) {
    struct test *t = *state;
    store_set(t->a, BYTES_LIT("short"), BYTES_LIT("v"), 20, on_answer, t);
    expect(t, 0, NULL);
    bus_room_turn(&t->room, 60);
    store_get(t->a, BYTES_LIT("short"), on_answer, t);
    expect(t, 0, "none");
}

static void a_lock_has_one_holder(void **state) {
    struct test *t = *state;
    struct bytes key = BYTES_LIT("k");
    struct store_lock *first = store_lock_take(t->a, key, 1000, on_answer, t);
    expect(t, 0, NULL);
    struct store_lock *second = store_lock_take(t->b, key, 100, on_answer, t);
    expect(t, -ETIMEDOUT, NULL);
    store_lock_drop(second);
    struct store_lock *third = store_lock_take(t->b, key, 2000, on_answer, t);
    bus_room_turn(&t->room, 50);
    assert_int_equal(t->answers, 0);
    store_lock_drop(first);
    expect(t, 0, NULL);
    store_lock_drop(third);
}

/* However small the life is, and none where none was asked for. */
static void lives_are_as_asked_for(void **state) {
    struct test *t = *state;
    store_set(t->a, BYTES_LIT("a"), BYTES_LIT("v"), 600000, on_answer, t);
    expect(t, 0, NULL);
    assert_in_range(atoi(bus_room_ask(&t->room, "PTTL %sa", fleet_key(KEY_VALUE))), 590000, 600000);
    store_set(t->a, BYTES_LIT("b"), BYTES_LIT("v"), 0, on_answer, t);
    expect(t, 0, NULL);
    assert_string_equal(bus_room_ask(&t->room, "PTTL %sb", fleet_key(KEY_VALUE)), "-1");
    store_set(t->a, BYTES_LIT("c"), BYTES_LIT("v"), 1, on_answer, t);
    expect(t, 0, NULL);
    bus_room_turn(&t->room, 10);
    store_get(t->a, BYTES_LIT("c"), on_answer, t);
    expect(t, 0, "none");
    store_incr(t->a, BYTES_LIT("d"), 1, 0, on_answer, t);
    expect(t, 0, "1");
    assert_string_equal(bus_room_ask(&t->room, "PTTL %sd", fleet_key(KEY_VALUE)), "-1");
    store_incr(t->a, BYTES_LIT("d"), 1, 600000, on_answer, t);
    expect(t, 0, "2");
    bus_room_turn(&t->room, 20);
    assert_in_range(atoi(bus_room_ask(&t->room, "PTTL %sd", fleet_key(KEY_VALUE))), 590000, 600000);
}

/* As large as Redis takes, and one byte more; the key counts as well. */
static void what_redis_does_not_take_is_not_sent(void **state) {
    struct test *t = *state;
    static char text[2001];
    memset(text, 'x', sizeof(text));
    bus_set_largest(t->a, 2000);
    store_set(t->a, BYTES_LIT("k"), bytes_of(text, 2000), 0, on_answer, t);
    expect(t, 0, NULL);
    store_set(t->a, BYTES_LIT("k"), bytes_of(text, 2001), 0, on_answer, t);
    expect(t, -EINVAL, "the value is larger than Redis takes");
    store_get(t->a, bytes_of(text, 2001), on_answer, t);
    expect(t, -EINVAL, "the value is larger than Redis takes");
    assert_string_equal(bus_room_ask(&t->room, "STRLEN %sk", fleet_key(KEY_VALUE)), "2000");
}

static void errors_of_redis_are_said(void **state) {
    struct test *t = *state;
    bus_room_ask(&t->room, "LPUSH %sk x", fleet_key(KEY_VALUE));
    store_get(t->a, BYTES_LIT("k"), on_answer, t);
    expect(t, -EINVAL, NULL);
    assert_memory_equal(t->value, "WRONGTYPE", 9);
    store_incr(t->a, BYTES_LIT("k"), 1, 0, on_answer, t);
    expect(t, -EINVAL, NULL);
    store_delete(t->a, BYTES_LIT("k"), on_answer, t);
    expect(t, 0, "1");
}

static const char *lock_of(struct test *t, const char *key) {
    return bus_room_ask(&t->room, "GET %s%s", fleet_key(KEY_LOCK), key);
}

/* It is held for long, renewed, and gone when it is given back. */
static void a_lock_lives_as_long_as_it_is_held(void **state) {
    struct test *t = *state;
    char token[64];
    struct store_lock *lock = store_lock_take(t->a, BYTES_LIT("k"), 1000, on_answer, t);
    struct store_lock *other = store_lock_take(t->b, BYTES_LIT("l"), 1000, on_answer, t);
    bus_room_until(&t->room, &t->answers, 2, 2000); /* two keys are two locks */
    t->answers = 0;
    snprintf(token, sizeof(token), "%s", lock_of(t, "k"));
    assert_string_not_equal(token, lock_of(t, "l"));
    assert_in_range(atoi(bus_room_ask(&t->room, "PTTL %sk", fleet_key(KEY_LOCK))), 9000, 10000);
    bus_room_ask(&t->room, "PEXPIRE %sk 60000", fleet_key(KEY_LOCK));
    bus_room_turn(&t->room, 3300);
    assert_in_range(atoi(bus_room_ask(&t->room, "PTTL %sk", fleet_key(KEY_LOCK))), 9000, 10000);
    assert_string_equal(lock_of(t, "k"), token);
    store_lock_drop(lock);
    store_lock_drop(lock);
    store_lock_drop(NULL);
    bus_room_turn(&t->room, 50);
    assert_string_equal(lock_of(t, "k"), "nil");
    store_lock_drop(other);
}

/* Given up while it is asked for, or while it waits: nothing stays, and nobody is called. */
static void a_lock_that_is_not_wanted_any_more(void **state) {
    struct test *t = *state;
    struct store_lock *asked = store_lock_take(t->a, BYTES_LIT("k"), 1000, on_answer, t);
    bus_room_ask(&t->room, "CLIENT PAUSE 100");
    bus_room_turn(&t->room, 20); /* the question is under way */
    store_lock_drop(asked);
    bus_room_turn(&t->room, 300);
    assert_string_equal(lock_of(t, "k"), "nil");
    bus_room_ask(&t->room, "SET %sk thief PX 5000", fleet_key(KEY_LOCK));
    struct store_lock *waiting = store_lock_take(t->a, BYTES_LIT("k"), 5000, on_answer, t);
    bus_room_turn(&t->room, 100);
    store_lock_drop(waiting);
    bus_room_ask(&t->room, "DEL %sk", fleet_key(KEY_LOCK));
    bus_room_turn(&t->room, 200);
    assert_string_equal(lock_of(t, "k"), "nil");
    assert_int_equal(t->answers, 0);
}

/* A try begins while Redis is away and ends at its time. */
static void a_lock_without_redis_times_out(void **state) {
    struct test *t = *state;
    redis_server_kill(&t->room.redis);
    for (int i = 0; i < 300 && bus_can_send(t->a); i++)
        bus_room_turn(&t->room, 10);
    struct store_lock *lock = store_lock_take(t->a, BYTES_LIT("k"), 150, on_answer, t);
    bus_room_turn(&t->room, 60);
    assert_int_equal(t->answers, 0);
    expect(t, -ETIMEDOUT, "none");
    store_lock_drop(lock);
    store_incr(t->a, BYTES_LIT("n"), 1, 1000, on_answer, t);
    expect(t, -ENOTCONN, "none");
}

static void the_first_secret_stays(void **state) {
    struct test *t = *state;
    char first[64];
    store_server_secret(t->a, on_answer, t);
    expect(t, 0, NULL);
    snprintf(first, sizeof(first), "%s", t->value);
    assert_int_equal(strlen(first), 36);
    store_server_secret(t->b, on_answer, t);
    expect(t, 0, first);
    bus_room_ask(&t->room, "FLUSHALL"); /* Redis lost it: a process that knows it proposes it */
    store_server_secret(t->b, on_answer, t);
    expect(t, 0, first);
}

static void without_redis_the_answer_comes_later(void **state) {
    struct test *t = *state;
    struct bus *alone = bus_new(&t->room.loop, &t->room.settings, BUS_BROKER); /* not started */
    store_get(alone, BYTES_LIT("k"), on_answer, t);
    expect(t, -ENOTCONN, "none");
    bus_close(alone);
}

int main(void) {
#define WITH_REDIS(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        WITH_REDIS(values_are_shared),
        WITH_REDIS(counters),
        WITH_REDIS(values_expire),
        WITH_REDIS(a_lock_has_one_holder),
        WITH_REDIS(lives_are_as_asked_for),
        WITH_REDIS(what_redis_does_not_take_is_not_sent),
        WITH_REDIS(errors_of_redis_are_said),
        WITH_REDIS(a_lock_lives_as_long_as_it_is_held),
        WITH_REDIS(a_lock_that_is_not_wanted_any_more),
        WITH_REDIS(a_lock_without_redis_times_out),
        WITH_REDIS(the_first_secret_stays),
        WITH_REDIS(without_redis_the_answer_comes_later),
    };
    if (!redis_server_is_installed())
        return 77;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
