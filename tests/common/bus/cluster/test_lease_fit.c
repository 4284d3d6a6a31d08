/* test_lease_fit.c - a broker that cannot work with a slot: it says so for a while, gives the slot
 * away when somebody else is there, and nothing else. Also what a lease is asked in between. */
#include "common/bus/cluster/lease.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/clock.h"
#include "common/base/metrics.h"
#include "common/bus/partition.h"
#include "common/bus/redis/reply.h"
#include "tests/common/bus/bus_room.h"

enum { PARTITIONS = 8, SLOTS = PARTITIONS + 1, LEASE_MS = 3600000, UNFIT_MS = 10000 };

struct broker {
    struct bus *bus;
    struct lease *lease;
    bool owns[SLOTS];
    uint64_t stuck_ms[SLOTS];
    struct lease_grant grant; /* of slot 3, the last */
    unsigned owned, given, lost, released;
};

struct test {
    struct bus_room room;
    struct broker brokers[2];
    unsigned answers;
    int64_t number;
    char text[100];
};

static void on_taken(void *ctx, unsigned slot, const struct lease_grant *grant) {
    struct broker *b = ctx;
    b->owns[slot] = true;
    b->owned++;
    if (slot == 3)
        b->grant = *grant;
}

static void on_give_back(void *ctx, unsigned slot) {
    struct broker *b = ctx;
    b->owns[slot] = false;
    b->owned--;
    b->given++;
    lease_give_back(b->lease, slot);
}

static void on_lost(void *ctx, unsigned slot, const char *why) {
    struct broker *b = ctx;
    (void)why;
    b->owns[slot] = false;
    b->owned--;
    b->lost++;
}

static void on_released(void *ctx) {
    ((struct broker *)ctx)->released++;
}

static uint64_t stuck(void *ctx, unsigned slot) {
    return ((struct broker *)ctx)->stuck_ms[slot];
}

static void on_commands(void *ctx) {
    lease_on_commands(((struct broker *)ctx)->lease);
}

static void on_commands_lost(void *ctx) {
    struct broker *b = ctx;
    memset(b->owns, 0, sizeof(b->owns));
    b->owned = 0;
    lease_on_commands_lost(b->lease);
}

static void start(struct test *t, struct broker *b) {
    static const struct lease_events events = {on_taken, on_give_back, on_lost, on_released};
    static const struct bus_events bus_events = {.on_commands = on_commands,
                                                 .on_commands_lost = on_commands_lost};
    b->bus = bus_room_join(&t->room, BUS_BROKER);
    b->lease = lease_new(b->bus, LEASE_MS, &events, b);
    lease_ask_stuck(b->lease, stuck);
    bus_listen(b->bus, &bus_events, b);
    lease_on_commands(b->lease);
}

static int setup(void **state) {
    static struct test t;
    memset(&t, 0, sizeof(t));
    bus_room_init(&t.room, PARTITIONS);
    start(&t, &t.brokers[0]);
    bus_room_until(&t.room, &t.brokers[0].owned, SLOTS, 4000);
    *state = &t;
    return 0;
}

static int teardown(void **state) {
    struct test *t = *state;
    clock_freeze(0);
    for (size_t i = 0; i < ARRAY_LEN(t->brokers) && t->brokers[i].bus != NULL; i++) {
        bus_hang_up(t->brokers[i].bus); /* a look may be under way */
        lease_free(t->brokers[i].lease);
        bus_close(t->brokers[i].bus);
    }
    bus_room_deinit(&t->room);
    return 0;
}

static bool is_unfit(void) {
    return metrics_get(METRIC_trouble_unfit) == 1;
}

/* At this moment of a clock that stands still. */
static void at(struct test *t, uint64_t ms) {
    clock_freeze(ms);
    bus_room_turn(&t->room, 250);
}

/* Time stands still, and the next look is half a second away. */
static uint64_t begin(struct test *t) {
    uint64_t now = clock_ms();
    at(t, now);
    return now;
}

/* Until a heartbeat is accepted at this moment, and then a look later. */
static uint64_t judge_at(struct test *t, uint64_t ms) {
    at(t, ms);
    for (int i = 0; i < 200 && bus_accepted_since(t->brokers[0].bus) == 0; i++)
        bus_room_turn(&t->room, 10);
    at(t, ms + 500);
    return ms + 500;
}

static void from_five_seconds_on_a_slot_is_bad(void **state) {
    struct test *t = *state;
    struct broker *b = &t->brokers[0];
    uint64_t now = begin(t);
    b->stuck_ms[3] = 4999;
    now = judge_at(t, now);
    assert_false(is_unfit());
    b->stuck_ms[3] = 5000;
    judge_at(t, now);
    assert_true(is_unfit());
    assert_non_null(strstr(bus_trouble(b->bus), "1 of them, partition 3 among them"));
    const char *beat = bus_room_ask(&t->room, "HGET sb:{sb}:br %s", bus_id(b->bus));
    assert_non_null(strstr(beat, "unfit"));
    assert_int_equal(b->owned, SLOTS); /* nobody else is there */
}

static void set_stuck(struct broker *b, uint64_t ms) {
    b->stuck_ms[2] = b->stuck_ms[PARTITIONS] = ms;
}

/* For ten seconds, then it tries again; still bad, for twice as long. */
static void each_time_for_longer(void **state) {
    struct test *t = *state;
    struct broker *b = &t->brokers[0];
    uint64_t now = begin(t), lasts = UNFIT_MS;
    for (int round = 0; round < 8; round++) {
        set_stuck(b, 5000);
        now = judge_at(t, now);
        assert_true(is_unfit());
        now += lasts - round % 2; /* a look is half a second after the last one */
        at(t, round % 2 ? now : now - 500);
        assert_true(is_unfit());
        set_stuck(b, 1); /* not bad at this moment; no proof of anything either */
        at(t, round % 2 ? now += 500 : now);
        assert_false(is_unfit());
        lasts = lasts * 2 < 600000 ? lasts * 2 : 600000;
    }
}

/* What was bad works: over at once, and forgotten. */
static void a_cure_is_believed_at_once(void **state) {
    struct test *t = *state;
    struct broker *b = &t->brokers[0];
    uint64_t now = begin(t);
    for (int round = 0; round < 2; round++) {
        b->stuck_ms[3] = 5000;
        now = judge_at(t, now);
        assert_true(is_unfit());
        b->stuck_ms[3] = 1;
        at(t, now += UNFIT_MS << round);
        assert_false(is_unfit());
    }
    b->stuck_ms[3] = 5000;
    now = judge_at(t, now);
    assert_true(is_unfit());
    b->stuck_ms[3] = 1; /* no proof yet */
    at(t, now += 500);
    assert_true(is_unfit());
    b->stuck_ms[3] = 0;
    at(t, now += 500);
    assert_false(is_unfit());
    b->stuck_ms[3] = 5000;
    now = judge_at(t, now);
    assert_true(is_unfit());
    b->stuck_ms[3] = 1;
    at(t, now + UNFIT_MS); /* as the first time */
    assert_false(is_unfit());
}

/* Without a fault for as long as the next time would last, it lasts as long as the first one. */
static void good_times_are_remembered(void **state) {
    static const struct {
        uint64_t good_ms, lasts_ms;
    } rows[] = {{2 * UNFIT_MS - 500, 2 * UNFIT_MS}, {2 * UNFIT_MS, UNFIT_MS}};
    struct test *t = *state;
    struct broker *b = &t->brokers[0];
    uint64_t now = begin(t);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        b->stuck_ms[3] = 5000;
        now = judge_at(t, now);
        assert_true(is_unfit());
        b->stuck_ms[3] = 1;
        at(t, now += UNFIT_MS);
        assert_false(is_unfit());
        now = judge_at(t, now + rows[i].good_ms - 500);
        assert_false(is_unfit());
        b->stuck_ms[3] = 5000;
        now = judge_at(t, now);
        assert_true(is_unfit());
        b->stuck_ms[3] = 1;
        at(t, now += UNFIT_MS);
        assert_int_equal(is_unfit(), rows[i].lasts_ms > UNFIT_MS);
        b->stuck_ms[3] = 0;
        at(t, now += UNFIT_MS);
        assert_false(is_unfit());
        now = judge_at(t, now + 600000); /* forgotten */
    }
}

/* Another one that is bad, or one that was never bad, proves nothing. */
static void only_what_was_bad_is_a_proof(void **state) {
    struct test *t = *state;
    struct broker *b = &t->brokers[0];
    uint64_t now = begin(t);
    b->stuck_ms[3] = b->stuck_ms[4] = 5000;
    now = judge_at(t, now);
    assert_true(is_unfit());
    b->stuck_ms[3] = 0;
    at(t, now += 500);
    assert_true(is_unfit()); /* 4 is still bad */
    b->stuck_ms[4] = 4999;
    at(t, now += 500);
    assert_false(is_unfit());
}

/* With a second broker: it gets the slot that does not work, and the others stay. */
static void only_what_does_not_work_is_given_away(void **state) {
    struct test *t = *state;
    struct broker *a = &t->brokers[0], *b = &t->brokers[1];
    start(t, b);
    for (int i = 0; i < 300 && (a->owned + b->owned < SLOTS || b->owned == 0); i++)
        bus_room_turn(&t->room, 10);
    bus_room_turn(&t->room, 1500); /* each has what it is first for */
    assert_int_equal(a->owned + b->owned, SLOTS);
    if (a->owned == 0) { /* by chance the other one is first for all */
        struct broker *first = b;
        b = a;
        a = first;
    }
    unsigned bad = 0, before = a->owned;
    while (bad < SLOTS && !a->owns[bad])
        bad++;
    assert_true(bad < SLOTS);
    a->stuck_ms[bad] = 6000;
    for (int i = 0; i < 800 && !b->owns[bad]; i++)
        bus_room_turn(&t->room, 10);
    assert_true(b->owns[bad] && !a->owns[bad]);
    bus_room_turn(&t->room, 1500);
    assert_int_equal(a->owned, before - 1);
    assert_int_equal(b->owned, SLOTS - before + 1);
}

static void on_reply(void *ctx, struct redisReply *reply) {
    struct test *t = ctx;
    t->number = reply_number(reply, -1);
    snprintf(t->text, sizeof(t->text), "%.*s", BYTES_FMT(reply_bytes(reply)));
    t->answers++;
}

static int64_t answer(struct test *t) {
    bus_room_until(&t->room, &t->answers, 1, 2000);
    t->answers = 0;
    return t->number;
}

static void tries_are_counted_for_the_owner(void **state) {
    struct test *t = *state;
    struct lease *l = t->brokers[0].lease;
    lease_try(l, 3, "5-0", on_reply, t);
    assert_int_equal(answer(t), 1);
    lease_try(l, 3, "5-0", on_reply, t);
    assert_int_equal(answer(t), 2);
    lease_try(l, 4, "5-0", on_reply, t);
    assert_int_equal(answer(t), 1);
    lease_try(l, PARTITIONS, "5-0", on_reply, t); /* the public stream */
    assert_int_equal(answer(t), 1);
    bus_room_ask(&t->room, "HINCRBY sb:{%s}:own t 1", partition_tag(3));
    lease_try(l, 3, "5-0", on_reply, t);
    answer(t);
    assert_memory_equal(t->text, "FENCED", 6);
}

static void a_stream_of_the_future_begins_again(void **state) {
    struct test *t = *state;
    struct lease *l = t->brokers[0].lease;
    static const char *const future = "99999999999999-0";
    lease_restart_stream(l, 3, "0-0", 1000, on_reply, t);
    assert_int_equal(answer(t), 0);
    bus_room_ask(&t->room, "HSET sb:{%s}:own c %s", partition_tag(3), future);
    bus_room_ask(&t->room, "XADD sb:{%s}:in %s m x", partition_tag(3), future);
    lease_restart_stream(l, 3, future, 1000, on_reply, t);
    assert_int_equal(answer(t), 1);
    assert_string_equal(bus_room_ask(&t->room, "EXISTS sb:{%s}:in", partition_tag(3)), "0");
    lease_drop(l, 3);
    assert_false(lease_is_held(l, 3));
    for (int i = 0; i < 300 && !lease_is_held(l, 3); i++)
        bus_room_turn(&t->room, 10);
    assert_true(lease_is_held(l, 3));
    assert_int_equal(t->brokers[0].grant.cursor.term, 0);
    assert_true(t->brokers[0].grant.generation > 1);
    assert_true(t->brokers[0].grant.is_doubtful); /* it had it before */
}

static void a_first_grant_is_no_doubt_and_a_second_connection_is(void **state) {
    struct test *t = *state;
    struct broker *b = &t->brokers[0];
    assert_false(b->grant.is_doubtful);
    bus_room_ask(&t->room, "CLIENT KILL TYPE normal SKIPME yes");
    for (int i = 0; i < 300 && b->owned == SLOTS; i++)
        bus_room_turn(&t->room, 2);
    bus_room_until(&t->room, &b->owned, SLOTS, 4000);
    assert_true(b->grant.is_doubtful);
}

static void who_is_listed_and_what_slots_are_called(void **state) {
    struct test *t = *state;
    struct broker *b = &t->brokers[0];
    char label[LEASE_LABEL];
    assert_true(lease_lists_broker(b->lease, bytes_str(bus_id(b->bus))));
    assert_false(lease_lists_broker(b->lease, BYTES_LIT("nobody")));
    lease_label(b->lease, PARTITIONS - 1, label);
    assert_string_equal(label, "partition 7");
    lease_label(b->lease, PARTITIONS, label);
    assert_string_equal(label, "the public stream");
    assert_int_equal(metrics_get(METRIC_partitions_owned), PARTITIONS);
    assert_int_equal(metrics_get(METRIC_public_streams_owned), 1);
}

/* Once all is given back, once; nothing is taken any more. */
static void a_shutdown_gives_everything_back(void **state) {
    struct test *t = *state;
    struct broker *b = &t->brokers[0];
    lease_shutdown(b->lease);
    assert_int_equal(b->given, SLOTS);
    assert_true(lease_is_busy(b->lease));
    bus_room_until(&t->room, &b->released, 1, 2000);
    assert_false(lease_is_busy(b->lease));
    bus_room_turn(&t->room, 1200);
    assert_int_equal(b->owned, 0);
    assert_int_equal(b->released, 1);
    for (unsigned p = 0; p < PARTITIONS; p++)
        assert_string_equal(bus_room_ask(&t->room, "EXISTS sb:{%s}:lease", partition_tag(p)), "0");
    assert_int_equal(metrics_get(METRIC_partitions_owned), 0);
}

/* All versions rank alike, or two brokers would wait for each other. */
static void ranks_never_change(void **state) {
    static const struct {
        const char *broker;
        unsigned slot;
        uint64_t rank;
    } rows[] = {{"", 0, 0xf52a15e9a9b5e89bu},
                {"0123456789abcdef", 0, 0x5ff6c45c9b635362u},
                {"0123456789abcdef", 1, 0x0e41a4aba7af221bu},
                {"0123456789abcdef", 1023, 0x2e46d3f5d4bd0c96u},
                {"fedcba9876543210", 7, 0x02eb4424dd94198au},
                {"~", 2, 0x880d85d2861f020du}};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_true(lease_rank(bytes_str(rows[i].broker), rows[i].slot) == rows[i].rank);
}

int main(void) {
#define WITH_REDIS(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        WITH_REDIS(from_five_seconds_on_a_slot_is_bad),
        WITH_REDIS(each_time_for_longer),
        WITH_REDIS(a_cure_is_believed_at_once),
        WITH_REDIS(good_times_are_remembered),
        WITH_REDIS(only_what_was_bad_is_a_proof),
        WITH_REDIS(only_what_does_not_work_is_given_away),
        WITH_REDIS(tries_are_counted_for_the_owner),
        WITH_REDIS(a_stream_of_the_future_begins_again),
        WITH_REDIS(a_first_grant_is_no_doubt_and_a_second_connection_is),
        WITH_REDIS(who_is_listed_and_what_slots_are_called),
        WITH_REDIS(a_shutdown_gives_everything_back),
        cmocka_unit_test(ranks_never_change),
    };
    if (!redis_server_is_installed())
        return 77;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
