/*
 * test_reconcile.c - which of the registrations that Redis lists for this gateway are taken back:
 * those of connections that are gone, and no others.
 */
#include "gateway/delivery/reconcile.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <hiredis/hiredis.h>

#include "common/bus/partition.h"
#include "tests/gateway/routes/routes_room.h"

static struct routes_room room;
static struct reconcile reconcile;
static int stays;     /* a connection, as client "stays" of the Name … */
static char name[16]; /* … in the partition that is looked at first */

static const char app[] = "signalbox.route('GET', '/up', function(w)\n"
                          "  w:convert { name = w.query.name, client_id = w.query.id } end)\n";

static const char *tag_of(const char *of) {
    return partition_tag(partition_of(bytes_str(of), ROUTES_ROOM_PARTITIONS));
}

static const char *target_of(const char *id) {
    static char target[64];
    snprintf(target, sizeof(target), "/up?name=%s&id=%s", name, id);
    return target;
}

static int setup(void **state) {
    (void)state;
    routes_room_init(&room, app, WITH_REDIS);
    reconcile_init(&reconcile, room.bus, room.registry, &room.clients);
    for (int i = 0; i == 0 || partition_of(bytes_str(name), ROUTES_ROOM_PARTITIONS) != 0; i++)
        snprintf(name, sizeof(name), "n%d", i);
    stays = routes_room_upgrade(&room, target_of("stays"), "", NULL);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    routes_room_hang_up(&room, stays);
    bus_room_turn(&room.bus_room, 50); /* it is unregistered */
    routes_room_deinit(&room);
    return 0;
}

/* ---- what Redis lists */

static void list(const char *of, const char *id, const char *value) {
    char member[200];
    int len = snprintf(member, sizeof(member), "%s%c%s%c%s", of, '\0', id, '\0', value);
    freeReplyObject(redisCommand(room.bus_room.redis.admin, "HSET sb:{%s}:c:%s %s %s", tag_of(of),
                                 of, id, value));
    freeReplyObject(redisCommand(room.bus_room.redis.admin, "SADD sb:{%s}:g:%s %b", tag_of(of),
                                 bus_id(room.bus), member, (size_t)len));
}

static bool is_listed(const char *of, const char *id, const char *value) {
    char member[200];
    int len = snprintf(member, sizeof(member), "%s%c%s%c%s", of, '\0', id, '\0', value);
    struct redisReply *reply = redisCommand(room.bus_room.redis.admin, "SISMEMBER sb:{%s}:g:%s %b",
                                            tag_of(of), bus_id(room.bus), member, (size_t)len);
    bool is = reply->integer == 1;
    freeReplyObject(reply);
    return is;
}

/* A value of this gateway's connection with that number, but of another time. */
static const char *value_of(uint64_t number) {
    static char values[8][64];
    static unsigned at;
    char *value = values[at++ % ARRAY_LEN(values)];
    snprintf(value, sizeof(values[0]), "%s:%llu:5|", bus_id(room.bus), (unsigned long long)number);
    return value;
}

static void await_end(void) {
    for (int i = 0; i < 500 && reconcile.is_running; i++)
        bus_room_turn(&room.bus_room, 5);
    assert_false(reconcile.is_running);
    bus_room_turn(&room.bus_room, 30); /* what it unregisters */
}

static int pages_read(void) {
    const char *text =
        strstr(bus_room_ask(&room.bus_room, "INFO commandstats"), "cmdstat_sscan:calls=");
    return text == NULL ? 0 : atoi(text + strlen("cmdstat_sscan:calls="));
}

/* ---- the tests */

static void who_is_gone_is_unregistered(void **state) {
    const struct {
        const char *of, *id, *value; /* NULL: one of ours that is gone */
        bool stays;
    } cases[] = {
        {name, "gone", NULL, false},    {name, "stays twice", NULL, false},
        {"Left", "a", NULL, false}, /* a Name that nobody follows here */
        {"Other", "b", NULL, false},    {name, "elsewhere", "0123456789abcdef:99:5|", true},
        {name, "no value", "99", true},
    };
    (void)state;
    unsigned entries = routes_room_entries(&room);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        list(cases[i].of, cases[i].id, cases[i].value != NULL ? cases[i].value : value_of(90 + i));
    reconcile_start(&reconcile);
    assert_true(reconcile.is_running);
    await_end();
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const char *value = cases[i].value != NULL ? cases[i].value : value_of(90 + i);
        if (is_listed(cases[i].of, cases[i].id, value) != cases[i].stays)
            fail_msg("%s", cases[i].id);
        struct redisReply *reply = redisCommand(room.bus_room.redis.admin, "HDEL sb:{%s}:c:%s %s",
                                                tag_of(cases[i].of), cases[i].of, cases[i].id);
        assert_int_equal(reply->integer, cases[i].stays);
        freeReplyObject(reply);
    }
    assert_int_equal(routes_room_entries(&room), entries); /* their Disconnects ran before */
    const char *value = bus_room_ask(&room.bus_room, "HGET sb:{%s}:c:%s stays", tag_of(name), name);
    assert_int_equal(strncmp(value, bus_id(room.bus), strlen(bus_id(room.bus))), 0);
}

/* They are registered before they are attached. */
static void those_that_join_are_here(void **state) {
    static const char *const ids[] = {"one", "two", "three"};
    uint64_t next = 0;
    int fds[ARRAY_LEN(ids)];
    struct conn_value value;
    (void)state;
    const char *text = bus_room_ask(&room.bus_room, "HGET sb:{%s}:c:%s stays", tag_of(name), name);
    assert_true(conn_value_parse(bytes_str(text), &value));
    next = value.number + 1;
    for (size_t i = 0; i < ARRAY_LEN(ids); i++)
        list(name, "joins", value_of(next + i));
    list(name, "joins", value_of(next + ARRAY_LEN(ids)));
    kill(room.bus_room.redis.pid, SIGSTOP);
    reconcile_start(&reconcile); /* asks before they are registered, and hears of them */
    for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
        char request[300];
        fds[i] = routes_room_connect(&room);
        snprintf(request, sizeof(request),
                 "GET %s HTTP/1.1\r\nHost: h\r\n" ROUTES_ROOM_UPGRADE "\r\n", target_of(ids[i]));
        routes_room_say(&room, fds[i], bytes_str(request));
        bus_room_turn(&room.bus_room, 20);
    }
    kill(room.bus_room.redis.pid, SIGCONT);
    for (size_t i = 0; i < ARRAY_LEN(ids); i++)
        routes_room_expect(routes_room_hear(&room, fds[i], "\r\n\r\n"), 101, NULL);
    await_end();
    for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
        if (!is_listed(name, "joins", value_of(next + i)))
            fail_msg("%s", ids[i]);
        routes_room_hang_up(&room, fds[i]);
    }
    assert_false(is_listed(name, "joins", value_of(next + ARRAY_LEN(ids))));
}

/* One walk over the partitions, and not one in each second. */
static void it_runs_once(void **state) {
    int before = pages_read();
    (void)state;
    reconcile_go_on(&reconcile); /* nothing is due */
    assert_false(reconcile.is_running);
    reconcile_start(&reconcile);
    reconcile_go_on(&reconcile);
    await_end();
    assert_int_equal(pages_read(), before + ROUTES_ROOM_PARTITIONS);
    reconcile_go_on(&reconcile);
    await_end();
    assert_int_equal(pages_read(), before + ROUTES_ROOM_PARTITIONS);
}

/* What is asked for while it runs may be about what it has passed. */
static void asked_twice_it_runs_twice(void **state) {
    int before = pages_read();
    (void)state;
    reconcile_start(&reconcile);
    reconcile_start(&reconcile);
    reconcile_start(&reconcile);
    await_end();
    assert_int_equal(pages_read(), before + 2 * ROUTES_ROOM_PARTITIONS);
    assert_false(reconcile.is_due);
}

/* What was not looked at is due. */
static void what_breaks_off_is_due(void **state) {
    (void)state;
    list(name, "gone", value_of(80));
    kill(room.bus_room.redis.pid, SIGSTOP);
    reconcile_start(&reconcile);
    bus_room_turn(&room.bus_room, 20);
    redis_server_kill(&room.bus_room.redis);
    for (int i = 0; i < 500 && reconcile.is_running; i++)
        bus_room_turn(&room.bus_room, 5);
    assert_true(reconcile.is_due);
    redis_server_restart(&room.bus_room.redis, "");
    for (int i = 0; i < 1000 && !bus_can_send(room.bus); i++)
        bus_room_turn(&room.bus_room, 10);
    list(name, "gone", value_of(80));
    reconcile_go_on(&reconcile);
    await_end();
    assert_false(is_listed(name, "gone", value_of(80)));
    assert_false(reconcile.is_due);
}

static void without_redis_it_waits(void **state) {
    (void)state;
    bus_room_ask(&room.bus_room, "CLIENT KILL TYPE normal SKIPME yes");
    for (int i = 0; i < 500 && bus_can_send(room.bus); i++)
        bus_room_turn(&room.bus_room, 1);
    assert_false(bus_can_send(room.bus));
    int before = pages_read();
    reconcile_start(&reconcile);
    assert_false(reconcile.is_running);
    assert_true(reconcile.is_due);
    for (int i = 0; i < 500 && !bus_can_send(room.bus); i++)
        bus_room_turn(&room.bus_room, 10);
    reconcile_go_on(&reconcile);
    assert_true(reconcile.is_running);
    await_end();
    assert_int_equal(pages_read(), before + ROUTES_ROOM_PARTITIONS);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_is_gone_is_unregistered),
        cmocka_unit_test(those_that_join_are_here),
        cmocka_unit_test(it_runs_once),
        cmocka_unit_test(asked_twice_it_runs_twice),
        cmocka_unit_test(without_redis_it_waits),
        cmocka_unit_test(what_breaks_off_is_due),
    };
    if (!redis_server_is_installed())
        return 77;
    return cmocka_run_group_tests(tests, setup, teardown);
}
