/* test_watch.c - the channels that are listened to: each brings what is published there. */
#include "common/bus/log/watch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/bus/log/publish.h"
#include "common/bus/partition.h"
#include "common/bus/redis/feed.h"
#include "tests/common/bus/bus_room.h"

enum { PARTITIONS = 4 };

struct test {
    struct bus_room room;
    struct bus *bus;
    unsigned subscribed, messages, counted;
    size_t count;
    char last[100];
};

static void on_subscribed(void *ctx) {
    ((struct test *)ctx)->subscribed++;
}

static void on_message(void *ctx, struct bytes payload) {
    struct test *t = ctx;
    snprintf(t->last, sizeof(t->last), "%.*s", BYTES_FMT(payload));
    t->messages++;
}

static void on_count(void *ctx, size_t count) {
    struct test *t = ctx;
    t->count = count;
    t->counted++;
}

static const struct channel_events events = {.on_subscribed = on_subscribed,
                                             .on_message = on_message};

static int setup(void **state) {
    static struct test t;
    memset(&t, 0, sizeof(t));
    bus_room_init(&t.room, PARTITIONS);
    t.bus = bus_room_join(&t.room, BUS_TOOL);
    bus_open_feed(t.bus);
    *state = &t;
    return 0;
}

static int teardown(void **state) {
    struct test *t = *state;
    bus_close(t->bus);
    bus_room_deinit(&t->room);
    return 0;
}

static void expect(struct test *t, const char *channel, const char *payload) {
    bus_room_until(&t->room, &t->subscribed, 1, 3000);
    t->messages = 0;
    assert_string_equal(bus_room_ask(&t->room, "PUBLISH %s %s", channel, payload), "1");
    bus_room_until(&t->room, &t->messages, 1, 3000);
    assert_string_equal(t->last, payload);
    t->subscribed = 0;
}

static void each_channel_is_its_own(void **state) {
    struct test *t = *state;
    char channel[64];
    unsigned p = partition_of(BYTES_LIT("N"), PARTITIONS);
    watch_log(t->bus, p, BYTES_LIT("N"), &events, t);
    snprintf(channel, sizeof(channel), "sb:{%s}:n:N", partition_tag(p));
    expect(t, channel, "own");
    watch_log(t->bus, 1, BYTES_NONE, &events, t);
    snprintf(channel, sizeof(channel), "sb:{%s}:n*", partition_tag(1));
    expect(t, channel, "every");
    watch_trace(t->bus, "tok", &events, t);
    expect(t, "sb:{sb}:trace:tok", "hop");
    watch_receipts(t->bus, "tok", &events, t);
    expect(t, "sb:{sb}:receipt:tok", "receipt");
    watch_public_channel(t->bus, &events, t);
    expect(t, "signalbox:send", "public");
    watch_receipts_end(t->bus, "tok");
    bus_room_turn(&t->room, 50);
    assert_string_equal(bus_room_ask(&t->room, "PUBLISH sb:{sb}:receipt:tok x"), "0");
}

/* As they are written, they are read. */
static void receipts_come_as_they_were_sent(void **state) {
    static const struct receipt sent = {4, 3, 2, 1};
    struct test *t = *state;
    struct receipt r = {0};
    struct message_id id;
    struct bytes gateway;
    watch_receipts(t->bus, "tok", &events, t);
    bus_room_until(&t->room, &t->subscribed, 1, 3000);
    publish_receipt(t->bus, BYTES_LIT("other"), &sent);
    publish_receipt(t->bus, BYTES_LIT("tok"), &sent);
    bus_room_until(&t->room, &t->messages, 1, 3000);
    assert_true(receipt_parse(bytes_str(t->last), &gateway, &r));
    assert_true(bytes_equal_str(gateway, bus_id(t->bus)));
    assert_memory_equal(&r, &sent, sizeof(r));
    publish_receipt_id(t->bus, BYTES_LIT("tok"), (struct message_id){7, 9});
    bus_room_until(&t->room, &t->messages, 2, 3000);
    assert_true(receipt_parse_id(bytes_str(t->last), &id));
    assert_true(id.term == 7 && id.seq == 9);
}

static void followers_are_counted(void **state) {
    struct test *t = *state;
    for (size_t expected = 0; expected < 2; expected++) {
        t->counted = 0;
        watch_count_followers(t->bus, BYTES_LIT("N"), on_count, t);
        bus_room_until(&t->room, &t->counted, 1, 3000);
        assert_int_equal(t->count, expected);
        watch_log(t->bus, partition_of(BYTES_LIT("N"), PARTITIONS), BYTES_LIT("N"), &events, t);
        bus_room_until(&t->room, &t->subscribed, 1, 3000);
    }
}

int main(void) {
#define WITH_REDIS(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        WITH_REDIS(each_channel_is_its_own),
        WITH_REDIS(receipts_come_as_they_were_sent),
        WITH_REDIS(followers_are_counted),
    };
    if (!redis_server_is_installed())
        return 77;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
