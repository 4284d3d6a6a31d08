/* test_feed.c - subscriptions: wanted and given up in every order, over broken connections, many at
 * once, and refused. */
#include "common/bus/redis/feed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/must.h"
#include "tests/common/bus/link_room.h"

enum { BATCH = 512 };

struct test {
    struct room room;
    struct feed *feed;
    unsigned ready, down, subscribed, messages, refused;
    char last[64];
};

static void on_ready(void *ctx) {
    ((struct test *)ctx)->ready++;
}

static void on_down(void *ctx, const char *why) {
    (void)why;
    ((struct test *)ctx)->down++;
}

static void on_subscribed(void *ctx) {
    ((struct test *)ctx)->subscribed++;
}

static void on_message(void *ctx, struct bytes payload) {
    struct test *t = ctx;
    t->messages++;
    snprintf(t->last, sizeof(t->last), "%.*s", BYTES_FMT(payload));
}

static void on_refused(void *ctx, struct bytes error) {
    struct test *t = ctx;
    t->refused++;
    snprintf(t->last, sizeof(t->last), "%.*s", BYTES_FMT(error));
}

static const struct channel_events events = {.on_subscribed = on_subscribed,
                                             .on_message = on_message};
static const struct channel_events refusable = {
    .on_subscribed = on_subscribed, .on_message = on_message, .on_refused = on_refused};

static int setup(void **state) {
    static struct test t;
    static const struct feed_events feed_events = {on_ready, on_down};
    memset(&t, 0, sizeof(t));
    room_init_redis(&t.room, "");
    t.feed = feed_new(&feed_events, &t);
    *state = &t;
    return 0;
}

static int teardown(void **state) {
    struct test *t = *state;
    feed_close(t->feed);
    room_deinit(&t->room);
    feed_free(t->feed);
    return 0;
}

static void open_feed(struct test *t) {
    feed_open(t->feed, &t->room.loop, &t->room.url);
    until(&t->room, &t->ready, 1, 5000);
}

static void want(struct test *t, const char *name) {
    feed_subscribe(t->feed, bytes_str(name), &events, t);
}

static void give_up(struct test *t, const char *name) {
    feed_unsubscribe(t->feed, bytes_str(name));
}

static long long publish(struct test *t, const char *channel, const char *text) {
    char command[100];
    snprintf(command, sizeof(command), "PUBLISH %s %s", channel, text);
    return redis_server_number(&t->room.redis, command);
}

/* "+" wanted, "-" given up, "." a turn of the loop; and whether it is heard in the end. */
static void the_last_word_counts(void **state) {
    static const struct {
        const char *story;
        bool is_heard;
    } rows[] = {{"+", true},     {"-", false},     {"+-", false},      {"+-+", true},
                {"+.", true},    {"+.-", false},   {"+.-+", true},     {"+.-+-", false},
                {"+.-.+", true}, {"+.-.-", false}, {"+-.+", true},     {"+-+-.", false},
                {"++", true},    {"+.+", true},    {"+.-.+.-", false}, {"--+", true}};
    struct test *t = *state;
    open_feed(t);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char name[16];
        snprintf(name, sizeof(name), "c%zu", i);
        for (const char *c = rows[i].story; *c != '\0'; c++) {
            if (*c == '+')
                want(t, name);
            else if (*c == '-')
                give_up(t, name);
            else
                turn(&t->room, 20);
        }
        t->messages = 0;
        if (!rows[i].is_heard)
            publish(t, name, "early"); /* not wanted any more, whatever Redis knows */
        turn(&t->room, 30);
        assert_int_equal(publish(t, name, "late"), rows[i].is_heard);
        turn(&t->room, 20);
        if (t->messages != rows[i].is_heard)
            fail_msg("'%s': %u messages", rows[i].story, t->messages);
    }
    assert_int_equal(t->down, 0);
}

static void each_is_told_once(void **state) {
    struct test *t = *state;
    open_feed(t);
    want(t, "a");
    until(&t->room, &t->subscribed, 1, 2000);
    want(t, "a");
    want(t, "b");
    until(&t->room, &t->subscribed, 2, 2000);
    turn(&t->room, 30);
    assert_int_equal(t->subscribed, 2);
    publish(t, "a", "one");
    publish(t, "c", "other");
    until(&t->room, &t->messages, 1, 2000);
    turn(&t->room, 20);
    assert_int_equal(t->messages, 1);
    assert_string_equal(t->last, "one");
}

/* Those wanted before there is a connection, and all of them again after it broke: none, one, a
 * command full, one more, and several commands. */
static void many_are_subscribed_together(void **state) {
    static const unsigned counts[] = {0, 1, BATCH, BATCH + 1, 2 * BATCH + 3};
    struct test *t = *state;
    unsigned made = 0;
    char name[16];
    open_feed(t);
    for (size_t i = 0; i < ARRAY_LEN(counts); i++) {
        for (; made < counts[i]; made++) {
            snprintf(name, sizeof(name), "n%u", made);
            want(t, name);
        }
        turn(&t->room, 50);
        t->subscribed = t->ready = 0;
        redis_server_do(&t->room.redis, "CLIENT KILL TYPE pubsub");
        redis_server_do(&t->room.redis, "CLIENT KILL TYPE normal SKIPME yes");
        until(&t->room, &t->ready, 1, 5000);
        turn(&t->room, 100);
        assert_int_equal(t->subscribed, counts[i]);
        for (unsigned n = 0; n < made; n += made / 7 + 1) {
            snprintf(name, sizeof(name), "n%u", n);
            assert_int_equal(publish(t, name, "x"), 1);
        }
    }
}

/* What is given up while the connection is away is forgotten. */
static void a_break_forgets_what_nobody_wants(void **state) {
    struct test *t = *state;
    open_feed(t);
    want(t, "kept");
    want(t, "gone");
    want(t, "under_way");
    until(&t->room, &t->subscribed, 3, 2000);
    give_up(t, "under_way");
    redis_server_do(&t->room.redis, "CLIENT KILL TYPE pubsub");
    until(&t->room, &t->down, 1, 2000);
    give_up(t, "gone");
    give_up(t, "never");
    until(&t->room, &t->ready, 2, 5000);
    turn(&t->room, 50);
    assert_int_equal(publish(t, "kept", "x"), 1);
    assert_int_equal(publish(t, "gone", "x"), 0);
    assert_int_equal(publish(t, "under_way", "x"), 0);
}

/* An error is told to the one who asked, if it wants to know; else the connection ends. */
static void what_redis_refuses(void **state) {
    struct test *t = *state;
    open_feed(t);
    redis_server_do(&t->room.redis, "ACL SETUSER default -subscribe");
    feed_subscribe(t->feed, BYTES_LIT("a"), &refusable, t);
    until(&t->room, &t->refused, 1, 2000);
    assert_memory_equal(t->last, "NOPERM", 6);
    assert_int_equal(t->down, 0);
    redis_server_do(&t->room.redis, "ACL SETUSER default +subscribe");
    feed_subscribe(t->feed, BYTES_LIT("a"), &refusable, t); /* again */
    until(&t->room, &t->subscribed, 1, 2000);
    redis_server_do(&t->room.redis, "ACL SETUSER default -subscribe");
    want(t, "b");
    until(&t->room, &t->down, 1, 2000);
    assert_int_equal(t->refused, 1);
    redis_server_do(&t->room.redis, "ACL SETUSER default +subscribe");
    until(&t->room, &t->subscribed, 3, 8000);
}

int main(void) {
#define WITH_REDIS(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        WITH_REDIS(the_last_word_counts),         WITH_REDIS(each_is_told_once),
        WITH_REDIS(many_are_subscribed_together), WITH_REDIS(a_break_forgets_what_nobody_wants),
        WITH_REDIS(what_redis_refuses),
    };
    if (!redis_server_is_installed())
        return 77;
    return cmocka_run_group_tests(tests, nothing_is_printed, NULL);
}
