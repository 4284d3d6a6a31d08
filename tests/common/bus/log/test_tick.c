/* Ticks of schedules: once each, by Redis' clock, whatever a wrong clock has left behind. */
#include "common/bus/log/tick.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/bus/partition.h"
#include "tests/common/bus/bus_room.h"

enum { PERIOD = 60, AGES = 100000 };

struct test {
    struct bus_room room;
    struct bus *bus;
    unsigned answers;
    int status;
    uint64_t now_ms;
};

static void on_tick(void *ctx, int status, time_t tick, struct bytes error) {
    struct test *t = ctx;
    (void)tick;
    (void)error;
    t->status = status;
    t->answers++;
}

static int add(struct test *t, const char *schedule, time_t tick, time_t next) {
    t->answers = 0;
    tick_add(t->bus, &(struct tick){schedule, tick, next}, on_tick, t);
    bus_room_until(&t->room, &t->answers, 1, 2000);
    return t->status;
}

static void on_clock(void *ctx, int status, uint64_t now_ms, struct bytes error) {
    struct test *t = ctx;
    (void)error;
    t->status = status;
    t->now_ms = now_ms;
    t->answers++;
}

static time_t now(struct test *t) {
    t->answers = 0;
    tick_ask_clock(t->bus, on_clock, t);
    bus_room_until(&t->room, &t->answers, 1, 2000);
    assert_int_equal(t->status, 0);
    return (time_t)(t->now_ms / 1000);
}

static const char *tag(struct test *t, const char *schedule) {
    return partition_tag(tick_partition(t->bus, schedule));
}

static int added(struct test *t, const char *schedule) {
    return atoi(bus_room_ask(&t->room, "XLEN sb:{%s}:in", tag(t, schedule)));
}

static void set_mark(struct test *t, const char *schedule, time_t mark) {
    bus_room_ask(&t->room, "HSET sb:{%s}:src c:%s %020lld", tag(t, schedule), schedule,
                 (long long)mark);
}

static int setup(void **state) {
    static struct test t;
    memset(&t, 0, sizeof(t));
    bus_room_init(&t.room, 4);
    t.bus = bus_room_join(&t.room, BUS_BROKER);
    *state = &t;
    return 0;
}

static int teardown(void **state) {
    struct test *t = *state;
    bus_close(t->bus);
    bus_room_deinit(&t->room);
    return 0;
}

static void each_tick_once(void **state) {
    struct test *t = *state;
    time_t tick = now(t);
    assert_int_equal(add(t, "a", tick, tick + PERIOD), 0);
    assert_int_equal(add(t, "a", tick, tick + PERIOD), 0);
    assert_int_equal(added(t, "a"), 1);
    assert_int_equal(add(t, "a", tick - PERIOD, tick), 0); /* an owner that lags behind */
    assert_int_equal(added(t, "a"), 1);
}

static void none_before_its_time(void **state) {
    struct test *t = *state;
    time_t tick = now(t) + 30;
    assert_int_equal(add(t, "a", tick, tick + PERIOD), -EAGAIN);
    assert_int_equal(added(t, "a"), 0);
}

static void a_schedule_that_never_ran_has_missed_nothing(void **state) {
    struct test *t = *state;
    time_t tick = now(t) - 30;
    assert_int_equal(add(t, "a", tick, tick + PERIOD), 0);
    assert_int_equal(add(t, "a", tick, tick + PERIOD), 0);
    assert_int_equal(added(t, "a"), 0);
    set_mark(t, "a", tick - PERIOD); /* one that did has */
    assert_int_equal(add(t, "a", tick, tick + PERIOD), 0);
    assert_int_equal(added(t, "a"), 1);
}

/* From its first second on, whether a tick was due then or not. */
static void a_schedule_misses_nothing_from_its_beginning_on(void **state) {
    struct test *t = *state;
    time_t began = now(t);
    const time_t firsts[] = {TICK_NONE, began - 30};
    for (size_t i = 0; i < ARRAY_LEN(firsts); i++) {
        char name[] = {(char)('a' + i), '\0'};
        assert_int_equal(add(t, name, firsts[i], began + PERIOD), 0);
        assert_int_equal(added(t, name), 0);
        long long mark = atoll(bus_room_ask(&t->room, "HGET sb:{%s}:src c:%s", tag(t, name), name));
        assert_in_range(mark, began - 3, began);
        set_mark(t, name, began - 40); /* half a minute later */
        assert_int_equal(add(t, name, began - 30, began + PERIOD), 0);
        assert_int_equal(added(t, name), 1);
        assert_int_equal(add(t, name, TICK_NONE, began + PERIOD), 0); /* by another owner */
        assert_int_equal(add(t, name, began - 30, began + PERIOD), 0);
        assert_int_equal(added(t, name), 1);
    }
}

static void a_wrong_clocks_mark_silences_nothing(void **state) {
    struct test *t = *state;
    time_t tick = now(t);
    set_mark(t, "a", tick + AGES);
    assert_int_equal(add(t, "a", tick, tick + PERIOD), 0);
    assert_int_equal(added(t, "a"), 1);
    assert_int_equal(add(t, "a", tick, tick + PERIOD), 0); /* another owner, at the same time */
    assert_int_equal(added(t, "a"), 1);
}

static void a_clock_set_back_within_a_period_repeats_nothing(void **state) {
    struct test *t = *state;
    time_t tick = now(t);
    set_mark(t, "a", tick + PERIOD);
    assert_int_equal(add(t, "a", tick, tick + PERIOD), 0);
    assert_int_equal(added(t, "a"), 0);
}

/* A call that was long under way must not take the marks of others for a wrong clock's. */
static void a_late_call_repeats_nothing(void **state) {
    struct test *t = *state;
    time_t tick = now(t) - 3 * PERIOD;
    set_mark(t, "a", now(t));
    assert_int_equal(add(t, "a", tick, tick + PERIOD), 0);
    assert_int_equal(added(t, "a"), 0);
}

int main(void) {
#define WITH_REDIS(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        WITH_REDIS(each_tick_once),
        WITH_REDIS(none_before_its_time),
        WITH_REDIS(a_schedule_that_never_ran_has_missed_nothing),
        WITH_REDIS(a_schedule_misses_nothing_from_its_beginning_on),
        WITH_REDIS(a_wrong_clocks_mark_silences_nothing),
        WITH_REDIS(a_clock_set_back_within_a_period_repeats_nothing),
        WITH_REDIS(a_late_call_repeats_nothing),
    };
    if (!redis_server_is_installed())
        return 77;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
