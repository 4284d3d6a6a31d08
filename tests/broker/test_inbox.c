/* A slot that is ours: its entries in order, exactly once, until it is fenced or given back. */
#include "broker/inbox.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/metrics.h"
#include "common/bus/cluster/lease.h"
#include "common/bus/partition.h"
#include "tests/broker/broker_room.h"

enum { LEASE_MS = 5000, WAIT_MS = 3000, SEEN_MAX = 600 };

struct test {
    struct broker_room room;
    struct lease *lease;
    struct inboxes *inboxes;
    struct buf own, in;
    unsigned taken, seen, ended, fenced;
    char clients[SEEN_MAX][16]; /* of the entries that were processed, in order */
};

static struct test t;

static void on_taken(void *ctx, unsigned slot, const struct lease_grant *grant) {
    (void)ctx;
    inboxes_take(t.inboxes, slot, grant);
    assert_true(inboxes_own(t.inboxes, slot));
    t.taken++;
}

static void on_give_back(void *ctx, unsigned slot) {
    (void)ctx;
    if (!inboxes_give_back(t.inboxes, slot))
        lease_give_back(t.lease, slot);
}

static void on_lost(void *ctx, unsigned slot, const char *why) {
    (void)ctx;
    (void)why;
    inboxes_drop(t.inboxes, slot);
}

static void on_released(void *ctx) {
    (void)ctx;
}

static void process(struct processing *p) {
    assert_true(t.seen < SEEN_MAX);
    snprintf(t.clients[t.seen++], sizeof(t.clients[0]), "%.*s",
             BYTES_FMT(p->entry->entry.client_id));
}

static void process_public(struct processing *p) {
    (void)p;
    fail();
}

static void on_end(void *ctx, unsigned slot, bool is_fenced) {
    assert_ptr_equal(ctx, &t);
    assert_false(inboxes_own(t.inboxes, slot));
    t.ended++;
    t.fenced += is_fenced;
    if (is_fenced)
        lease_drop(t.lease, slot);
    else
        lease_give_back(t.lease, slot);
}

static int setup(void **state) {
    static const struct lease_events lease_events = {on_taken, on_give_back, on_lost, on_released};
    static const struct inbox_events inbox_events = {process, process_public, on_end};
    (void)state;
    memset(&t, 0, sizeof(t));
    broker_room_init(&t.room, "", NULL);
    t.lease = lease_new(t.room.bus, LEASE_MS, &lease_events, NULL);
    struct inbox_options options = {.loop = &t.room.bus_room.loop,
                                    .settings = &t.room.bus_room.settings,
                                    .lease = t.lease,
                                    .parts = &t.room.parts,
                                    .events = &inbox_events,
                                    .ctx = &t};
    t.inboxes = inboxes_new(&options);
    key_of(&t.own, 0, KEY_OWN, BYTES_NONE);
    key_of(&t.in, 0, KEY_IN, BYTES_NONE);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    for (unsigned slot = 0; slot <= ROOM_PARTITIONS; slot++)
        inboxes_drop(t.inboxes, slot);
    lease_free(t.lease);
    buf_deinit(&t.own);
    buf_deinit(&t.in);
    broker_room_deinit(&t.room);
    inboxes_free(t.inboxes);
    return 0;
}

static void add(const char *client) {
    bus_room_ask(&t.room.bus_room, "XADD %.*s * t C n Msg i %s v g:1:2|",
                 BYTES_FMT(buf_bytes(&t.in)), client);
}

static void take(void) {
    lease_on_commands(t.lease);
    bus_room_until(&t.room.bus_room, &t.taken, ROOM_PARTITIONS + 1, WAIT_MS);
}

/* Until the cursor in Redis has come to the last entry. */
static void wait_for_commit(void) {
    char cursor[64];
    const char *rest = "?";
    for (int i = 0; i < 100 && *rest != '\0'; i++) {
        bus_room_turn(&t.room.bus_room, 10);
        snprintf(cursor, sizeof(cursor), "%s",
                 bus_room_ask(&t.room.bus_room, "HGET %.*s c", BYTES_FMT(buf_bytes(&t.own))));
        rest = bus_room_ask(&t.room.bus_room, "XRANGE %.*s (%s + COUNT 1",
                            BYTES_FMT(buf_bytes(&t.in)), cursor);
    }
    assert_string_equal(rest, "");
}

static void in_order_and_once(void **state) {
    char client[16];
    (void)state;
    take();
    for (int i = 0; i < 300; i++) {
        snprintf(client, sizeof(client), "c%d", i);
        add(client);
    }
    bus_room_until(&t.room.bus_room, &t.seen, 300, WAIT_MS);
    wait_for_commit();
    assert_int_equal(t.seen, 300);
    for (int i = 0; i < 300; i++) {
        snprintf(client, sizeof(client), "c%d", i);
        assert_string_equal(t.clients[i], client);
    }
}

static void a_fenced_slot_ends(void **state) {
    (void)state;
    take();
    bus_room_ask(&t.room.bus_room, "HSET %.*s h another t 99999999999999",
                 BYTES_FMT(buf_bytes(&t.own)));
    add("ann");
    bus_room_until(&t.room.bus_room, &t.ended, 1, WAIT_MS);
    assert_int_equal(t.fenced, 1);
    assert_false(inboxes_own(t.inboxes, 0));
    assert_true(inboxes_own(t.inboxes, 1));
}

static void a_slot_that_is_given_back_is_committed(void **state) {
    (void)state;
    take();
    add("ann");
    bus_room_until(&t.room.bus_room, &t.seen, 1, WAIT_MS);
    assert_true(inboxes_give_back(t.inboxes, 0));
    bus_room_until(&t.room.bus_room, &t.ended, 1, WAIT_MS);
    assert_int_equal(t.fenced, 0);
    wait_for_commit();
    assert_false(inboxes_give_back(t.inboxes, 0));
}

/* The last owners died during the first entry: so many tries are counted in `own`. */
static void take_with_tries(int tries) {
    static const char set[] = "return(redis.call('HSET',KEYS[1],'x',ARGV[1]..'\\32'..ARGV[2]))";
    char id[64];
    add("killer");
    snprintf(
        id, sizeof(id), "%.40s",
        bus_room_ask(&t.room.bus_room, "XREVRANGE %.*s + - COUNT 1", BYTES_FMT(buf_bytes(&t.in))));
    id[strcspn(id, " ")] = '\0';
    bus_room_ask(&t.room.bus_room, "EVAL %s 1 %.*s %s %d", set, BYTES_FMT(buf_bytes(&t.own)), id,
                 tries);
    add("ann");
    bus_room_turn(&t.room.bus_room, 5); /* the term is the time of the take-over in ms */
    take();
}

static void the_second_try_still_runs(void **state) {
    (void)state;
    take_with_tries(1);
    bus_room_until(&t.room.bus_room, &t.seen, 2, WAIT_MS);
    assert_string_equal(t.clients[0], "killer");
    assert_string_equal(t.clients[1], "ann");
}

static void the_third_try_is_given_up(void **state) {
    int64_t before = metrics_get(METRIC_dead_letters);
    (void)state;
    take_with_tries(2);
    bus_room_until(&t.room.bus_room, &t.seen, 1, WAIT_MS);
    wait_for_commit();
    assert_string_equal(t.clients[0], "ann");
    assert_int_equal(t.seen, 1);
    assert_int_equal(metrics_get(METRIC_dead_letters), before + 1);
}

int main(void) {
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(in_order_and_once),
        TEST(a_fenced_slot_ends),
        TEST(a_slot_that_is_given_back_is_committed),
        TEST(the_second_try_still_runs),
        TEST(the_third_try_is_given_up),
    };
    if (!redis_server_is_installed())
        return 77;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
