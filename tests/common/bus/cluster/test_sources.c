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
    const struct CMUnitTest tests[] = {WITH_REDIS(they_go_after_an_hour),
                                       WITH_REDIS(what_is_watched_has_a_bound),
                                       WITH_REDIS(what_is_gone_is_forgotten)};
    if (!redis_server_is_installed())
        return 77;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
