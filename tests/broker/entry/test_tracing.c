/* The hops of a message in a broker: who is told of them, what they say, and when. */
#include "broker/entry/tracing.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>

#include <cmocka.h>
#include <hiredis/hiredis.h>

#include "broker/entry/broadcast.h"
#include "broker/entry/receipt_ids.h"
#include "common/bus/notice.h"
#include "common/bus/partition.h"
#include "tests/broker/broker_room.h"

struct test {
    struct broker_room room;
    redisContext *listener;
    struct in_entry *entry;
    struct buf heard;
};

static int setup(void **state) {
    static struct test t;
    struct timeval second = {5, 0};
    memset(&t, 0, sizeof(t));
    broker_room_init(&t.room, "", NULL);
    t.listener = redisConnectUnixWithTimeout(t.room.bus_room.redis.path, second);
    assert_non_null(t.listener);
    redisSetTimeout(t.listener, second);
    freeReplyObject(redisCommand(t.listener, "PSUBSCRIBE %s* %s*", fleet_channel(CHANNEL_TRACE),
                                 fleet_channel(CHANNEL_RECEIPT)));
    void *second_reply;
    assert_int_equal(redisGetReply(t.listener, &second_reply), REDIS_OK);
    freeReplyObject(second_reply);
    *state = &t;
    return 0;
}

static int teardown(void **state) {
    struct test *t = *state;
    in_entry_unref(t->entry);
    redisFree(t->listener);
    buf_deinit(&t->heard);
    broker_room_deinit(&t->room);
    return 0;
}

static void trace_this(struct test *t, bool is_client, const char *text) {
    char token[TRACE_TOKEN_MAX + 1];
    snprintf(token, sizeof(token), "%s-%s", is_client ? "client" : "name", text);
    trace_on_notice(&t->room.trace, &(struct notice_trace){.token = bytes_str(token),
                                                           .life_ms = 60000,
                                                           .is_client = is_client,
                                                           .text = bytes_str(text)});
}

static void show_text(struct buf *out, const char *name, struct bytes value) {
    if (value.ptr != NULL)
        buf_printf(out, " %s=%.*s", name, BYTES_FMT(value));
}

static void show_number(struct buf *out, const char *name, int64_t value) {
    if (value >= 0)
        buf_printf(out, " %s=%d", name, (int)value);
}

/* Without what differs from run to run. */
static void show_event(struct buf *out, struct bytes text) {
    struct trace_event e;
    assert_true(trace_event_decode(text, &e));
    assert_true(e.at_ms > 0 && bytes_equal_str(e.process, "test") && e.process_id.len > 0);
    e.at_ms = -1;
    e.process.ptr = e.process_id.ptr = NULL;
#define TEXT(member, name)   show_text(out, name, e.member);
#define NUMBER(member, name) show_number(out, name, e.member);
#include "common/bus/log/trace.def"
#undef TEXT
#undef NUMBER
}

/* All that was published since the last time: "<token>: <event>" for each. */
static const char *heard(struct test *t) {
    buf_clear(&t->heard);
    bus_room_turn(&t->room.bus_room, 20);
    freeReplyObject(redisCommand(t->room.bus_room.redis.admin, "PUBLISH %send x",
                                 fleet_channel(CHANNEL_TRACE)));
    for (;;) {
        redisReply *reply;
        assert_int_equal(redisGetReply(t->listener, (void **)&reply), REDIS_OK);
        const char *token = strrchr(reply->element[2]->str, ':') + 1;
        struct bytes text = bytes_of(reply->element[3]->str, reply->element[3]->len);
        bool is_end = strcmp(token, "end") == 0;
        if (!is_end)
            buf_printf(&t->heard, "%s:", token);
        if (!is_end && strstr(reply->element[2]->str, "receipt") != NULL)
            buf_printf(&t->heard, " %.*s", BYTES_FMT(text));
        else if (!is_end)
            show_event(&t->heard, text);
        buf_append_str(&t->heard, is_end ? "" : "\n");
        freeReplyObject(reply);
        if (is_end)
            break;
    }
    buf_append_char(&t->heard, '\0');
    return t->heard.ptr;
}

static struct processing begin(struct test *t, const struct entry *e) {
    in_entry_unref(t->entry);
    t->entry = broker_room_entry(e, 7);
    struct processing p = broker_room_begin(&t->room, t->entry);
    tracing_begin(&p);
    return p;
}

static void nothing_while_nobody_traces(void **state) {
    struct test *t = *state;
    struct entry e = {.kind = ENTRY_CLIENT, .name = BYTES_LIT("n2"), .client_id = BYTES_LIT("a")};
    struct processing p = begin(t, &e);
    assert_null(p.tracing);
    tracing_rule(&p, "rule");
    tracing_verdict(&p, TRACED_ALLOWED, BYTES_NONE);
    tracing_verdict(NULL, TRACED_ALLOWED, BYTES_NONE);
    tracing_address(&p, &(struct delivery){0});
    tracing_output(&p, BYTES_LIT("n2"), &(struct message){.kind = MESSAGE_DATA}, MESSAGE_ID_NONE);
    assert_null(t->room.batch.traced);
    tracing_end(&p);
    assert_string_equal(heard(t), "");
}

/* By its sender or its Name; a publisher's token is no sender, and a tick is of no Name. */
static void which_entries_are_traced(void **state) {
    static const struct {
        enum entry_kind kind;
        unsigned flags;
        const char *name, *client, *heard;
    } rows[] = {
        {ENTRY_CLIENT, 0, "n6", "ann",
         "client-ann: hop=processed clientId=ann name=n6 kind=client"
         " entry=7-0 rule=default sentMs=5 partition=0 bytes=4\n"},
        {ENTRY_CLIENT, 0, "n2", "bob",
         "name-n2: hop=processed clientId=bob name=n2 kind=client"
         " entry=7-0 rule=default sentMs=5 partition=0 bytes=4\n"},
        {ENTRY_CLIENT, 0, "n6", "bob", ""},
        {ENTRY_CONNECT, 0, "n2", "bob",
         "name-n2: hop=processed clientId=bob name=n2 kind=connect"
         " entry=7-0 rule=event sentMs=5 partition=0 bytes=4\n"},
        {ENTRY_DISCONNECT, 0, "n6", "ann",
         "client-ann: hop=processed clientId=ann name=n6"
         " kind=disconnect entry=7-0 rule=event sentMs=5 partition=0 bytes=4\n"},
        {ENTRY_SEND, 0, "n6", "ann",
         "client-ann: hop=processed clientId=ann name=n6 kind=send"
         " entry=7-0 rule=send sentMs=5 partition=0 bytes=4\n"},
        {ENTRY_SEND, FLAG_RECEIPT, "n6", "ann", ""},
        {ENTRY_TICK, 0, "n2", "", ""},
        {ENTRY_BYE, 0, "n2", "ann", ""},
    };
    struct test *t = *state;
    trace_this(t, true, "ann");
    trace_this(t, false, "n2");
    assert_string_equal(heard(t), "client-ann: hop=listening\nname-n2: hop=listening\n");
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct entry e = {.kind = rows[i].kind,
                          .ts_ms = 5,
                          .flags = rows[i].flags,
                          .name = bytes_str(rows[i].name),
                          .client_id = bytes_str(rows[i].client),
                          .body = BYTES_LIT("body")};
        struct processing p = begin(t, &e);
        tracing_end(&p);
        assert_null(p.tracing);
        assert_string_equal(heard(t), rows[i].heard);
    }
}

/* The last in their order, with the reason that came with it. */
static void which_verdict_stands(void **state) {
    static const struct {
        enum traced_verdict first, second;
        const char *verdict;
    } rows[] = {
        {TRACED_NONE, TRACED_ALLOWED, " verdict=allowed why=2"},
        {TRACED_ALLOWED, TRACED_REFUSED, " verdict=refused why=2"},
        {TRACED_REFUSED, TRACED_ALLOWED, " verdict=refused why=1"},
        {TRACED_WAITING, TRACED_IGNORED, " verdict=ignored why=2"},
        {TRACED_FAILED, TRACED_IGNORED, " verdict=failed why=1"},
        {TRACED_WAITING, TRACED_WAITING, " verdict=waiting why=1"},
    };
    struct test *t = *state;
    trace_this(t, true, "ann");
    heard(t);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char expected[400];
        struct entry e = {.kind = ENTRY_CLIENT, .client_id = BYTES_LIT("ann")};
        struct processing p = begin(t, &e);
        tracing_rule(&p, "/route");
        tracing_verdict(&p, rows[i].first, BYTES_LIT("1"));
        tracing_verdict(&p, rows[i].second, BYTES_LIT("2"));
        tracing_end(&p);
        snprintf(expected, sizeof(expected),
                 "client-ann: hop=processed clientId=ann kind=client entry=7-0 rule=/route"
                 " sentMs=0 partition=0 bytes=0\n"
                 "client-ann: hop=verdict clientId=ann kind=client entry=7-0%s sentMs=0"
                 " partition=0\n",
                 rows[i].verdict);
        assert_string_equal(heard(t), expected);
    }
}

/* Who traces one of its outputs traces the entry. */
static void an_output_is_told_once_it_is_committed(void **state) {
    static struct bytes clients[] = {BYTES_LIT("bob"), BYTES_LIT("cat")};
    static const struct {
        const char *traced;
        bool is_client, is_lost;
        const char *name, *from, *heard;
        unsigned flags;
    } rows[] = {
        {"n2", false, false, "n2", "",
         "published name=n2 kind=data entry=7-0 messageId=%s to=client bob,cat", 0},
        {"n", false, false, "n", "",
         "published name=n kind=data entry=7-0 messageId=%s to=client bob,cat", 0},
        {"n2", false, true, "n2", "", "", 0},
        {"n2", false, false, "n6", "", "", 0},
        {"n2", false, false, "", "",
         "published name=* kind=data entry=7-0 messageId=%s to=client bob,cat", 0},
        {"cat", true, false, "n6", "",
         "published name=n6 kind=data entry=7-0 messageId=%s to=client bob,cat", 0},
        {"cat", true, false, "", "",
         "published name=* kind=data entry=7-0 messageId=%s to=client bob,cat", 0},
        {"eve", true, false, "n6", "eve",
         "published name=n6 kind=data entry=7-0 messageId=%s to=client bob,cat", 0},
        {"eve", true, false, "n6", "eve", "", FLAG_RECEIPT},
    };
    struct test *t = *state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char expected[600] = "", id[MESSAGE_ID_TEXT], hop[200];
        const char *who = rows[i].is_client ? "client" : "name";
        trace_this(t, rows[i].is_client, rows[i].traced);
        heard(t);
        struct entry e = {.kind = ENTRY_SEND, .ts_ms = 5};
        struct processing p = begin(t, &e);
        struct message m = {.kind = MESSAGE_DATA,
                            .to_clients = {clients, 2},
                            .from = bytes_str(rows[i].from),
                            .flags = rows[i].flags,
                            .data = BYTES_LIT("data")};
        struct message_id at = {3, i};
        tracing_output(&p, bytes_str(rows[i].name), &m, at);
        tracing_end(&p);
        if (*rows[i].heard != '\0' || rows[i].is_lost)
            snprintf(expected, sizeof(expected),
                     "%s-%s: hop=processed kind=send entry=7-0 rule=send sentMs=5"
                     " partition=0 bytes=0\n",
                     who, rows[i].traced);
        assert_string_equal(heard(t), expected);
        if (rows[i].is_lost)
            tracing_lost(&t->room.batch);
        tracing_committed(&t->room.batch, &t->room.trace);
        assert_null(t->room.batch.traced);
        snprintf(hop, sizeof(hop), rows[i].heard, message_id_format(at, id));
        snprintf(expected, sizeof(expected), "%s-%s: hop=%s sentMs=5 partition=0 bytes=4\n", who,
                 rows[i].traced, hop);
        assert_string_equal(heard(t), *hop != '\0' ? expected : "");
        trace_deinit(&t->room.trace);
        memset(&t->room.trace, 0, sizeof(t->room.trace));
        trace_init(&t->room.trace, t->room.bus, "test");
    }
}

static void whom_an_output_is_for(void **state) {
    static struct bytes two[] = {BYTES_LIT("g"), BYTES_LIT("h")};
    static struct bytes many[1000];
    static const struct {
        struct message m;
        const char *to;
    } rows[] = {
        {{.kind = MESSAGE_DATA}, " to=everybody "},
        {{.kind = MESSAGE_CLOSE, .to_groups = {two, 1}},
         " kind=close entry=7-0 messageId=1-1 to=group g "},
        {{.kind = MESSAGE_DATA, .to_groups = {two, 2}, .to_clients = {two, 1}},
         " to=group g,h client g "},
        {{.kind = MESSAGE_DATA, .to_conn = BYTES_LIT("g:1:2|")}, " to=connection g:1:2| "},
        {{.kind = MESSAGE_DATA, .to_groups = {two, 1}, .to_conn = BYTES_LIT("g:1:2|")},
         " to=group g connection g:1:2| "},
    };
    struct test *t = *state;
    struct entry e = {.kind = ENTRY_SEND};
    trace_this(t, false, "n2");
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct processing p = begin(t, &e);
        tracing_output(&p, BYTES_LIT("n2"), &rows[i].m, (struct message_id){1, 1});
        tracing_committed(&t->room.batch, &t->room.trace);
        tracing_end(&p);
        const char *all = heard(t);
        if (strstr(all, rows[i].to) == NULL)
            fail_msg("row %zu: %s", i, all);
    }
    for (size_t i = 0; i < ARRAY_LEN(many); i++)
        many[i] = BYTES_LIT("0123456789");
    struct message m = {.kind = MESSAGE_DATA, .to_clients = {many, ARRAY_LEN(many)}};
    struct processing p = begin(t, &e);
    tracing_output(&p, BYTES_LIT("n2"), &m, (struct message_id){1, 1});
    tracing_committed(&t->room.batch, &t->room.trace);
    tracing_end(&p);
    assert_in_range(strlen(heard(t)), 200, 600); /* the first few stand for all */
    p = begin(t, &e);
    m.kind = MESSAGE_BYE;
    tracing_output(&p, BYTES_LIT("n2"), &m, (struct message_id){1, 1});
    tracing_committed(&t->room.batch, &t->room.trace);
    tracing_end(&p);
    assert_string_equal(heard(t), ""); /* a gateway's own */
}

/* Whom an entry is for, before it is known whether anything is sent. */
static void which_addresses_are_traced(void **state) {
    static struct bytes names[] = {BYTES_LIT("n6"), BYTES_LIT("n2")}, nobody[1];
    static const struct {
        struct bytes_list names, clients;
        bool is_heard;
    } rows[] = {
        {{names, 2}, {0}, true},   {{names, 1}, {0}, false},        {{0}, {0}, true},
        {{nobody, 0}, {0}, false}, {{names, 1}, {names, 2}, false},
    };
    struct test *t = *state;
    trace_this(t, false, "n2");
    heard(t);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct entry e = {.kind = ENTRY_SEND};
        struct processing p = begin(t, &e);
        struct delivery d = {.names = rows[i].names, .clients = rows[i].clients};
        tracing_address(&p, &d);
        tracing_end(&p);
        assert_int_equal(*heard(t) != '\0', rows[i].is_heard);
    }
    trace_this(t, true, "n2");
    heard(t);
    struct entry e = {.kind = ENTRY_SEND};
    struct processing p = begin(t, &e);
    tracing_address(&p, &(struct delivery){.names = {names, 1}, .clients = {names, 2}});
    tracing_address(&p, &(struct delivery){.names = {names, 1}});
    tracing_output(&p, BYTES_LIT("n6"), &(struct message){.kind = MESSAGE_DATA}, MESSAGE_ID_NONE);
    tracing_end(&p);
    assert_non_null(strstr(heard(t), "client-n2: hop=processed"));
    tracing_committed(&t->room.batch, &t->room.trace); /* whatever the entry led to */
    assert_non_null(strstr(heard(t), "client-n2: hop=published"));
}

/* Of the public stream: no sender, no partition, and the time of its id. */
static void an_entry_of_the_public_stream(void **state) {
    struct test *t = *state;
    const struct bytes fields[] = {BYTES_LIT("m"), BYTES_LIT("{\"data\":1}")};
    trace_this(t, false, "n2");
    heard(t);
    t->entry = in_entry_new(ENTRY_READER_TEXT, (struct message_id){7, 1}, fields, 2);
    struct processing p = broker_room_begin(&t->room, t->entry);
    p.is_public = true;
    p.slot = ROOM_PARTITIONS;
    tracing_begin(&p);
    tracing_address(&p, &(struct delivery){0});
    tracing_end(&p);
    assert_string_equal(heard(t), "name-n2: hop=processed kind=public entry=7-1 rule=send sentMs=7"
                                  " bytes=10\n");
}

/* --- the publisher's receipt --- */

static void which_messages_have_a_receipt(void **state) {
    struct test *t = *state;
    struct message m = {.kind = MESSAGE_DATA, .flags = FLAG_RECEIPT, .from = BYTES_LIT("token")};
    receipt_ids_add(&t->room.batch, &m, (struct message_id){1, 1});
    m.flags = FLAG_JSON;
    receipt_ids_add(&t->room.batch, &m, (struct message_id){1, 2});
    m.flags = FLAG_RECEIPT;
    m.kind = MESSAGE_CLOSE;
    receipt_ids_add(&t->room.batch, &m, (struct message_id){1, 3});
    m.kind = MESSAGE_DATA;
    m.from = BYTES_NONE;
    receipt_ids_add(&t->room.batch, &m, (struct message_id){1, 4});
    m.from = BYTES_LIT("other");
    m.flags = FLAG_RECEIPT | FLAG_JSON;
    receipt_ids_add(&t->room.batch, &m, (struct message_id){1, 5});
    assert_string_equal(heard(t), ""); /* not before they are in their logs */
    receipt_ids_committed(&t->room.batch, t->room.bus);
    assert_string_equal(heard(t), "token: id 1-1\nother: id 1-5\n");
    receipt_ids_add(&t->room.batch, &m, (struct message_id){1, 6});
    receipt_ids_lost(&t->room.batch);
    receipt_ids_committed(&t->room.batch, t->room.bus);
    assert_string_equal(heard(t), "");
}

/* An entry that leads to outputs tells of them by itself. */
static void a_broadcast_is_traced_and_has_a_receipt(void **state) {
    struct test *t = *state;
    struct bytes name = BYTES_LIT("n2");
    struct entry e = {.kind = ENTRY_SEND, .flags = FLAG_RECEIPT, .client_id = BYTES_LIT("tok")};
    struct delivery d = {.kind = MESSAGE_DATA,
                         .names = {&name, 1},
                         .from = BYTES_LIT("tok"),
                         .flags = FLAG_RECEIPT,
                         .data = BYTES_LIT("x")};
    trace_this(t, false, "n2");
    heard(t);
    struct processing p = begin(t, &e);
    assert_true(broadcast(&p, &d));
    tracing_end(&p);
    tracing_committed(&t->room.batch, &t->room.trace);
    receipt_ids_committed(&t->room.batch, t->room.bus);
    assert_string_equal(heard(t),
                        "name-n2: hop=processed kind=send entry=7-0 rule=send sentMs=0"
                        " partition=0 bytes=0\n"
                        "name-n2: hop=published name=n2 kind=data entry=7-0 messageId=1000-1"
                        " to=everybody sentMs=0 partition=0 bytes=1\n"
                        "tok: id 1000-1\n");
}

int main(void) {
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(nothing_while_nobody_traces),
        TEST(which_entries_are_traced),
        TEST(which_verdict_stands),
        TEST(an_output_is_told_once_it_is_committed),
        TEST(whom_an_output_is_for),
        TEST(which_addresses_are_traced),
        TEST(an_entry_of_the_public_stream),
        TEST(which_messages_have_a_receipt),
        TEST(a_broadcast_is_traced_and_has_a_receipt),
    };
    if (!redis_server_is_installed())
        return 77;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
