/* test_verdict.c - what is said of messages in the public stream, by what brokers leave in Redis. */
#include "common/bus/log/verdict.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

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

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_cursor_and_the_refusals_decide)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
