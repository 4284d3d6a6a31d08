/* The handlers of a connection take turns: what is deferred, when it comes back, in which order. */
#include "broker/entry/conn_queues.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <hiredis/hiredis.h>

#include "common/base/metrics.h"
#include "common/bus/partition.h"
#include "tests/broker/broker_room.h"

enum { ENTRIES_MAX = 200, WAIT_MS = 2000 };

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

/* The entry at this place of `in`, the last one there, as the inbox reads it. */
static struct in_entry *returned(struct test *t, const char *client, uint64_t order, int length) {
    static const char at[] = "return(redis.call('XRANGE',KEYS[1],'-','+')[tonumber(ARGV[1])][1])";
    unsigned long long id, seq;
    for (int i = 0; i < 100 && length_of_in(t) < length; i++)
        bus_room_turn(&t->room.bus_room, 10);
    const char *last = bus_room_ask(&t->room.bus_room, "EVAL %s 1 %.*s %d", at,
                                    BYTES_FMT(buf_bytes(&t->in)), length);
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
    int64_t before = metrics_get(METRIC_dead_letters);
    struct conn_queue *q = conn_queues_enter(t->queues, 0, message(t, "ann", 1));
    for (uint64_t id = 2; id <= 4; id++)
        assert_int_equal(take_turn(t, message(t, "ann", id)), CONN_QUEUE_DEFERRED);
    commit(t, 4);
    bus_room_ask(&t->room.bus_room, "HDEL %.*s 2-0", BYTES_FMT(buf_bytes(&t->w)));
    bus_room_ask(&t->room.bus_room, "HSET %.*s 3-0 garbage", BYTES_FMT(buf_bytes(&t->w)));
    conn_queues_leave(q);
    assert_int_equal(take_turn(t, returned(t, "ann", 4, 5)), CONN_QUEUE_GO);
    assert_int_equal(metrics_get(METRIC_dead_letters), before + 2);
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
    struct deferred_place place = {.bus = t->room.bus, .partition = 1, .term = ROOM_TERM};
    p.slot = 1;
    assert_int_equal(conn_queues_take_turn(&p), CONN_QUEUE_GO);
    conn_queues_open(t->queues, &place, (struct message_id){0}, NULL);
    struct conn_queue *other = conn_queues_enter(t->queues, 1, p.entry);
    assert_int_equal(conn_queues_take_turn(&p), CONN_QUEUE_DEFERRED);
    conn_queues_leave(q);
    conn_queues_close(t->queues, 0); /* what waits in the other one goes on waiting */
    conn_queues_leave(other);
    assert_int_equal(conn_queues_take_turn(&p), CONN_QUEUE_DEFERRED);
    conn_queues_close(t->queues, 1);
    assert_int_equal(conn_queues_take_turn(&p), CONN_QUEUE_GO);
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

/* An entry of ann that came back and goes on: two calls of the inbox. */
static void process_returned(struct test *t, uint64_t order, int length) {
    struct processing p = broker_room_begin(&t->room, returned(t, "ann", order, length));
    assert_int_equal(conn_queues_take_turn(&p), CONN_QUEUE_GO);
    conn_queues_after(&p);
}

/* The ids in w, in their order, and whether each is a mark (of one that came back) or a copy. */
static const char *deferred(struct test *t) {
    static const char list[] =
        "local\tk=redis.call('HKEYS',KEYS[1])\ttable.sort(k)\tlocal\tr=''\tfor\ti=1,#k\tdo\t"
        "local\tp=cmsgpack.unpack(redis.call('HGET',KEYS[1],k[i]))\t"
        "r=r..(#p[4]==0\tand'mark:'or'copy:')..p[1]..','\tend\treturn(r)";
    return bus_room_ask(&t->room.bus_room, "EVAL %s 1 %.*s", list, BYTES_FMT(buf_bytes(&t->w)));
}

static void assert_length_of_in(struct test *t, int length) {
    bus_room_turn(&t->room.bus_room, 30);
    assert_int_equal(length_of_in(t), length);
}

/* One at a time after a handler that waited, then ever more, up to a bound, and none twice. */
static void ever_more_come_back_at_a_time(void **state) {
    enum { COUNT = 60, ORDERS = COUNT - 1 };
    struct test *t = *state;
    struct conn_queue *q = conn_queues_enter(t->queues, 0, message(t, "ann", 1));
    for (uint64_t id = 2; id <= COUNT; id++)
        assert_int_equal(take_turn(t, message(t, "ann", id)), CONN_QUEUE_DEFERRED);
    commit(t, COUNT);
    assert_length_of_in(t, COUNT);
    conn_queues_leave(q);
    assert_length_of_in(t, COUNT + 1);
    process_returned(t, 2, COUNT + 1);
    assert_length_of_in(t, COUNT + 3);
    process_returned(t, 3, COUNT + 2);
    assert_length_of_in(t, COUNT + 3); /* nothing comes back while some are on their way */
    process_returned(t, 4, COUNT + 3);
    assert_length_of_in(t, COUNT + 11);
    for (uint64_t order = 5; order <= 11; order++)
        process_returned(t, order, (int)order + ORDERS);
    struct processing p = broker_room_begin(&t->room, returned(t, "ann", 12, 12 + ORDERS));
    assert_int_equal(conn_queues_take_turn(&p), CONN_QUEUE_GO);
    q = conn_queues_enter(t->queues, 0, p.entry); /* its handler waits */
    conn_queues_after(&p);
    assert_length_of_in(t, COUNT + 11);
    conn_queues_leave(q);
    assert_length_of_in(t, COUNT + 12); /* one at a time again */
    for (uint64_t order = 13; order <= 22; order++)
        process_returned(t, order, (int)order + ORDERS);
    assert_length_of_in(t, COUNT + 22);
    process_returned(t, 23, 23 + ORDERS);
    assert_length_of_in(t, COUNT + 22 + 32); /* never more */
}

/* All that one call was to bring back is gone. */
static void two_that_vanished_at_once(void **state) {
    struct test *t = *state;
    int64_t before = metrics_get(METRIC_dead_letters);
    struct conn_queue *q = conn_queues_enter(t->queues, 0, message(t, "ann", 1));
    for (uint64_t id = 2; id <= 6; id++)
        assert_int_equal(take_turn(t, message(t, "ann", id)), CONN_QUEUE_DEFERRED);
    commit(t, 6);
    bus_room_ask(&t->room.bus_room, "HDEL %.*s 3-0 4-0", BYTES_FMT(buf_bytes(&t->w)));
    conn_queues_leave(q);
    process_returned(t, 2, 7); /* two at a time from here */
    assert_length_of_in(t, 9);
    assert_int_equal(metrics_get(METRIC_dead_letters), before + 2);
    assert_int_equal(take_turn(t, returned(t, "ann", 5, 8)), CONN_QUEUE_GO);
}

/* What was processed is forgotten with its commit, not before. */
static void a_mark_stays_until_the_commit(void **state) {
    struct test *t = *state;
    struct conn_queue *q = conn_queues_enter(t->queues, 0, message(t, "ann", 1));
    assert_int_equal(take_turn(t, message(t, "ann", 2)), CONN_QUEUE_DEFERRED);
    assert_int_equal(take_turn(t, message(t, "ann", 3)), CONN_QUEUE_DEFERRED);
    commit(t, 3);
    assert_string_equal(deferred(t), "copy:2-0,copy:3-0,");
    conn_queues_leave(q);
    struct processing p = broker_room_begin(&t->room, returned(t, "ann", 2, 4));
    assert_string_equal(deferred(t), "mark:2-0,copy:3-0,");
    assert_int_equal(conn_queues_take_turn(&p), CONN_QUEUE_GO);
    assert_string_equal(deferred(t), "mark:2-0,copy:3-0,");
    struct message_id at = p.entry->id;
    conn_queues_committed(t->queues, 0, &t->room.batch.deferred, at);
    assert_int_equal(t->room.batch.deferred.done_count, 0);
    bus_room_turn(&t->room.bus_room, 50);
    assert_string_equal(deferred(t), "copy:3-0,");
}

/* Some of its handlers have run when one waits: the entry is not done, and it goes on later with
 * the next handler. */
static void the_rest_of_an_event_keeps_its_place(void **state) {
    struct test *t = *state;
    struct deferred_batch *b = &t->room.batch.deferred;
    struct conn_queue *q = conn_queues_enter(t->queues, 0, message(t, "ann", 1));
    assert_int_equal(take_turn(t, message(t, "ann", 2)), CONN_QUEUE_DEFERRED);
    assert_int_equal(take_turn(t, message(t, "ann", 3)), CONN_QUEUE_DEFERRED);
    commit(t, 3);
    conn_queues_leave(q);
    struct processing p = broker_room_begin(&t->room, returned(t, "ann", 2, 4));
    assert_int_equal(conn_queues_take_turn(&p), CONN_QUEUE_GO);
    assert_int_equal(b->done_count, 1);
    q = conn_queues_enter(t->queues, 0, p.entry);
    conn_queues_defer_rest(&p, 5);
    conn_queues_after(&p); /* a handler waits: nothing comes back */
    assert_int_equal(b->done_count, 0);
    assert_int_equal(b->count, 1);
    assert_int_equal(b->items[0].handled, 5);
    assert_int_equal(b->items[0].order.term, 2);
    assert_int_equal(message_id_compare(b->items[0].id, p.entry->id), 0);
    commit(t, p.entry->id.term);
    conn_queues_committed(t->queues, 0, b, p.entry->id);
    bus_room_turn(&t->room.bus_room, 30);
    assert_int_equal(length_of_in(t), 4);
    conn_queues_leave(q);
    process_returned(t, 2, 5); /* before 3 */
}

/* Others that were done before in the same batch stay done. */
static void only_the_last_one_is_taken_back(void **state) {
    struct test *t = *state;
    struct deferred_batch *b = &t->room.batch.deferred;
    for (int is_done = 0; is_done < 2; is_done++) {
        uint64_t id = 10 * (uint64_t)is_done;
        struct in_entry *first = message(t, "bob", id + 1), *second = message(t, "ann", id + 2);
        struct processing p = broker_room_begin(&t->room, second);
        first->is_back = second->is_back = true;
        assert_int_equal(take_turn(t, first), CONN_QUEUE_GO);
        if (is_done)
            assert_int_equal(take_turn(t, second), CONN_QUEUE_GO);
        struct conn_queue *q = conn_queues_enter(t->queues, 0, second);
        conn_queues_defer_rest(&p, 1);
        assert_int_equal(b->done_count, 1);
        assert_int_equal(b->done[0].term, first->id.term);
        b->done_count = 0;
        conn_queues_close(t->queues, 0);
        conn_queues_leave(q);
        open_slot(t);
    }
}

/* --- a new owner --- */

static void on_listed(void *ctx, struct redisReply *reply) {
    struct test *t = ctx;
    struct deferred_place place = {.bus = t->room.bus, .term = ROOM_TERM};
    assert_false(reply_is_error(reply, NULL));
    conn_queues_open(t->queues, &place, (struct message_id){100, 0}, reply);
    t->answers++;
}

/* Takes the slot again from Redis, with the cursor at 100. */
static void take_again(struct test *t) {
    struct deferred_place place = {.bus = t->room.bus, .term = ROOM_TERM};
    struct buf own = {0};
    key_of(&own, 0, KEY_OWN, BYTES_NONE);
    bus_room_ask(&t->room.bus_room, "HSET %.*s c 100-0", BYTES_FMT(buf_bytes(&own)));
    buf_deinit(&own);
    t->answers = 0;
    conn_queues_close(t->queues, 0);
    deferred_list(&place, on_listed, t);
    bus_room_until(&t->room.bus_room, &t->answers, 1, WAIT_MS);
}

/* In their order, however Redis lists them, and each queue on its own. */
static void a_new_owner_brings_back_what_waits(void **state) {
    struct test *t = *state;
    struct conn_queue *q = conn_queues_enter(t->queues, 0, message(t, "ann", 1));
    struct conn_queue *other = conn_queues_enter(t->queues, 0, message(t, "bob", 2));
    for (uint64_t id = 3; id <= 9; id++)
        assert_int_equal(take_turn(t, message(t, id == 6 ? "bob" : "ann", id)),
                         CONN_QUEUE_DEFERRED);
    commit(t, 9);
    conn_queues_close(t->queues, 0);
    assert_int_equal(take_turn(t, message(t, "ann", 10)), CONN_QUEUE_DEFERRED);
    t->room.batch.deferred.count = 0; /* of a slot that was lost */
    conn_queues_leave(q);
    conn_queues_leave(other);
    assert_int_equal(length_of_in(t), 10);
    take_again(t);
    for (int i = 0; i < 100 && length_of_in(t) < 12; i++)
        bus_room_turn(&t->room.bus_room, 10);
    assert_string_equal(deferred(t),
                        "mark:3-0,mark:6-0,copy:4-0,copy:5-0,copy:7-0,copy:8-0,copy:9-0,");
}

/* One that came back before is ahead in `in`: the others of its queue wait for it. */
static void a_new_owner_waits_for_what_is_ahead(void **state) {
    struct test *t = *state;
    struct conn_queue *q = conn_queues_enter(t->queues, 0, message(t, "ann", 1));
    for (uint64_t id = 2; id <= 4; id++)
        assert_int_equal(take_turn(t, message(t, "ann", id)), CONN_QUEUE_DEFERRED);
    commit(t, 4);
    conn_queues_leave(q);
    struct in_entry *second = returned(t, "ann", 2, 5);
    take_again(t);
    bus_room_turn(&t->room.bus_room, 30);
    assert_int_equal(length_of_in(t), 5);
    struct in_entry *later = message(t, "ann", second->id.term + 1);
    assert_int_equal(take_turn(t, later), CONN_QUEUE_DEFERRED);
    second->is_back = true;
    assert_int_equal(take_turn(t, second), CONN_QUEUE_GO);
}

/* A row that makes no sense is kept as a dead letter, and no other is lost with it. */
static void what_somebody_else_wrote_is_a_dead_letter(void **state) {
    struct test *t = *state;
    struct buf key = {0};
    int64_t before = metrics_get(METRIC_dead_letters);
    struct conn_queue *q = conn_queues_enter(t->queues, 0, message(t, "ann", 1));
    assert_int_equal(take_turn(t, message(t, "ann", 2)), CONN_QUEUE_DEFERRED);
    commit(t, 2);
    bus_room_ask(&t->room.bus_room, "HSET %.*s 3-0 garbage x y", BYTES_FMT(buf_bytes(&t->w)));
    conn_queues_leave(q);
    take_again(t);
    bus_room_turn(&t->room.bus_room, 50);
    assert_int_equal(metrics_get(METRIC_dead_letters), before + 2);
    key_of(&key, 0, KEY_DEAD_LETTERS, BYTES_NONE);
    const char *all =
        bus_room_ask(&t->room.bus_room, "XRANGE %.*s - +", BYTES_FMT(buf_bytes(&key)));
    assert_non_null(strstr(all, "reason not set aside by a broker entry 3-0 m garbage"));
    assert_non_null(strstr(all, "reason not set aside by a broker entry x m y"));
    returned(t, "ann", 2, 3);
    buf_deinit(&key);
}

/* What belongs to another owner by now is not touched. */
static void a_slot_that_was_lost_brings_nothing_back(void **state) {
    struct test *t = *state;
    int64_t before = metrics_get(METRIC_dead_letters);
    struct conn_queue *q = conn_queues_enter(t->queues, 0, message(t, "ann", 1));
    conn_queues_committed(t->queues, 0, &t->room.batch.deferred, (struct message_id){9, 0});
    conn_queues_close(t->queues, 0);
    assert_int_equal(take_turn(t, message(t, "ann", 2)), CONN_QUEUE_DEFERRED);
    conn_queues_leave(q);
    bus_room_turn(&t->room.bus_room, 30);
    assert_int_equal(metrics_get(METRIC_dead_letters), before);
    assert_int_equal(length_of_in(t), 2);
    open_slot(t);
}

/* --- what Redis refuses for now --- */

/* Nothing of the slot is tried again before the next round, and then everything is. */
static void what_is_refused_comes_back_later(void **state) {
    struct test *t = *state;
    struct conn_queue *ann = conn_queues_enter(t->queues, 0, message(t, "ann", 1));
    struct conn_queue *bob = conn_queues_enter(t->queues, 0, message(t, "bob", 2));
    assert_int_equal(take_turn(t, message(t, "ann", 3)), CONN_QUEUE_DEFERRED);
    assert_int_equal(take_turn(t, message(t, "bob", 4)), CONN_QUEUE_DEFERRED);
    commit(t, 4);
    bus_room_ask(&t->room.bus_room, "RENAME %.*s aside", BYTES_FMT(buf_bytes(&t->w)));
    bus_room_ask(&t->room.bus_room, "SET %.*s text", BYTES_FMT(buf_bytes(&t->w)));
    conn_queues_leave(ann);
    bus_room_turn(&t->room.bus_room, 20);
    bus_room_ask(&t->room.bus_room, "RENAME aside %.*s", BYTES_FMT(buf_bytes(&t->w)));
    conn_queues_leave(bob);
    assert_int_equal(length_of_in(t), 4);
    for (int i = 0; i < 100 && length_of_in(t) < 6; i++)
        bus_room_turn(&t->room.bus_room, 10);
    assert_string_equal(deferred(t), "mark:3-0,mark:4-0,");
}

/* --- bounds in bytes --- */

/* As a new owner finds them: one entry of ann that takes so much. */
static void open_with(struct test *t, size_t bytes) {
    struct deferred_place place = {.bus = t->room.bus, .term = ROOM_TERM};
    redisReply *list = redisCommand(t->room.bus_room.redis.admin,
                                    "EVAL return{{'7-0','7-0','Msg\\0ann',%s,1}} 0", "1");
    list->element[0]->element[3]->integer = (long long)bytes;
    conn_queues_close(t->queues, 0);
    conn_queues_open(t->queues, &place, (struct message_id){0}, list);
    freeReplyObject(list);
}

/* Connect and Disconnect have twice as much. */
static void all_queues_have_a_bound_in_bytes(void **state) {
    struct test *t = *state;
    struct in_entry *message = make(ENTRY_CLIENT, "Msg", "ann", 8);
    struct in_entry *connect = make(ENTRY_CONNECT, "Msg", "ann", 8);
    struct in_entry *bye = make(ENTRY_BYE, "Msg", "ann", 8);
    open_with(t, CONN_QUEUES_BYTES - 1);
    assert_int_equal(metrics_get(METRIC_entries_aside), 1);
    assert_int_equal(take_turn(t, message), CONN_QUEUE_DEFERRED);
    assert_int_equal(metrics_get(METRIC_entries_aside), 2);
    assert_int_equal(take_turn(t, message), CONN_QUEUE_FULL);
    open_with(t, CONN_QUEUES_BYTES);
    assert_int_equal(metrics_get(METRIC_entries_aside), 1); /* all of the room was back */
    assert_int_equal(take_turn(t, message), CONN_QUEUE_FULL);
    assert_int_equal(take_turn(t, bye), CONN_QUEUE_FULL);
    assert_int_equal(take_turn(t, connect), CONN_QUEUE_DEFERRED);
    open_with(t, 2 * (size_t)CONN_QUEUES_BYTES - 1);
    assert_int_equal(take_turn(t, connect), CONN_QUEUE_DEFERRED);
    assert_int_equal(take_turn(t, connect), CONN_QUEUE_FULL);
    open_with(t, 2 * (size_t)CONN_QUEUES_BYTES);
    assert_int_equal(take_turn(t, connect), CONN_QUEUE_FULL);
    conn_queues_close(t->queues, 0);
    assert_int_equal(metrics_get(METRIC_entries_aside), 0);
    in_entry_unref(message);
    in_entry_unref(connect);
    in_entry_unref(bye);
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
        TEST(ever_more_come_back_at_a_time),
        TEST(two_that_vanished_at_once),
        TEST(a_mark_stays_until_the_commit),
        TEST(the_rest_of_an_event_keeps_its_place),
        TEST(only_the_last_one_is_taken_back),
        TEST(a_new_owner_brings_back_what_waits),
        TEST(a_new_owner_waits_for_what_is_ahead),
        TEST(what_somebody_else_wrote_is_a_dead_letter),
        TEST(a_slot_that_was_lost_brings_nothing_back),
        TEST(what_is_refused_comes_back_later),
        TEST(all_queues_have_a_bound_in_bytes),
    };
    if (!redis_server_is_installed())
        return 77;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
