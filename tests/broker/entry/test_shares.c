/* Messages of a connection whose handlers take too long wait; nobody else's do. */
#include "broker/entry/shares.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/clock.h"
#include "common/base/metrics.h"
#include "tests/broker/broker_room.h"

enum { BUDGET_US = 2000, BURST_US = BUDGET_US * SHARES_BURST };

struct test {
    struct broker_room room;
    struct shares *shares;
    struct in_entry *ann, *bob;
};

static struct in_entry *message_of(const char *client) {
    struct entry e = {
        .kind = ENTRY_CLIENT, .name = BYTES_LIT("Msg"), .client_id = bytes_str(client)};
    return broker_room_entry(&e, 1);
}

static int setup(void **state) {
    static struct test t;
    memset(&t, 0, sizeof(t));
    broker_room_init(&t.room, "", NULL);
    t.shares = shares_new(&t.room.bus_room.loop, t.room.parts.queues, BUDGET_US);
    t.ann = message_of("ann");
    t.bob = message_of("bob");
    *state = &t;
    return 0;
}

static int teardown(void **state) {
    struct test *t = *state;
    in_entry_unref(t->ann);
    in_entry_unref(t->bob);
    shares_end(t->shares);
    broker_room_deinit(&t->room);
    shares_free(t->shares);
    return 0;
}

static bool waits(struct test *t, struct in_entry *e) {
    struct processing p = broker_room_begin(&t->room, e);
    return conn_queues_take_turn(&p) != CONN_QUEUE_GO;
}

static void over_its_share_a_connection_waits(void **state) {
    struct test *t = *state;
    int64_t before = metrics_get(METRIC_connections_slowed);
    shares_charge(t->shares, 0, t->ann, BURST_US);
    assert_false(waits(t, t->ann));
    shares_charge(t->shares, 0, t->ann, BURST_US);
    assert_true(waits(t, t->ann));
    assert_false(waits(t, t->bob));
    assert_int_equal(metrics_get(METRIC_connections_slowed), before + 1);
    for (int i = 0; i < 200 && conn_queues_are_busy(t->room.parts.queues, 0); i++)
        bus_room_turn(&t->room.bus_room, 10);
    assert_false(conn_queues_are_busy(t->room.parts.queues, 0));
    shares_charge(t->shares, 0, t->bob, BURST_US);
    assert_false(waits(t, t->bob));
}

static void short_handlers_are_not_counted(void **state) {
    struct test *t = *state;
    for (int i = 0; i < 10000; i++)
        shares_charge(t->shares, 0, t->ann, 1999);
    assert_false(waits(t, t->ann));
}

/* However much one handler took, all its waits together. */
static void a_wait_has_a_bound(void **state) {
    struct test *t = *state;
    uint64_t now_us = clock_us();
    clock_freeze(now_us / 1000);
    shares_charge(t->shares, 0, t->ann, 3600u * 1000000u);
    assert_true(waits(t, t->ann));
    clock_freeze(now_us / 1000 + SHARES_HELD_MAX * 1000 + 1);
    for (int i = 0; i < 200 && conn_queues_are_busy(t->room.parts.queues, 0); i++)
        bus_room_turn(&t->room.bus_room, 10);
    assert_false(conn_queues_are_busy(t->room.parts.queues, 0));
    clock_freeze(0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(over_its_share_a_connection_waits, setup, teardown),
        cmocka_unit_test_setup_teardown(short_handlers_are_not_counted, setup, teardown),
        cmocka_unit_test_setup_teardown(a_wait_has_a_bound, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
