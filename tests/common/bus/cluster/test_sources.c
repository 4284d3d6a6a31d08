/* High-water marks of senders that are gone: removed after an hour, and watched up to a bound. */
#include "common/bus/cluster/sources.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>
#include <hiredis/hiredis.h>

#include "common/base/clock.h"
#include "common/bus/cluster/lease.h"
#include "common/bus/cluster/liveness.h"
#include "common/bus/partition.h"
#include "tests/common/bus/bus_room.h"

enum { WATCHED_MAX = 100000, HOUR_MS = 3600 * 1000 };

struct test {
    struct bus_room room;
    struct bus *bus;
    struct lease *lease;
    struct liveness *gateways;
    struct sources *sources;
    unsigned owned;
};

static void on_taken(void *ctx, unsigned slot, const struct lease_grant *grant) {
    (void)slot;
    (void)grant;
    ((struct test *)ctx)->owned++;
}

static void on_lost(void *ctx, unsigned slot, const char *why) {
    (void)ctx;
    (void)slot;
    fail_msg("lost: %s", why);
}

/* The lease outlives the hours of the test. */
static int setup(void **state) {
    static struct test t;
    static const struct lease_events events = {.on_taken = on_taken, .on_lost = on_lost};
    memset(&t, 0, sizeof(t));
    bus_room_init(&t.room, 1);
    t.bus = bus_room_join(&t.room, BUS_BROKER);
    t.lease = lease_new(t.bus, 4 * HOUR_MS, &events, &t);
    lease_on_commands(t.lease);
    bus_room_until(&t.room, &t.owned, 2, 5000);
    t.gateways = liveness_new();
    t.sources = sources_new(t.bus, t.lease);
    *state = &t;
    return 0;
}

static int teardown(void **state) {
    struct test *t = *state;
    clock_freeze(0);
    lease_free(t->lease);
    sources_free(t->sources);
    liveness_free(t->gateways);
    bus_close(t->bus);
    bus_room_deinit(&t->room);
    return 0;
}

static long long ask(struct test *t, const char *script, unsigned from, unsigned to) {
    struct buf key = {0};
    key_of(&key, 0, KEY_SOURCES, BYTES_NONE);
    struct redisReply *reply =
        redisCommand(t->room.redis.admin, "EVAL %s 1 %b %u %u", script, key.ptr, key.len, from, to);
    assert_int_equal(reply->type, REDIS_REPLY_INTEGER);
    long long number = reply->integer;
    freeReplyObject(reply);
    buf_deinit(&key);
    return number;
}

/* As gateways have them that nobody knows any more. */
static void add_marks(struct test *t, unsigned from, unsigned to) {
    ask(t,
        "for n = ARGV[1], ARGV[2] do redis.call('HSET', KEYS[1], string.format('%016x', n), 1) end "
        "return 0",
        from, to);
}

static unsigned marks(struct test *t) {
    return (unsigned)ask(t, "return redis.call('HLEN', KEYS[1])", 0, 0);
}

/* A sweep, and what follows from it. */
static void sweep(struct test *t, unsigned until_marks) {
    sources_sweep(t->sources, t->gateways);
    for (int i = 0; i < 100 && (i < 20 || marks(t) > until_marks); i++)
        bus_room_turn(&t->room, 20);
    assert_int_equal(marks(t), until_marks);
}

static void they_go_after_an_hour(void **state) {
    struct test *t = *state;
    uint64_t now = clock_ms();
    clock_freeze(now);
    add_marks(t, 1, 2);
    sweep(t, 2);
    clock_freeze(now + HOUR_MS);
    add_marks(t, 3, 3);
    sweep(t, 3);
    clock_freeze(now + HOUR_MS + 1);
    sweep(t, 1);
    clock_freeze(now + 2 * HOUR_MS + 1);
    sweep(t, 0);
}

static void set_here(struct test *t, const char *gateway) {
    liveness_begin(t->gateways, clock_ms(), 1);
    if (gateway != NULL)
        liveness_see(t->gateways, bytes_str(gateway), BYTES_LIT("1"));
    liveness_end(t->gateways, NULL, NULL);
}

/* Its hour begins again each time that it is seen. */
static void one_that_was_here_meanwhile_stays(void **state) {
    static const char id[] = "0000000000000001";
    struct test *t = *state;
    uint64_t now = clock_ms();
    clock_freeze(now);
    add_marks(t, 1, 1);
    sweep(t, 1);
    clock_freeze(now += HOUR_MS);
    set_here(t, id);
    sweep(t, 1);
    set_here(t, NULL);
    clock_freeze(now += 10);
    sweep(t, 1);
    clock_freeze(now += HOUR_MS);
    sweep(t, 1);
    clock_freeze(now + 1);
    sweep(t, 0);
}

static void expect_source(struct test *t, const char *source, bool is_there) {
    char script[200];
    snprintf(script, sizeof(script), "return redis.call('HEXISTS', KEYS[1], '%s')", source);
    if (ask(t, script, 0, 0) != is_there)
        fail_msg("%s is %sthere", source, is_there ? "not " : "");
}

/* A gateway or a tool for an hour (its id may begin with a b), a broker for a day; what a partition, the public stream or a
 * schedule wrote, and what is no id, for good. */
static void who_is_forgotten_and_when(void **state) {
    static const struct {
        const char *source;
        unsigned hours; /* 0: never */
    } rows[] = {{"0123456789abcdef", 1},
                {"b0123456789abcdef", 24},
                {"ABCDEF0123456789", 1},
                {"p3", 0},
                {"x", 0},
                {"c:schedule", 0},
                {"0123456789abcde", 0},
                {"0123456789abcdef0", 0},
                {"0123456789abcdeg", 0},
                {"b0123456789abcde", 1},
                {"b0123456789abcdef0", 0},
                {"c0123456789abcdef", 0},
                {"c:0123456789abcde", 0}};
    struct test *t = *state;
    uint64_t now = clock_ms();
    clock_freeze(now);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char script[200];
        snprintf(script, sizeof(script), "return redis.call('HSET', KEYS[1], '%s', 1)",
                 rows[i].source);
        ask(t, script, 0, 0);
    }
    sweep(t, ARRAY_LEN(rows));
    for (unsigned hour = 1; hour <= 25; hour++) {
        clock_freeze(now + hour * (uint64_t)HOUR_MS + 1);
        sources_sweep(t->sources, t->gateways);
        bus_room_turn(&t->room, 30);
        for (size_t i = 0; i < ARRAY_LEN(rows); i++)
            expect_source(t, rows[i].source, rows[i].hours == 0 || hour < rows[i].hours);
    }
}

/* A dead gateway's call may still be under way: its mark is what makes it harmless. */
static void the_mark_of_a_dead_gateway_stays_as_long_as_its_stone(void **state) {
    struct test *t = *state;
    uint64_t now = clock_ms();
    clock_freeze(now);
    add_marks(t, 1, 2);
    sweep(t, 2);
    bus_room_ask(&t->room, "SET sb:{sb}:dead:0000000000000002 1");
    clock_freeze(now + HOUR_MS + 1);
    sweep(t, 1);
    expect_source(t, "0000000000000002", true);
    bus_room_ask(&t->room, "DEL sb:{sb}:dead:0000000000000002");
    sweep(t, 0);
}

static void of_anothers_partition_nothing_is_removed(void **state) {
    struct test *t = *state;
    uint64_t now = clock_ms();
    clock_freeze(now);
    add_marks(t, 1, 1);
    sweep(t, 1);
    clock_freeze(now + HOUR_MS + 1);
    lease_drop(t->lease, 0);
    sources_sweep(t->sources, t->gateways);
    bus_room_turn(&t->room, 10);
    assert_int_equal(marks(t), 1);
}

/* What is beyond it is watched when there is room again. */
static void what_is_watched_has_a_bound(void **state) {
    struct test *t = *state;
    uint64_t now = clock_ms();
    clock_freeze(now);
    add_marks(t, 1, WATCHED_MAX + 1);
    sweep(t, WATCHED_MAX + 1);
    clock_freeze(now + HOUR_MS + 1);
    sweep(t, 1);
    sweep(t, 1);
    clock_freeze(now + 2 * HOUR_MS + 2);
    sweep(t, 0);
}

/* Another broker removed them: they do not take the place of others. */
static void what_is_gone_is_forgotten(void **state) {
    struct test *t = *state;
    uint64_t now = clock_ms();
    clock_freeze(now);
    add_marks(t, 1, WATCHED_MAX);
    sweep(t, WATCHED_MAX);
    ask(t, "return redis.call('DEL', KEYS[1])", 0, 0);
    now += 2 * HOUR_MS + 1;
    clock_freeze(now);
    add_marks(t, WATCHED_MAX + 1, WATCHED_MAX + 1);
    sweep(t, 1);
    clock_freeze(now + HOUR_MS + 1);
    sweep(t, 0);
}

int main(void) {
#define WITH_REDIS(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        WITH_REDIS(they_go_after_an_hour),
        WITH_REDIS(one_that_was_here_meanwhile_stays),
        WITH_REDIS(who_is_forgotten_and_when),
        WITH_REDIS(the_mark_of_a_dead_gateway_stays_as_long_as_its_stone),
        WITH_REDIS(of_anothers_partition_nothing_is_removed),
        WITH_REDIS(what_is_watched_has_a_bound),
        WITH_REDIS(what_is_gone_is_forgotten)};
    if (!redis_server_is_installed())
        return 77;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
