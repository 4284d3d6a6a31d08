/* Entries that are set aside: stored, listed by the next owner, brought back once, and refused to
 * an owner that was fenced. */
#include "common/bus/log/deferred.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <hiredis/hiredis.h>

#include "common/bus/log/entry_reader.h"
#include "common/bus/partition.h"
#include "tests/common/bus/bus_room.h"

enum { TERM = 1000 };

struct test {
    struct bus_room room;
    struct bus *bus;
    struct buf own, in, w;
    struct deferred_place place;
    unsigned answers;
    char text[1024]; /* of the last answer */
};

static void append(char *out, size_t size, const struct redisReply *r) {
    size_t at = strlen(out);
    if (r->type == REDIS_REPLY_INTEGER)
        snprintf(out + at, size - at, "%lld ", r->integer);
    else if (r->type != REDIS_REPLY_ARRAY)
        snprintf(out + at, size - at, "%s ", r->str);
    for (size_t i = 0; i < reply_count(r); i++)
        append(out, size, reply_at(r, i));
}

static void on_answer(void *ctx, struct redisReply *reply) {
    struct test *t = ctx;
    t->answers++;
    t->text[0] = '\0';
    assert_non_null(reply);
    append(t->text, sizeof(t->text), reply);
}

/* To the one question that is open. */
static const char *answer(struct test *t) {
    bus_room_until(&t->room, &t->answers, 1, 2000);
    t->answers = 0;
    return t->text;
}

static int setup(void **state) {
    static struct test t;
    memset(&t, 0, sizeof(t));
    bus_room_init(&t.room, 1);
    t.bus = bus_room_join(&t.room, BUS_BROKER);
    key_of(&t.own, 0, KEY_OWN, BYTES_NONE);
    key_of(&t.in, 0, KEY_IN, BYTES_NONE);
    key_of(&t.w, 0, KEY_DEFERRED, BYTES_NONE);
    t.place = (struct deferred_place){.bus = t.bus, .partition = 0, .term = TERM};
    bus_room_ask(&t.room, "HSET %.*s h %s t %d c 2-0", BYTES_FMT(buf_bytes(&t.own)), bus_id(t.bus),
                 TERM);
    for (int i = 1; i <= 3; i++)
        bus_room_ask(&t.room, "XADD %.*s %d-0 t C n Msg i ann v v%d", BYTES_FMT(buf_bytes(&t.in)),
                     i, i);
    *state = &t;
    return 0;
}

static int teardown(void **state) {
    struct test *t = *state;
    bus_close(t->bus);
    bus_room_deinit(&t->room);
    buf_deinit(&t->own);
    buf_deinit(&t->in);
    buf_deinit(&t->w);
    return 0;
}

static struct deferred_item item(uint64_t id, uint64_t order, unsigned handled) {
    return (struct deferred_item){
        .id = {id, 0}, .order = {order, 0}, .handled = handled, .lane = bytes_of("Msg\0ann", 7)};
}

static void store(struct test *t, struct deferred_item one) {
    deferred_store(&t->place, &one, 1, on_answer, t);
    assert_string_equal(answer(t), "1 ");
}

static const char *bring_back(struct test *t, uint64_t id) {
    struct message_id one = {id, 0};
    deferred_bring_back(&t->place, &one, 1, on_answer, t);
    return answer(t);
}

static const char *in_of(struct test *t) {
    return bus_room_ask(&t->room, "XRANGE %.*s 4 +", BYTES_FMT(buf_bytes(&t->in)));
}

static const char *w_of(struct test *t) {
    return bus_room_ask(&t->room, "HKEYS %.*s", BYTES_FMT(buf_bytes(&t->w)));
}

static void it_comes_back_once_with_its_order(void **state) {
    struct test *t = *state;
    store(t, item(1, 1, 2));
    store(t, item(1, 1, 2));
    assert_string_equal(bring_back(t, 1), "1 ");
    assert_string_equal(bring_back(t, 1), "0 1-0  "); /* there is none: nobody waits for it */
    assert_non_null(strstr(in_of(t), "o 1-0 h 2 t C n Msg i ann v v1"));
    assert_string_equal(bus_room_ask(&t->room, "XLEN %.*s", BYTES_FMT(buf_bytes(&t->in))), "4");
}

static void set_aside_again_it_keeps_its_order(void **state) {
    struct test *t = *state;
    bus_room_ask(&t->room, "XADD %.*s 9-0 o 1-0 h 1 m blob", BYTES_FMT(buf_bytes(&t->in)));
    store(t, item(9, 1, 3));
    assert_string_equal(bring_back(t, 9), "1 ");
    assert_non_null(strstr(in_of(t), "o 1-0 h 3 m blob"));
    assert_null(strstr(in_of(t), "h 3 m blob h"));
}

/* The third lies after the cursor and is read again from `in`. */
static void the_next_owner_has_what_the_cursor_passed(void **state) {
    struct test *t = *state;
    struct deferred_item read;
    store(t, item(2, 1, 0));
    store(t, item(3, 3, 0));
    deferred_list(&t->place, on_answer, t);
    assert_memory_equal(answer(t), "2-0 1-0 Msg ", 12);
    assert_string_equal(w_of(t), "2-0");
    assert_false(deferred_read(NULL, &read));
}

/* {field, value} for each, so that it can be named; what brokers set aside is listed as ever. */
static void what_somebody_else_wrote_is_dropped(void **state) {
    static const char *const values[] = {"garbage",
                                         "\xc1",
                                         "\x93\xa1",
                                         "\x01",
                                         "\x94\x01\x01\x01\x90",
                                         "\x94\xa3"
                                         "1-0\xa1"
                                         "0\xa1"
                                         "x\x91\xa1"
                                         "y"};
    struct test *t = *state;
    store(t, item(2, 1, 0));
    for (size_t i = 0; i < ARRAY_LEN(values); i++)
        bus_room_ask(&t->room, "HSET %.*s 1-%zu %s", BYTES_FMT(buf_bytes(&t->w)), i, values[i]);
    bus_room_ask(&t->room, "HSET %.*s x garbage", BYTES_FMT(buf_bytes(&t->w)));
    deferred_list(&t->place, on_answer, t);
    const char *listed = answer(t);
    assert_non_null(strstr(listed, "2-0 1-0 Msg "));
    assert_non_null(strstr(listed, "1-0 garbage "));
    assert_non_null(strstr(listed, "x garbage "));
    assert_string_equal(w_of(t), "2-0");
}

static bool ends_with(const char *text, const char *end) {
    size_t len = strlen(text), end_len = strlen(end);
    return len >= end_len && strcmp(text + len - end_len, end) == 0;
}

static void what_cannot_come_back_is_removed_and_named(void **state) {
    static const char *const values[] = {"garbage", "\xc1", "\x94\x01\x01\x01\x90",
                                         "\x94\xa3"
                                         "1-0\xa1"
                                         "0\xa1"
                                         "x\x92\xa1"
                                         "y\x90",
                                         "\x94\xa3"
                                         "1-0\xa1"
                                         "0\xa1"
                                         "x\x91\xa1"
                                         "y"};
    struct test *t = *state;
    for (size_t i = 0; i < ARRAY_LEN(values); i++) {
        struct message_id ids[] = {{7, i}, {2, 0}};
        store(t, item(2, 2, 0));
        bus_room_ask(&t->room, "HSET %.*s 7-%zu %s", BYTES_FMT(buf_bytes(&t->w)), i, values[i]);
        deferred_bring_back(&t->place, ids, 2, on_answer, t);
        assert_int_equal(strncmp(answer(t), "1 7-", 4), 0);
        assert_non_null(strstr(t->text, values[i]));
        assert_string_equal(
            bus_room_ask(&t->room, "HEXISTS %.*s 7-%zu", BYTES_FMT(buf_bytes(&t->w)), i), "0");
    }
}

/* Until it is committed, a mark tells the next owner that it is ahead. */
static void what_came_back_is_known_to_the_next_owner(void **state) {
    struct test *t = *state;
    struct message_id id;
    store(t, item(1, 1, 0));
    assert_string_equal(bring_back(t, 1), "1 ");
    assert_true(message_id_parse(bytes_str(w_of(t)), &id));
    deferred_list(&t->place, on_answer, t);
    assert_non_null(strstr(answer(t), " 1-0 Msg "));
    assert_true(ends_with(t->text, " 1 "));
    assert_int_equal(strncmp(bring_back(t, id.term), "0 ", 2), 0);
    deferred_forget(&t->place, &id, 1);
    deferred_list(&t->place, on_answer, t);
    assert_string_equal(answer(t), "");
}

/* Set aside again, but not committed: the copy becomes a mark, so that it cannot be run twice. */
static void a_copy_that_is_ahead_becomes_a_mark(void **state) {
    struct test *t = *state;
    bus_room_ask(&t->room, "XADD %.*s 9-0 o 1-0 h 1 m blob", BYTES_FMT(buf_bytes(&t->in)));
    store(t, item(9, 1, 1));
    deferred_list(&t->place, on_answer, t);
    assert_true(ends_with(answer(t), " 1 "));
    assert_string_equal(bring_back(t, 9), "0 ");
    bus_room_ask(&t->room, "HSET %.*s c 9-0", BYTES_FMT(buf_bytes(&t->own)));
    deferred_list(&t->place, on_answer, t);
    assert_string_equal(answer(t), "");
    assert_string_equal(w_of(t), "");
}

/* Nobody waits for what is in w, but not in `in`. */
static void a_mark_without_its_entry_is_dropped(void **state) {
    struct test *t = *state;
    bus_room_ask(&t->room, "XADD %.*s 9-0 o 1-0 h 1 m blob", BYTES_FMT(buf_bytes(&t->in)));
    store(t, item(9, 1, 1));
    bus_room_ask(&t->room, "XDEL %.*s 9-0", BYTES_FMT(buf_bytes(&t->in)));
    deferred_list(&t->place, on_answer, t);
    assert_string_equal(answer(t), "");
}

static void a_fenced_owner_is_refused(void **state) {
    struct test *t = *state;
    struct deferred_item one = item(1, 1, 0);
    t->place.term = TERM - 1;
    deferred_store(&t->place, &one, 1, on_answer, t);
    assert_memory_equal(answer(t), "FENCED", 6);
    assert_memory_equal(bring_back(t, 1), "FENCED", 6);
    deferred_list(&t->place, on_answer, t);
    assert_memory_equal(answer(t), "FENCED", 6);
}

static void the_fields_of_a_return_are_read(void **state) {
    struct bytes fields[] = {BYTES_LIT("o"), BYTES_LIT("5-7"), BYTES_LIT("h"), BYTES_LIT("2"),
                             BYTES_LIT("t"), BYTES_LIT("C"),   BYTES_LIT("n"), BYTES_LIT("Msg")};
    (void)state;
    struct in_entry *e = in_entry_new(ENTRY_READER_ENTRIES, (struct message_id){9, 0}, fields, 8);
    assert_true(e->is_back && !e->is_bad);
    assert_int_equal(e->order.term, 5);
    assert_int_equal(e->order.seq, 7);
    assert_int_equal(e->handled, 2);
    in_entry_unref(e);
    fields[1] = BYTES_LIT("5-x");
    e = in_entry_new(ENTRY_READER_ENTRIES, (struct message_id){9, 0}, fields, 8);
    assert_true(!e->is_back && e->handled == 0 && e->order.term == 9);
    in_entry_unref(e);
}

int main(void) {
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {TEST(what_cannot_come_back_is_removed_and_named),
                                       TEST(it_comes_back_once_with_its_order),
                                       TEST(set_aside_again_it_keeps_its_order),
                                       TEST(the_next_owner_has_what_the_cursor_passed),
                                       TEST(what_somebody_else_wrote_is_dropped),
                                       TEST(what_came_back_is_known_to_the_next_owner),
                                       TEST(a_copy_that_is_ahead_becomes_a_mark),
                                       TEST(a_mark_without_its_entry_is_dropped),
                                       TEST(a_fenced_owner_is_refused),
                                       cmocka_unit_test(the_fields_of_a_return_are_read)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
