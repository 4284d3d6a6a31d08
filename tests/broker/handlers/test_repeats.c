/* Which messages are looked up, what is kept of the answers, and what a message that comes again
 * finds. */
#include "broker/handlers/repeats.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "broker/handlers/client_message.h"
#include "broker/handlers/sender_reply.h"
#include "common/bus/log/answers.h"
#include "common/bus/log/log_writer.h"
#include "tests/broker/broker_room.h"

enum { ENTRIES = 4 };

struct test {
    struct broker_room room;
    struct in_entry *entries[ENTRIES];
    size_t count;
    unsigned done, answered;
};

static int setup(void **state) {
    static struct test t;
    memset(&t, 0, sizeof(t));
    broker_room_init(&t.room, "", NULL);
    t.room.batch.repeats = repeats_new();
    *state = &t;
    return 0;
}

static void forget(struct test *t) {
    while (t->count > 0)
        in_entry_unref(t->entries[--t->count]);
}

static int teardown(void **state) {
    struct test *t = *state;
    forget(t);
    repeats_free(t->room.batch.repeats);
    broker_room_deinit(&t->room);
    return 0;
}

static void add(struct test *t, unsigned flags, const char *client, const char *body) {
    struct entry e = {.kind = ENTRY_CLIENT,
                      .ts_ms = 5,
                      .flags = flags,
                      .name = broker_room_name(0, 0),
                      .client_id = bytes_str(client),
                      .conn = BYTES_LIT("g:1:2|"),
                      .body = bytes_str(body)};
    t->entries[t->count] = broker_room_entry(&e, t->count + 1);
    t->count++;
}

/* As a POST with an Idempotency-Key has it. */
static void add_once(struct test *t, const char *once, const char *body) {
    struct entry e = {.kind = ENTRY_CLIENT,
                      .name = broker_room_name(0, 0),
                      .client_id = BYTES_LIT("me"),
                      .conn = BYTES_LIT("g:1:2|"),
                      .body = bytes_str(body),
                      .once = bytes_str(once)};
    t->entries[t->count] = broker_room_entry(&e, t->count + 1);
    t->count++;
}

static bool look(struct test *t) {
    return repeats_look(t->room.batch.repeats, t->entries, t->count);
}

static void on_reply(void *ctx, struct redisReply *reply) {
    struct test *t = ctx;
    for (size_t i = 0; i < repeats_count(t->room.batch.repeats); i++)
        repeats_take(t->room.batch.repeats, i, answers_read(reply, i));
    t->answered++;
}

static void ask(struct test *t) {
    unsigned before = t->answered;
    assert_true(look(t));
    struct answer_key keys[ENTRY_READER_MAX];
    repeats_keys(t->room.batch.repeats, keys);
    answers_ask(t->room.bus, 0, keys, repeats_count(t->room.batch.repeats), on_reply, t);
    bus_room_until(&t->room.bus_room, &t->answered, before + 1, 2000);
}

static void on_done(void *ctx, enum log_writer_result result) {
    struct test *t = ctx;
    assert_int_equal(result, LOG_WRITER_DONE);
    t->done++;
}

static void commit(struct test *t) {
    unsigned before = t->done;
    log_writer_commit(t->room.batch.writer, (struct message_id){10 + before, 0}, false, on_done, t);
    bus_room_until(&t->room.bus_room, &t->done, before + 1, 2000);
}

static void only_messages_with_an_id(void **state) {
    struct test *t = *state;
    static const struct {
        unsigned flags;
        const char *body;
        bool is_looked_up;
    } rows[] = {
        {FLAG_V1, "{\"message\":1,\"id\":\"a\"}", true},
        {FLAG_V1, "{\"message\":1,\"Id\":\"a\"}", true},
        {FLAG_V1, "{\"message\":1,\"\\u0069d\":\"a\"}", true},
        {FLAG_V1, "{\"message\":1,\"i\\u0064\":\"a\"}", true},
        {0, "{\"message\":1,\"id\":\"a\"}", false},
        {FLAG_V1, "{\"message\":\"id\"}", false},
        {FLAG_V1, "{\"message\":\"\\n\"}", false},
        {FLAG_V1, "{\"message\":1,\"id\":\"\"}", false},
        {FLAG_V1, "{\"message\":1,\"id\":\"a\"", false},
        {FLAG_V1, "\"id\"", false},
        {FLAG_V1, "\"id", false},
        {FLAG_V1, "", false},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        forget(t);
        add(t, rows[i].flags, "me", rows[i].body);
        if (look(t) != rows[i].is_looked_up)
            fail_msg("%s", rows[i].body);
    }
}

static void an_id_beside_the_body(void **state) {
    struct test *t = *state;
    static const struct {
        const char *once, *body;
        bool is_looked_up;
    } rows[] = {{"a", "no json", true}, {"a", "", true}, {"a\nb", "x", false}, {"", "x", false}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        forget(t);
        add_once(t, rows[i].once, rows[i].body);
        assert_int_equal(look(t), rows[i].is_looked_up);
    }
    forget(t);
    add_once(t, "a", "{\"message\":1}");
    add(t, FLAG_V1, "me", "{\"message\":1,\"id\":\"a\"}"); /* they are the same id */
    ask(t);
    for (size_t i = 0; i < 2; i++) {
        struct processing p = broker_room_begin(&t->room, t->entries[i]);
        struct client_message *m = repeats_message(&p);
        assert_int_equal(repeats_find(&p).len > 0, i);
        sender_reply_ack(&p, m);
        client_message_unref(m);
    }
}

/* What was answered is found by the same id of the same client alone, at once and after a commit. */
static void answered_once(void **state) {
    struct test *t = *state;
    for (unsigned round = 0; round < 2; round++) {
        forget(t);
        add(t, FLAG_V1, "me", "{\"message\":1,\"ref\":1,\"id\":\"a\"}");
        add(t, FLAG_V1, "me", "{\"message\":2,\"ref\":2,\"id\":\"a\"}");
        add(t, FLAG_V1, "you", "{\"message\":2,\"ref\":2,\"id\":\"a\"}");
        add(t, FLAG_V1, "me", "{\"message\":2,\"ref\":2,\"id\":\"b\"}");
        ask(t);
        for (size_t i = 0; i < ENTRIES; i++) {
            struct processing p = broker_room_begin(&t->room, t->entries[i]);
            bool is_new = round == 0 && i != 1;
            assert_int_equal(repeats_find(&p).len > 0, !is_new);
            struct client_message *m = repeats_message(&p);
            if (is_new)
                sender_reply_ack(&p, m);
            client_message_unref(m);
        }
        commit(t);
    }
}

/* The broker frees each entry when it is processed, while later ones of the same read still wait. */
static void entries_go_one_by_one(void **state) {
    struct test *t = *state;
    for (size_t i = 0; i < ENTRIES; i += 2) {
        add(t, FLAG_V1, "me", "{\"message\":1,\"ref\":1,\"id\":\"a\"}");
        add_once(t, "a", "{\"message\":1}");
    }
    ask(t);
    for (size_t i = 0; i < ENTRIES; i++) {
        struct processing p = broker_room_begin(&t->room, t->entries[i]);
        assert_int_equal(repeats_find(&p).len > 0, i > 0);
        struct client_message *m = repeats_message(&p);
        if (i == 0)
            sender_reply_ack(&p, m);
        client_message_unref(m);
        in_entry_unref(t->entries[i]);
        t->entries[i] = NULL;
    }
}

/* The reply comes again as it was, but for `ref`. */
static void each_fault_is_kept_but_two(void **state) {
    struct test *t = *state;
    static const char bodies[] = "lnrbh";
    char body[80], is_kept[FAULT_CONFLICT + 1];
    for (enum sender_fault fault = FAULT_LEVEL; fault <= FAULT_CONFLICT; fault++) {
        forget(t);
        snprintf(body, sizeof(body), "{\"message\":1,\"ref\":1,\"id\":\"%d\"}", (int)fault);
        add(t, FLAG_V1, "me", body);
        ask(t);
        struct processing p = broker_room_begin(&t->room, t->entries[0]);
        struct client_message *m = repeats_message(&p);
        sender_reply_error(&p, m, fault, BYTES_LIT("why"));
        commit(t);
        ask(t);
        struct bytes found = repeats_find(&p);
        is_kept[fault] = found.len > 0;
        if (is_kept[fault])
            assert_true(found.ptr[0] == bodies[fault] &&
                        bytes_equal_str(bytes_from(found, 1), "why"));
        client_message_unref(m);
    }
    assert_memory_equal(is_kept, "\1\1\1\1\1\0\0", sizeof(is_kept));
}

/* One message first, the other after it: of the same read, and of the next one. */
static void another_message_with_the_same_id(void **state) {
    struct test *t = *state;
    static const struct {
        const char *first, *second;
        bool is_other;
    } rows[] = {
        {"{\"message\":1,\"ref\":1,\"id\":\"%d\"}", "{\"message\":1,\"ref\":2,\"id\":\"%d\"}",
         false},
        {"{\"message\":1,\"id\":\"%d\"}", " {\"Ref\":[], \"message\" : 1 ,\"ID\":\"%d\"}", false},
        {"{\"message\":[1,2],\"id\":\"%d\"}", "{\"message\":[ 1, 2 ],\"\\u0069d\":\"%d\"}", false},
        {"{\"message\":1,\"id\":\"%d\"}", "{\"message\":2,\"id\":\"%d\"}", true},
        {"{\"message\":1,\"id\":\"%d\"}", "{\"message\":\"1\",\"id\":\"%d\"}", true},
        {"{\"message\":1,\"id\":\"%d\"}", "{\"message\":1,\"group\":\"g\",\"id\":\"%d\"}", true},
        {"{\"message\":1,\"id\":\"%d\"}", "{\"message\":1,\"own\":1,\"id\":\"%d\"}", true},
        {"{\"message\":1,\"path\":\"a\",\"id\":\"%d\"}",
         "{\"message\":1,\"path\":\"b\",\"id\":\"%d\"}", true},
    };
    char body[100], other[100];
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        for (int again = 0; again < 2; again++) {
            int id = (int)i * 2 + again;
            snprintf(body, sizeof(body), rows[i].first, id);
            snprintf(other, sizeof(other), rows[i].second, id);
            forget(t);
            add(t, FLAG_V1, "me", body);
            if (again == 0)
                add(t, FLAG_V1, "me", other);
            ask(t);
            struct processing p = broker_room_begin(&t->room, t->entries[0]);
            assert_false(repeats_is_other(&p));
            struct client_message *m = repeats_message(&p);
            sender_reply_ack(&p, m);
            assert_false(repeats_is_other(&p));
            client_message_unref(m);
            commit(t);
            if (again == 1) {
                forget(t);
                add(t, FLAG_V1, "me", other);
                ask(t);
            }
            p = broker_room_begin(&t->room, t->entries[t->count - 1]);
            assert_int_equal(*repeats_find(&p).ptr, 'a');
            if (repeats_is_other(&p) != rows[i].is_other)
                fail_msg("%s %s", body, other);
        }
    }
}

/* The id comes beside the body: over another transport it is the same message. */
static void what_comes_beside_the_body_is_the_same_message(void **state) {
    struct test *t = *state;
    add_once(t, "a", "{\"message\":1}");
    add(t, FLAG_V1, "me", "{\"message\":1,\"ref\":1,\"id\":\"a\"}");
    add_once(t, "a", "raw");
    ask(t);
    struct processing p = broker_room_begin(&t->room, t->entries[0]);
    struct client_message *m = repeats_message(&p);
    sender_reply_ack(&p, m);
    client_message_unref(m);
    p = broker_room_begin(&t->room, t->entries[1]);
    assert_true(repeats_find(&p).len > 0 && !repeats_is_other(&p));
    p = broker_room_begin(&t->room, t->entries[2]);
    assert_true(repeats_find(&p).len > 0 && repeats_is_other(&p));
    commit(t);
}

/* A broker of before has kept it. */
static void an_answer_without_a_mark_is_for_any(void **state) {
    struct test *t = *state;
    add(t, FLAG_V1, "me", "{\"message\":1,\"id\":\"a\"}");
    assert_true(look(t));
    repeats_take(t->room.batch.repeats, 0, BYTES_LIT("a1-1"));
    struct processing p = broker_room_begin(&t->room, t->entries[0]);
    assert_true(bytes_equal_str(repeats_find(&p), "a1-1"));
    assert_false(repeats_is_other(&p));
}

/* At a whole character. */
static void a_long_reason_is_cut(void **state) {
    struct test *t = *state;
    char why[2 * ANSWER_BYTES_MAX];
    for (size_t i = 0; i < sizeof(why); i++)
        why[i] = i % 2 == 0 ? '\xc3' : '\xa9';
    add(t, FLAG_V1, "me", "{\"message\":1,\"id\":\"a\"}");
    ask(t);
    struct processing p = broker_room_begin(&t->room, t->entries[0]);
    struct client_message *m = repeats_message(&p);
    sender_reply_error(&p, m, FAULT_LEVEL, bytes_of(why, sizeof(why)));
    client_message_unref(m);
    assert_int_equal(repeats_find(&p).len, 1 + (ANSWER_BYTES_MAX - ANSWER_MARK - 1) / 2 * 2);
}

int main(void) {
#define WITH_REDIS(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        WITH_REDIS(only_messages_with_an_id),
        WITH_REDIS(an_id_beside_the_body),
        WITH_REDIS(answered_once),
        WITH_REDIS(entries_go_one_by_one),
        WITH_REDIS(each_fault_is_kept_but_two),
        WITH_REDIS(another_message_with_the_same_id),
        WITH_REDIS(what_comes_beside_the_body_is_the_same_message),
        WITH_REDIS(an_answer_without_a_mark_is_for_any),
        WITH_REDIS(a_long_reason_is_cut),
    };
    if (!redis_server_is_installed())
        return 77;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
