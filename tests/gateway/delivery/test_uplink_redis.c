/*
 * test_uplink_redis.c - what clients say on its way to a real Redis, which the test stops and lets
 * go on: the entries it becomes, when a client that was held goes on, and what nobody takes.
 */
#include "gateway/delivery/uplink.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <hiredis/hiredis.h>

#include "common/base/close_reason.h"
#include "common/base/log.h"
#include "common/base/memory_budget.h"
#include "common/base/metrics.h"
#include "common/bus/log/envelope.h"
#include "common/bus/log/ingest.h"
#include "common/bus/log/trace.h"
#include "common/bus/partition.h"
#include "gateway/session/client.h"
#include "gateway/session/clients.h"
#include "tests/common/bus/bus_room.h"

enum { CLIENTS = 3, INGEST_BYTES = 8192, SHARE_BYTES = INGEST_BYTES / 8, TOO_LARGE = 1500000 };

struct world {
    struct bus_room room;
    struct bus *bus;
    struct ingest *ingest;
    struct trace trace;
    struct uplink uplink;
    struct name_entry entry;
    struct client_host host;
    struct client *client[CLIENTS]; /* NULL: it has left */
    unsigned holds[CLIENTS];        /* those that are not released */
    unsigned released[CLIENTS];     /* so many times */
    size_t released_at[CLIENTS];    /* with so many bytes on the way, the last time */
    int closed_with[CLIENTS];
    unsigned closed[CLIENTS];
    int64_t taken; /* what the metric said at first */
};

static struct world w;

static void on_close(void *carrier, const struct transport_end *end) {
    size_t i = (size_t)((unsigned *)carrier - w.holds);
    w.closed[i]++;
    w.closed_with[i] = end->code;
}

static void hold(void *carrier, enum hold why) {
    *(unsigned *)carrier |= why;
}

static void release(void *carrier, enum hold why) {
    size_t i = (size_t)((unsigned *)carrier - w.holds);
    w.holds[i] &= ~(unsigned)why;
    w.released[i]++;
    w.released_at[i] = w.client[i]->unaccepted_bytes;
}

static const struct transport transport = {.close = on_close, .hold = hold, .release = release};

static void on_room(void *ctx) {
    (void)ctx;
    uplink_on_room(&w.uplink);
}

static void open_uplink(void) {
    w.room.settings.max_uplink_bytes = INGEST_BYTES;
    w.ingest = ingest_new(w.bus, "", INGEST_BYTES, on_room, NULL);
    uplink_init(&w.uplink, w.bus, w.ingest, &w.trace);
    w.host = (struct client_host){.settings = &w.room.settings};
    w.taken = metrics_get(METRIC_messages_in);
    for (size_t i = 0; i < CLIENTS; i++) {
        char id[] = {'c', (char)('0' + i), '\0'};
        w.client[i] = client_new(&w.host,
                                 &(struct identity){.name = BYTES_LIT("N"),
                                                    .group = BYTES_LIT("g"),
                                                    .client_id = bytes_str(id),
                                                    .value = BYTES_LIT("0123456789abcdef:1:5|g"),
                                                    .number = i + 1},
                                 i == 1 ? WIRE_WS_V1 : WIRE_WS);
        w.client[i]->transport = &transport;
        w.client[i]->carrier = &w.holds[i];
        w.client[i]->entry = &w.entry;
        w.client[i]->partition = i == 2;
    }
}

static int setup_unstarted(void **state) {
    (void)state;
    memset(&w, 0, sizeof(w));
    bus_room_init(&w.room, 2);
    log_set_level(LOG_ERROR + 1);
    w.bus = bus_new(&w.room.loop, &w.room.settings, BUS_GATEWAY);
    trace_init(&w.trace, w.bus, "gateway");
    open_uplink();
    return 0;
}

static int setup(void **state) {
    setup_unstarted(state);
    bus_room_start(&w.room, w.bus);
    return 0;
}

static void leave(size_t i) {
    if (w.client[i] == NULL)
        return;
    uplink_events.on_left(&w.uplink, w.client[i]);
    client_unref(w.client[i]);
    w.client[i] = NULL;
}

static int teardown(void **state) {
    (void)state;
    for (size_t i = 0; i < CLIENTS; i++)
        leave(i);
    ingest_free(w.ingest);
    uplink_deinit(&w.uplink);
    assert_int_equal(memory_of(MEMORY_incoming), 0);
    trace_deinit(&w.trace);
    bus_close(w.bus);
    bus_room_deinit(&w.room);
    return 0;
}

static void stop_redis(void) {
    kill(w.room.redis.pid, SIGSTOP);
}

static void continue_redis(void) {
    kill(w.room.redis.pid, SIGCONT);
    for (int i = 0; i < 500 && ingest_count(w.ingest) > 0; i++)
        bus_room_turn(&w.room, 5);
    assert_int_equal(ingest_count(w.ingest), 0);
}

static void say(size_t client, size_t len) {
    static char body[TOO_LARGE];
    memset(body, 'a' + (int)client, sizeof(body));
    struct said said = {.body = bytes_of(body, len)};
    uplink_events.on_message(&w.uplink, w.client[client], &said);
}

/* What an entry adds to what was said; it does not hang on a length of 32 to 255. */
static size_t overhead(void) {
    say(0, 100);
    size_t len = w.client[0]->unaccepted_bytes - 100;
    continue_redis();
    return len;
}

static struct redisReply *entries_of(unsigned partition) {
    struct redisReply *reply =
        redisCommand(w.room.redis.admin, "XRANGE sb:{%s}:in - +", partition_tag(partition));
    assert_non_null(reply);
    return reply;
}

static void decode(const struct redisReply *reply, size_t i, struct entry *e_out) {
    assert_true(i < reply->elements);
    const struct redisReply *fields = reply->element[i]->element[1];
    const struct redisReply *value = fields->element[fields->elements - 1];
    assert_int_equal(entry_decode(bytes_of(value->str, value->len), e_out), PARSE_OK);
}

/* The bodies in a partition's stream by their lengths, "bye" for those that have none. */
static void assert_entries(unsigned partition, const char *expected) {
    struct redisReply *reply = entries_of(partition);
    struct buf got = {0};
    for (size_t i = 0; i < reply->elements; i++) {
        struct entry e;
        decode(reply, i, &e);
        if (e.kind == ENTRY_BYE)
            buf_append_str(&got, "bye ");
        else
            buf_printf(&got, "%c%zu ", e.body.ptr[0], e.body.len);
        entry_free(&e);
    }
    if (!bytes_equal_str(buf_bytes(&got), expected))
        fail_msg("%.*s instead of %s", BYTES_FMT(buf_bytes(&got)), expected);
    buf_deinit(&got);
    freeReplyObject(reply);
}

/* ---- the entries */

#define IS(field, text) assert_true(bytes_equal_str((field), (text)))

/* One message after the other, since what several say has no order. */
static void an_entry_says_who_said_what(void **state) {
    static const struct {
        size_t client;
        struct said said;
        unsigned flags;
    } cases[] = {
        {0, {.body = BYTES_LIT("text")}, 0},
        {0, {.is_binary = true, .body = BYTES_LIT("binary")}, FLAG_BINARY},
        {1, {.body = BYTES_LIT("v1"), .session = BYTES_LIT("s")}, FLAG_V1},
        {1,
         {.is_binary = true,
          .body = BYTES_LIT("by POST"),
          .session = BYTES_LIT("its own"),
          .once = BYTES_LIT("key"),
          .reply = BYTES_LIT("token:7")},
         FLAG_V1 | FLAG_BINARY},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const struct said *said = &cases[i].said;
        struct entry e;
        uplink_events.on_message(&w.uplink, w.client[cases[i].client], said);
        continue_redis();
        assert_int_equal(metrics_get(METRIC_messages_in), w.taken + (int64_t)i + 1);
        struct redisReply *reply = entries_of(0);
        decode(reply, i, &e);
        assert_int_equal(e.kind, ENTRY_CLIENT);
        assert_int_equal(e.flags, cases[i].flags);
        IS(e.name, "N");
        IS(e.group, "g");
        IS(e.client_id, cases[i].client == 0 ? "c0" : "c1");
        IS(e.conn, "0123456789abcdef:1:5|g");
        assert_true(bytes_equal(e.body, said->body));
        assert_true(bytes_equal(e.session, said->session));
        assert_true(bytes_equal(e.once, said->once));
        assert_true(bytes_equal(e.reply, said->reply));
        entry_free(&e);
        freeReplyObject(reply);
    }
}

static void a_bye_comes_after_what_was_said(void **state) {
    (void)state;
    say(1, 10);
    say(1, 20);
    say(1, 30);
    assert_true(uplink_events.ask_for_bye(&w.uplink, w.client[1]));
    say(0, 40);
    continue_redis();
    assert_int_equal(metrics_get(METRIC_messages_in), w.taken + 4); /* it is no message */
    struct redisReply *reply = entries_of(0);
    unsigned said = 0, byes = 0;
    for (size_t i = 0; i < reply->elements; i++) {
        struct entry e;
        decode(reply, i, &e);
        if (e.kind == ENTRY_BYE) {
            byes++;
            assert_int_equal(said, 3);
            assert_int_equal(e.flags, FLAG_V1);
            IS(e.client_id, "c1");
            IS(e.conn, "0123456789abcdef:1:5|g");
            assert_int_equal(e.body.len, 0);
        }
        said += bytes_equal_str(e.client_id, "c1");
        entry_free(&e);
    }
    assert_int_equal(byes, 1);
    freeReplyObject(reply);
}

static void each_name_has_its_partition(void **state) {
    (void)state;
    say(2, 10);
    assert_true(uplink_events.ask_for_bye(&w.uplink, w.client[2]));
    continue_redis();
    assert_entries(0, "");
    assert_entries(1, "c10 bye ");
}

/* Nobody would answer it in time. */
static void there_is_no_bye_without_redis(void **state) {
    (void)state;
    assert_false(uplink_events.ask_for_bye(&w.uplink, w.client[0]));
    assert_int_equal(ingest_count(w.ingest), 0);
}

static void there_is_no_bye_without_room(void **state) {
    (void)state;
    stop_redis();
    say(0, INGEST_BYTES - 300);
    assert_false(uplink_events.ask_for_bye(&w.uplink, w.client[0]));
    continue_redis();
}

/* ---- a client's share */

/* Over its share it is held; when half of that is confirmed, and not before, it goes on, once. */
static void who_is_held_goes_on_at_half_its_share(void **state) {
    static const struct {
        size_t entry, count; /* so many of that size are over the share */
        size_t released_at;
    } cases[] = {
        {SHARE_BYTES / 4, 5, SHARE_BYTES / 2}, /* half of it exactly */
        {SHARE_BYTES / 4 + 1, 4, SHARE_BYTES / 4 + 1},
        {SHARE_BYTES / 5, 6, SHARE_BYTES / 5 * 2},
    };
    size_t more = overhead();
    (void)state;
    for (size_t k = 0; k < ARRAY_LEN(cases); k++) {
        w.released[0] = 0;
        stop_redis();
        for (size_t i = 0; i < cases[k].count; i++) {
            assert_int_equal(w.holds[0], 0);
            say(0, cases[k].entry - more);
        }
        assert_int_equal(w.client[0]->unaccepted_bytes, cases[k].entry * cases[k].count);
        assert_int_equal(w.holds[0], HOLD_SHARE);
        continue_redis();
        assert_int_equal(w.holds[0], 0);
        assert_int_equal(w.released[0], 1);
        assert_int_equal(w.released_at[0], cases[k].released_at);
        assert_int_equal(w.client[0]->unaccepted_bytes, 0);
    }
}

static void a_share_has_a_most(void **state) {
    (void)state;
    ingest_free(w.ingest);
    w.room.settings.max_uplink_bytes = 64 << 20;
    w.uplink.ingest = w.ingest = ingest_new(w.bus, "", 64 << 20, on_room, NULL);
    size_t more = overhead();
    stop_redis();
    say(0, (1 << 20) - 2 * more - 200);
    say(0, 100);
    assert_int_equal(w.holds[0], 0);
    say(0, 200);
    assert_int_equal(w.holds[0], HOLD_SHARE);
    kill(w.room.redis.pid, SIGCONT);
}

/* What it said stays when it leaves, and so does its memory: it has none any more. */
static void who_has_left_is_not_looked_at(void **state) {
    (void)state;
    stop_redis();
    for (int i = 0; i < 4; i++)
        say(0, 100);
    leave(0);
    say(1, 50);
    continue_redis();
    assert_int_equal(metrics_get(METRIC_messages_in), w.taken + 5);
}

/* ---- without room */

static void what_waits_goes_on_in_its_order(void **state) {
    (void)state;
    stop_redis();
    say(0, INGEST_BYTES - 600);
    say(1, 1000);
    say(2, 700);
    assert_int_equal(w.holds[1] & w.holds[2], HOLD_ROOM);
    assert_true(memory_of(MEMORY_incoming) >= 1700);
    continue_redis();
    assert_int_equal(w.holds[1] | w.holds[2], 0);
    assert_null(w.client[1]->blocked);
    assert_null(w.client[2]->blocked);
    assert_int_equal(memory_of(MEMORY_incoming), 0);
    say(1, 10); /* behind what waited */
    continue_redis();
    assert_entries(0, "a7592 b1000 b10 ");
    assert_entries(1, "c700 ");
}

/* Its Name's partition is that of the message, whoever is there to ask. */
static void what_waits_goes_on_without_its_sender(void **state) {
    (void)state;
    stop_redis();
    say(0, INGEST_BYTES - 600);
    say(2, 1000);
    leave(2);
    assert_true(w.uplink.orphan_bytes > 1000);
    continue_redis();
    assert_int_equal(w.uplink.orphan_bytes, 0);
    assert_entries(1, "c1000 ");
}

static void what_waits_can_be_taken_back_once(void **state) {
    (void)state;
    stop_redis();
    assert_false(uplink_events.take_back(&w.uplink, w.client[0]));
    say(0, INGEST_BYTES - 600);
    assert_false(uplink_events.take_back(&w.uplink, w.client[0])); /* it is on its way */
    say(1, 1000);
    say(2, 700);
    assert_true(uplink_events.take_back(&w.uplink, w.client[1]));
    assert_false(uplink_events.take_back(&w.uplink, w.client[1]));
    assert_int_equal(w.holds[1], HOLD_ROOM); /* whoever takes it back knows what that means */
    continue_redis();
    assert_int_equal(w.released[1], 0);
    assert_int_equal(w.holds[2], 0);
    assert_entries(0, "a7592 ");
    assert_entries(1, "c700 ");
}

/* ---- what Redis never takes */

/* Its bound is known with the first connection only: one message is on its way by then, one waits,
 * one waits without its sender, and one is said later. */
static void each_that_is_too_large_ends_its_client(void **state) {
    (void)state;
    bus_room_ask(&w.room, "CONFIG SET proto-max-bulk-len 1048576");
    say(0, TOO_LARGE);
    say(1, TOO_LARGE);
    say(2, 300);
    assert_int_equal(w.holds[1], HOLD_ROOM);
    assert_int_equal(w.holds[2], HOLD_ROOM);
    bus_room_start(&w.room, w.bus);
    continue_redis();
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(w.closed[i], 1);
        assert_int_equal(w.closed_with[i], close_reason_code(CLOSE_TOO_BIG));
    }
    assert_int_equal(w.released[1], 0); /* it ends with what held it */
    assert_null(w.client[1]->blocked);
    assert_int_equal(w.client[0]->unaccepted_bytes, 0);
    assert_int_equal(w.closed[2], 0);
    assert_int_equal(w.holds[2], 0);
    assert_int_equal(metrics_get(METRIC_messages_in), w.taken + 1);
    say(2, TOO_LARGE);
    assert_int_equal(w.closed[2], 1);
    assert_int_equal(w.closed_with[2], close_reason_code(CLOSE_TOO_BIG));
    assert_int_equal(w.holds[2], 0);
    assert_int_equal(w.client[2]->unaccepted_bytes, 0);
    assert_entries(1, "c300 ");
}

static void nobody_is_told_when_its_sender_has_left(void **state) {
    (void)state;
    bus_room_ask(&w.room, "CONFIG SET proto-max-bulk-len 1048576");
    say(0, TOO_LARGE);
    say(1, INGEST_BYTES / 4 - 300);
    leave(0);
    leave(1);
    bus_room_start(&w.room, w.bus);
    continue_redis();
    assert_int_equal(w.closed[0] + w.closed[1], 0);
    assert_entries(0, "b1748 ");
}

/* What was not sent when the process ends is neither a message nor too large. */
static void an_end_is_nobodys_fault(void **state) {
    (void)state;
    say(0, 100);
    ingest_free(w.ingest);
    assert_int_equal(w.closed[0], 0);
    assert_int_equal(metrics_get(METRIC_messages_in), w.taken);
    w.ingest = NULL;
}

int main(void) {
#define TEST(fn)    cmocka_unit_test_setup_teardown(fn, setup, teardown)
#define WITHOUT(fn) cmocka_unit_test_setup_teardown(fn, setup_unstarted, teardown)
    const struct CMUnitTest tests[] = {
        TEST(an_entry_says_who_said_what),
        TEST(a_bye_comes_after_what_was_said),
        TEST(each_name_has_its_partition),
        WITHOUT(there_is_no_bye_without_redis),
        TEST(there_is_no_bye_without_room),
        TEST(who_is_held_goes_on_at_half_its_share),
        TEST(a_share_has_a_most),
        TEST(who_has_left_is_not_looked_at),
        TEST(what_waits_goes_on_in_its_order),
        TEST(what_waits_goes_on_without_its_sender),
        TEST(what_waits_can_be_taken_back_once),
        WITHOUT(each_that_is_too_large_ends_its_client),
        WITHOUT(nobody_is_told_when_its_sender_has_left),
        WITHOUT(an_end_is_nobodys_fault),
    };
    if (!redis_server_is_installed())
        return 77;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
