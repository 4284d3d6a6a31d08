/* Commits through commit.lua: ids, prevs, histories, and what happens to a fenced owner. */
#include "common/bus/log/log_writer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <hiredis/hiredis.h>

#include "common/base/metrics.h"
#include "common/bus/bulk.h"
#include "common/bus/bus_send.h"
#include "common/bus/log/history.h"
#include "common/bus/partition.h"
#include "common/bus/redis/capacity.h"
#include "tests/common/bus/bus_room.h"

enum { TERM = 1000 };

struct test {
    struct bus_room room;
    struct bus *bus;
    struct log_writer *writer;
    struct buf own, in;
    uint64_t keep_all_until_ms;
    unsigned done;
    enum log_writer_result result;
};

static void on_done(void *ctx, enum log_writer_result result) {
    struct test *t = ctx;
    t->done++;
    t->result = result;
}

static void open_writer(struct test *t, uint64_t term, const char *cursor) {
    struct log_writer_options options = {.label = "partition 0",
                                         .partition = 0,
                                         .term = term,
                                         .history_bytes = 10000,
                                         .history_messages = 1000,
                                         .history_seconds = 120,
                                         .keep_seconds = 5000,
                                         .keep_all_until_ms = t->keep_all_until_ms};
    assert_true(message_id_parse(bytes_str(cursor), &options.cursor));
    t->writer = log_writer_new(t->bus, &options);
    bus_room_ask(&t->room, "HSET %.*s h %s t %llu", BYTES_FMT(buf_bytes(&t->own)), bus_id(t->bus),
                 (unsigned long long)term);
}

static int setup(void **state) {
    static struct test t;
    memset(&t, 0, sizeof(t));
    bus_room_init(&t.room, 1);
    t.bus = bus_room_join(&t.room, BUS_BROKER);
    key_of(&t.own, 0, KEY_OWN, BYTES_NONE);
    key_of(&t.in, 0, KEY_IN, BYTES_NONE);
    open_writer(&t, TERM, "0-0");
    bus_room_ask(&t.room,
                 "MSET sb:{%s}:l:a 0-0 sb:{%s}:l:b 0-0 sb:{%s}:l:off 0-0 sb:{%s}:l:bad 0-0",
                 partition_tag(0), partition_tag(0), partition_tag(0), partition_tag(0));
    *state = &t;
    return 0;
}

static int teardown(void **state) {
    struct test *t = *state;
    log_writer_close(t->writer);
    bus_close(t->bus);
    bus_room_deinit(&t->room);
    buf_deinit(&t->own);
    buf_deinit(&t->in);
    return 0;
}

static struct message_id add(struct test *t, const char *name, const char *data) {
    struct output o = {.name = bytes_str(name),
                       .has_history = strcmp(name, "off") != 0,
                       .message = {.kind = MESSAGE_DATA, .ts_ms = 7, .data = bytes_str(data)}};
    return log_writer_add(t->writer, &o);
}

static enum log_writer_result commit(struct test *t, uint64_t cursor) {
    unsigned before = t->done;
    log_writer_commit(t->writer, (struct message_id){cursor, 0}, false, on_done, t);
    bus_room_until(&t->room, &t->done, before + 1, 2000);
    return t->result;
}

/* "id prev data" of the message at `index` from the end of a log. */
static const char *last_message(struct test *t, const char *name, struct message *m_out) {
    static char data[100];
    struct redisReply *reply = redisCommand(
        t->room.redis.admin, "XREVRANGE sb:{%s}:h:%s + - COUNT 1", partition_tag(0), name);
    assert_int_equal(reply->elements, 1);
    struct redisReply *blob = reply->element[0]->element[1]->element[1];
    assert_int_equal(message_decode(bytes_of(blob->str, (size_t)blob->len), m_out), PARSE_OK);
    snprintf(data, sizeof(data), "%.*s", BYTES_FMT(m_out->data));
    message_free(m_out);
    freeReplyObject(reply);
    return data;
}

static void appends_and_moves_the_cursor(void **state) {
    struct test *t = *state;
    struct message m;
    struct message_id a = add(t, "a", "one"), b = add(t, "b", "two"), a2 = add(t, "a", "three");
    assert_true(message_id_compare(a, b) < 0 && message_id_compare(b, a2) < 0);
    assert_int_equal(commit(t, 5), LOG_WRITER_DONE);
    assert_string_equal(last_message(t, "a", &m), "three");
    assert_int_equal(message_id_compare(m.prev, a), 0);
    assert_int_equal(message_id_compare(m.id, a2), 0);
    assert_string_equal(last_message(t, "b", &m), "two");
    assert_true(message_id_is_none(m.prev));
    assert_string_equal(bus_room_ask(&t->room, "HMGET sb:{%s}:own c i", partition_tag(0)),
                        "5-0 1000-3");
    assert_true(atoi(bus_room_ask(&t->room, "TTL sb:{%s}:h:a", partition_tag(0))) > 100);
}

static void next_owner_finds_prev(void **state) {
    struct test *t = *state;
    struct message m;
    struct message_id a = add(t, "a", "one");
    assert_int_equal(commit(t, 5), LOG_WRITER_DONE);
    log_writer_close(t->writer);
    open_writer(t, TERM + 1, "5-0");
    add(t, "a", "two");
    assert_int_equal(commit(t, 6), LOG_WRITER_DONE);
    assert_string_equal(last_message(t, "a", &m), "two");
    assert_int_equal(message_id_compare(m.prev, a), 0);
    assert_int_equal(m.id.term, TERM + 1);
}

static void name_without_history_is_published_only(void **state) {
    struct test *t = *state;
    add(t, "off", "one");
    assert_int_equal(commit(t, 5), LOG_WRITER_DONE);
    assert_string_equal(bus_room_ask(&t->room, "EXISTS sb:{%s}:h:off", partition_tag(0)), "0");
}

static void every_name_has_a_log_of_its_own(void **state) {
    struct test *t = *state;
    add(t, "", "to all");
    assert_int_equal(commit(t, 5), LOG_WRITER_DONE);
    assert_string_equal(bus_room_ask(&t->room, "XLEN sb:{%s}:h*", partition_tag(0)), "1");
}

static void fenced_owner_changes_nothing(void **state) {
    struct test *t = *state;
    bus_room_ask(&t->room, "HSET sb:{%s}:own h another", partition_tag(0));
    add(t, "a", "one");
    assert_int_equal(commit(t, 5), LOG_WRITER_FENCED);
    assert_string_equal(bus_room_ask(&t->room, "EXISTS sb:{%s}:h:a", partition_tag(0)), "0");
}

static void redis_that_went_back_is_noticed(void **state) {
    struct test *t = *state;
    assert_int_equal(commit(t, 5), LOG_WRITER_DONE);
    bus_room_ask(&t->room, "HSET sb:{%s}:own c 3-0", partition_tag(0));
    add(t, "a", "one");
    assert_int_equal(commit(t, 6), LOG_WRITER_FENCED);
}

static void add_note(struct test *t, const char *name) {
    struct output o = {.name = bytes_str(name),
                       .has_history = true,
                       .message = {.kind = MESSAGE_NOTE, .data = BYTES_LIT("{}")}};
    log_writer_add(t->writer, &o);
}

/* First, in the middle, at the end of a batch, and alone: `prev` passes over it. */
static void a_note_is_published_and_in_no_log(void **state) {
    struct test *t = *state;
    struct message m;
    const char *tag = partition_tag(0);
    add_note(t, "a");
    struct message_id one = add(t, "a", "one");
    add_note(t, "a");
    assert_int_equal(commit(t, 1), LOG_WRITER_DONE);
    assert_string_equal(bus_room_ask(&t->room, "GET sb:{%s}:l:a", tag), "1000-2");
    add_note(t, "a");
    add_note(t, "unknown");
    assert_int_equal(commit(t, 2), LOG_WRITER_DONE);
    assert_string_equal(bus_room_ask(&t->room, "HGET sb:{%s}:own i", tag), "1000-5");
    struct message_id two = add(t, "a", "two");
    add_note(t, "a");
    add(t, "a", "three");
    assert_int_equal(commit(t, 3), LOG_WRITER_DONE);
    assert_string_equal(bus_room_ask(&t->room, "XLEN sb:{%s}:h:a", tag), "3");
    assert_string_equal(bus_room_ask(&t->room, "GET sb:{%s}:l:a", tag), "1000-8");
    assert_string_equal(last_message(t, "a", &m), "three");
    assert_int_equal(message_id_compare(m.prev, two), 0);
    assert_int_equal(one.seq, 2);
    assert_string_equal(
        bus_room_ask(&t->room, "EXISTS sb:{%s}:h:unknown sb:{%s}:l:unknown", tag, tag), "0");
}

/* What fills it leaves `in` with the commit. */
static void a_full_redis_takes_a_commit(void **state) {
    struct test *t = *state;
    bus_room_ask(&t->room, "XADD %.*s 5-0 m x", BYTES_FMT(buf_bytes(&t->in)));
    bus_room_ask(&t->room, "CONFIG SET maxmemory 1");
    add(t, "a", "one");
    assert_int_equal(commit(t, 5), LOG_WRITER_DONE);
    assert_string_equal(bus_room_ask(&t->room, "XLEN sb:{%s}:h:a", partition_tag(0)), "1");
    assert_string_equal(bus_room_ask(&t->room, "XLEN %.*s", BYTES_FMT(buf_bytes(&t->in))), "0");
}

/* A large message is published, and small ones are kept. */
static void a_nearly_full_redis_keeps_no_large_message(void **state) {
    struct test *t = *state;
    static char large[CAPACITY_LARGE];
    memset(large, 'x', sizeof(large) - 1);
    bus_set_memory(t->bus, 75, 100);
    add(t, "a", "small");
    add(t, "a", large);
    assert_int_equal(commit(t, 5), LOG_WRITER_DONE);
    assert_string_equal(bus_room_ask(&t->room, "XLEN sb:{%s}:h:a", partition_tag(0)), "1");
    assert_string_equal(bus_room_ask(&t->room, "GET sb:{%s}:l:a", partition_tag(0)), "1000-2");
    bus_set_memory(t->bus, 74, 100);
    add(t, "a", large);
    assert_int_equal(commit(t, 6), LOG_WRITER_DONE);
    assert_int_not_equal(atoi(bus_room_ask(&t->room, "EXISTS sb:{%s}:h:a", partition_tag(0))), 0);
    assert_true(atoi(bus_room_ask(&t->room, "MEMORY USAGE sb:{%s}:h:a", partition_tag(0))) > 60000);
}

/* What a history may have, and what is kept of four messages of 1,000 bytes. */
static void a_history_is_shorter_the_fuller_redis_is(void **state) {
    struct test *t = *state;
    enum { MAX = 1000000000, EIGHTH = MAX / 8 };
    static const struct {
        int64_t used;
        size_t share, kept;
    } rows[] = {{0, 10000, 4},
                {6 * EIGHTH, 10000, 4},
                {6 * EIGHTH + EIGHTH / 2, 5000, 4},
                {7 * EIGHTH - EIGHTH / 4, 2500, 2},
                {7 * EIGHTH - EIGHTH / 20, 500, 0},
                {7 * EIGHTH, 0, 0},
                {MAX, 0, 0}};
    char data[1001], key[100];
    memset(data, 'x', 1000);
    data[1000] = '\0';
    snprintf(key, sizeof(key), "sb:{%s}:h:a", partition_tag(0));
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        log_writer_close(t->writer);
        bus_room_ask(&t->room, "DEL %s %.*s", key, BYTES_FMT(buf_bytes(&t->own)));
        open_writer(t, TERM + i, "0-0");
        for (int m = 0; m < 4; m++) {
            bus_set_memory(t->bus, rows[i].used, MAX);
            add(t, "a", data);
        }
        assert_int_equal(bus_history_share(t->bus, 10000), rows[i].share);
        assert_int_equal(commit(t, 5), LOG_WRITER_DONE);
        assert_int_equal(atoi(bus_room_ask(&t->room, "XLEN %s", key)), (int)rows[i].kept);
    }
    bus_set_memory(t->bus, 6 * EIGHTH, 0); /* without a maxmemory nothing is short */
    assert_int_equal(bus_history_share(t->bus, 10000), 10000);
}

/* Who was there before Redis filled up misses nothing. What began meanwhile is short until there is
 * room again. */
static void a_history_that_was_there_stays(void **state) {
    struct test *t = *state;
    const char *tag = partition_tag(0);
    add(t, "a", "one");
    assert_int_equal(commit(t, 1), LOG_WRITER_DONE);
    for (uint64_t cursor = 2; cursor <= 3; cursor++) {
        bus_set_memory(t->bus, 100, 100);
        add(t, "a", "two");
        add(t, "b", "two");
        assert_int_equal(commit(t, cursor), LOG_WRITER_DONE);
    }
    assert_string_equal(bus_room_ask(&t->room, "XLEN sb:{%s}:h:a", tag), "3");
    assert_string_equal(bus_room_ask(&t->room, "XLEN sb:{%s}:h:b", tag), "0");
    bus_set_memory(t->bus, 0, 100);
    add(t, "b", "three");
    assert_int_equal(commit(t, 4), LOG_WRITER_DONE);
    bus_set_memory(t->bus, 100, 100);
    add(t, "b", "four");
    assert_int_equal(commit(t, 5), LOG_WRITER_DONE);
    assert_string_equal(bus_room_ask(&t->room, "XLEN sb:{%s}:h:b", tag), "2");
}

/* Redis tells what it uses once a second; what comes meanwhile is counted, what goes, too. */
static void what_is_kept_counts_at_once(void **state) {
    struct test *t = *state;
    enum { MAX = 80000, NAMES = 100 };
    int kept = 0;
    char data[4001], name[16];
    memset(data, 'x', 4000);
    data[4000] = '\0';
    for (int i = 0; i < NAMES; i++) {
        snprintf(name, sizeof(name), "n%d", i);
        bus_room_ask(&t->room, "SET sb:{%s}:l:%s 0-0", partition_tag(0), name);
    }
    bus_set_memory(t->bus, 0, MAX);
    for (int i = 0; i < NAMES; i++) {
        snprintf(name, sizeof(name), "nobody%d", i);
        add(t, name, data);
    }
    for (int i = 0; i < NAMES; i++) {
        snprintf(name, sizeof(name), "n%d", i);
        add(t, name, data);
    }
    assert_int_equal(commit(t, 5), LOG_WRITER_DONE);
    for (int i = 0; i < NAMES; i++)
        kept += atoi(bus_room_ask(&t->room, "XLEN sb:{%s}:h:n%d", partition_tag(0), i));
    assert_in_range(kept, 15, 17);
    bus_set_memory(t->bus, 0, MAX);
    for (int i = 0; i < NAMES; i++)
        add(t, "n0", data);
    assert_int_equal(commit(t, 6), LOG_WRITER_DONE);
    assert_int_equal(bus_history_share(t->bus, 10000), 10000);
}

static void close_while_under_way_is_quiet(void **state) {
    struct test *t = *state;
    add(t, "a", "one");
    log_writer_commit(t->writer, (struct message_id){5, 0}, false, on_done, t);
    log_writer_close(t->writer);
    t->writer = NULL;
    bus_room_turn(&t->room, 50);
    assert_int_equal(t->done, 0);
}

/* Bytes of all messages in the history of a Name, and how many. */
static size_t history_bytes(struct test *t, const char *name, size_t *messages_out) {
    size_t bytes = 0;
    struct redisReply *reply =
        redisCommand(t->room.redis.admin, "XRANGE sb:{%s}:h:%s - +", partition_tag(0), name);
    *messages_out = reply->elements;
    for (size_t i = 0; i < reply->elements; i++)
        bytes += (size_t)reply->element[i]->element[1]->element[1]->len;
    freeReplyObject(reply);
    return bytes;
}

static void add_bytes(struct test *t, uint64_t cursor, size_t bytes) {
    char *data = mem_alloc(bytes + 1);
    memset(data, 'x', bytes);
    data[bytes] = '\0';
    add(t, "a", data);
    free(data);
    assert_int_equal(commit(t, cursor), LOG_WRITER_DONE);
}

/* 10,000 bytes are promised, for every mix of sizes, and over a change of the owner. */
static void a_history_is_bounded_by_bytes(void **state) {
    static const size_t sizes[] = {10, 3000, 10, 10, 900, 100, 20000, 10, 5000, 10, 4000, 2000, 10};
    struct test *t = *state;
    uint64_t cursor = 1;
    size_t messages;
    for (size_t round = 0; round < 4; round++) {
        for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
            add_bytes(t, ++cursor, sizes[i]);
            size_t bytes = history_bytes(t, "a", &messages);
            assert_true(bytes <= 10000 || messages == 1);
            assert_true(messages >= 1);
        }
        assert_true(messages > 2);
        log_writer_close(t->writer);
        char text[32];
        snprintf(text, sizeof(text), "%llu-0", (unsigned long long)cursor);
        open_writer(t, TERM + 1 + round, text);
    }
}

/* A new owner does not drop what is within the bounds. */
static void a_new_owner_keeps_the_history(void **state) {
    struct test *t = *state;
    size_t messages;
    for (uint64_t i = 1; i <= 300; i++)
        add_bytes(t, i, 10);
    size_t before = history_bytes(t, "a", &messages);
    before += messages * HISTORY_ENTRY_BYTES;
    assert_in_range(before, 9000, 10000);
    log_writer_close(t->writer);
    open_writer(t, TERM + 1, "300-0");
    add_bytes(t, 301, 10);
    size_t after = history_bytes(t, "a", &messages);
    after += messages * HISTORY_ENTRY_BYTES;
    assert_in_range(after, before - 10000 / 16, 10000);
}

static void a_history_never_stays_without_a_life(void **state) {
    struct test *t = *state;
    const char *tag = partition_tag(0);
    add(t, "a", "one");
    assert_int_equal(commit(t, 1), LOG_WRITER_DONE);
    bus_room_ask(&t->room, "DEL sb:{%s}:h:a", tag); /* as a clock of Redis does that jumps */
    add(t, "a", "two");
    assert_int_equal(commit(t, 2), LOG_WRITER_DONE);
    assert_true(atoi(bus_room_ask(&t->room, "TTL sb:{%s}:h:a", tag)) > 100);
    bus_room_ask(&t->room, "EXPIRE sb:{%s}:h:a 50", tag);
    add(t, "a", "three");
    assert_int_equal(commit(t, 3), LOG_WRITER_DONE); /* not prolonged with each message */
    assert_in_range(atoi(bus_room_ask(&t->room, "TTL sb:{%s}:h:a", tag)), 1, 50);
}

/* One broken key holds up nobody, and no message is lost. */
static void a_history_of_another_type_is_passed_over(void **state) {
    struct test *t = *state;
    struct message m;
    bus_room_ask(&t->room, "SET sb:{%s}:h:bad text", partition_tag(0));
    add(t, "a", "one");
    add(t, "bad", "two");
    add(t, "b", "three");
    assert_int_equal(commit(t, 1), LOG_WRITER_DONE);
    assert_string_equal(last_message(t, "a", &m), "one");
    assert_string_equal(last_message(t, "b", &m), "three");
    assert_string_equal(bus_room_ask(&t->room, "GET sb:{%s}:h:bad", partition_tag(0)), "text");
    assert_string_equal(bus_room_ask(&t->room, "GET sb:{%s}:l:bad", partition_tag(0)), "1000-2");
}

/* A command that is not allowed fails in the middle: the cursor stays, and nothing is appended
 * twice when it is allowed again. */
static void what_fails_half_way_is_repeated(void **state) {
    struct test *t = *state;
    const char *tag = partition_tag(0);
    add(t, "a", "one");
    add(t, "b", "two");
    bus_room_ask(&t->room, "ACL SETUSER default -publish");
    assert_int_equal(commit(t, 1), LOG_WRITER_BUSY);
    assert_int_equal(metrics_get(METRIC_trouble_commits), 1);
    assert_string_equal(bus_room_ask(&t->room, "HMGET sb:{%s}:own c i", tag), "0-0 0-0");
    bus_room_ask(&t->room, "ACL SETUSER default +publish");
    unsigned before = t->done;
    log_writer_repeat(t->writer);
    bus_room_until(&t->room, &t->done, before + 1, 2000);
    assert_int_equal(t->result, LOG_WRITER_DONE);
    assert_int_equal(metrics_get(METRIC_trouble_commits), 0);
    assert_string_equal(bus_room_ask(&t->room, "HMGET sb:{%s}:own c i", tag), "1-0 1000-2");
    assert_string_equal(bus_room_ask(&t->room, "XLEN sb:{%s}:h:a", tag), "1");
    assert_string_equal(bus_room_ask(&t->room, "XLEN sb:{%s}:h:b", tag), "1");
}

/* --- what is kept beyond the history --- */

static void add_kept(struct test *t, const char *name, unsigned keep, const char *data) {
    struct output o = {.name = bytes_str(name),
                       .has_history = true,
                       .keep = keep,
                       .message = {.kind = MESSAGE_DATA, .data = bytes_str(data)}};
    (void)log_writer_add(t->writer, &o);
}

/* The data of all that is kept of a Name, each with a blank before it; static. */
static const char *kept_of(struct test *t, const char *name) {
    static char text[400];
    struct redisReply *reply =
        redisCommand(t->room.redis.admin, "XRANGE sb:{%s}:k:%s - +", partition_tag(0), name);
    text[0] = '\0';
    for (size_t i = 0; i < reply->elements; i++) {
        struct redisReply *blob = reply->element[i]->element[1]->element[1];
        struct message m;
        assert_int_equal(message_decode(bytes_of(blob->str, (size_t)blob->len), &m), PARSE_OK);
        snprintf(text + strlen(text), sizeof(text) - strlen(text), " %.*s",
                 m.data.len < 9 ? (int)m.data.len : 9, m.data.ptr);
        message_free(&m);
    }
    freeReplyObject(reply);
    return text;
}

static void the_newest_outlive_the_history(void **state) {
    struct test *t = *state;
    const char *tag = partition_tag(0);
    static const struct {
        const char *name;
        unsigned keep;
        const char *kept;
    } rows[] = {{"latest", 1, " m5"},
                {"a", 3, " m3 m4 m5"},
                {"b", 5, " m1 m2 m3 m4 m5"},
                {"most", 1000, " m1 m2 m3 m4 m5"},
                {"none", 0, ""}};
    uint64_t cursor = 0;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        add_kept(t, rows[i].name, rows[i].keep, "m1");
        add_kept(t, rows[i].name, rows[i].keep, "m2");
        assert_int_equal(commit(t, ++cursor), LOG_WRITER_DONE);
        add_kept(t, rows[i].name, rows[i].keep, "m3");
        assert_int_equal(commit(t, ++cursor), LOG_WRITER_DONE);
        add_kept(t, rows[i].name, rows[i].keep, "m4");
        add_kept(t, rows[i].name, rows[i].keep, "m5");
        assert_int_equal(commit(t, ++cursor), LOG_WRITER_DONE);
        assert_string_equal(kept_of(t, rows[i].name), rows[i].kept);
    }
    assert_in_range(atoi(bus_room_ask(&t->room, "TTL sb:{%s}:k:latest", tag)), 4990, 5000);
    /* the histories are what they were */
    assert_string_equal(bus_room_ask(&t->room, "XLEN sb:{%s}:h:a", tag), "5");
    assert_string_equal(
        bus_room_ask(&t->room, "EXISTS sb:{%s}:h:latest sb:{%s}:l:latest", tag, tag), "0");
    assert_string_equal(bus_room_ask(&t->room, "HGET sb:{%s}:own i", tag), "1000-25");
}

/* The next owner knows what it finds; another rule holds from the next message on. */
static void what_is_kept_survives_its_owner_and_its_rule(void **state) {
    struct test *t = *state;
    add_kept(t, "n", 3, "m1");
    add_kept(t, "n", 3, "m2");
    assert_int_equal(commit(t, 1), LOG_WRITER_DONE);
    log_writer_close(t->writer);
    open_writer(t, TERM + 1, "1-0");
    add_kept(t, "n", 3, "m3");
    add_kept(t, "n", 3, "m4");
    assert_int_equal(commit(t, 2), LOG_WRITER_DONE);
    assert_string_equal(kept_of(t, "n"), " m2 m3 m4");
    add_kept(t, "n", 2, "m5");
    assert_int_equal(commit(t, 3), LOG_WRITER_DONE);
    assert_string_equal(kept_of(t, "n"), " m4 m5");
    log_writer_close(t->writer);
    open_writer(t, TERM + 2, "3-0");
    add_kept(t, "n", 0, "m6");
    assert_int_equal(commit(t, 4), LOG_WRITER_DONE);
    assert_string_equal(kept_of(t, "n"), "");
    add_kept(t, "n", 2, "m7");
    assert_int_equal(commit(t, 5), LOG_WRITER_DONE);
    assert_string_equal(kept_of(t, "n"), " m7");
}

/* An answer to one connection, a close: nothing for those who come later. */
static void only_messages_for_others_are_kept(void **state) {
    struct test *t = *state;
    struct output o = {.name = BYTES_LIT("n"),
                       .keep = 1,
                       .message = {.kind = MESSAGE_DATA, .data = BYTES_LIT("direct")}};
    add_kept(t, "n", 1, "m1");
    o.message.to_conn = BYTES_LIT("g:1:1|");
    (void)log_writer_add(t->writer, &o);
    o.message = (struct message){.kind = MESSAGE_CLOSE, .data = BYTES_LIT("\x03\xe8")};
    (void)log_writer_add(t->writer, &o);
    o.name = BYTES_LIT("");
    o.message = (struct message){.kind = MESSAGE_DATA, .data = BYTES_LIT("all")};
    (void)log_writer_add(t->writer, &o);
    assert_int_equal(commit(t, 1), LOG_WRITER_DONE);
    assert_string_equal(kept_of(t, "n"), " m1");
    assert_string_equal(bus_room_ask(&t->room, "EXISTS sb:{%s}:k:", partition_tag(0)), "0");
}

/* As many bytes as a history; and what cannot be kept leaves nothing that looks like the newest. */
static void what_is_kept_is_bounded(void **state) {
    struct test *t = *state;
    static char large[CAPACITY_LARGE], thousand[1001];
    memset(large, 'x', sizeof(large) - 1);
    memset(thousand, 'y', 1000);
    for (uint64_t i = 1; i <= 20; i++) {
        add_kept(t, "n", 1000, thousand);
        assert_int_equal(commit(t, i), LOG_WRITER_DONE);
    }
    assert_string_equal(bus_room_ask(&t->room, "XLEN sb:{%s}:k:n", partition_tag(0)), "9");
    bus_set_memory(t->bus, 80, 100);
    add_kept(t, "n", 1000, "small");
    assert_int_equal(commit(t, 21), LOG_WRITER_DONE);
    assert_true(strlen(kept_of(t, "n")) > 40);
    add_kept(t, "n", 1000, large);
    assert_int_equal(commit(t, 22), LOG_WRITER_DONE);
    assert_string_equal(kept_of(t, "n"), "");
    bus_set_memory(t->bus, 100, 100);
    add_kept(t, "new", 1, "m1");
    assert_int_equal(commit(t, 23), LOG_WRITER_DONE);
    assert_string_equal(kept_of(t, "new"), "");
    bus_set_memory(t->bus, 0, 100);
    add_kept(t, "new", 1, "m2");
    assert_int_equal(commit(t, 24), LOG_WRITER_DONE);
    assert_string_equal(kept_of(t, "new"), " m2");
}

static void what_is_kept_may_be_of_another_type_or_of_other_data(void **state) {
    struct test *t = *state;
    bus_room_ask(&t->room, "SET sb:{%s}:k:bad text", partition_tag(0));
    bus_room_ask(&t->room, "XADD sb:{%s}:k:late 99999-1 m x", partition_tag(0));
    add_kept(t, "bad", 1, "m1");
    add_kept(t, "late", 2, "m2");
    add_kept(t, "a", 1, "m3");
    assert_int_equal(commit(t, 1), LOG_WRITER_DONE);
    assert_string_equal(bus_room_ask(&t->room, "GET sb:{%s}:k:bad", partition_tag(0)), "text");
    assert_string_equal(kept_of(t, "late"), " m2");
    assert_string_equal(kept_of(t, "a"), " m3");
}

/* --- Names that nobody has joined --- */

static const char *keys_of(struct test *t, const char *name) {
    const char *tag = partition_tag(0);
    return bus_room_ask(&t->room, "EXISTS sb:{%s}:h:%s sb:{%s}:l:%s", tag, name, tag, name);
}

static void a_name_that_nobody_joined_leaves_no_key(void **state) {
    struct test *t = *state;
    for (uint64_t round = 1; round <= 3; round++) {
        add(t, "nobody", "one");
        add(t, "a", "two");
        add(t, "nobody", "three"); /* not the last of its log, and the last */
        assert_int_equal(commit(t, round), LOG_WRITER_DONE);
        assert_string_equal(keys_of(t, "nobody"), "0");
        assert_string_equal(keys_of(t, "a"), "2");
    }
    assert_string_equal(bus_room_ask(&t->room, "HGET sb:{%s}:own i", partition_tag(0)), "1000-9");
}

/* As register.lua does, while the writer believes that nobody has. */
static void a_name_is_kept_from_its_first_join_on(void **state) {
    struct test *t = *state;
    struct message m;
    struct message_id before = add(t, "late", "before");
    assert_int_equal(commit(t, 1), LOG_WRITER_DONE);
    bus_room_ask(&t->room, "SET sb:{%s}:l:late 1000-0", partition_tag(0));
    add(t, "late", "after");
    struct message_id last = add(t, "late", "at last");
    assert_int_equal(commit(t, 2), LOG_WRITER_DONE);
    assert_string_equal(bus_room_ask(&t->room, "XLEN sb:{%s}:h:late", partition_tag(0)), "2");
    assert_string_equal(bus_room_ask(&t->room, "GET sb:{%s}:l:late", partition_tag(0)), "1000-3");
    assert_true(atoi(bus_room_ask(&t->room, "TTL sb:{%s}:h:late", partition_tag(0))) > 100);
    assert_string_equal(last_message(t, "late", &m), "at last");
    assert_int_equal(message_id_compare(m.id, last), 0);
    assert_true(message_id_compare(m.prev, before) > 0);
}

/* Nothing was sent for so long that l: has expired, and somebody is there. */
static void a_name_with_connections_is_kept(void **state) {
    struct test *t = *state;
    bus_room_ask(&t->room, "HSET sb:{%s}:c:quiet me value", partition_tag(0));
    add(t, "quiet", "one");
    assert_int_equal(commit(t, 1), LOG_WRITER_DONE);
    assert_string_equal(keys_of(t, "quiet"), "2");
}

/* Redis may have lost who has joined. */
static void everything_is_kept_after_a_break(void **state) {
    struct test *t = *state;
    log_writer_close(t->writer);
    t->keep_all_until_ms = UINT64_MAX;
    open_writer(t, TERM, "0-0");
    add(t, "nobody", "one");
    assert_int_equal(commit(t, 1), LOG_WRITER_DONE);
    assert_string_equal(keys_of(t, "nobody"), "2");
}

/* A small commit has passed, and a large one waits behind the turn of somebody else. */
static struct bulk *let_a_large_one_wait(struct test *t, struct bulk_turn *other) {
    struct bulk *bulk = bus_bulk(t->bus, 0);
    char data[BULK_MIN + 1];
    memset(data, 'x', BULK_MIN);
    data[BULK_MIN] = '\0';
    *other = (struct bulk_turn){0};
    assert_true(bulk_take(bulk, other, BULK_MOST));
    add(t, "a", "small");
    assert_int_equal(commit(t, 5), LOG_WRITER_DONE);
    add(t, "a", data);
    log_writer_commit(t->writer, (struct message_id){6, 0}, false, on_done, t);
    bus_room_turn(&t->room, 30);
    assert_int_equal(t->done, 1);
    assert_false(TAILQ_EMPTY(&bulk->waiting));
    return bulk;
}

static void large_commits_take_turns(void **state) {
    struct test *t = *state;
    struct bulk_turn other;
    struct bulk *bulk = let_a_large_one_wait(t, &other);
    bulk_leave(bulk, &other);
    bus_room_until(&t->room, &t->done, 2, 2000);
    assert_int_equal(t->result, LOG_WRITER_DONE);
    assert_int_equal(bulk->bytes, 0);
}

static void a_closed_writer_gives_its_turn_back(void **state) {
    struct test *t = *state;
    struct bulk_turn other;
    struct bulk *bulk = let_a_large_one_wait(t, &other);
    log_writer_close(t->writer);
    t->writer = NULL;
    assert_true(TAILQ_EMPTY(&bulk->waiting));
    bulk_leave(bulk, &other);
    assert_int_equal(bulk->bytes, 0);
}

int main(void) {
#define WITH_REDIS(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        WITH_REDIS(appends_and_moves_the_cursor),
        WITH_REDIS(next_owner_finds_prev),
        WITH_REDIS(name_without_history_is_published_only),
        WITH_REDIS(every_name_has_a_log_of_its_own),
        WITH_REDIS(a_note_is_published_and_in_no_log),
        WITH_REDIS(fenced_owner_changes_nothing),
        WITH_REDIS(redis_that_went_back_is_noticed),
        WITH_REDIS(a_full_redis_takes_a_commit),
        WITH_REDIS(a_nearly_full_redis_keeps_no_large_message),
        WITH_REDIS(a_history_is_shorter_the_fuller_redis_is),
        WITH_REDIS(what_is_kept_counts_at_once),
        WITH_REDIS(a_history_that_was_there_stays),
        WITH_REDIS(a_history_never_stays_without_a_life),
        WITH_REDIS(a_history_of_another_type_is_passed_over),
        WITH_REDIS(what_fails_half_way_is_repeated),
        WITH_REDIS(close_while_under_way_is_quiet),
        WITH_REDIS(the_newest_outlive_the_history),
        WITH_REDIS(what_is_kept_survives_its_owner_and_its_rule),
        WITH_REDIS(only_messages_for_others_are_kept),
        WITH_REDIS(what_is_kept_is_bounded),
        WITH_REDIS(what_is_kept_may_be_of_another_type_or_of_other_data),
        WITH_REDIS(a_name_that_nobody_joined_leaves_no_key),
        WITH_REDIS(a_name_is_kept_from_its_first_join_on),
        WITH_REDIS(a_name_with_connections_is_kept),
        WITH_REDIS(everything_is_kept_after_a_break),
        WITH_REDIS(a_history_is_bounded_by_bytes),
        WITH_REDIS(a_new_owner_keeps_the_history),
        WITH_REDIS(large_commits_take_turns),
        WITH_REDIS(a_closed_writer_gives_its_turn_back),
    };
    if (!redis_server_is_installed())
        return 77;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
