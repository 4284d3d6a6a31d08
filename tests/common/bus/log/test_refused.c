/*
 * Redis is reached and refuses: the process says what Redis says, asks again at a modest pace on
 * the connections it has, and goes on by itself when Redis takes it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/metrics.h"
#include "common/bus/redis/link.h"
#include "common/bus/redis/refusals.h"
#include "tests/common/bus/bus_room.h"
#include "tests/common/bus/link_room.h"

/* What the waits between attempts add up to: 50 ms, doubled to 2 s, a third less at the least. */
enum { WATCH_MS = 3000, ATTEMPTS_MAX = 9 };

/* ---- the link ---- */

static void a_fault_after_ready_backs_off(void **state) {
    static const struct {
        const char *says;
        bool breaks;
        unsigned at_most;
    } cases[] = {
        {"GET x", true, ATTEMPTS_MAX}, /* its owner gives it up */
        {"EVAL return{err='CLUSTERDOWN'..string.char(32)..'x'} 0", false, ATTEMPTS_MAX},
        {"CLIENT KILL TYPE normal SKIPME no", false, WATCH_MS / 150}, /* merely cut */
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct room room;
        room_init_redis(&room, "");
        room.breaks_link = cases[i].breaks;
        room.says_when_ready = cases[i].says;
        open_link(&room, LINK_COMMANDS);
        turn(&room, WATCH_MS);
        if (room.ready < 3 || room.ready > cases[i].at_most)
            fail_msg("%u times READY; %s", room.ready, link_trouble(room.link));
        room_deinit(&room);
    }
}

static void a_proven_link_comes_back_at_once(void **state) {
    (void)state;
    struct room room;
    room_init_redis(&room, "");
    room.says_when_ready = "GET x";
    room.breaks_link = true;
    open_link(&room, LINK_COMMANDS);
    until(&room, &room.down, 6, 10000); /* the next wait is more than a second */
    room.breaks_link = false;
    until(&room, &room.ready, 7, 5000);
    turn(&room, 2750); /* READY, with answers to its PINGs */
    redis_server_do(&room.redis, "CLIENT KILL TYPE normal");
    until(&room, &room.ready, 8, 700);
    room_deinit(&room);
}

static void a_protocol_error_is_named(void **state) {
    (void)state;
    struct room room;
    room_init_ready(&room, LINK_COMMANDS);
    redis_server_do(&room.redis, "CONFIG SET proto-max-bulk-len 1048576");
    struct command c = command_begin("SET");
    struct buf large = {0};
    memset(buf_reserve(&large, 2000000), 'x', 2000000);
    buf_added(&large, 2000000);
    command_text(&c, "key");
    command_bytes(&c, buf_bytes(&large));
    link_send(room.link, &c, on_reply, &room);
    buf_deinit(&large);
    until(&room, &room.down, 1, 5000);
    assert_int_equal(room.nulls, 1);
    assert_non_null(strstr(room.why, "invalid bulk length"));
    until(&room, &room.ready, 2, 5000);
    room_deinit(&room);
}

/* ---- the bus ---- */

struct fault {
    const char *begin, *end, *says;
};

static const struct fault faults[] = {
    {"CONFIG SET maxmemory 1", "CONFIG SET maxmemory 0", "OOM "},
    {"CONFIG SET min-replicas-to-write 1", "CONFIG SET min-replicas-to-write 0", "NOREPLICAS "},
    {"SET sb:{sb}:cfg text", "DEL sb:{sb}:cfg", "WRONGTYPE "},
    {"ACL SETUSER default -hsetnx", "ACL SETUSER default +hsetnx", "NOPERM "},
    {"ACL SETUSER default -hmget", "ACL SETUSER default +hmget", "NOPERM "},
    {"ACL SETUSER default -subscribe", "ACL SETUSER default +subscribe", "NOPERM "},
    {"ACL SETUSER default -evalsha", "ACL SETUSER default +evalsha", "NOPERM "},
    {"ACL SETUSER default -script|load", "ACL SETUSER default +script|load", "NOPERM "},
    {"ACL SETUSER default -role", "ACL SETUSER default +role", "NOPERM "},
};

static long long connections(struct bus_room *room) {
    const char *text = strstr(bus_room_ask(room, "INFO stats"), "total_connections_received:");
    return text != NULL ? strtoll(strchr(text, ':') + 1, NULL, 10) : -1;
}

static void until_ready(struct bus_room *room, struct bus *bus) {
    for (int i = 0; i < 800 && !bus_is_ready(bus); i++)
        bus_room_turn(room, 10);
    if (!bus_is_ready(bus))
        fail_msg("not ready: %s", bus_trouble(bus));
}

static void until_says(struct bus_room *room, struct bus *bus, const char *says) {
    for (int i = 0; i < 500 && strstr(bus_trouble(bus), says) == NULL; i++)
        bus_room_turn(room, 10);
    if (strstr(bus_trouble(bus), says) == NULL)
        fail_msg("not \"%s\" but: %s", says, bus_trouble(bus));
}

static void a_start_says_what_redis_says(void **state) {
    struct bus_room room;
    (void)state;
    bus_room_init(&room, 4);
    for (size_t i = 0; i < ARRAY_LEN(faults); i++) {
        bus_room_ask(&room, "FLUSHALL");
        bus_room_ask(&room, faults[i].begin);
        struct bus *bus = bus_new(&room.loop, &room.settings, BUS_GATEWAY);
        long long before = connections(&room);
        bus_start(bus);
        until_says(&room, bus, faults[i].says);
        bus_room_turn(&room, 300);
        assert_in_range(connections(&room) - before, 1, 2 * ATTEMPTS_MAX);
        assert_false(bus_is_ready(bus));
        bus_room_ask(&room, faults[i].end);
        until_ready(&room, bus);
        bus_close(bus);
        bus_room_turn(&room, 10);
    }
    bus_room_deinit(&room);
}

/* ---- the register of refusals ---- */

static void refusals_are_states(void **state) {
    struct refusals r = {0};
    (void)state;
    assert_string_equal(refusals_text(&r), "");
    refusals_note(&r, "append.lua", BYTES_LIT("OOM not\nallowed\x7f"));
    refusals_note(&r, "commit.lua", BYTES_LIT("NOPERM x"));
    refusals_note(&r, "append.lua", BYTES_LIT("OOM not allowed"));
    assert_string_equal(refusals_text(&r), "append.lua: OOM not allowed");
    assert_int_equal(r.items[0].count, 2);
    for (int i = 0; i < 3 * REFUSALS_MAX; i++) {
        static const char *const names[] = {"a", "b", "c", "d", "e", "f", "g", "h", "i",
                                            "j", "k", "l", "m", "n", "o", "p", "q"};
        refusals_note(&r, names[i % (int)ARRAY_LEN(names)], BYTES_LIT("ERR \x01"));
    }
    assert_int_equal(r.count, REFUSALS_MAX);
    assert_null(strchr(r.items[REFUSALS_MAX - 1].error, '\x01'));
}

int main(void) {
    if (!redis_server_is_installed())
        return 77;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refusals_are_states),
        cmocka_unit_test(a_fault_after_ready_backs_off),
        cmocka_unit_test(a_proven_link_comes_back_at_once),
        cmocka_unit_test(a_protocol_error_is_named),
        cmocka_unit_test(a_start_says_what_redis_says),
    };
    return cmocka_run_group_tests(tests, nothing_is_printed, NULL);
}
