/* What becomes of an entry, by its kind: rows of entries, and the outputs that they lead to. */
#include "broker/entries.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "broker/handlers/handler_run.h"
#include "broker/handlers/handler_send.h"
#include "common/base/metrics.h"
#include "common/bus/log/forward.h"
#include "common/bus/log/log_writer.h"
#include "common/bus/partition.h"
#include "tests/broker/broker_room.h"

static const char app[] =
    "signalbox.broadcast_level('Shut', 'client_id')\n"
    "signalbox.signal_route('/twice', function(event)\n"
    "  event.response:send(event.data.message)\n"
    "  event.response:send({ echo = event.data.message })\n"
    "end)\n"
    "signalbox.signal_route('/fails', function(event) error('no') end)\n"
    "signalbox.signal_route('/waits', function(event)\n"
    "  signalbox.sleep(0.01)\n"
    "  event.response:send('late')\n"
    "end)\n"
    "signalbox.on('connect', 'Msg', 'a', function(event) signalbox.sleep(0.01) end)\n"
    "signalbox.on('connect', 'Msg', 'b', function(event) end)\n";

struct test {
    struct broker_room room;
    struct bytes name; /* in the partition of the room */
    struct in_entry *entry;
    struct processing p;
};

static int setup(void **state) {
    static struct test t;
    memset(&t, 0, sizeof(t));
    broker_room_init(&t.room, app, &handler_send_functions);
    t.name = broker_room_name(0, 0);
    *state = &t;
    return 0;
}

static int teardown(void **state) {
    struct test *t = *state;
    handler_run_lost(&t->room.batch);
    bus_room_turn(&t->room.bus_room, 50); /* handlers that wait end */
    in_entry_unref(t->entry);
    broker_room_deinit(&t->room);
    return 0;
}

static void process(struct test *t, const struct entry *e) {
    in_entry_unref(t->entry);
    t->entry = broker_room_entry(e, 7);
    t->p = broker_room_begin(&t->room, t->entry);
    entries_process(&t->p);
}

/* A message of a client whose upgrade was for this path. */
static void process_client(struct test *t, const char *path, const char *body) {
    struct buf session = {0};
    session_encode(&session, &(struct session){.path = bytes_str(path)});
    struct entry e = {.kind = ENTRY_CLIENT,
                      .flags = FLAG_V1,
                      .name = t->name,
                      .client_id = BYTES_LIT("ann"),
                      .conn = BYTES_LIT("g:1:2|"),
                      .session = buf_bytes(&session),
                      .body = bytes_str(body)};
    process(t, &e);
    buf_deinit(&session);
}

static size_t outputs(const struct test *t) {
    return log_writer_count(t->room.batch.writer);
}

/* A send from elsewhere is checked here unless it was checked where it came in. */
static void a_level_refuses_what_was_not_checked(void **state) {
    struct test *t = *state;
    struct bytes shut = BYTES_LIT("Shut");
    struct entry e = {.kind = ENTRY_SEND, .names = {&shut, 1}, .body = BYTES_LIT("x")};
    int64_t before = metrics_get(METRIC_refused_level);
    process(t, &e);
    assert_int_equal(t->p.count, 0);
    assert_int_equal(metrics_get(METRIC_refused_level), before + 1);
    e.flags = FLAG_CHECKED;
    process(t, &e);
    assert_int_equal(t->p.count, 1);
    e.kind = ENTRY_CLOSE;
    e.flags = 0;
    process(t, &e);
    assert_int_equal(t->p.count, 1);
    assert_int_equal(metrics_get(METRIC_refused_level), before + 1);
}

/* The share for every Name stays here; the same without the flag goes everywhere. */
static void a_share_is_not_spread_again(void **state) {
    struct test *t = *state;
    struct entry e = {
        .kind = ENTRY_SEND, .flags = FLAG_CHECKED | FLAG_EVERY, .body = BYTES_LIT("x")};
    process(t, &e);
    assert_int_equal(outputs(t), 1);
    assert_int_equal(forward_count(t->room.batch.forward), 0);
    e.flags = FLAG_CHECKED;
    process(t, &e);
    assert_int_equal(outputs(t), 2);
    assert_int_equal(forward_count(t->room.batch.forward), ROOM_PARTITIONS - 1);
}

static void an_entry_that_cannot_be_decoded_is_a_dead_letter(void **state) {
    struct test *t = *state;
    int64_t before = metrics_get(METRIC_dead_letters);
    const struct bytes fields[] = {BYTES_LIT("m"), BYTES_LIT("garbage")};
    t->entry = in_entry_new(ENTRY_READER_ENTRIES, (struct message_id){7, 0}, fields, 2);
    t->p = broker_room_begin(&t->room, t->entry);
    entries_process(&t->p);
    assert_int_equal(metrics_get(METRIC_dead_letters), before + 1);
    assert_int_equal(t->p.count, 0);
}

/* Its first 64 KiB, and how long it was. */
static void a_long_dead_letter_is_cut(void **state) {
    struct test *t = *state;
    static const char script[] = "local_f=redis.call('XREVRANGE',KEYS[1],'+','-','COUNT',1)[1][2];"
                                 "local_n,has=0,0;for_i=1,#f_do_n=math.max(n,#f[i]);"
                                 "if_f[i]=='bytes'_then_has=1_end_end;return_n*2+has";
    char text[65537], spaced[sizeof(script)];
    struct buf key = {0};
    memset(text, 'x', sizeof(text));
    for (size_t i = 0; i < sizeof(script); i++)
        spaced[i] = script[i] == '_' ? '\t' : script[i];
    key_of(&key, 0, KEY_DEAD_LETTERS, BYTES_NONE);
    for (int more = 0; more < 2; more++) {
        const struct bytes fields[] = {BYTES_LIT("m"), bytes_of(text, 65536 + (size_t)more)};
        in_entry_unref(t->entry);
        t->entry = in_entry_new(ENTRY_READER_ENTRIES, (struct message_id){7, 0}, fields, 2);
        t->p = broker_room_begin(&t->room, t->entry);
        entries_process(&t->p);
        bus_room_turn(&t->room.bus_room, 50);
        assert_string_equal(
            bus_room_ask(&t->room.bus_room, "EVAL %s 1 %.*s", spaced, BYTES_FMT(buf_bytes(&key))),
            more ? "131073" : "131072");
    }
    buf_deinit(&key);
}

/* Each output is a message of the client's own log, or a reply to it. */
static void what_a_client_says(void **state) {
    static const struct {
        const char *path, *body;
        unsigned count;
    } rows[] = {
        {"/none", "{\"message\":1,\"direct\":true}", 1},
        {"/none", "{\"message\":1,\"direct\":true,\"ref\":1}", 2}, /* and an ack */
        {"/none", "{\"message\":1,\"path\":\"Shut\"}", 0},
        {"/none", "{\"message\":1,\"path\":\"Shut\",\"ref\":1}", 1}, /* an error */
        {"/none", "", 0},
        {"/none", "no JSON", 0},
        {"/none", "{\"message\":\"\",\"ref\":1}", 1},
        {"/twice", "{\"message\":1}", 2},
        {"/twice", "{\"message\":1,\"ref\":1}", 3},
        {"/twice", "{\"message\":1,\"group\":{},\"ref\":1}", 1}, /* not understood: an error */
        {"/fails", "{\"message\":1,\"ref\":1}", 1},
    };
    struct test *t = *state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        process_client(t, rows[i].path, rows[i].body);
        if (t->p.count != rows[i].count)
            fail_msg("row %zu: %u outputs", i, t->p.count);
    }
}

/* It could be meant for a signal route, which may know better than to send it on. */
static void a_message_whose_session_cannot_be_read_goes_nowhere(void **state) {
    struct test *t = *state;
    struct entry e = {.kind = ENTRY_CLIENT,
                      .flags = FLAG_V1,
                      .name = t->name,
                      .client_id = BYTES_LIT("ann"),
                      .conn = BYTES_LIT("g:1:2|"),
                      .session = BYTES_LIT("\xc1 no session"),
                      .body = BYTES_LIT("{\"message\":1,\"ref\":1}")};
    int64_t before = metrics_get(METRIC_messages_bad);
    process(t, &e);
    assert_int_equal(t->p.count, 0);
    assert_int_equal(metrics_get(METRIC_messages_bad), before + 1);
}

/* A handler that waits shares the message with nobody any more; its next send is an entry. */
static void a_handler_that_waits_sends_once_its_entry_is_committed(void **state) {
    struct test *t = *state;
    process_client(t, "/waits", "{\"message\":1}");
    assert_int_equal(t->p.count, 0);
    struct handler_run *r = t->room.batch.open_runs;
    assert_non_null(r);
    process_client(t, "/none", "{\"message\":2,\"direct\":true}");
    assert_int_equal(t->room.batch.deferred.count, 1); /* the same connection */
    bus_room_turn(&t->room.bus_room, 50);
    assert_int_equal(r->state, HANDLER_RUN_OPEN);
    assert_non_null(r->held);
    handler_run_committed(&t->room.batch, (struct message_id){6, 0});
    assert_int_equal(r->state, HANDLER_RUN_OPEN);
    handler_run_committed(&t->room.batch, (struct message_id){7, 0});
    assert_null(t->room.batch.open_runs);
    bus_room_turn(&t->room.bus_room, 100);
    assert_int_equal(outputs(t), 0);
    struct buf in = {0};
    key_of(&in, 0, KEY_IN, BYTES_NONE);
    assert_string_equal(bus_room_ask(&t->room.bus_room, "XLEN %.*s", BYTES_FMT(buf_bytes(&in))),
                        "1");
    buf_deinit(&in);
}

/* The second handler of the event comes after the first, which waits. */
static void handlers_of_an_event_run_one_after_the_other(void **state) {
    struct test *t = *state;
    struct entry e = {.kind = ENTRY_CONNECT,
                      .name = BYTES_LIT("msg"),
                      .client_id = BYTES_LIT("ann"),
                      .conn = BYTES_LIT("g:1:2|")};
    process(t, &e);
    assert_non_null(t->room.batch.open_runs);
    assert_int_equal(t->room.batch.deferred.count, 1);
    assert_int_equal(t->room.batch.deferred.items[0].handled, 1);
}

/* The answer to a Close comes after all that the client said before. */
static void a_bye_waits_for_what_was_said_before(void **state) {
    struct test *t = *state;
    struct entry bye = {.kind = ENTRY_BYE,
                        .name = t->name,
                        .client_id = BYTES_LIT("ann"),
                        .conn = BYTES_LIT("g:1:2|")};
    process(t, &bye);
    assert_string_equal(broker_room_log(&t->room, t->name), "bye conn=g:1:2|\n");
    process_client(t, "/waits", "{\"message\":1}");
    process(t, &bye);
    assert_int_equal(t->room.batch.deferred.count, 1);
    assert_string_equal(broker_room_log(&t->room, t->name), "");
    bye.client_id = BYTES_LIT("bob"); /* of another connection */
    process(t, &bye);
    assert_string_equal(broker_room_log(&t->room, t->name), "bye conn=g:1:2|\n");
}

/* More than may wait behind a handler of the connection: refused, and the sender is told. */
static void what_has_no_room_to_wait_is_refused(void **state) {
    struct test *t = *state;
    process_client(t, "/waits", "{\"message\":1}");
    for (unsigned i = 0; i < CONN_QUEUE_MAX; i++) {
        process_client(t, "/none", "{\"message\":2,\"ref\":2}");
        assert_int_equal(t->p.count, 0);
    }
    assert_int_equal(t->room.batch.deferred.count, CONN_QUEUE_MAX);
    process_client(t, "/none", "{\"message\":3,\"ref\":3}");
    assert_int_equal(t->room.batch.deferred.count, CONN_QUEUE_MAX);
    assert_int_equal(t->p.count, 1); /* an error */
}

/* Of a kind that nobody knows, and to more Names than an entry may have: the bound and one beyond. */
static void what_makes_no_sense_is_a_dead_letter(void **state) {
    struct test *t = *state;
    struct bytes names[ENVELOPE_LIST_MAX + 1];
    char texts[ARRAY_LEN(names)][8];
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        snprintf(texts[i], sizeof(texts[i]), "x%zu", i);
        names[i] = bytes_str(texts[i]);
    }
    const struct {
        struct entry entry;
        unsigned dead_letters;
    } rows[] = {
        {{.kind = (enum entry_kind)99, .name = t->name}, 1},
        {{.kind = ENTRY_SEND, .names = {names, ARRAY_LEN(names) - 1}, .body = BYTES_LIT("x")}, 0},
        {{.kind = ENTRY_SEND, .names = {names, ARRAY_LEN(names)}, .body = BYTES_LIT("x")}, 1},
        {{.kind = ENTRY_SEND, .name = t->name, .conn = BYTES_LIT("g:1:2|")}, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        int64_t before = metrics_get(METRIC_dead_letters);
        process(t, &rows[i].entry);
        assert_int_equal(metrics_get(METRIC_dead_letters), before + rows[i].dead_letters);
    }
}

int main(void) {
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_level_refuses_what_was_not_checked),
        TEST(a_share_is_not_spread_again),
        TEST(an_entry_that_cannot_be_decoded_is_a_dead_letter),
        TEST(a_long_dead_letter_is_cut),
        TEST(what_a_client_says),
        TEST(a_message_whose_session_cannot_be_read_goes_nowhere),
        TEST(a_handler_that_waits_sends_once_its_entry_is_committed),
        TEST(handlers_of_an_event_run_one_after_the_other),
        TEST(a_bye_waits_for_what_was_said_before),
        TEST(what_has_no_room_to_wait_is_refused),
        TEST(what_makes_no_sense_is_a_dead_letter),
    };
    if (!redis_server_is_installed())
        return 77;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
