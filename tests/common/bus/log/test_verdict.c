/* test_verdict.c - what is said of messages in the public stream, by what brokers leave in Redis. */
#include "common/bus/log/verdict.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/must.h"
#include "tests/common/bus/bus_room.h"

struct answer {
    unsigned count;
    enum verdict_kind kind;
    size_t refused;
    char reason[64];
};

static void on_verdict(void *ctx, enum verdict_kind kind, size_t refused, struct bytes reason) {
    struct answer *a = ctx;
    a->count++;
    a->kind = kind;
    a->refused = refused;
    snprintf(a->reason, sizeof(a->reason), "%.*s", BYTES_FMT(reason));
}

static struct answer ask(struct bus_room *room, struct bus *bus, const char *first,
                         const char *last, const char *beginning, uint64_t patience_ms) {
    struct answer a = {0};
    struct verdict_question q = {bytes_str(first), bytes_str(last), bytes_str(beginning),
                                 patience_ms};
    verdict_ask(bus, &q, on_verdict, &a);
    bus_room_until(room, &a.count, 1, 3000);
    bus_room_turn(room, 20); /* it answers once */
    assert_int_equal(a.count, 1);
    return a;
}

static void the_cursor_and_the_refusals_decide(void **state) {
    struct bus_room room;
    struct answer a;
    (void)state;
    bus_room_init(&room, 2);
    struct bus *bus = bus_room_join(&room, BUS_TOOL);
    a = ask(&room, bus, "100-1", "100-2", "{\"data", 30);
    assert_int_equal(a.kind, VERDICT_WAITS);
    (void)bus_room_ask(&room, "HSET sb:{sb}:xown c 100-1");
    a = ask(&room, bus, "100-1", "100-2", "{\"data", 30);
    assert_int_equal(a.kind, VERDICT_WAITS);
    (void)bus_room_ask(&room, "HSET sb:{sb}:xown c 100-2");
    (void)bus_room_ask(&room, "XADD signalbox:refused 99-0 reason early m {\"data\":1}");
    (void)bus_room_ask(&room, "XADD signalbox:refused 100-5 reason other m {\"name\":1}");
    a = ask(&room, bus, "100-1", "100-2", "{\"data", 3000);
    assert_int_equal(a.kind, VERDICT_TAKEN);
    assert_int_equal(a.refused, 0);
    (void)bus_room_ask(&room, "XADD signalbox:refused 100-6 reason one m {\"data\":1}");
    (void)bus_room_ask(&room, "XADD signalbox:refused 101-0 reason two m {\"data\":2}");
    a = ask(&room, bus, "100-1", "100-2", "{\"data", 3000);
    assert_int_equal(a.kind, VERDICT_REFUSED);
    assert_int_equal(a.refused, 2);
    assert_string_equal(a.reason, "two");
    bus_close(bus);
    bus_room_deinit(&room);
}

/* A broker keeps the first 1024 bytes of what it refuses: more of the beginning cannot be compared. */
static void a_long_message_is_known_by_what_is_kept(void **state) {
    static char text[1200];
    struct bus_room room;
    (void)state;
    bus_room_init(&room, 2);
    struct bus *bus = bus_room_join(&room, BUS_TOOL);
    (void)bus_room_ask(&room, "HSET sb:{sb}:xown c 100-2");
    memset(text, 'x', sizeof(text) - 1);
    (void)bus_room_ask(
        &room, "EVAL redis.call('XADD',KEYS[1],'100-5','reason','why','m',string.rep('x',1024)) 1 "
               "signalbox:refused");
    assert_int_equal(ask(&room, bus, "100-1", "100-2", text, 3000).refused, 1);
    text[1023] = 'y';
    assert_int_equal(ask(&room, bus, "100-1", "100-2", text, 3000).refused, 0);
    text[1023] = 'x';
    text[1024] = 'y';
    assert_int_equal(ask(&room, bus, "100-1", "100-2", text, 3000).refused, 1);
    bus_close(bus);
    bus_room_deinit(&room);
}

/* Refusals of the first one's millisecond count, and none before; a cursor beyond is no doubt. */
static void from_the_first_on(void **state) {
    struct bus_room room;
    (void)state;
    bus_room_init(&room, 2);
    struct bus *bus = bus_room_join(&room, BUS_TOOL);
    (void)bus_room_ask(&room, "HSET sb:{sb}:xown c 900-0");
    (void)bus_room_ask(&room, "XADD signalbox:refused 99-9 reason a m x1");
    (void)bus_room_ask(&room, "XADD signalbox:refused 100-0 reason b m x2 bytes 5");
    (void)bus_room_ask(&room, "XADD signalbox:refused 100-1 m x3 reason c");
    struct answer a = ask(&room, bus, "100-7", "100-9", "x", 0);
    assert_int_equal(a.kind, VERDICT_REFUSED);
    assert_int_equal(a.refused, 2);
    assert_string_equal(a.reason, "c");
    bus_close(bus);
    bus_room_deinit(&room);
}

static void without_redis_it_is_lost(void **state) {
    struct bus_room room;
    struct answer a = {0};
    struct verdict_question q = {BYTES_LIT("1-0"), BYTES_LIT("1-0"), BYTES_LIT("x"), 3000};
    (void)state;
    bus_room_init(&room, 2);
    struct bus *bus = bus_room_join(&room, BUS_TOOL);
    verdict_ask(bus, &q, on_verdict, &a);
    bus_room_turn(&room, 50); /* it waits for the cursor */
    assert_int_equal(a.count, 0);
    redis_server_kill(&room.redis);
    bus_room_until(&room, &a.count, 1, 3000);
    assert_int_equal(a.kind, VERDICT_LOST);
    verdict_ask(bus, &q, on_verdict, &a);
    assert_int_equal(a.count, 1);
    bus_room_until(&room, &a.count, 2, 3000);
    assert_int_equal(a.kind, VERDICT_LOST);
    bus_close(bus);
    bus_room_deinit(&room);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_cursor_and_the_refusals_decide),
        cmocka_unit_test(a_long_message_is_known_by_what_is_kept),
        cmocka_unit_test(from_the_first_on),
        cmocka_unit_test(without_redis_it_is_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
