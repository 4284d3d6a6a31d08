/* test_rules.c - what is set in one process holds in every one, and is found again after a loss. */
#include "common/bus/cluster/rules.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/metrics.h"
#include "common/bus/notice.h"
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
    unsigned done, notices;
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

static void on_notice(void *ctx, const struct notice *n) {
    struct test *t = ctx;
    assert_int_equal(n->kind, NOTICE_lease);
    t->notices++;
}

/* Rules are its own; every other notice goes on, if anybody wants it. */
static void other_notices_go_on(void **state) {
    struct test *t = *state;
    struct notice n = {.kind = NOTICE_lease, .lease = {BYTES_LIT("x")}};
    rules_on_notice(t->b.rules, on_notice, t);
    notice_send(t->a.bus, &n);
    bus_room_until(&t->room, &t->notices, 1, 2000);
    set(t, "scope", "local");
    bus_room_until(&t->room, &t->b.changes, 1, 2000);
    bus_room_ask(&t->room, "PUBLISH sb:{sb}:ctl nonsense");
    bus_room_turn(&t->room, 50);
    assert_int_equal(t->notices, 1);
}

/* A reload shows what is gone, once, and what is there. */
static void what_was_missed_is_read(void **state) {
    struct test *t = *state;
    set(t, "scope", "local");
    set(t, "level:msg", "group");
    bus_room_until(&t->room, &t->b.changes, 1, 2000);
    bus_room_ask(&t->room, "HDEL sb:{sb}:rules scope"); /* without a notice */
    bus_room_ask(&t->room, "CLIENT KILL TYPE normal SKIPME yes");
    t->b.changes = 0;
    bus_room_until(&t->room, &t->b.changes, 2, 5000);
    assert_string_equal(t->b.last, "scope=");
    bus_room_turn(&t->room, 100);
    t->b.changes = 0;
    bus_room_ask(&t->room, "CLIENT KILL TYPE normal SKIPME yes");
    bus_room_until(&t->room, &t->b.changes, 1, 5000);
    bus_room_turn(&t->room, 200);
    assert_string_equal(t->b.last, "level:msg=group");
}

/* Rules that cannot be read stay as they are, are said to be so, and are asked for each second. */
static void rules_that_cannot_be_read_are_asked_for_again(void **state) {
    struct test *t = *state;
    struct process c = {0};
    set(t, "scope", "local");
    bus_room_ask(&t->room, "ACL SETUSER default -hgetall");
    open_process(t, &c);
    bus_room_turn(&t->room, 300);
    assert_int_equal(c.changes, 0);
    assert_int_equal(metrics_get(METRIC_trouble_rules), 1);
    bus_room_ask(&t->room, "ACL SETUSER default +hgetall");
    bus_room_until(&t->room, &c.changes, 1, 2500);
    assert_int_equal(metrics_get(METRIC_trouble_rules), 0);
    rules_free(c.rules);
    bus_close(c.bus);
}

static void without_redis_nothing_is_set(void **state) {
    struct test *t = *state;
    redis_server_kill(&t->room.redis);
    for (int i = 0; i < 200 && bus_can_send(t->a.bus); i++)
        bus_room_turn(&t->room, 10);
    t->done = 0;
    rules_set(t->a.rules, BYTES_LIT("scope"), BYTES_LIT("local"), on_done, t);
    assert_int_equal(t->done, 0); /* never inside the call */
    bus_room_until(&t->room, &t->done, 1, 1000);
    assert_int_equal(t->status, -ENOTCONN);
    rules_set(t->a.rules, BYTES_LIT("scope"), BYTES_LIT("local"), NULL, NULL);
    bus_room_turn(&t->room, 20);
    assert_int_equal(t->a.changes, 0);
}

static void what_redis_refuses_changes_nothing(void **state) {
    struct test *t = *state;
    bus_room_ask(&t->room, "SET sb:{sb}:rules wrong");
    assert_int_equal(set(t, "scope", "local"), -EIO);
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
        WITH_REDIS(other_notices_go_on),
        WITH_REDIS(what_was_missed_is_read),
        WITH_REDIS(rules_that_cannot_be_read_are_asked_for_again),
        WITH_REDIS(without_redis_nothing_is_set),
    };
    if (!redis_server_is_installed())
        return 77;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
