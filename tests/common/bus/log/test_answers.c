/* What was answered to messages with an id of their own: kept with a commit, found by the next. */
#include "common/bus/log/answers.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/bus/log/log_writer.h"
#include "common/bus/partition.h"
#include "tests/common/bus/bus_room.h"

enum { ASKED_MAX = 4 };

struct test {
    struct bus_room room;
    struct bus *bus;
    struct log_writer *writer;
    uint64_t cursor;
    unsigned done, answered;
    size_t asked;
    char found[ASKED_MAX][ANSWER_BYTES_MAX + 1];
};

static int setup(void **state) {
    static struct test t;
    memset(&t, 0, sizeof(t));
    bus_room_init(&t.room, 1);
    t.bus = bus_room_join(&t.room, BUS_BROKER);
    struct log_writer_options options = {
        .label = "partition 0", .term = 1000, .history_bytes = 10000, .history_messages = 1000};
    t.writer = log_writer_new(t.bus, &options);
    bus_room_ask(&t.room, "HSET sb:{%s}:own h %s t 1000", partition_tag(0), bus_id(t.bus));
    *state = &t;
    return 0;
}

static int teardown(void **state) {
    struct test *t = *state;
    log_writer_close(t->writer);
    bus_close(t->bus);
    bus_room_deinit(&t->room);
    return 0;
}

static void on_done(void *ctx, enum log_writer_result result) {
    struct test *t = ctx;
    assert_int_equal(result, LOG_WRITER_DONE);
    t->done++;
}

static void commit(struct test *t) {
    unsigned before = t->done;
    log_writer_commit(t->writer, (struct message_id){++t->cursor, 0}, false, on_done, t);
    bus_room_until(&t->room, &t->done, before + 1, 2000);
}

static struct answer_key key(const char *name, const char *client, const char *id) {
    return (struct answer_key){bytes_str(name), bytes_str(client), bytes_str(id)};
}

static void answer(struct test *t, const char *name, const char *client, const char *id,
                   const char *text) {
    struct answer_key k = key(name, client, id);
    log_writer_answer(t->writer, &k, bytes_str(text));
}

static void on_answers(void *ctx, struct redisReply *reply) {
    struct test *t = ctx;
    for (size_t i = 0; i < t->asked; i++) {
        struct bytes found = answers_read(reply, i);
        snprintf(t->found[i], sizeof(t->found[i]), "%.*s", BYTES_FMT(found));
    }
    t->answered++;
}

static void ask(struct test *t, const struct answer_key *keys, size_t count) {
    unsigned before = t->answered;
    t->asked = count;
    answers_ask(t->bus, 0, keys, count, on_answers, t);
    bus_room_until(&t->room, &t->answered, before + 1, 2000);
}

static const char *find(struct test *t, const char *name, const char *client, const char *id) {
    struct answer_key k = key(name, client, id);
    ask(t, &k, 1);
    return t->found[0];
}

static void kept_with_the_commit(void **state) {
    struct test *t = *state;
    assert_string_equal(find(t, "n", "me", "1"), "");
    answer(t, "n", "me", "1", "one");
    answer(t, "n", "me", "1", "one again"); /* the last counts; a broker gives one */
    answer(t, "n", "me", "two words\xc3\xa9", "two\nlines");
    commit(t);
    struct answer_key keys[] = {key("n", "me", "two words\xc3\xa9"), key("n", "me", "3"),
                                key("n", "me", "1")};
    ask(t, keys, 3);
    assert_string_equal(t->found[0], "two\nlines");
    assert_string_equal(t->found[1], "");
    assert_string_equal(t->found[2], "one again");
    assert_string_equal(bus_room_ask(&t->room, "HGET sb:{%s}:own i", partition_tag(0)), "1000-3");
}

/* An id is its client's and its Name's, whatever they look like. */
static void nobody_elses(void **state) {
    struct test *t = *state;
    answer(t, "a:b", "c", "1", "mine");
    commit(t);
    assert_string_equal(find(t, "a:b", "c", "1"), "mine");
    assert_string_equal(find(t, "a", "b:c", "1"), "");
    assert_string_equal(find(t, "a:b", "C", "1"), "");
    assert_string_equal(find(t, "a:b", "c", "1 "), "");
}

/* The latest 128 always, and never more than 255. */
static void bounded_and_the_oldest_go(void **state) {
    struct test *t = *state;
    char text[16], oldest[16];
    for (unsigned i = 1; i <= 4 * ANSWERS_KEPT; i++) {
        snprintf(text, sizeof(text), "%u", i);
        snprintf(oldest, sizeof(oldest), "%u", i > ANSWERS_KEPT ? i - ANSWERS_KEPT + 1 : 1);
        answer(t, "n", "me", text, text);
        commit(t);
        assert_string_equal(find(t, "n", "me", oldest), oldest);
        assert_string_equal(find(t, "n", "me", text), text);
    }
    unsigned count = 0;
    for (unsigned i = 1; i <= 4 * ANSWERS_KEPT; i++) {
        snprintf(text, sizeof(text), "%u", i);
        count += find(t, "n", "me", text)[0] != '\0';
    }
    assert_in_range(count, ANSWERS_KEPT, 2 * ANSWERS_KEPT - 1);
}

static void gone_after_a_while(void **state) {
    struct test *t = *state;
    answer(t, "n", "me", "1", "one");
    commit(t);
    const char *ttl =
        bus_room_ask(&t->room, "EVAL return(redis.call('TTL',redis.call('KEYS','*:a:n*')[1])) 0");
    assert_in_range(atoi(ttl), ANSWERS_SECONDS - 5, ANSWERS_SECONDS);
}

/* Whoever wrote it: the commit goes on, and there is no answer. */
static void a_key_of_another_type_holds_up_nobody(void **state) {
    struct test *t = *state;
    bus_room_ask(&t->room, "EVAL return(redis.call('SET','sb:{%s}:a:n\\0me','text')) 0",
                 partition_tag(0));
    answer(t, "n", "me", "1", "one");
    answer(t, "n", "you", "1", "two");
    commit(t);
    assert_string_equal(find(t, "n", "me", "1"), "");
    assert_string_equal(find(t, "n", "you", "1"), "two");
    assert_string_equal(bus_room_ask(&t->room,
                                     "EVAL return(redis.call('GET','sb:{%s}:a:n\\0me')) 0",
                                     partition_tag(0)),
                        "text");
}

static void which_ids_are_valid(void **state) {
    (void)state;
    char longest[ANSWER_ID_MAX + 2];
    memset(longest, 'x', sizeof(longest));
    assert_true(answer_id_is_valid(bytes_of(longest, ANSWER_ID_MAX)));
    assert_false(answer_id_is_valid(bytes_of(longest, ANSWER_ID_MAX + 1)));
    assert_false(answer_id_is_valid(BYTES_NONE));
    assert_true(answer_id_is_valid(BYTES_LIT(" ")));
    assert_true(answer_id_is_valid(BYTES_LIT("~\xc3\xa9")));
    assert_false(answer_id_is_valid(BYTES_LIT("a\nb")));
    assert_false(answer_id_is_valid(BYTES_LIT("a\x1f")));
    assert_false(answer_id_is_valid(BYTES_LIT("a\x7f")));
    assert_false(answer_id_is_valid(bytes_of("a\0b", 3)));
}

int main(void) {
#define WITH_REDIS(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(which_ids_are_valid),
        WITH_REDIS(kept_with_the_commit),
        WITH_REDIS(nobody_elses),
        WITH_REDIS(bounded_and_the_oldest_go),
        WITH_REDIS(gone_after_a_while),
        WITH_REDIS(a_key_of_another_type_holds_up_nobody),
    };
    if (!redis_server_is_installed())
        return 77;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
