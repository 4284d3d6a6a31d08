/* test_forward.c - entries for other partitions: in order, once, whoever repeats them. */
#include "common/bus/log/forward.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/bus/bulk.h"
#include "common/bus/bus_send.h"
#include "common/bus/log/append.h"
#include "common/bus/partition.h"
#include "tests/common/bus/bus_room.h"

struct test {
    struct bus_room room;
    struct bus *bus;
    unsigned ended;
    bool is_busy;
};

static void on_done(void *ctx, bool is_busy) {
    struct test *t = ctx;
    t->is_busy = is_busy;
    t->ended++;
}

static int setup(void **state) {
    static struct test t;
    memset(&t, 0, sizeof(t));
    bus_room_init(&t.room, 2);
    t.bus = bus_room_join(&t.room, BUS_BROKER);
    *state = &t;
    return 0;
}

static int teardown(void **state) {
    struct test *t = *state;
    bus_close(t->bus);
    bus_room_deinit(&t->room);
    return 0;
}

static void add_once(struct forward *f, unsigned partition, unsigned index, const char *entry,
                     struct bytes once) {
    char seq[FORWARD_SEQ_TEXT];
    forward_add(f, partition, forward_seq((struct message_id){7, 1}, index, seq), bytes_str(entry),
                once);
}

static void add(struct forward *f, unsigned partition, unsigned index, const char *entry,
                const char *once) {
    add_once(f, partition, index, entry, bytes_str(once));
}

static void hand_over(struct test *t, struct forward *f) {
    t->ended = 0;
    forward_send(f, on_done, t);
    bus_room_until(&t->room, &t->ended, 1, 2000);
}

/* The values of the entries, in order. */
static void expect(struct test *t, unsigned partition, const char *values) {
    char have[200] = "";
    int count = atoi(bus_room_ask(&t->room, "XLEN sb:{%s}:in", partition_tag(partition)));
    char from[64] = "-";
    for (int i = 0; i < count; i++) {
        char id[48], field[8], value[64];
        const char *row = bus_room_ask(&t->room, "XRANGE sb:{%s}:in %s + COUNT 1",
                                       partition_tag(partition), from);
        assert_int_equal(sscanf(row, "%47s %7s %63s", id, field, value), 3);
        snprintf(from, sizeof(from), "(%s", id);
        strcat(strcat(have, i > 0 ? " " : ""), value);
    }
    assert_string_equal(have, values);
}

static void sequence_texts_rise(void **state) {
    char a[FORWARD_SEQ_TEXT], b[FORWARD_SEQ_TEXT];
    static const struct {
        struct message_id entry;
        unsigned index;
    } rising[] = {
        {{1, 0}, 0}, {{1, 0}, 1},  {{1, 0}, FORWARD_INDEX_MAX},  {{1, 1}, 0}, {{1, 10}, 0},
        {{2, 0}, 0}, {{10, 0}, 0}, {{UINT64_MAX, UINT64_MAX}, 0}};
    (void)state;
    for (size_t i = 0; i + 1 < sizeof(rising) / sizeof(rising[0]); i++) {
        forward_seq(rising[i].entry, rising[i].index, a);
        forward_seq(rising[i + 1].entry, rising[i + 1].index, b);
        assert_int_equal(strlen(a), FORWARD_SEQ_TEXT - 1);
        assert_int_equal(strlen(b), FORWARD_SEQ_TEXT - 1);
        assert_true(strcmp(a, b) < 0);
    }
}

static void each_partition_gets_its_own_in_order(void **state) {
    struct test *t = *state;
    struct forward *f = forward_new(t->bus, "p0", 0);
    add(f, 0, 0, "a", "");
    add(f, 1, 1, "bb", "");
    add(f, 0, 2, "c", "");
    assert_int_equal(forward_bytes(f), 4);
    assert_int_equal(forward_largest(f), 2);
    hand_over(t, f);
    assert_false(t->is_busy);
    assert_int_equal(forward_count(f), 0);
    assert_int_equal(forward_bytes(f), 0);
    expect(t, 0, "a c");
    expect(t, 1, "bb");
    forward_close(f);
}

static void the_next_owner_repeats_nothing(void **state) {
    struct test *t = *state;
    struct forward *first = forward_new(t->bus, "p0", 0), *second = forward_new(t->bus, "p0", 0);
    add(first, 1, 0, "a", "");
    hand_over(t, first);
    add(second, 1, 0, "a", "");
    add(second, 1, 1, "b", "");
    hand_over(t, second);
    expect(t, 1, "a b");
    forward_close(first);
    forward_close(second);
}

/* The ids begin again: they are new, and what an owner of before repeats is not. */
static void a_generation_begins_behind_all_ids(void **state) {
    struct test *t = *state;
    static const uint64_t generations[] = {0, 1, 10, 1700000000000};
    for (size_t i = 0; i < sizeof(generations) / sizeof(generations[0]); i++) {
        char last[FORWARD_SEQ_TEXT];
        struct forward *owner = forward_new(t->bus, "x", generations[i]);
        struct forward *before = forward_new(t->bus, "x", i > 0 ? generations[i - 1] : 0);
        add(owner, 1, 0, "a", "");
        forward_add(owner, 1, forward_seq((struct message_id){UINT64_MAX, UINT64_MAX}, 0, last),
                    BYTES_LIT("z"), BYTES_NONE);
        hand_over(t, owner);
        add(before, 1, 1, "old", "");
        hand_over(t, before);
        forward_close(owner);
        forward_close(before);
    }
    expect(t, 1, "a z a z a z a z");
}

static void a_publishers_key_is_taken_once(void **state) {
    struct test *t = *state;
    struct forward *f = forward_new(t->bus, "x", 0);
    struct buf key = {0};
    struct bytes once = append_once_key(&key, 1, BYTES_LIT("N"), BYTES_LIT("k"));
    add_once(f, 1, 0, "a", once);
    add_once(f, 1, 1, "again", once);
    add(f, 1, 2, "b", "");
    add(f, 1, 3, "c", "");
    hand_over(t, f);
    /* wherever the Name ends and its key begins */
    add_once(f, 1, 4, "d", append_once_key(&key, 1, BYTES_LIT("a:b"), BYTES_LIT("c")));
    add_once(f, 1, 5, "e", append_once_key(&key, 1, BYTES_LIT("a"), BYTES_LIT("b:c")));
    hand_over(t, f);
    expect(t, 1, "a b c d e");
    buf_deinit(&key);
    forward_close(f);
}

static void what_redis_refuses_is_kept_and_repeated(void **state) {
    struct test *t = *state;
    struct forward *f = forward_new(t->bus, "p0", 0);
    bus_room_ask(&t->room, "SET sb:{%s}:in wrong", partition_tag(1));
    add(f, 0, 0, "a", "");
    add(f, 1, 1, "b", "");
    hand_over(t, f);
    assert_true(t->is_busy);
    assert_int_equal(forward_count(f), 1);
    bus_room_ask(&t->room, "DEL sb:{%s}:in", partition_tag(1));
    t->ended = 0;
    forward_repeat(f);
    bus_room_until(&t->room, &t->ended, 1, 2000);
    assert_false(t->is_busy);
    expect(t, 0, "a");
    expect(t, 1, "b");
    forward_close(f);
}

/* A call with entries of this size waits for its turn. */
static void add_large(struct forward *f, unsigned partition, unsigned index) {
    static char entry[BULK_MIN];
    char seq[FORWARD_SEQ_TEXT];
    forward_add(f, partition, forward_seq((struct message_id){7, 1}, index, seq),
                bytes_of(entry, sizeof(entry)), BYTES_NONE);
}

static void large_calls_take_turns(void **state) {
    struct test *t = *state;
    struct forward *f = forward_new(t->bus, "p0", 0), *closed = forward_new(t->bus, "p1", 0);
    struct bulk_turn other = {0};
    assert_true(bulk_take(bus_bulk(t->bus, 0), &other, BULK_MOST));
    add_large(closed, 0, 0);
    forward_send(closed, on_done, t);
    add_large(f, 0, 0);
    add(f, 1, 1, "small", "");
    forward_send(f, on_done, t);
    for (int i = 0; i < 200 && forward_count(f) > 1; i++)
        bus_room_turn(&t->room, 10);
    expect(t, 1, "small");
    assert_int_equal(forward_count(f), 1);
    forward_close(closed);
    bulk_leave(bus_bulk(t->bus, 0), &other);
    bus_room_until(&t->room, &t->ended, 1, 2000);
    assert_int_equal(forward_count(f), 0);
    assert_int_equal(bus_bulk(t->bus, 0)->bytes, 0);
    forward_close(f);
}

int main(void) {
#define WITH_REDIS(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sequence_texts_rise),
        WITH_REDIS(each_partition_gets_its_own_in_order),
        WITH_REDIS(the_next_owner_repeats_nothing),
        WITH_REDIS(a_generation_begins_behind_all_ids),
        WITH_REDIS(a_publishers_key_is_taken_once),
        WITH_REDIS(what_redis_refuses_is_kept_and_repeated),
        WITH_REDIS(large_calls_take_turns),
    };
    if (!redis_server_is_installed())
        return 77;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
