/* test_receipts.c - the reports about one message: its id, and the counts of each gateway. */
#include "tools/receipts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>
#include <hiredis/hiredis.h>

#include "common/base/must.h"
#include "common/bus/partition.h"
#include "tests/common/bus/bus_room.h"

struct seen {
    unsigned listening, ids, ends;
    char id[MESSAGE_ID_TEXT];
    struct receipt sum, first;
    size_t rows;
};

static void on_listening(void *ctx) {
    ((struct seen *)ctx)->listening++;
}

static void on_id(void *ctx, struct bytes id) {
    struct seen *s = ctx;
    s->ids++;
    snprintf(s->id, sizeof(s->id), "%.*s", BYTES_FMT(id));
}

static void on_end(void *ctx, const struct receipt *sum, const struct gateway_receipt *rows,
                   size_t count) {
    struct seen *s = ctx;
    s->ends++;
    s->sum = *sum;
    s->rows = count;
    if (count > 0)
        s->first = rows[0].receipt;
}

static const struct receipts_events events = {on_listening, on_id, on_end};

static void reports_are_summed_up(void **state) {
    struct bus_room room;
    struct seen seen = {0};
    (void)state;
    bus_room_init(&room, 2);
    struct bus *bus = bus_room_join(&room, BUS_TOOL);
    struct receipts *r = receipts_listen(bus, BYTES_NONE, &events, &seen);
    bus_room_until(&room, &seen.listening, 1, 3000);
    const char *token = receipts_token(r);
    (void)bus_room_ask(&room, "PUBLISH sb:{sb}:receipt:%s nonsense", token);
    (void)bus_room_ask(&room, "PUBLISH sb:{sb}:receipt:%s id\\ 4-7", token);
    struct bytes to = bytes_str(token);
    publish_receipt_id(bus, to, (struct message_id){4, 7});
    publish_receipt_id(bus, to, (struct message_id){9, 9}); /* the first one counts */
    receipts_await_id(r, 3000);
    bus_room_until(&room, &seen.ids, 1, 3000);
    assert_string_equal(seen.id, "4-7");
    publish_receipt(bus, to, &(struct receipt){.matched = 3, .written = 2, .queued = 1});
    publish_receipt(bus, to, &(struct receipt){.matched = 2, .dropped = 2});
    (void)bus_room_ask(&room, "PUBLISH sb:{sb}:receipt:%s x", token);
    receipts_collect(r, 200);
    bus_room_until(&room, &seen.ends, 1, 3000);
    assert_int_equal(seen.rows, 1);
    assert_int_equal(seen.first.matched, 5);
    assert_int_equal(seen.sum.matched, 5);
    assert_int_equal(seen.sum.written, 2);
    assert_int_equal(seen.sum.queued, 1);
    assert_int_equal(seen.sum.dropped, 2);
    bus_close(bus);
    bus_room_deinit(&room);
}

/* As many as follow the Name: with the last one it is over, and not before. */
static void it_waits_for_every_gateway(void **state) {
    struct bus_room room;
    struct seen seen = {0};
    struct redisContext *followers[2];
    (void)state;
    bus_room_init(&room, 2);
    struct bus *bus = bus_room_join(&room, BUS_TOOL);
    struct buf channel = {0};
    channel_of(&channel, partition_of(BYTES_LIT("N"), 2), CHANNEL_MESSAGES, BYTES_LIT("N"));
    for (size_t i = 0; i < 2; i++) {
        followers[i] = redisConnectUnix(room.redis.path);
        freeReplyObject(redisCommand(followers[i], "SUBSCRIBE %b", channel.ptr, channel.len));
    }
    struct receipts *r = receipts_listen(bus, BYTES_LIT("N"), &events, &seen);
    bus_room_until(&room, &seen.listening, 1, 3000);
    struct bytes to = bytes_str(receipts_token(r));
    receipts_collect(r, 60000);
    publish_receipt(bus, to, &(struct receipt){.matched = 1});
    publish_receipt_id(bus, to, (struct message_id){4, 7}); /* nobody waits for it any more */
    bus_room_turn(&room, 50);
    assert_int_equal(seen.ends + seen.ids, 0);
    publish_receipt(bus, to, &(struct receipt){.matched = 2});
    bus_room_until(&room, &seen.ends, 1, 3000);
    assert_int_equal(seen.sum.matched, 3);
    redisFree(followers[0]);
    redisFree(followers[1]);
    buf_deinit(&channel);
    bus_close(bus);
    bus_room_deinit(&room);
}

static void an_id_that_does_not_come_is_empty(void **state) {
    struct bus_room room;
    struct seen seen = {0};
    (void)state;
    bus_room_init(&room, 2);
    struct bus *bus = bus_room_join(&room, BUS_TOOL);
    struct receipts *r = receipts_listen(bus, BYTES_LIT("N"), &events, &seen);
    bus_room_until(&room, &seen.listening, 1, 3000);
    receipts_await_id(r, 20);
    bus_room_until(&room, &seen.ids, 1, 3000);
    assert_string_equal(seen.id, "");
    receipts_drop(r);
    assert_int_equal(seen.ends, 0);
    bus_close(bus);
    bus_room_deinit(&room);
}

/* What is there already is not waited for; a row for each gateway. */
static void what_came_early_counts(void **state) {
    struct bus_room room;
    struct seen seen = {0};
    (void)state;
    bus_room_init(&room, 2);
    struct bus *bus = bus_room_join(&room, BUS_TOOL), *other = bus_room_join(&room, BUS_TOOL);
    struct redisContext *follower = redisConnectUnix(room.redis.path);
    struct buf channel = {0};
    channel_of(&channel, partition_of(BYTES_LIT("N"), 2), CHANNEL_MESSAGES, BYTES_LIT("N"));
    freeReplyObject(redisCommand(follower, "SUBSCRIBE %b", channel.ptr, channel.len));
    struct receipts *r = receipts_listen(bus, BYTES_LIT("N"), &events, &seen);
    bus_room_until(&room, &seen.listening, 1, 3000);
    struct bytes to = bytes_str(receipts_token(r));
    publish_receipt(other, to, &(struct receipt){.matched = 1});
    publish_receipt(bus, to, &(struct receipt){.matched = 4, .queued = 1});
    publish_receipt_id(bus, to, (struct message_id){4, 7});
    bus_room_turn(&room, 50);
    assert_int_equal(seen.ids + seen.ends, 0); /* nobody has asked */
    receipts_await_id(r, 600000);
    bus_room_until(&room, &seen.ids, 1, 3000);
    assert_string_equal(seen.id, "4-7");
    receipts_collect(r, 600000);
    bus_room_until(&room, &seen.ends, 1, 3000);
    assert_int_equal(seen.rows, 2);
    assert_true(seen.first.matched == 1 || seen.first.matched == 4);
    assert_int_equal(seen.sum.matched, 5);
    assert_int_equal(seen.sum.queued, 1);
    redisFree(follower);
    buf_deinit(&channel);
    bus_close(other);
    bus_close(bus);
    bus_room_deinit(&room);
}

/* This user of Redis may hear no reports: none is waited for. */
static void who_may_not_hear_does_not_wait(void **state) {
    struct bus_room room;
    struct seen seen = {0};
    (void)state;
    bus_room_init(&room, 2);
    struct bus *bus = bus_room_join(&room, BUS_TOOL);
    bus_room_ask(&room, "ACL SETUSER default resetchannels");
    struct receipts *r = receipts_listen(bus, BYTES_LIT("N"), &events, &seen);
    bus_room_until(&room, &seen.listening, 1, 3000);
    receipts_await_id(r, 600000);
    bus_room_until(&room, &seen.ids, 1, 3000);
    assert_string_equal(seen.id, "");
    receipts_drop(r);
    receipts_drop(NULL);
    bus_close(bus);
    bus_room_deinit(&room);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reports_are_summed_up),
        cmocka_unit_test(it_waits_for_every_gateway),
        cmocka_unit_test(an_id_that_does_not_come_is_empty),
        cmocka_unit_test(what_came_early_counts),
        cmocka_unit_test(who_may_not_hear_does_not_wait),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
