/* Gateways that fell silent, and gateways that nobody knows: who is reaped, when, and by whom. */
#include "broker/reaper.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/clock.h"
#include "common/base/metrics.h"
#include "common/bus/partition.h"
#include "tests/broker/slots_room.h"

enum { LEASE_MS = 60000, DEAD_AFTER_MS = 1500, WAIT_MS = 8000 };

struct test {
    struct broker_room room;
    struct slots_room slots;
    struct reaper *reaper;
    unsigned seen;
    char gone[400]; /* "<client> <cause>," of each Disconnect */
};

static struct test t;

static void process(struct processing *p) {
    const struct entry *e = &p->entry->entry;
    size_t len = strlen(t.gone);
    if (e->kind != ENTRY_DISCONNECT)
        return;
    snprintf(t.gone + len, sizeof(t.gone) - len, "%.*s %.*s,", BYTES_FMT(e->client_id),
             BYTES_FMT(e->body));
    t.seen++;
}

static void on_end(void *ctx, unsigned slot, bool is_fenced) {
    (void)ctx;
    (void)slot;
    (void)is_fenced;
}

static int setup(void **state) {
    static const struct inbox_events inbox_events = {process, process, on_end};
    (void)state;
    memset(&t, 0, sizeof(t));
    broker_room_init(&t.room, "", NULL);
    slots_room_init(&t.slots, &t.room, LEASE_MS, &inbox_events);
    t.reaper = reaper_new(&t.room.bus_room.loop, t.room.bus, t.slots.lease, t.slots.inboxes,
                          DEAD_AFTER_MS);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    reaper_free(t.reaper);
    slots_room_drop(&t.slots);
    broker_room_deinit(&t.room);
    slots_room_free(&t.slots);
    return 0;
}

static void take(void) {
    slots_room_take(&t.slots, WAIT_MS);
}

/* A gateway with a heartbeat that never moves. */
static void add_gateway(const char *gateway) {
    bus_room_ask(&t.room.bus_room, "HSET %s %s 1", fleet_key(KEY_GATEWAYS), gateway);
}

/* What register.lua leaves behind for a connection of this gateway with this client id. */
static void add_connection(unsigned partition, const char *name, const char *client,
                           const char *gateway) {
    static const char script[] = "local\tm=ARGV[1]..'\\0'..ARGV[2]..'\\0'..ARGV[3]..':1:2|'\t"
                                 "redis.call('HSET',KEYS[1],ARGV[2],ARGV[3]..':1:2|')\t"
                                 "redis.call('ZADD',KEYS[2],0,ARGV[2]..'\\0'..ARGV[1])\t"
                                 "redis.call('SADD',KEYS[3],m)\t"
                                 "redis.call('SADD',KEYS[4],ARGV[3])";
    struct buf c = {0}, i = {0}, g = {0}, gws = {0};
    key_of(&c, partition, KEY_CONNECTIONS, bytes_str(name));
    key_of(&i, partition, KEY_CLIENT_IDS, BYTES_NONE);
    key_of(&g, partition, KEY_GATEWAY, bytes_str(gateway));
    key_of(&gws, partition, KEY_KNOWN_GATEWAYS, BYTES_NONE);
    bus_room_ask(&t.room.bus_room, "EVAL %s 4 %.*s %.*s %.*s %.*s %s %s %s", script,
                 BYTES_FMT(buf_bytes(&c)), BYTES_FMT(buf_bytes(&i)), BYTES_FMT(buf_bytes(&g)),
                 BYTES_FMT(buf_bytes(&gws)), name, client, gateway);
    buf_deinit(&c);
    buf_deinit(&i);
    buf_deinit(&g);
    buf_deinit(&gws);
}

static void beat(int count) {
    bus_room_ask(&t.room.bus_room, "HSET %s alive %d", fleet_key(KEY_GATEWAYS), count);
}

static bool is_dead(const char *gateway) {
    return *bus_room_ask(&t.room.bus_room, "EXISTS %s%s", fleet_key(KEY_DEAD), gateway) == '1';
}

/* One that falls silent is declared dead, and its connections of all partitions end; one whose
 * counter moves lives on. */
static void the_silent_are_reaped_and_no_other(void **state) {
    int64_t before = metrics_get(METRIC_buried);
    uint64_t began_ms = clock_ms();
    (void)state;
    take();
    add_gateway("gone");
    add_connection(0, "n2", "ann", "gone");
    add_connection(3, "n1", "bob", "gone"); /* the last partition */
    add_connection(0, "n2", "cat", "alive");
    for (int i = 0; i < WAIT_MS / 100 && t.seen < 2; i++) {
        beat(i);
        bus_room_turn(&t.room.bus_room, 100);
    }
    assert_int_equal(t.seen, 2);
    assert_true(clock_ms() - began_ms >= DEAD_AFTER_MS);
    assert_non_null(strstr(t.gone, "ann lost:"));
    assert_non_null(strstr(t.gone, "bob lost:"));
    assert_true(is_dead("gone"));
    assert_false(is_dead("alive"));
    assert_int_equal(metrics_get(METRIC_buried), before + 1);
    for (int i = 0; i < 15; i++) {
        beat(1000 + i);
        bus_room_turn(&t.room.bus_room, 100);
    }
    assert_int_equal(t.seen, 2);
}

/* It left a registration in a partition, and no heartbeat: it may come back for as long as a
 * heartbeat may stay away. */
static void a_stranger_is_reaped_too(void **state) {
    uint64_t began_ms = clock_ms();
    (void)state;
    take();
    beat(1);
    add_connection(2, "n0", "ann", "stranger");
    bus_room_until(&t.room.bus_room, &t.seen, 1, WAIT_MS);
    assert_true(clock_ms() - began_ms >= DEAD_AFTER_MS);
    assert_true(is_dead("stranger"));
    assert_non_null(strstr(t.gone, "ann lost:"));
}

/* Another broker declared it dead; what is in a partition of that one is not ours. */
static void another_brokers_partition_is_left_alone(void **state) {
    (void)state;
    take();
    inboxes_drop(t.slots.inboxes, 2);
    add_gateway("gone");
    add_connection(2, "n0", "ann", "gone");
    add_connection(0, "n2", "bob", "gone");
    bus_room_turn(&t.room.bus_room, 1200); /* it was seen */
    bus_room_ask(&t.room.bus_room, "SET %sgone 1", fleet_key(KEY_DEAD));
    bus_room_ask(&t.room.bus_room, "HDEL %s gone", fleet_key(KEY_GATEWAYS));
    bus_room_until(&t.room.bus_room, &t.seen, 1, WAIT_MS);
    bus_room_turn(&t.room.bus_room, 1200);
    assert_string_equal(t.gone, "bob lost:1006:gateway,");
    struct buf g = {0};
    key_of(&g, 2, KEY_GATEWAY, BYTES_LIT("gone"));
    assert_string_equal(bus_room_ask(&t.room.bus_room, "SCARD %.*s", BYTES_FMT(buf_bytes(&g))),
                        "1");
    buf_deinit(&g);
}

int main(void) {
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(the_silent_are_reaped_and_no_other),
        TEST(a_stranger_is_reaped_too),
        TEST(another_brokers_partition_is_left_alone),
    };
    if (!redis_server_is_installed())
        return 77;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
