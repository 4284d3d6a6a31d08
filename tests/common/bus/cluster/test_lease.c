/* Who owns which partition: several brokers in one loop, one Redis. */
#include "common/bus/cluster/lease.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/clock.h"
#include "common/bus/partition.h"
#include "common/bus/redis/scripts.h"
#include "tests/common/bus/bus_room.h"

enum { PARTITIONS = 8, SLOTS = PARTITIONS + 1, LEASE_MS = 600 };

struct broker {
    struct bus_room *room;
    struct bus *bus;
    struct lease *lease;
    bool owns[SLOTS];
    uint64_t terms[SLOTS];
    unsigned owned, taken, released, lost;
};

struct test {
    struct bus_room room;
    struct broker brokers[3];
};

static void on_taken(void *ctx, unsigned slot, const struct lease_grant *grant) {
    struct broker *b = ctx;
    assert_false(b->owns[slot]);
    assert_true(grant->term > b->terms[slot]);
    b->owns[slot] = true;
    b->terms[slot] = grant->term;
    b->owned++;
    b->taken++;
}

static void on_give_back(void *ctx, unsigned slot) {
    struct broker *b = ctx;
    assert_true(b->owns[slot]);
    b->owns[slot] = false;
    b->owned--;
    lease_give_back(b->lease, slot);
}

static void on_lost(void *ctx, unsigned slot, const char *why) {
    struct broker *b = ctx;
    (void)why;
    b->owns[slot] = false;
    b->owned--;
    b->lost++;
}

static void on_released(void *ctx) {
    struct broker *b = ctx;
    b->released++;
}

static void on_commands(void *ctx) {
    lease_on_commands(((struct broker *)ctx)->lease);
}

static void on_commands_lost(void *ctx) {
    struct broker *b = ctx;
    memset(b->owns, 0, sizeof(b->owns));
    b->owned = 0;
    lease_on_commands_lost(b->lease);
}

static void start(struct test *t, int number) {
    static const struct lease_events events = {on_taken, on_give_back, on_lost, on_released};
    static const struct bus_events bus_events = {.on_commands = on_commands,
                                                 .on_commands_lost = on_commands_lost};
    struct broker *b = &t->brokers[number];
    memset(b, 0, sizeof(*b));
    b->room = &t->room;
    b->bus = bus_room_join(&t->room, BUS_BROKER);
    b->lease = lease_new(b->bus, LEASE_MS, &events, b);
    bus_listen(b->bus, &bus_events, b);
    lease_on_commands(b->lease);
}

static void stop(struct test *t, int number) {
    struct broker *b = &t->brokers[number];
    if (b->bus == NULL)
        return;
    bus_hang_up(b->bus); /* a look may be under way */
    lease_free(b->lease);
    bus_close(b->bus);
    b->bus = NULL;
}

static int setup(void **state) {
    static struct test t;
    memset(&t, 0, sizeof(t));
    bus_room_init(&t.room, PARTITIONS);
    *state = &t;
    return 0;
}

static int teardown(void **state) {
    struct test *t = *state;
    for (int i = 0; i < 3; i++)
        stop(t, i);
    bus_room_deinit(&t->room);
    return 0;
}

static void first_broker_takes_all(void **state) {
    struct test *t = *state;
    start(t, 0);
    bus_room_until(&t->room, &t->brokers[0].owned, SLOTS, 3000);
    assert_int_equal(lease_held_count(t->brokers[0].lease), PARTITIONS);
    assert_int_equal(lease_public(t->brokers[0].lease), PARTITIONS);
}

static void two_brokers_share(void **state) {
    struct test *t = *state;
    start(t, 0);
    start(t, 1);
    bus_room_turn(&t->room, 4000);
    assert_int_equal(t->brokers[0].owned + t->brokers[1].owned, SLOTS);
    for (unsigned slot = 0; slot < SLOTS; slot++) {
        uint64_t first = lease_rank(bytes_str(bus_id(t->brokers[0].bus)), slot);
        uint64_t second = lease_rank(bytes_str(bus_id(t->brokers[1].bus)), slot);
        assert_int_equal(t->brokers[0].owns[slot], first >= second);
        assert_int_equal(t->brokers[1].owns[slot], second > first);
    }
}

static void a_leaver_is_followed_at_once(void **state) {
    struct test *t = *state;
    start(t, 0);
    start(t, 1);
    bus_room_turn(&t->room, 4000);
    t->brokers[0].released = 0;
    lease_shutdown(t->brokers[0].lease);
    if (lease_is_busy(t->brokers[0].lease))
        bus_room_until(&t->room, &t->brokers[0].released, 1, 1000);
    lease_hurry(t->brokers[1].lease, bytes_str(bus_id(t->brokers[0].bus)));
    bus_room_until(&t->room, &t->brokers[1].owned, SLOTS, 500);
    assert_int_equal(t->brokers[0].owned, 0);
}

static void a_dead_broker_is_followed_after_its_lease(void **state) {
    struct test *t = *state;
    start(t, 0);
    start(t, 1);
    bus_room_turn(&t->room, 4000);
    stop(t, 0);
    bus_room_until(&t->room, &t->brokers[1].owned, SLOTS, 6000);
}

static void a_stolen_lease_is_noticed(void **state) {
    struct test *t = *state;
    start(t, 0);
    bus_room_until(&t->room, &t->brokers[0].owned, SLOTS, 3000);
    bus_room_ask(&t->room, "SET sb:{%s}:lease thief PX 1500", partition_tag(3));
    bus_room_until(&t->room, &t->brokers[0].lost, 1, 2000);
    assert_false(lease_is_held(t->brokers[0].lease, 3));
    bus_room_until(&t->room, &t->brokers[0].owned, SLOTS, 4000);
}

/* As after a stop of the process: whatever is done before Redis has answered is not certain. */
static void a_lease_that_is_over_is_not_certain(void **state) {
    struct test *t = *state;
    struct broker *b = &t->brokers[0];
    start(t, 0);
    bus_room_until(&t->room, &b->owned, SLOTS, 3000);
    assert_true(lease_is_certain(b->lease, 3));
    uint64_t now_ms = clock_ms();
    clock_freeze(now_ms + LEASE_MS / 2);
    assert_true(lease_is_certain(b->lease, 3));
    clock_freeze(now_ms + LEASE_MS);
    assert_true(lease_is_held(b->lease, 3));
    assert_false(lease_is_certain(b->lease, 3));
    bus_room_turn(&t->room, 200); /* it is renewed */
    assert_true(lease_is_certain(b->lease, 3));
    bus_room_ask(&t->room, "SET sb:{%s}:lease thief PX 1500", partition_tag(3));
    clock_freeze(now_ms + 2 * LEASE_MS);
    bus_room_until(&t->room, &b->lost, 1, 2000);
    assert_false(lease_is_certain(b->lease, 3));
    clock_freeze(0);
}

static void a_broken_link_means_new_terms(void **state) {
    struct test *t = *state;
    start(t, 0);
    bus_room_until(&t->room, &t->brokers[0].taken, SLOTS, 3000);
    bus_room_ask(&t->room, "CLIENT KILL TYPE normal SKIPME yes");
    bus_room_until(&t->room, &t->brokers[0].taken, 2 * SLOTS, 3000); /* on_taken checks the terms */
}

static const char *ask_own(struct test *t, const char *field) {
    return bus_room_ask(&t->room, "HGET sb:{%s}:own %s", partition_tag(3), field);
}

/* After a break Redis may have lost who has joined which Name: the owner keeps the logs of all, and
 * says so. */
static void a_doubtful_owner_keeps_all_logs(void **state) {
    struct test *t = *state;
    start(t, 0);
    bus_room_until(&t->room, &t->brokers[0].taken, SLOTS, 3000);
    assert_string_equal(ask_own(t, "k"), "nil");
    bus_room_ask(&t->room, "HSET sb:{%s}:own i 7-1", partition_tag(3));
    bus_room_ask(&t->room, "CLIENT KILL TYPE normal SKIPME yes");
    bus_room_until(&t->room, &t->brokers[0].taken, 2 * SLOTS, 3000);
    char until[64];
    snprintf(until, sizeof(until), "%s", ask_own(t, "k"));
    assert_string_equal(strchr(until, ' '), " 7-1");
    int64_t keeps_ms = strtoll(until, NULL, 10) - strtoll(ask_own(t, "t"), NULL, 10);
    int64_t history_ms = bus_settings(t->brokers[0].bus)->history_seconds * 1000;
    assert_in_range(keeps_ms, history_ms / 2, history_ms);
}

static void what_somebody_else_wrote_is_named(void **state) {
    static const char *const wrong[] = {
        "t x",    "t -1",  "t 9007199254740992", "t 18446744073709551616",
        "f 1e30", "c 7",   "f 9007199254740992", "i 1-x",
        "c -",    "t 0x10"};
    struct test *t = *state;
    start(t, 0);
    bus_room_until(&t->room, &t->brokers[0].taken, SLOTS, 3000);
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        char field[] = {wrong[i][0], '\0'}, expected[64];
        bus_room_ask(&t->room, "HSET own %s", wrong[i]);
        snprintf(expected, sizeof(expected), "DAMAGED field %s of own", field);
        assert_string_equal(bus_room_ask(&t->room, "EVALSHA %s 2 own lease holder 1000 0 0",
                                         script_sha(SCRIPT_take_partition)),
                            expected);
        bus_room_ask(&t->room, "HDEL own %s", field);
        assert_null(strstr(bus_room_ask(&t->room, "EVALSHA %s 2 own lease holder 1000 0 0",
                                        script_sha(SCRIPT_take_partition)),
                           "DAMAGED"));
    }
    bus_room_ask(&t->room, "SET lease thief");
    assert_null(strstr(bus_room_ask(&t->room, "EVALSHA %s 2 own lease holder 1000 0 0",
                                    script_sha(SCRIPT_take_partition)),
                       "0 -1"));
}

static void ranks_are_spread(void **state) {
    unsigned first = 0;
    (void)state;
    for (unsigned slot = 0; slot < 1000; slot++)
        first += lease_rank(BYTES_LIT("0123456789abcdef"), slot) >
                 lease_rank(BYTES_LIT("0123456789abcdee"), slot);
    assert_in_range(first, 400, 600);
}

int main(void) {
#define WITH_REDIS(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        WITH_REDIS(first_broker_takes_all),
        WITH_REDIS(two_brokers_share),
        WITH_REDIS(a_leaver_is_followed_at_once),
        WITH_REDIS(a_dead_broker_is_followed_after_its_lease),
        WITH_REDIS(a_stolen_lease_is_noticed),
        WITH_REDIS(a_lease_that_is_over_is_not_certain),
        WITH_REDIS(a_broken_link_means_new_terms),
        WITH_REDIS(a_doubtful_owner_keeps_all_logs),
        WITH_REDIS(what_somebody_else_wrote_is_named),
        cmocka_unit_test(ranks_are_spread),
    };
    if (!redis_server_is_installed())
        return 77;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
