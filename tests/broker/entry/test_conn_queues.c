/* The handlers of a connection take turns: what is deferred, when it comes back, in which order. */
#include "broker/entry/conn_queues.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/bus/partition.h"
#include "tests/broker/broker_room.h"

enum { ENTRIES_MAX = 16, WAIT_MS = 2000 };

struct test {
    struct broker_room room;
    struct conn_queues *queues;
    struct buf in, w;
    struct in_entry *entries[ENTRIES_MAX]; /* all that were made */
    size_t count;
    unsigned answers;
};

static void open_slot(struct test *t) {
    struct deferred_place place = {.bus = t->room.bus, .term = ROOM_TERM};
    conn_queues_open(t->queues, &place, (struct message_id){0}, NULL);
}

static int setup(void **state) {
    static struct test t;
    memset(&t, 0, sizeof(t));
    broker_room_init(&t.room, "", NULL);
    t.queues = t.room.parts.queues;
    key_of(&t.in, 0, KEY_IN, BYTES_NONE);
    key_of(&t.w, 0, KEY_DEFERRED, BYTES_NONE);
    open_slot(&t);
    *state = &t;
    return 0;
}

static int teardown(void **state) {
    struct test *t = *state;
    while (t->count > 0)
        in_entry_unref(t->entries[--t->count]);
    conn_queues_close(t->queues, 0);
    broker_room_deinit(&t->room);
    buf_deinit(&t->in);
    buf_deinit(&t->w);
    return 0;
}

static struct in_entry *make(enum entry_kind kind, const char *name, const char *client,
                             uint64_t id) {
    struct entry e = {.kind = kind, .name = bytes_str(name), .client_id = bytes_str(client)};
    return broker_room_entry(&e, id);
}

/* A client's message, in Redis too. */
static struct in_entry *message(struct test *t, const char *client, uint64_t id) {
    struct in_entry *e = make(ENTRY_CLIENT, "Msg", client, id);
    assert_true(t->count < ENTRIES_MAX);
    t->entries[t->count++] = e;
    bus_room_ask(&t->room.bus_room, "XADD %.*s %llu-0 m %s", BYTES_FMT(buf_bytes(&t->in)),
                 (unsigned long long)id, client);
    return e;
}

static enum conn_queue_turn take_turn(struct test *t, struct in_entry *e) {
    struct processing p = broker_room_begin(&t->room, e);
    return conn_queues_take_turn(&p);
}

static void on_stored(void *ctx, struct redisReply *reply) {
    struct test *t = ctx;
    assert_non_null(reply);
    t->answers++;
}

/* What the inbox does at the end of a batch. */
static void commit(struct test *t, uint64_t cursor) {
    struct deferred_batch *b = &t->room.batch.deferred;
    struct deferred_place place = {.bus = t->room.bus, .term = ROOM_TERM};
    t->answers = 0;
    deferred_store(&place, b->items, b->count, on_stored, t);
    bus_room_until(&t->room.bus_room, &t->answers, 1, WAIT_MS);
    conn_queues_committed(t->queues, 0, b, (struct message_id){cursor, 0});
}

static int length_of_in(struct test *t) {
    return atoi(bus_room_ask(&t->room.bus_room, "XLEN %.*s", BYTES_FMT(buf_bytes(&t->in))));
}

/* The entry that came back last, as the inbox reads it. */
static struct in_entry *returned(struct test *t, const char *client, uint64_t order, int length) {
    unsigned long long id, seq;
    for (int i = 0; i < 100 && length_of_in(t) < length; i++)
        bus_room_turn(&t->room.bus_room, 10);
    assert_int_equal(length_of_in(t), length);
    const char *last =
        bus_room_ask(&t->room.bus_room, "XREVRANGE %.*s + - COUNT 1", BYTES_FMT(buf_bytes(&t->in)));
    assert_int_equal(sscanf(last, "%llu-%llu", &id, &seq), 2);
    struct in_entry *e = make(ENTRY_CLIENT, "Msg", client, id);
    t->entries[t->count++] = e;
    e->id.seq = seq;
    e->order = (struct message_id){order, 0};
    e->is_back = true;
    return e;
}

static void others_do_not_wait(void **state) {
    struct test *t = *state;
    assert_int_equal(take_turn(t, message(t, "ann", 1)), CONN_QUEUE_GO);
    struct conn_queue *q = conn_queues_enter(t->queues, 0, t->entries[0]);
    assert_true(conn_queues_are_busy(t->queues, 0));
    assert_int_equal(take_turn(t, message(t, "ann", 2)), CONN_QUEUE_DEFERRED);
    assert_int_equal(take_turn(t, message(t, "bob", 3)), CONN_QUEUE_GO);
    struct in_entry *elsewhere = make(ENTRY_CLIENT, "Other", "ann", 4);
    assert_int_equal(take_turn(t, elsewhere), CONN_QUEUE_GO);
    in_entry_unref(elsewhere);
    assert_int_equal(t->room.batch.deferred.count, 1);
    conn_queues_leave(q);
    assert_false(conn_queues_are_busy(t->queues, 0));
    assert_int_equal(take_turn(t, message(t, "ann", 5)), CONN_QUEUE_DEFERRED); /* 2 is first */
}

/* Whoever may write there can delete one, or damage it. */
static void one_that_vanished_holds_up_nobody(void **state) {
    struct test *t = *state;
    struct conn_queue *q = conn_queues_enter(t->queues, 0, message(t, "ann", 1));
    for (uint64_t id = 2; id <= 4; id++)
        assert_int_equal(take_turn(t, message(t, "ann", id)), CONN_QUEUE_DEFERRED);
    commit(t, 4);
    bus_room_ask(&t->room.bus_room, "HDEL %.*s 2-0", BYTES_FMT(buf_bytes(&t->w)));
    bus_room_ask(&t->room.bus_room, "HSET %.*s 3-0 garbage", BYTES_FMT(buf_bytes(&t->w)));
    conn_queues_leave(q);
    assert_int_equal(take_turn(t, returned(t, "ann", 4, 5)), CONN_QUEUE_GO);
}

static void a_forged_order_is_none(void **state) {
    struct test *t = *state;
    struct conn_queue *q = conn_queues_enter(t->queues, 0, message(t, "ann", 1));
    struct in_entry *forged = message(t, "ann", 9);
    forged->is_back = true;
    forged->order = (struct message_id){1, 0};
    forged->handled = 7;
    assert_int_equal(take_turn(t, forged), CONN_QUEUE_DEFERRED);
    assert_true(!forged->is_back && forged->order.term == 9 && forged->handled == 0);
    conn_queues_leave(q);
}

/* A Name has one slot; in another somebody else wrote it. */
static void another_slot_is_another_queue(void **state) {
    struct test *t = *state;
    struct conn_queue *q = conn_queues_enter(t->queues, 0, message(t, "ann", 1));
    struct processing p = broker_room_begin(&t->room, message(t, "ann", 2));
    p.slot = 1;
    assert_int_equal(conn_queues_take_turn(&p), CONN_QUEUE_GO);
    conn_queues_leave(q);
}

static void they_come_back_in_order(void **state) {
    struct test *t = *state;
    struct conn_queue *q = conn_queues_enter(t->queues, 0, message(t, "ann", 1));
    for (uint64_t id = 2; id <= 4; id++)
        assert_int_equal(take_turn(t, message(t, "ann", id)), CONN_QUEUE_DEFERRED);
    conn_queues_leave(q);
    assert_int_equal(length_of_in(t), 4); /* not before the cursor has passed them */
    commit(t, 4);
    struct in_entry *second = returned(t, "ann", 2, 5); /* one by one after a handler that waited */
    struct processing p = broker_room_begin(&t->room, second);
    assert_int_equal(conn_queues_take_turn(&p), CONN_QUEUE_GO);
    assert_int_equal(t->room.batch.deferred.done_count, 1);
    conn_queues_after(&p);
    struct in_entry *fourth = returned(t, "ann", 4, 7);          /* then two at a time */
    assert_int_equal(take_turn(t, fourth), CONN_QUEUE_DEFERRED); /* 3 was not processed yet */
}

static void an_entry_that_is_given_up_lets_the_next_go(void **state) {
    struct test *t = *state;
    struct conn_queue *q = conn_queues_enter(t->queues, 0, message(t, "ann", 1));
    assert_int_equal(take_turn(t, message(t, "ann", 2)), CONN_QUEUE_DEFERRED);
    assert_int_equal(take_turn(t, message(t, "ann", 3)), CONN_QUEUE_DEFERRED);
    conn_queues_leave(q);
    commit(t, 3);
    struct processing p = broker_room_begin(&t->room, returned(t, "ann", 2, 4));
    conn_queues_give_up(&p);
    assert_int_equal(take_turn(t, returned(t, "ann", 3, 5)), CONN_QUEUE_GO);
}

/* What somebody else wrote over an entry costs its connection a wait, and no other. */
static void a_value_that_cannot_be_decoded_holds_up_its_own_queue(void **state) {
    struct test *t = *state;
    struct conn_queue *ann = conn_queues_enter(t->queues, 0, message(t, "ann", 1));
    struct conn_queue *bob = conn_queues_enter(t->queues, 0, message(t, "bob", 2));
    assert_int_equal(take_turn(t, message(t, "ann", 3)), CONN_QUEUE_DEFERRED);
    assert_int_equal(take_turn(t, message(t, "bob", 4)), CONN_QUEUE_DEFERRED);
    commit(t, 4);
    bus_room_ask(&t->room.bus_room, "HSET %.*s 3-0 \x93\xa1", BYTES_FMT(buf_bytes(&t->w)));
    conn_queues_leave(ann);
    bus_room_turn(&t->room.bus_room, 50); /* an error would be here by now, and hold up all */
    conn_queues_leave(bob);
    bus_room_turn(&t->room.bus_room, 50);
    assert_int_equal(length_of_in(t), 5);
    assert_int_equal(take_turn(t, returned(t, "bob", 4, 5)), CONN_QUEUE_GO);
}

/* A client's message is refused at the bound; Connect and Disconnect have twice as much. */
static void a_queue_has_a_bound(void **state) {
    struct test *t = *state;
    struct conn_queue *q = conn_queues_enter(t->queues, 0, message(t, "ann", 1));
    for (uint64_t id = 2; id < 2 + 2 * CONN_QUEUE_MAX + 1; id++) {
        bool is_over = id - 2 >= CONN_QUEUE_MAX;
        struct in_entry *e = make(is_over ? ENTRY_DISCONNECT : ENTRY_CLIENT, "Msg", "ann", id);
        struct in_entry *one = make(ENTRY_CLIENT, "Msg", "ann", id);
        if (is_over)
            assert_int_equal(take_turn(t, one), CONN_QUEUE_FULL);
        assert_int_equal(take_turn(t, e),
                         id - 2 < 2 * CONN_QUEUE_MAX ? CONN_QUEUE_DEFERRED : CONN_QUEUE_FULL);
        in_entry_unref(one);
        in_entry_unref(e);
    }
    conn_queues_leave(q);
}

static void all_queues_have_a_bound(void **state) {
    struct test *t = *state;
    struct conn_queue *queues[CONN_QUEUES_MAX / CONN_QUEUE_MAX + 1];
    uint64_t id = 1;
    char client[8];
    for (unsigned i = 0; i < ARRAY_LEN(queues); i++) {
        snprintf(client, sizeof(client), "c%u", i);
        queues[i] = conn_queues_enter(t->queues, 0, message(t, client, id++));
    }
    for (unsigned n = 0; n <= CONN_QUEUES_MAX; n++) {
        snprintf(client, sizeof(client), "c%u", n / CONN_QUEUE_MAX);
        struct in_entry *e = make(ENTRY_CLIENT, "Msg", client, id++);
        assert_int_equal(take_turn(t, e),
                         n < CONN_QUEUES_MAX ? CONN_QUEUE_DEFERRED : CONN_QUEUE_FULL);
        in_entry_unref(e);
    }
    for (unsigned i = 0; i < ARRAY_LEN(queues); i++)
        conn_queues_leave(queues[i]);
}

int main(void) {
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(others_do_not_wait),
        TEST(one_that_vanished_holds_up_nobody),
        TEST(a_forged_order_is_none),
        TEST(another_slot_is_another_queue),
        TEST(they_come_back_in_order),
        TEST(an_entry_that_is_given_up_lets_the_next_go),
        TEST(a_value_that_cannot_be_decoded_holds_up_its_own_queue),
        TEST(a_queue_has_a_bound),
        TEST(all_queues_have_a_bound),
    };
    if (!redis_server_is_installed())
        return 77;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
