/* To which logs and partitions a delivery goes, and how much one entry may lead to. */
#include "broker/entry/broadcast.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "common/bus/log/forward.h"
#include "common/bus/log/log_writer.h"
#include "tests/broker/broker_room.h"

struct test {
    struct broker_room room;
    struct in_entry *entry;
    struct processing p;
};

static int setup(void **state) {
    static struct test t;
    struct entry e = {
        .kind = ENTRY_SEND, .ts_ms = 5, .name = BYTES_LIT("n"), .conn = BYTES_LIT("g:1:2|")};
    broker_room_init(&t.room, "", NULL);
    t.entry = broker_room_entry(&e, 7);
    t.p = broker_room_begin(&t.room, t.entry);
    *state = &t;
    return 0;
}

static int teardown(void **state) {
    struct test *t = *state;
    in_entry_unref(t->entry);
    broker_room_deinit(&t->room);
    return 0;
}

static void assert_counts(const struct test *t, size_t outputs, size_t forwards) {
    assert_int_equal(log_writer_count(t->p.batch->writer), outputs);
    assert_int_equal(forward_count(t->p.batch->forward), forwards);
    assert_int_equal(t->p.count, outputs + forwards);
}

static struct delivery to_names(struct bytes *names, size_t count) {
    return (struct delivery){
        .kind = MESSAGE_DATA, .names = {names, count}, .data = BYTES_LIT("\"hi\"")};
}

/* Two Names here, and two of one other partition, which are one share. */
static void names_go_to_their_partitions(void **state) {
    struct test *t = *state;
    struct bytes names[] = {broker_room_name(0, 0), broker_room_name(0, 1), broker_room_name(2, 2),
                            broker_room_name(2, 3)};
    struct delivery d = to_names(names, 4);
    assert_true(broadcast(&t->p, &d));
    assert_counts(t, 2, 1);
    assert_int_equal(t->p.first_id.term, ROOM_TERM);
    assert_int_equal(t->p.first_id.seq, 1);
}

static void every_name_is_one_share_of_each_partition(void **state) {
    struct test *t = *state;
    struct delivery d = {.kind = MESSAGE_DATA, .data = BYTES_LIT("1")};
    assert_true(broadcast(&t->p, &d));
    assert_counts(t, 1, ROOM_PARTITIONS - 1);
}

static void the_public_stream_forwards_everything(void **state) {
    struct test *t = *state;
    struct delivery d = {.kind = MESSAGE_DATA, .data = BYTES_LIT("1")};
    t->p.slot = ROOM_PARTITIONS;
    t->p.is_public = true;
    assert_true(broadcast(&t->p, &d));
    assert_counts(t, 0, ROOM_PARTITIONS);
    assert_true(message_id_is_none(t->p.first_id));
}

/* By the options of the Name; others have one, also those of which the app says nothing. */
static void a_name_may_have_no_history(void **state) {
    struct bytes names[] = {BYTES_LIT("n2"), broker_room_name(0, 1), broker_room_name(0, 2)};
    struct delivery d = to_names(names, ARRAY_LEN(names));
    struct broker_room room;
    char app[200];
    (void)state;
    snprintf(app, sizeof(app),
             "signalbox.name('n2', {history = false})\n"
             "signalbox.name('%.*s', {slow = 'close'})\n",
             BYTES_FMT(names[1]));
    broker_room_init(&room, app, NULL);
    struct in_entry *entry = broker_room_entry(&(struct entry){.kind = ENTRY_SEND}, 7);
    struct processing p = broker_room_begin(&room, entry);
    assert_true(broadcast(&p, &d));
    assert_string_equal(broker_room_log(&room, names[1]), "data \"hi\"\n");
    assert_string_equal(broker_room_log(&room, names[2]), "data \"hi\"\n");
    assert_string_equal(broker_room_log(&room, names[0]), "");
    in_entry_unref(entry);
    broker_room_deinit(&room);
}

static void an_empty_list_addresses_nobody(void **state) {
    struct test *t = *state;
    struct bytes name = broker_room_name(0, 0), nothing;
    struct delivery d = to_names(&name, 1);
    d.groups = (struct bytes_list){&nothing, 0};
    assert_true(broadcast(&t->p, &d));
    assert_true(broadcast_share(&t->p, &d));
    assert_counts(t, 0, 0);
}

static void one_entry_leads_to_so_much_and_no_more(void **state) {
    struct test *t = *state;
    struct bytes name = broker_room_name(0, 0);
    struct recipient to = {name, BYTES_LIT("g:1:2|")};
    struct delivery d = to_names(&name, 1);
    t->p.count = PROCESSING_OUTPUTS_MAX - 1;
    assert_false(broadcast(&t->p, &d)); /* it might take two */
    assert_int_equal(log_writer_count(t->p.batch->writer), 0);
    assert_true(broadcast_to_one(&t->p, &to, &d));
    assert_int_equal(t->p.count, PROCESSING_OUTPUTS_MAX);
    assert_false(broadcast_to_one(&t->p, &to, &d));
    assert_false(broadcast_share(&t->p, &d));
    assert_false(broadcast_reply(&t->p, MESSAGE_NOTE, BYTES_LIT("{}")));
    assert_int_equal(log_writer_count(t->p.batch->writer), 1);
}

static void one_entry_leads_to_so_many_bytes(void **state) {
    struct test *t = *state;
    struct bytes name = broker_room_name(0, 0);
    struct recipient to = {name, BYTES_LIT("g:1:2|")};
    struct delivery d = to_names(&name, 1);
    t->p.bytes = PROCESSING_BYTES_MAX - d.data.len + 1;
    assert_false(broadcast(&t->p, &d));
    assert_false(broadcast_share(&t->p, &d));
    assert_false(broadcast_to_one(&t->p, &to, &d));
    assert_int_equal(log_writer_count(t->p.batch->writer), 0);
    assert_true(broadcast_reply(&t->p, MESSAGE_NOTE, BYTES_LIT("{}"))); /* says that it failed */
    t->p.bytes = PROCESSING_BYTES_MAX - d.data.len;
    assert_true(broadcast(&t->p, &d));
    assert_int_equal(t->p.bytes, PROCESSING_BYTES_MAX);
}

/* More bytes than outputs are allowed: neither is taken for the other. */
static void bytes_are_no_outputs(void **state) {
    static char data[PROCESSING_OUTPUTS_MAX + 1];
    struct test *t = *state;
    struct bytes name = broker_room_name(0, 0);
    struct recipient to = {name, BYTES_LIT("g:1:2|")};
    struct delivery d = to_names(&name, 1);
    d.data = bytes_of(data, sizeof(data));
    t->p.bytes = 1;
    assert_true(broadcast(&t->p, &d));
    assert_true(broadcast_share(&t->p, &d));
    assert_true(broadcast_to_one(&t->p, &to, &d));
    assert_counts(t, 3, 0);
}

/* What is forwarded counts with its address, so the sum may pass the bound on the way: a send that
 * has begun goes to everybody. */
static void a_send_is_whole(void **state) {
    struct test *t = *state;
    struct bytes groups[] = {BYTES_LIT("a group that is longer than the data")};
    struct delivery d = {.kind = MESSAGE_DATA,
                         .groups = {groups, 1},
                         .data = BYTES_LIT("1"),
                         .from = BYTES_LIT("me")};
    t->p.slot = ROOM_PARTITIONS - 1; /* its own share is the last */
    t->p.bytes = PROCESSING_BYTES_MAX - ROOM_PARTITIONS;
    assert_true(broadcast(&t->p, &d));
    assert_counts(t, 1, ROOM_PARTITIONS - 1);
    assert_true(t->p.bytes > PROCESSING_BYTES_MAX);
    assert_false(broadcast(&t->p, &d));
}

/* A reply or a close has no id that a sender could be told. */
static void only_data_has_a_first_id(void **state) {
    struct test *t = *state;
    struct bytes name = broker_room_name(0, 0);
    struct delivery d = to_names(&name, 1);
    assert_true(broadcast_reply(&t->p, MESSAGE_NOTE, BYTES_LIT("{}")));
    d.kind = MESSAGE_CLOSE;
    d.code = 1000;
    assert_true(broadcast(&t->p, &d));
    assert_true(message_id_is_none(t->p.first_id));
    d.kind = MESSAGE_DATA;
    assert_true(broadcast(&t->p, &d));
    assert_int_equal(t->p.first_id.seq, 3);
}

int main(void) {
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(names_go_to_their_partitions),
        TEST(every_name_is_one_share_of_each_partition),
        TEST(the_public_stream_forwards_everything),
        cmocka_unit_test(a_name_may_have_no_history),
        TEST(an_empty_list_addresses_nobody),
        TEST(one_entry_leads_to_so_much_and_no_more),
        TEST(one_entry_leads_to_so_many_bytes),
        TEST(bytes_are_no_outputs),
        TEST(a_send_is_whole),
        TEST(only_data_has_a_first_id),
    };
    if (!redis_server_is_installed())
        return 77;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
