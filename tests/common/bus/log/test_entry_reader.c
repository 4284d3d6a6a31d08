/* Reading a stream: every entry once, in order, also over a broken connection. */
#include "common/bus/log/entry_reader.h"

#include <setjmp.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <hiredis/hiredis.h>

#include "common/base/memory_budget.h"
#include "common/base/metrics.h"
#include "common/bus/bus_send.h"
#include "common/bus/partition.h"
#include "tests/common/bus/bus_room.h"

struct test {
    struct bus_room room;
    struct bus *bus;
    struct entry_reader *reader;
    unsigned count, bad, most; /* in one read */
    struct message_id last;
    struct in_entry *kept;
};

static void on_entries(void *ctx, struct in_entry **entries, size_t count) {
    struct test *t = ctx;
    t->most = count > t->most ? (unsigned)count : t->most;
    for (size_t i = 0; i < count; i++) {
        assert_true(message_id_compare(t->last, entries[i]->id) < 0);
        t->last = entries[i]->id;
        t->count++;
        t->bad += entries[i]->is_bad;
        in_entry_unref(t->kept);
        t->kept = entries[i];
    }
}

static void open_reader(struct test *t, enum entry_reader_kind kind) {
    static const struct entry_reader_events events = {on_entries};
    t->reader = entry_reader_new(
        t->bus, &(struct entry_reader_options){.kind = kind, .label = "in 0"}, &events, t);
    entry_reader_read(t->reader);
}

static int setup(void **state) {
    static struct test t;
    memset(&t, 0, sizeof(t));
    bus_room_init(&t.room, 1);
    t.bus = bus_room_join(&t.room, BUS_BROKER);
    open_reader(&t, ENTRY_READER_ENTRIES);
    *state = &t;
    return 0;
}

static int teardown(void **state) {
    struct test *t = *state;
    entry_reader_close(t->reader);
    in_entry_unref(t->kept);
    bus_close(t->bus);
    bus_room_deinit(&t->room);
    return 0;
}

static void add_sized(struct test *t, const char *name, size_t body_bytes) {
    struct buf blob = {0}, key = {0}, body = {0};
    struct bytes names[] = {bytes_str(name)};
    memset(buf_reserve(&body, body_bytes), 'x', body_bytes);
    buf_added(&body, body_bytes);
    struct entry e = {
        .kind = ENTRY_SEND, .ts_ms = 1, .names = {names, 1}, .body = buf_bytes(&body)};
    entry_encode(&blob, &e);
    key_of(&key, 0, KEY_IN, BYTES_NONE);
    struct redisReply *reply =
        redisCommand(t->room.redis.admin, "XADD %b * m %b", key.ptr, key.len, blob.ptr, blob.len);
    assert_int_equal(reply->type, REDIS_REPLY_STRING);
    freeReplyObject(reply);
    buf_deinit(&body);
    buf_deinit(&blob);
    buf_deinit(&key);
}

static void add_entry(struct test *t, const char *name) {
    add_sized(t, name, 1);
}

static void reads_entries_in_order(void **state) {
    struct test *t = *state;
    for (int i = 0; i < 300; i++)
        add_entry(t, "a");
    for (unsigned want = 1; want <= 300; want = t->count + 1) {
        entry_reader_read(t->reader);
        bus_room_until(&t->room, &t->count, want, 3000);
    }
    assert_int_equal(t->count, 300);
    assert_int_equal(t->kept->entry.kind, ENTRY_SEND);
    assert_true(bytes_equal_str(t->kept->entry.names.items[0], "a"));
}

static void reads_only_when_asked(void **state) {
    struct test *t = *state;
    add_entry(t, "a");
    bus_room_until(&t->room, &t->count, 1, 3000);
    add_entry(t, "b");
    bus_room_turn(&t->room, 100);
    assert_int_equal(t->count, 1);
}

static void reads_connects_and_disconnects(void **state) {
    struct test *t = *state;
    bus_room_ask(&t->room, "XADD sb:{%s}:in * t D n Msg i ann v g:1:2| r client:1000:bye",
                 partition_tag(0));
    bus_room_until(&t->room, &t->count, 1, 3000);
    assert_int_equal(t->kept->entry.kind, ENTRY_DISCONNECT);
    assert_true(bytes_equal_str(t->kept->entry.name, "Msg"));
    assert_true(bytes_equal_str(t->kept->entry.client_id, "ann"));
    assert_true(bytes_equal_str(t->kept->entry.conn, "g:1:2|"));
    assert_true(bytes_equal_str(t->kept->entry.body, "client:1000:bye"));
    entry_reader_read(t->reader);
    bus_room_ask(&t->room, "XADD sb:{%s}:in * t C n Msg i ann v g:1:3|", partition_tag(0));
    bus_room_until(&t->room, &t->count, 2, 3000);
    assert_int_equal(t->kept->entry.kind, ENTRY_CONNECT);
}

static void strange_entries_are_marked(void **state) {
    struct test *t = *state;
    bus_room_ask(&t->room, "XADD sb:{%s}:in * m nonsense", partition_tag(0));
    bus_room_ask(&t->room, "XADD sb:{%s}:in * t Z", partition_tag(0));
    bus_room_ask(&t->room, "XADD sb:{%s}:in * what ever", partition_tag(0));
    while (t->count < 3) {
        entry_reader_read(t->reader);
        bus_room_until(&t->room, &t->count, t->count + 1, 3000);
    }
    assert_int_equal(t->bad, 3);
}

/* Names and values: what stands behind the sixteenth is not looked at. */
static void fields_have_a_bound(void **state) {
    struct bytes fields[18];
    struct buf text = {0};
    (void)state;
    entry_encode(&text, &(struct entry){.kind = ENTRY_CLIENT, .name = BYTES_LIT("n")});
    for (size_t at = 14; at <= 16; at += 2) {
        for (size_t i = 0; i < ARRAY_LEN(fields); i++)
            fields[i] = BYTES_LIT("x");
        fields[at] = BYTES_LIT("m");
        fields[at + 1] = buf_bytes(&text);
        struct in_entry *e =
            in_entry_new(ENTRY_READER_ENTRIES, (struct message_id){1, 0}, fields, at + 2);
        assert_int_equal(e->is_bad, at == 16);
        in_entry_unref(e);
    }
    buf_deinit(&text);
}

static void a_text_has_one_field(void **state) {
    static const struct {
        const char *fields[6];
        size_t count;
        const char *stray;
    } rows[] = {
        {{"m", "1"}, 2, NULL},
        {{"m", "1", "group", "g"}, 4, "group"},
        {{"group", "g", "m", "1"}, 4, "group"},
        {{"m", "1", "m", "2"}, 4, "m"},
        {{"", "1"}, 2, ""},
        {{"M", "1"}, 2, "M"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct bytes fields[6];
        for (size_t j = 0; j < rows[i].count; j++)
            fields[j] = bytes_str(rows[i].fields[j]);
        struct in_entry *e =
            in_entry_new(ENTRY_READER_TEXT, (struct message_id){1, 1}, fields, rows[i].count);
        assert_int_equal(e->stray.ptr != NULL, rows[i].stray != NULL);
        if (rows[i].stray != NULL)
            assert_true(bytes_equal_str(e->stray, rows[i].stray));
        in_entry_unref(e);
    }
}

/* o and h: where it stood when it first came, and how many handlers have run. */
static void entries_that_came_back(void **state) {
    static const struct {
        const char *fields[8];
        size_t count;
        bool is_back;
        uint64_t order;
        unsigned handled;
    } rows[] = {{{"t", "C"}, 2, false, 7, 0},
                {{"t", "C", "o", "3-1", "h", "2"}, 6, true, 3, 2},
                {{"o", "3-1", "h", "4294967295", "t", "C"}, 6, true, 3, UINT_MAX},
                {{"o", "3-1", "h", "4294967296", "t", "C"}, 6, true, 3, 0},
                {{"o", "3-1", "h", "x", "t", "C"}, 6, true, 3, 0},
                {{"o", "3-1", "t", "C"}, 4, true, 3, 0},
                {{"h", "2", "t", "C"}, 4, false, 7, 0},
                {{"o", "x", "h", "2", "t", "C"}, 6, false, 7, 0},
                {{"t", "C", "o"}, 3, false, 7, 0}};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct bytes fields[8];
        for (size_t j = 0; j < rows[i].count; j++)
            fields[j] = bytes_str(rows[i].fields[j]);
        struct in_entry *e =
            in_entry_new(ENTRY_READER_ENTRIES, (struct message_id){7, 1}, fields, rows[i].count);
        assert_false(e->is_bad);
        assert_int_equal(e->is_back, rows[i].is_back);
        assert_int_equal(e->order.term, rows[i].order);
        assert_int_equal(e->handled, rows[i].handled);
        assert_string_equal(e->id_text, "7-1");
        assert_int_equal(e->entry.ts_ms, 7);
        in_entry_unref(e);
    }
}

/* As long as somebody holds it. */
static void an_entry_is_counted_while_it_lives(void **state) {
    const struct bytes fields[] = {BYTES_LIT("t"), BYTES_LIT("C"), BYTES_LIT("n"),
                                   BYTES_LIT("0123456789")};
    uint64_t before = memory_of(MEMORY_requests);
    (void)state;
    struct in_entry *e =
        in_entry_new(ENTRY_READER_ENTRIES, (struct message_id){7, 1}, fields, ARRAY_LEN(fields));
    assert_int_equal(memory_of(MEMORY_requests) - before, sizeof(*e) + 13);
    assert_true(bytes_equal_str(e->text, "tCn0123456789"));
    assert_ptr_equal(in_entry_ref(e), e);
    in_entry_unref(e);
    assert_true(memory_of(MEMORY_requests) > before);
    in_entry_unref(e);
    in_entry_unref(NULL);
    assert_int_equal(memory_of(MEMORY_requests), before);
}

static void begins_behind_its_cursor(void **state) {
    static const struct entry_reader_events events = {on_entries};
    struct test *t = *state;
    entry_reader_close(t->reader);
    for (int i = 1; i <= 3; i++)
        bus_room_ask(&t->room, "XADD sb:{%s}:in 5-%d t C n Msg", partition_tag(0), i);
    t->reader =
        entry_reader_new(t->bus,
                         &(struct entry_reader_options){
                             .kind = ENTRY_READER_ENTRIES, .cursor = {5, 1}, .label = "in 0"},
                         &events, t);
    bus_room_turn(&t->room, 100);
    assert_int_equal(t->count, 0); /* not asked yet */
    entry_reader_read(t->reader);
    entry_reader_read(t->reader);
    bus_room_until(&t->room, &t->count, 2, 3000);
    assert_int_equal(t->last.seq, 3);
}

/* What another program wrote is no reason to think that this process cannot read. */
static void a_key_of_another_type_is_told(void **state) {
    struct test *t = *state;
    bus_room_turn(&t->room, 100);
    assert_int_equal(entry_reader_unread_ms(t->reader), 0);
    bus_room_ask(&t->room, "SET sb:{%s}:in text", partition_tag(0));
    bus_room_ask(&t->room, "CLIENT KILL TYPE normal SKIPME yes");
    for (int i = 0; i < 400 && strstr(bus_refusals(t->bus), "WRONGTYPE") == NULL &&
                    metrics_get(METRIC_trouble_readers) == 0;
         i++)
        bus_room_turn(&t->room, 10);
    bus_room_turn(&t->room, 1000);
    assert_int_equal(metrics_get(METRIC_trouble_readers), 1);
    assert_int_equal(entry_reader_unread_ms(t->reader), 0);
    bus_room_ask(&t->room, "DEL sb:{%s}:in", partition_tag(0));
    add_entry(t, "a");
    bus_room_until(&t->room, &t->count, 1, 6000);
    assert_int_equal(metrics_get(METRIC_trouble_readers), 0);
}

static void without_redis_it_has_not_read_for_so_long(void **state) {
    struct test *t = *state;
    bus_room_turn(&t->room, 100);
    redis_server_kill(&t->room.redis);
    for (int i = 0; i < 300 && entry_reader_unread_ms(t->reader) < 200; i++)
        bus_room_turn(&t->room, 10);
    assert_in_range(entry_reader_unread_ms(t->reader), 200, 3000);
    entry_reader_read(t->reader); /* is asked when Redis is back */
}

static void goes_on_after_a_broken_connection(void **state) {
    struct test *t = *state;
    add_entry(t, "a");
    bus_room_until(&t->room, &t->count, 1, 3000);
    entry_reader_read(t->reader);
    bus_room_turn(&t->room, 50);
    bus_room_ask(&t->room, "CLIENT KILL TYPE normal SKIPME yes");
    add_entry(t, "b");
    bus_room_until(&t->room, &t->count, 2, 5000);
    assert_int_equal(t->count, 2);
}

static void limit_answers(struct test *t, const char *bytes) {
    freeReplyObject(
        redisCommand(t->room.redis.admin, "CONFIG SET client-output-buffer-limit %s", bytes));
}

static void read_until(struct test *t, unsigned count) {
    while (t->count < count) {
        entry_reader_read(t->reader);
        bus_room_until(&t->room, &t->count, t->count + 1, 8000);
    }
}

/* Redis closes the connection whose answer is too large: fewer at a time, each once. */
static void reads_less_where_redis_answers_less(void **state) {
    struct test *t = *state;
    bus_room_turn(&t->room, 50);
    limit_answers(t, "normal 300kb 0 0");
    for (int i = 0; i < 40; i++)
        add_sized(t, "a", 50000);
    read_until(t, 40);
    assert_int_equal(t->count, 40);
}

/* A legal message waits until it can be read, and the trouble is told. */
static void waits_for_what_cannot_be_read(void **state) {
    struct test *t = *state;
    limit_answers(t, "normal 300kb 0 0");
    add_sized(t, "a", 2000000);
    add_entry(t, "b");
    bus_room_turn(&t->room, 3000);
    assert_int_equal(t->count, 0);
    limit_answers(t, "normal 0 0 0");
    read_until(t, 2);
    assert_int_equal(t->bad, 0);
}

/* Small entries are asked for by ever more, up to the bound. */
static void one_read_has_a_bound(void **state) {
    struct test *t = *state;
    for (int i = 0; i < 16 + 32 + 64 + 2 * ENTRY_READER_MAX + 1; i++)
        add_entry(t, "a");
    while (t->count < 16 + 32 + 64 + 2 * ENTRY_READER_MAX + 1) {
        entry_reader_read(t->reader);
        bus_room_until(&t->room, &t->count, t->count + 1, 3000);
    }
    assert_int_equal(t->most, ENTRY_READER_MAX);
}

/* What no message may be is handed on by its beginning. */
static void steps_over_what_is_too_large_anyway(void **state) {
    struct test *t = *state;
    limit_answers(t, "normal 300kb 0 0");
    add_sized(t, "a", 6000000);
    bus_room_until(&t->room, &t->count, 1, 8000);
    assert_true(t->kept->is_bad && t->kept->unread_bytes > 6000000);
    assert_int_equal(t->kept->text.len, 1024);
    add_entry(t, "b");
    read_until(t, 2);
    assert_int_equal(t->bad, 1);
}

static void text_stays_text(void **state) {
    struct test *t = *state;
    entry_reader_close(t->reader);
    open_reader(t, ENTRY_READER_TEXT);
    bus_room_ask(&t->room, "XADD sb:{%s}:in * m hello", partition_tag(0));
    bus_room_until(&t->room, &t->count, 1, 3000);
    assert_true(bytes_equal_str(t->kept->text, "hello"));
    assert_int_equal(t->bad, 0);
}

int main(void) {
#define WITH_REDIS(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        WITH_REDIS(reads_entries_in_order),
        WITH_REDIS(reads_only_when_asked),
        WITH_REDIS(reads_connects_and_disconnects),
        WITH_REDIS(strange_entries_are_marked),
        cmocka_unit_test(fields_have_a_bound),
        cmocka_unit_test(a_text_has_one_field),
        cmocka_unit_test(entries_that_came_back),
        cmocka_unit_test(an_entry_is_counted_while_it_lives),
        WITH_REDIS(begins_behind_its_cursor),
        WITH_REDIS(a_key_of_another_type_is_told),
        WITH_REDIS(without_redis_it_has_not_read_for_so_long),
        WITH_REDIS(goes_on_after_a_broken_connection),
        WITH_REDIS(reads_less_where_redis_answers_less),
        WITH_REDIS(one_read_has_a_bound),
        WITH_REDIS(waits_for_what_cannot_be_read),
        WITH_REDIS(steps_over_what_is_too_large_anyway),
        WITH_REDIS(text_stays_text),
    };
    if (!redis_server_is_installed())
        return 77;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
