/* test_rules.c - what is set in one process holds in every one, and is found again after a loss. */
#include "common/bus/cluster/rules.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tests/common/bus/bus_room.h"

struct process {
    struct bus *bus;
    struct rules *rules;
    unsigned changes;
    char last[64]; /* field=value */
};

struct test {
    struct bus_room room;
    struct process a, b;
    unsigned done;
    int status;
};

static void on_change(void *ctx, struct bytes field, struct bytes value) {
    struct process *p = ctx;
    snprintf(p->last, sizeof(p->last), "%.*s=%.*s", BYTES_FMT(field), BYTES_FMT(value));
    p->changes++;
}

static void open_process(struct test *t, struct process *p) {
    p->bus = bus_room_join(&t->room, BUS_BROKER);
    p->rules = rules_new(p->bus, on_change, p);
    bus_room_turn(&t->room, 100); /* its subscription stands */
}

static int setup(void **state) {
    static struct test t;
    memset(&t, 0, sizeof(t));
    bus_room_init(&t.room, 1);
    open_process(&t, &t.a);
    open_process(&t, &t.b);
    *state = &t;
    return 0;
}

static int teardown(void **state) {
    struct test *t = *state;
    rules_free(t->a.rules);
    rules_free(t->b.rules);
    bus_close(t->a.bus);
    bus_close(t->b.bus);
    bus_room_deinit(&t->room);
    return 0;
}

static void on_done(void *ctx, int status) {
    struct test *t = ctx;
    t->status = status;
    t->done++;
}

static int set(struct test *t, const char *field, const char *value) {
    t->done = t->a.changes = t->b.changes = 0;
    rules_set(t->a.rules, bytes_str(field), bytes_str(value), on_done, t);
    bus_room_until(&t->room, &t->done, 1, 2000);
    return t->status;
}

static void a_change_reaches_every_process(void **state) {
    struct test *t = *state;
    assert_int_equal(set(t, "level:msg", "group"), 0);
    assert_string_equal(t->a.last, "level:msg=group"); /* here before fn */
    bus_room_until(&t->room, &t->b.changes, 1, 2000);
    assert_string_equal(t->b.last, "level:msg=group");
    assert_string_equal(bus_room_ask(&t->room, "HGET sb:{sb}:rules level:msg"), "group");
}

static void an_empty_value_unsets(void **state) {
    struct test *t = *state;
    set(t, "scope", "local");
    bus_room_until(&t->room, &t->b.changes, 1, 2000);
    assert_int_equal(set(t, "scope", ""), 0);
    bus_room_until(&t->room, &t->b.changes, 1, 2000);
    assert_string_equal(t->b.last, "scope=");
    assert_string_equal(bus_room_ask(&t->room, "EXISTS sb:{sb}:rules"), "0");
}

static void a_new_process_reads_what_was_set(void **state) {
    struct test *t = *state;
    struct process c = {0};
    set(t, "scope", "local");
    open_process(t, &c);
    bus_room_until(&t->room, &c.changes, 1, 2000);
    assert_string_equal(c.last, "scope=local");
    rules_free(c.rules);
    bus_close(c.bus);
}

static void what_redis_refuses_changes_nothing(void **state) {
    struct test *t = *state;
    bus_room_ask(&t->room, "SET sb:{sb}:rules wrong");
    assert_true(set(t, "scope", "local") < 0);
    assert_int_equal(t->a.changes, 0);
    bus_room_ask(&t->room, "DEL sb:{sb}:rules");
}

int main(void) {
#define WITH_REDIS(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        WITH_REDIS(a_change_reaches_every_process),
        WITH_REDIS(an_empty_value_unsets),
        WITH_REDIS(a_new_process_reads_what_was_set),
        WITH_REDIS(what_redis_refuses_changes_nothing),
    };
    if (!redis_server_is_installed())
        return 77;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
