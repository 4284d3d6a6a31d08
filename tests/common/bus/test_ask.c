/* test_ask.c - single questions to Redis: what the answer holds when there is one, when Redis
 * refuses, and when it goes away. */
#include "common/bus/ask.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "common/bus/partition.h"
#include "tests/common/bus/bus_room.h"

struct test {
    struct bus_room room;
    struct bus *bus;
    unsigned answers;
    bool is_lost, is_refused;
    int64_t number;
    char text[200];
};

static void on_answer(void *ctx, const struct ask_answer *a) {
    struct test *t = ctx;
    t->is_lost = a->is_lost;
    t->is_refused = a->is_refused;
    t->number = a->number;
    snprintf(t->text, sizeof(t->text), "%.*s", BYTES_FMT(a->text));
    t->answers++;
}

static void wait(struct test *t) {
    assert_int_equal(t->answers, 0);
    bus_room_until(&t->room, &t->answers, 1, 3000);
    t->answers = 0;
}

static void expect(struct test *t, int64_t number, const char *text) {
    wait(t);
    assert_false(t->is_lost || t->is_refused);
    assert_int_equal(t->number, number);
    assert_string_equal(t->text, text);
}

static int setup(void **state) {
    static struct test t;
    memset(&t, 0, sizeof(t));
    bus_room_init(&t.room, 4);
    t.bus = bus_room_join(&t.room, BUS_TOOL);
    *state = &t;
    return 0;
}

static int teardown(void **state) {
    struct test *t = *state;
    bus_close(t->bus);
    bus_room_deinit(&t->room);
    return 0;
}

static void each_has_its_answer(void **state) {
    struct test *t = *state;
    ask_config(t->bus, "maxmemory", on_answer, t);
    expect(t, 0, "0");
    ask_config(t->bus, "no-such-setting", on_answer, t);
    expect(t, 0, "");
    ask_info(t->bus, "server", on_answer, t);
    wait(t);
    assert_non_null(strstr(t->text, "# Server"));
    ask_write(t->bus, on_answer, t);
    expect(t, 0, "");
    time_t before = time(NULL);
    ask_clock(t->bus, on_answer, t);
    wait(t);
    assert_in_range(t->number, (int64_t)before * 1000, ((int64_t)time(NULL) + 1) * 1000);
}

static void owners_and_connections_are_counted(void **state) {
    struct test *t = *state;
    ask_owned(t->bus, on_answer, t);
    expect(t, 0, "");
    for (unsigned p = 0; p < 4; p++) {
        bus_room_ask(&t->room, "SET sb:{%s}:lease x", partition_tag(p));
        ask_owned(t->bus, on_answer, t);
        expect(t, p + 1, "");
    }
    bus_room_ask(&t->room, "SADD sb:{%s}:g:gate a b c", partition_tag(2));
    for (unsigned p = 0; p < 4; p++) {
        ask_connections(t->bus, p, "gate", on_answer, t);
        expect(t, p == 2 ? 3 : 0, "");
    }
}

static void what_redis_refuses_is_said(void **state) {
    struct test *t = *state;
    bus_room_ask(&t->room, "ACL SETUSER default -config|get -info -time -exists -scard -hdel");
    for (int i = 0; i < 6; i++) {
        if (i == 0)
            ask_config(t->bus, "maxmemory", on_answer, t);
        else if (i == 1)
            ask_info(t->bus, "server", on_answer, t);
        else if (i == 2)
            ask_clock(t->bus, on_answer, t);
        else if (i == 3)
            ask_owned(t->bus, on_answer, t);
        else if (i == 4)
            ask_connections(t->bus, 0, "gate", on_answer, t);
        else
            ask_write(t->bus, on_answer, t);
        wait(t);
        assert_true(t->is_refused && !t->is_lost);
        assert_memory_equal(t->text, "NOPERM", 6);
        assert_int_equal(t->number, 0);
    }
}

static void what_redis_cannot_answer_any_more_is_lost(void **state) {
    struct test *t = *state;
    ask_clock(t->bus, on_answer, t);
    bus_hang_up(t->bus);
    if (t->answers == 0)
        bus_room_until(&t->room, &t->answers, 1, 3000);
    assert_true(t->is_lost && !t->is_refused);
    assert_int_equal(t->number, 0);
    assert_string_equal(t->text, "");
}

/* A question that the closing of the bus overtakes leaves nothing behind. */
static void a_question_under_way_goes_with_its_bus(void **state) {
    struct test *t = *state;
    for (int i = 0; i < 3; i++)
        ask_clock(t->bus, on_answer, t);
}

int main(void) {
#define WITH_REDIS(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        WITH_REDIS(each_has_its_answer),
        WITH_REDIS(owners_and_connections_are_counted),
        WITH_REDIS(what_redis_refuses_is_said),
        WITH_REDIS(what_redis_cannot_answer_any_more_is_lost),
        WITH_REDIS(a_question_under_way_goes_with_its_bus),
    };
    if (!redis_server_is_installed())
        return 77;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
