/* test_ingest_batches.c - what goes to Redis together, in what order, how often, and what happens to
 * it while Redis refuses, goes away, or will never take it. Redis' slow log shows the calls. */
#include "common/bus/log/ingest.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <hiredis/hiredis.h>

#include "common/base/metrics.h"
#include "common/bus/bus_send.h"
#include "common/bus/log/sender_queue.h"
#include "common/bus/partition.h"
#include "common/bus/redis/scripts.h"
#include "tests/common/bus/bus_room.h"

enum { PARTITIONS = 2, MOST = 1 << 24, CALL_WORDS = 8 /* EVALSHA … before the entries */ };

struct test {
    struct bus_room room;
    struct bus *bus;
    struct ingest *ingest;
    unsigned answers, fine, room_told;
    int status;     /* the last */
    char order[64]; /* first bytes of what is done */
};

static char bytes[1 << 20];

static void on_room(void *ctx) {
    ((struct test *)ctx)->room_told++;
}

static void open_ingest(struct test *t, size_t most) {
    ingest_free(t->ingest);
    t->ingest = ingest_new(t->bus, "", most, on_room, t);
    bus_room_turn(&t->room, 5);
}

static int setup(void **state) {
    static struct test t;
    memset(&t, 0, sizeof(t));
    bus_room_init(&t.room, PARTITIONS);
    bus_room_ask(&t.room, "CONFIG SET slowlog-max-len 1000");
    t.bus = bus_room_join(&t.room, BUS_GATEWAY);
    bus_room_turn(&t.room, 50);
    open_ingest(&t, MOST);
    bus_room_ask(&t.room, "CONFIG SET slowlog-log-slower-than 0");
    *state = &t;
    return 0;
}

static int teardown(void **state) {
    struct test *t = *state;
    ingest_free(t->ingest);
    bus_close(t->bus);
    bus_room_deinit(&t->room);
    return 0;
}

static void on_done(void *ctx, int status) {
    struct test *t = ctx;
    t->status = status;
    t->fine += status == 0;
    t->answers++;
}

static int push(struct test *t, struct sender *sender, size_t len) {
    return ingest_push(t->ingest, 0, sender, bytes_of(bytes, len), on_done, t);
}

static void push_all(struct test *t, unsigned count, size_t len) {
    for (unsigned i = 0; i < count; i++)
        assert_int_equal(push(t, NULL, len), 0);
    assert_int_equal(t->answers, 0); /* never inside */
}

static void until_answered(struct test *t, unsigned count) {
    bus_room_until(&t->room, &t->answers, count, 5000);
    bus_room_turn(&t->room, 20);
    assert_int_equal(t->answers, count);
}

static size_t entries_of(const struct redisReply *call) {
    size_t words = call->elements;
    const char *more = strstr(call->element[words - 1]->str, "... (");
    return (more != NULL ? words - 1 + strtoul(more + 5, NULL, 10) : words) - CALL_WORDS;
}

/* How many entries each call of append.lua had since the last time: "128 128 44". */
static void expect_calls(struct test *t, const char *calls) {
    char have[200] = "";
    struct redisReply *log = redisCommand(t->room.redis.admin, "SLOWLOG GET 1000");
    assert_int_equal(log->type, REDIS_REPLY_ARRAY);
    for (size_t i = log->elements; i-- > 0;) {
        const struct redisReply *call = log->element[i]->element[3];
        if (call->elements > CALL_WORDS && strcasecmp(call->element[0]->str, "EVALSHA") == 0 &&
            strcmp(call->element[1]->str, script_sha(SCRIPT_append)) == 0)
            snprintf(have + strlen(have), sizeof(have) - strlen(have), "%s%zu", *have ? " " : "",
                     entries_of(call) / 2);
    }
    freeReplyObject(log);
    bus_room_ask(&t->room, "SLOWLOG RESET");
    assert_string_equal(have, calls);
}

static unsigned appended(struct test *t) {
    return (unsigned)atoi(bus_room_ask(&t->room, "XLEN sb:{%s}:in", partition_tag(0)));
}

/* ---- batches */

static void a_turn_goes_together(void **state) {
    struct test *t = *state;
    push_all(t, 3, 10);
    assert_int_equal(ingest_count(t->ingest), 3);
    assert_int_equal(ingest_bytes(t->ingest), 30);
    until_answered(t, 3);
    expect_calls(t, "3");
    t->answers = 0;
    push_all(t, 300, 10);
    until_answered(t, 300);
    expect_calls(t, "128 128 44");
    assert_int_equal(appended(t), 303);
    assert_int_equal(ingest_count(t->ingest), 0);
    assert_int_equal(ingest_bytes(t->ingest), 0);
    char mark[24];
    snprintf(mark, sizeof(mark), "%020d", 303);
    assert_string_equal(
        bus_room_ask(&t->room, "HGET sb:{%s}:src %s", partition_tag(0), bus_id(t->bus)), mark);
}

/* 256 KiB at most, but for one entry; from 64 KiB on an entry goes alone. */
static void a_batch_has_so_many_bytes(void **state) {
    static const struct {
        size_t each;
        unsigned count;
        const char *calls;
    } rows[] = {{65535, 5, "4 1"},
                {52429, 5, "4 1"},
                {52428, 6, "5 1"},
                {65536, 3, "1 1 1"},
                {300000, 2, "1 1"}};
    struct test *t = *state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        t->answers = 0;
        push_all(t, rows[i].count, rows[i].each);
        until_answered(t, rows[i].count);
        expect_calls(t, rows[i].calls);
    }
    t->answers = 0;
    assert_int_equal(push(t, NULL, 10), 0);
    assert_int_equal(push(t, NULL, 65536), 0);
    assert_int_equal(push(t, NULL, 10), 0);
    assert_int_equal(push(t, NULL, 10), 0);
    until_answered(t, 4);
    expect_calls(t, "1 1 2");
}

static void on_ordered(void *ctx, int status) {
    (void)status;
    ++*(unsigned *)ctx;
}

/* Each sender's entries come in its order, whoever else says how much. */
static void a_sender_keeps_its_order(void **state) {
    enum { EACH = 40 };
    struct test *t = *state;
    struct sender senders[2] = {{0}};
    unsigned done = 0;
    for (unsigned i = 0; i < 2 * EACH; i++) {
        char text[16];
        snprintf(text, sizeof(text), "%c%02u", "ab"[i % 2], i / 2);
        assert_int_equal(
            ingest_push(t->ingest, 0, &senders[i % 2], bytes_str(text), on_ordered, &done), 0);
        if (i % 7 == 0)
            bus_room_turn(&t->room, 2);
    }
    bus_room_until(&t->room, &done, 2 * EACH, 5000);
    struct redisReply *all =
        redisCommand(t->room.redis.admin, "XRANGE sb:{%s}:in - +", partition_tag(0));
    unsigned next[2] = {0};
    assert_int_equal(all->elements, 2 * EACH);
    for (size_t i = 0; i < all->elements; i++) {
        const char *text = all->element[i]->element[1]->element[1]->str;
        assert_int_equal(atoi(text + 1), next[text[0] - 'a']++);
    }
    freeReplyObject(all);
    assert_null(senders[0].newest);
}

/* ---- bounds */

static void the_bound_and_one_beyond(void **state) {
    struct test *t = *state;
    struct sender sender = {0};
    open_ingest(t, 1000);
    assert_int_equal(push(t, NULL, 5000), 0); /* alone, whatever its size */
    assert_int_equal(push(t, NULL, 1), -ENOBUFS);
    until_answered(t, 1);
    assert_int_equal(t->room_told, 1);
    assert_int_equal(push(t, NULL, 999), 0);
    assert_int_equal(push(t, NULL, 2), -ENOBUFS);
    assert_int_equal(push(t, NULL, 1), 0);
    assert_int_equal(push(t, NULL, 1), -ENOBUFS);
    until_answered(t, 3);
    assert_int_equal(t->room_told, 2); /* once for each time that there was none */
    assert_int_equal(push(t, &sender, 700), 0);
    assert_int_equal(push(t, &sender, 51), -ENOBUFS); /* more of one: three quarters */
    assert_int_equal(push(t, &sender, 50), 0);
    assert_int_equal(push(t, NULL, 250), 0);
    until_answered(t, 6);
    assert_int_equal(t->fine, 6);
}

/* Half of it must be free again. */
static void room_is_told_from_half_on(void **state) {
    struct test *t = *state;
    open_ingest(t, 262144);
    push_all(t, 2, 131072);
    assert_int_equal(push(t, NULL, 1), -ENOBUFS);
    bus_room_until(&t->room, &t->answers, 1, 5000);
    assert_int_equal(t->room_told, 1); /* 131072 are left */
    until_answered(t, 2);
    assert_int_equal(t->room_told, 1);
}

static void what_redis_never_takes_is_refused_alone(void **state) {
    struct test *t = *state;
    bus_set_largest(t->bus, 1000);
    assert_int_equal(push(t, NULL, 1001), -EMSGSIZE);
    assert_int_equal(push(t, NULL, 900), 0);
    assert_int_equal(push(t, NULL, 100), 0);
    assert_int_equal(push(t, NULL, 901), 0);
    bus_set_largest(t->bus, 900); /* learned before they go out */
    bus_room_until(&t->room, &t->answers, 3, 5000);
    assert_int_equal(t->answers, 3);
    assert_in_range(t->fine, 2, 3); /* only the first of a batch is looked at */
    assert_int_equal(ingest_count(t->ingest), 0);
    bus_set_largest(t->bus, 800);
    assert_int_equal(push(t, NULL, 800), 0);
    bus_set_largest(t->bus, 700);
    until_answered(t, 4);
    assert_int_equal(t->status, -EMSGSIZE);
}

/* ---- refusals */

/* Again and again until it is taken, and then once. */
static void what_redis_refuses_is_sent_again(void **state) {
    static const char *const faults[][2] = {
        {"SET sb:{%s}:in text", "DEL sb:{%s}:in"},
        {"CONFIG SET maxmemory 1", "CONFIG SET maxmemory 0"},
    };
    struct test *t = *state;
    for (size_t i = 0; i < ARRAY_LEN(faults); i++) {
        t->answers = 0;
        bus_room_ask(&t->room, "DEL sb:{%s}:in", partition_tag(0));
        bus_room_ask(&t->room, faults[i][0], partition_tag(0));
        int64_t busy = metrics_get(METRIC_ingest_busy);
        push_all(t, 5, 10);
        for (int j = 0; j < 300 && metrics_get(METRIC_ingest_busy) < busy + 3; j++)
            bus_room_turn(&t->room, 10);
        assert_true(metrics_get(METRIC_ingest_busy) >= busy + 3);
        assert_int_equal(metrics_get(METRIC_trouble_ingest), 1);
        assert_int_equal(t->answers, 0);
        bus_room_ask(&t->room, faults[i][1], partition_tag(0));
        until_answered(t, 5);
        assert_int_equal(appended(t), 5);
        assert_int_equal(metrics_get(METRIC_trouble_ingest), 0);
    }
}

/* Whether Redis had it or not when the connection broke. */
static void a_broken_connection_repeats_nothing(void **state) {
    struct test *t = *state;
    for (int round = 0; round < 6; round++) {
        t->answers = 0;
        push_all(t, 200, 100);
        for (int i = 0; i < round % 3; i++)
            uv_run(&t->room.loop, UV_RUN_NOWAIT);
        bus_room_ask(&t->room, "CLIENT KILL TYPE normal SKIPME yes");
        until_answered(t, 200);
        assert_int_equal(t->fine, 200 * (round + 1));
        assert_int_equal(appended(t), 200 * (round + 1));
    }
}

static void what_waits_at_the_end_is_given_up(void **state) {
    struct test *t = *state;
    redis_server_kill(&t->room.redis);
    for (int i = 0; i < 300 && bus_can_send(t->bus); i++)
        bus_room_turn(&t->room, 10);
    push_all(t, 300, 10);
    assert_int_equal(push(t, NULL, 100000), 0);
    bus_room_turn(&t->room, 30);
    ingest_free(t->ingest);
    t->ingest = NULL;
    assert_int_equal(t->answers, 301);
    assert_int_equal(t->status, -ECANCELED);
    assert_int_equal(t->fine, 0);
}

int main(void) {
#define WITH_REDIS(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        WITH_REDIS(a_turn_goes_together),
        WITH_REDIS(a_batch_has_so_many_bytes),
        WITH_REDIS(a_sender_keeps_its_order),
        WITH_REDIS(the_bound_and_one_beyond),
        WITH_REDIS(room_is_told_from_half_on),
        WITH_REDIS(what_redis_never_takes_is_refused_alone),
        WITH_REDIS(what_redis_refuses_is_sent_again),
        WITH_REDIS(a_broken_connection_repeats_nothing),
        WITH_REDIS(what_waits_at_the_end_is_given_up),
    };
    if (!redis_server_is_installed())
        return 77;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
