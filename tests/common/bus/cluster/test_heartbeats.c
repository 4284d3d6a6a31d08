/* Looks at the heartbeats of the others: what each brings, one at a time, refused, and without
 * Redis. */
#include "common/bus/cluster/heartbeats.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/bus/cluster/liveness.h"
#include "common/bus/partition.h"
#include "tests/common/bus/bus_room.h"

enum { WAIT_MS = 5000 };

struct test {
    struct bus_room room;
    struct bus *bus;
    struct liveness *liveness;
    struct heartbeats *heartbeats;
    unsigned looked, refused, tried;
    bool is_taken;
    char gone[100];
};

static void on_gone(void *ctx, const char *id) {
    struct test *t = ctx;
    size_t len = strlen(t->gone);
    snprintf(t->gone + len, sizeof(t->gone) - len, "%s,", id);
}

static void on_looked(void *ctx) {
    ((struct test *)ctx)->looked++;
}

static void on_refused(void *ctx) {
    ((struct test *)ctx)->refused++;
}

static void on_tried(void *ctx, bool is_taken) {
    struct test *t = ctx;
    t->tried++;
    t->is_taken = is_taken;
}

static const struct heartbeats_events all_events = {on_gone, on_looked, on_refused};
static const struct heartbeats_events one_event = {.on_looked = on_looked};

static int setup(void **state) {
    static struct test t;
    memset(&t, 0, sizeof(t));
    bus_room_init(&t.room, 1);
    t.bus = bus_room_join(&t.room, BUS_BROKER);
    t.liveness = liveness_new();
    t.heartbeats = heartbeats_new(t.bus, KEY_GATEWAYS, t.liveness, &all_events, &t);
    *state = &t;
    return 0;
}

static int teardown(void **state) {
    struct test *t = *state;
    heartbeats_free(t->heartbeats);
    heartbeats_free(NULL);
    bus_close(t->bus);
    bus_room_deinit(&t->room);
    liveness_free(t->liveness);
    return 0;
}

static void look(struct test *t) {
    t->looked = 0;
    heartbeats_look(t->heartbeats);
    bus_room_until(&t->room, &t->looked, 1, WAIT_MS);
}

static bool has_moved(const struct test *t, const char *id) {
    return liveness_has_moved(t->liveness, bytes_str(id));
}

static bool is_listed(const struct test *t, const char *id) {
    return liveness_lists(t->liveness, bytes_str(id));
}

static void each_look_is_compared_with_the_last(void **state) {
    struct test *t = *state;
    look(t); /* nobody */
    bus_room_ask(&t->room, "HSET %s a 1 b 1 c 1", fleet_key(KEY_GATEWAYS));
    bus_room_ask(&t->room, "HSET %s broker 1", fleet_key(KEY_BROKERS));
    look(t);
    assert_true(is_listed(t, "a") && is_listed(t, "b") && is_listed(t, "c"));
    assert_false(is_listed(t, "broker") || has_moved(t, "a"));
    bus_room_ask(&t->room, "HSET %s a 2", fleet_key(KEY_GATEWAYS));
    bus_room_ask(&t->room, "HDEL %s b", fleet_key(KEY_GATEWAYS));
    look(t);
    assert_true(has_moved(t, "a"));
    assert_false(has_moved(t, "c") || is_listed(t, "b"));
    assert_string_equal(t->gone, "b,");
}

static void only_one_look_is_under_way(void **state) {
    struct test *t = *state;
    for (int i = 0; i < 3; i++)
        heartbeats_look(t->heartbeats);
    bus_room_until(&t->room, &t->looked, 1, WAIT_MS);
    bus_room_turn(&t->room, 50);
    assert_int_equal(t->looked, 1);
    look(t);
}

static void a_look_that_redis_refuses(void **state) {
    struct test *t = *state;
    bus_room_ask(&t->room, "ACL SETUSER default -hgetall");
    heartbeats_look(t->heartbeats);
    bus_room_until(&t->room, &t->refused, 1, WAIT_MS);
    assert_non_null(strstr(bus_refusals(t->bus), "heartbeats: NOPERM"));
    struct heartbeats *other = heartbeats_new(t->bus, KEY_BROKERS, t->liveness, &one_event, t);
    heartbeats_look(other); /* does not want to know */
    bus_room_turn(&t->room, 50);
    heartbeats_free(other);
    assert_int_equal(t->looked, 0);
    assert_int_equal(t->refused, 1);
    bus_room_ask(&t->room, "ACL SETUSER default +hgetall");
    look(t);
}

/* Nobody can move while Redis takes no heartbeat, ours among them: what was seen begins anew. */
static void while_our_own_is_refused_no_silence_counts(void **state) {
    struct test *t = *state;
    for (int i = 0; i < WAIT_MS / 10 && bus_accepted_since(t->bus) == 0; i++)
        bus_room_turn(&t->room, 10);
    look(t);
    uint64_t since_ms = liveness_since(t->liveness);
    bus_room_turn(&t->room, 20);
    look(t);
    assert_int_equal(liveness_since(t->liveness), since_ms);
    bus_room_ask(&t->room, "CONFIG SET min-replicas-to-write 1");
    for (int i = 0; i < WAIT_MS / 10 && bus_accepted_since(t->bus) != 0; i++)
        bus_room_turn(&t->room, 10);
    look(t);
    assert_true(liveness_since(t->liveness) > since_ms);
}

/* What is asked, and whether that means that writes are taken. */
static void trying_a_write(void **state) {
    static const struct {
        const char *before, *after;
        bool is_taken;
    } rows[] = {
        {"PING", "PING", true},
        {"CONFIG SET min-replicas-to-write 1", "CONFIG SET min-replicas-to-write 0", false},
        {"ACL SETUSER default -hdel", "ACL SETUSER default +hdel", true}, /* no answer to that */
        {"PING", "PING", true},
    };
    struct test *t = *state;
    bus_room_ask(&t->room, "HSET %s rule value", fleet_key(KEY_RULES));
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        t->tried = 0;
        bus_room_ask(&t->room, "%s", rows[i].before);
        heartbeats_try(t->bus, on_tried, t);
        bus_room_until(&t->room, &t->tried, 1, WAIT_MS);
        assert_int_equal(t->is_taken, rows[i].is_taken);
        bus_room_ask(&t->room, "%s", rows[i].after);
    }
    assert_string_equal(bus_room_ask(&t->room, "HGETALL %s", fleet_key(KEY_RULES)), "rule value");
}

static void only_the_one_is_forgotten(void **state) {
    struct test *t = *state;
    bus_room_ask(&t->room, "HSET %s a 1 b 1", fleet_key(KEY_GATEWAYS));
    heartbeats_forget(t->heartbeats, "a");
    heartbeats_forget(t->heartbeats, "none");
    look(t); /* behind them */
    assert_true(is_listed(t, "b"));
    assert_false(is_listed(t, "a"));
}

static void without_redis_nothing_is_seen(void **state) {
    struct test *t = *state;
    bus_room_ask(&t->room, "HSET %s a 1", fleet_key(KEY_GATEWAYS));
    look(t);
    kill(t->room.redis.pid, SIGSTOP);
    heartbeats_look(t->heartbeats);
    heartbeats_try(t->bus, on_tried, t);
    bus_room_turn(&t->room, 10);
    redis_server_kill(&t->room.redis);
    bus_room_until(&t->room, &t->tried, 1, WAIT_MS);
    assert_true(t->is_taken);
    heartbeats_look(t->heartbeats); /* Redis is away */
    bus_room_turn(&t->room, 20);
    assert_int_equal(t->looked, 1);
    assert_int_equal(t->refused, 0);
    assert_true(is_listed(t, "a"));
    redis_server_restart(&t->room.redis, "");
    for (int i = 0; i < WAIT_MS / 10 && !bus_can_send(t->bus); i++)
        bus_room_turn(&t->room, 10);
    look(t);
    assert_string_equal(t->gone, "a,");
}

static void freed_while_a_look_is_under_way(void **state) {
    struct test *t = *state;
    heartbeats_look(t->heartbeats);
    heartbeats_free(t->heartbeats);
    t->heartbeats = NULL;
    bus_room_turn(&t->room, 100);
    assert_int_equal(t->looked + t->refused, 0);
}

int main(void) {
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(each_look_is_compared_with_the_last),
        TEST(only_one_look_is_under_way),
        TEST(a_look_that_redis_refuses),
        TEST(while_our_own_is_refused_no_silence_counts),
        TEST(trying_a_write),
        TEST(only_the_one_is_forgotten),
        TEST(without_redis_nothing_is_seen),
        TEST(freed_while_a_look_is_under_way),
    };
    if (!redis_server_is_installed())
        return 77;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
