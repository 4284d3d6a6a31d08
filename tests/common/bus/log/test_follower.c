/* Following a log over everything that loses messages: none is missed in silence, and nobody stays
 * deaf. "got" is what the owner was told: ids, and LOST and REWOUND for the gaps. */
#include "common/bus/log/follower.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <hiredis/hiredis.h>

#include "common/base/log.h"
#include "common/bus/log/follow.h"
#include "common/bus/partition.h"
#include "tests/common/bus/log_room.h"

enum { LONG_MS = 8000, QUIET_MS = 2500 };

struct test {
    struct bus_room room;
    struct bus *bus;
    struct follower *follower;
    struct follow *follow;
    char got[400];
    unsigned told, ready;
    bool is_silent; /* keeps no book */
};

static void tell(struct test *t, const char *what, size_t len) {
    size_t at = strlen(t->got);
    snprintf(t->got + at, sizeof(t->got) - at, "%s%.*s", at > 0 ? " " : "", (int)len, what);
    t->told++;
}

static void on_message(void *ctx, void *owner, const struct message *m) {
    (void)ctx;
    tell(owner, m->data.ptr, m->data.len);
}

static void on_gap(void *ctx, void *owner, enum gap gap) {
    (void)ctx;
    const char *text = gap == GAP_LOST ? "LOST" : gap == GAP_NONE ? "NONE" : "REWOUND";
    tell(owner, text, strlen(text));
}

static void on_ready(void *ctx, int status) {
    struct test *t = ctx;
    assert_int_equal(status, 0);
    t->ready++;
}

static const struct follower_events events = {on_message, on_gap};

static void follow(struct test *t, const char *start) {
    t->follow = follower_follow(t->follower, BYTES_LIT("N"), t);
    t->ready = 0;
    follow_when_ready(t->follow, on_ready, t);
    bus_room_until(&t->room, &t->ready, 1, LONG_MS);
    follow_start_at(t->follow, id_of(start));
}

static int setup(void **state) {
    static struct test t;
    memset(&t, 0, sizeof(t));
    bus_room_init(&t.room, 1);
    t.bus = bus_new(&t.room.loop, &t.room.settings, BUS_GATEWAY);
    assert_non_null(t.bus);
    t.follower = follower_new(t.bus, &events, NULL);
    bus_start(t.bus);
    log_own(&t.room, "5", "5-1", "0 5");
    follow(&t, "5-1");
    *state = &t;
    return 0;
}

static int teardown(void **state) {
    struct test *t = *state;
    follower_free(t->follower);
    bus_close(t->bus);
    bus_room_deinit(&t->room);
    return 0;
}

static void ask(struct test *t, const char *format, const char *tag) {
    char command[200];
    snprintf(command, sizeof(command), format, tag);
    bus_room_ask(&t->room, "%s", command);
}

static void expect(struct test *t, const char *got) {
    unsigned count = *got != '\0';
    for (const char *c = got; *c != '\0'; c++)
        count += *c == ' ';
    bus_room_until(&t->room, &t->told, count, LONG_MS);
    assert_string_equal(t->got, got);
}

/* Nothing else comes for two heartbeats and more. */
static void expect_no_more(struct test *t, const char *got) {
    expect(t, got);
    bus_room_turn(&t->room, QUIET_MS);
    assert_string_equal(t->got, got);
}

/* The feed breaks; `while_away` happens before it is back. */
static void break_feed(struct test *t) {
    ask(t, "CLIENT KILL TYPE pubsub", "");
}

static void live_and_in_order(void **state) {
    struct test *t = *state;
    log_append(&t->room, "N", "5-2", "5-1", AS_BROKER);
    log_append(&t->room, "*", "5-3", "5-0", AS_BROKER);
    log_append(&t->room, "N", "5-4", "5-2", AS_BROKER);
    log_own(&t->room, "5", "5-4", "0 5");
    expect_no_more(t, "5-2 5-3 5-4");
}

static void hole_is_filled_from_the_history(void **state) {
    struct test *t = *state;
    log_append(&t->room, "N", "5-2", "5-1", IN_HISTORY);
    log_append(&t->room, "N", "5-3", "5-2", AS_BROKER);
    expect(t, "5-2 5-3");
}

/* A note says nothing of its log: neither that something is missing nor that nothing is. */
static void note_has_no_place(void **state) {
    struct test *t = *state;
    log_append(&t->room, "N", "5-2", "0-0", ON_FEED | IS_NOTE);
    log_append(&t->room, "N", "5-3", "5-1", AS_BROKER);
    log_append(&t->room, "N", "5-4", "5-3", IN_HISTORY);
    log_append(&t->room, "N", "5-5", "0-0", ON_FEED | IS_NOTE);
    log_append(&t->room, "N", "5-6", "5-4", AS_BROKER);
    log_append(&t->room, "N", "5-7", "0-0", ON_FEED | IS_NOTE);
    expect(t, "5-2 5-3 5-5 5-4 5-6 5-7");
    assert_int_equal(follow_position(t->follow).seq, 6);
}

static void hole_that_cannot_be_filled_is_told(void **state) {
    struct test *t = *state;
    log_append(&t->room, "N", "5-3", "5-2", AS_BROKER);
    expect(t, "LOST 5-3");
}

/* Item 8: the feed lost a message without a break, and nothing follows. */
static void nothing_follows_what_the_feed_lost(void **state) {
    struct test *t = *state;
    log_append(&t->room, "N", "5-2", "5-1", IN_HISTORY | IN_LAST);
    expect(t, "5-2");
    log_append(&t->room, "*", "5-3", "5-0", IN_HISTORY | IN_LAST);
    expect_no_more(t, "5-2 5-3");
}

/* Item 9: it was lost for good: expired, or never kept. */
static void nothing_follows_what_was_lost(void **state) {
    struct test *t = *state;
    static const char *const logs[] = {"N", "*"};
    for (size_t i = 0; i < ARRAY_LEN(logs); i++) {
        t->got[0] = '\0';
        t->told = 0;
        log_append(&t->room, logs[i], i == 0 ? "5-2" : "5-3", "5-1", IN_LAST);
        expect_no_more(t, "LOST");
    }
    log_append(&t->room, "N", "5-4", "5-2", AS_BROKER);
    expect(t, "LOST 5-4");
}

/* Nothing of the other log that is later comes before it is told. */
static void what_was_lost_is_told_before_what_is_later(void **state) {
    struct test *t = *state;
    break_feed(t);
    log_append(&t->room, "*", "5-3", "5-0", IN_HISTORY | IN_LAST);
    log_append(&t->room, "N", "5-4", "5-2", IN_HISTORY | IN_LAST);
    log_append(&t->room, "*", "5-5", "5-3", IN_HISTORY | IN_LAST);
    log_own(&t->room, "5", "5-5", "0 5");
    expect_no_more(t, "LOST 5-3 5-4 5-5");
}

/* The same, where no history has what comes next. */
static void what_was_lost_is_told_before_what_is_held(void **state) {
    struct test *t = *state;
    log_append(&t->room, "*", "5-3", "5-0", IN_HISTORY | IN_LAST);
    log_append(&t->room, "N", "5-4", "5-2", ON_FEED | IN_LAST);
    expect_no_more(t, "LOST 5-3 5-4");
}

/* Somebody wrote into l:, and it names what no owner can have published. */
static void last_id_that_cannot_be_is_ignored(void **state) {
    struct test *t = *state;
    log_append(&t->room, "N", "18446744073709551615-9", "5-1", IN_LAST);
    log_append(&t->room, "*", "6-1", "5-1", IN_LAST);
    expect_no_more(t, "");
    break_feed(t);
    expect_no_more(t, "");
    log_append(&t->room, "N", "5-2", "5-1", AS_BROKER);
    expect_no_more(t, "5-2");
}

static void nothing_follows_what_was_lost_with_the_feed(void **state) {
    struct test *t = *state;
    break_feed(t);
    log_append(&t->room, "N", "5-2", "5-1", IN_LAST);
    log_own(&t->room, "5", "5-2", "0 5");
    expect_no_more(t, "LOST");
}

/* Without history: what came after the feed was back is not doubted for what was before. */
static void live_after_what_was_lost(void **state) {
    struct test *t = *state;
    break_feed(t);
    bus_room_turn(&t->room, 500);
    log_append(&t->room, "N", "5-2", "5-1", ON_FEED | IN_LAST);
    log_append(&t->room, "N", "5-4", "5-3", ON_FEED | IN_LAST);
    expect_no_more(t, "5-2 LOST 5-4");
}

/* Item 7. "own" after the failover, what is published then, and what the owner is told. */
static bool has_settled(const struct test *t, const char *id) {
    struct message_id settled;
    (void)follow_settled(t->follow, 0, &settled);
    return message_id_compare(settled, id_of(id)) >= 0;
}

/* The other log goes on: what is later has come before what was lost is missed. */
static void what_is_settled_is_not_beyond_what_was_lost(void **state) {
    struct test *t = *state;
    struct message_id settled;
    unsigned turns = 0;
    ask(t, "SET sb:{%s}:l:N 5-1", partition_tag(0));
    log_append(&t->room, "*", "5-2", "5-0", AS_BROKER);
    while (!has_settled(t, "5-2") && turns++ < LONG_MS)
        bus_room_turn(&t->room, 1);
    log_append(&t->room, "N", "5-3", "5-1", IN_HISTORY | IN_LAST);
    log_append(&t->room, "*", "5-4", "5-2", AS_BROKER);
    expect(t, "5-2 5-4");
    uint64_t since_ms = uv_now(&t->room.loop);
    assert_int_equal(follow_position(t->follow).seq, 4);
    assert_false(has_settled(t, "5-3"));
    while (!has_settled(t, "5-4") && turns++ < LONG_MS) {
        assert_true(!has_settled(t, "5-3") || strstr(t->got, "5-3") != NULL);
        assert_false(follow_settled(t->follow, since_ms, &settled));
        bus_room_turn(&t->room, 1);
    }
    expect(t, "5-2 5-4 5-3");
    while (!follow_settled(t->follow, since_ms, &settled) && turns++ < LONG_MS)
        bus_room_turn(&t->room, 1);
    assert_int_equal(settled.seq, 4);
}

/* The two logs are asked one after the other. */
static void what_is_settled_was_so_in_both_logs_at_once(void **state) {
    static const struct {
        const char *own, *every;
        uint64_t asked_ms;
        const char *settled;
        uint64_t settled_ms;
    } audits[] = {
        {"5-1", "5-0", 10, "5-1", 10},
        {"5-1", "5-3", 20, "5-1", 10}, /* between the two something may have come to its own log */
        {"5-1", "5-3", 30, "5-3", 30},
        {"5-1", "5-2", 40, "5-3", 40}, /* it never goes back */
        {"5-4", "5-3", 50, "5-3", 40}, /* that one is missing */
        {"0-0", "5-3", 60, "5-3", 40},
        {"5-1", "0-0", 70, "5-3", 40},
    };
    struct test *t = *state;
    log_append(&t->room, "*", "5-3", "5-0", AS_BROKER);
    expect(t, "5-3");
    t->follow->settled = t->follow->every = MESSAGE_ID_NONE;
    t->follow->settled_ms = t->follow->audited_ms = 0;
    for (size_t i = 0; i < ARRAY_LEN(audits); i++) {
        struct gap_audited said = {{id_of(audits[i].own), id_of(audits[i].every)},
                                   audits[i].asked_ms};
        follow_on_audited(t->follow, &said);
        if (message_id_compare(t->follow->settled, id_of(audits[i].settled)) != 0 ||
            t->follow->settled_ms != audits[i].settled_ms)
            fail_msg("audit %zu", i);
    }
}

static void redis_falls_back(void **state) {
    struct test *t = *state;
    static const struct {
        const char *what, *term, *last, *lineage, *id, *prev, *got;
    } rows[] = {
        {"behind: later ids are smaller", "4", "4-7", "0 4", "4-8", "4-7", "REWOUND 4-8"},
        {"nothing was published yet", "4", "", "0 4", "4-1", "4-0", "NONE 4-1"},
        {"another term in the place of ours", "6", "6-2", "0 4 6<4-3", "6-3", "6-2", "REWOUND 6-3"},
        {"… and nothing in it", "6", "6-2", "0 6", "6-3", "6-0", "6-3"},
        {"only the end was lost", "6", "6-1", "0 5 6", "6-2", "5-1", "6-2"},
        {"fresh data, later ids", "7", "7-1", "0 7", "7-2", "7-0", "7-2"},
        {"a lineage nobody wrote", "7", "7-1", "", "7-2", "5-1", "7-2"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        follower_stop(t->follower, t->follow);
        bus_room_ask(&t->room, "FLUSHALL");
        log_own(&t->room, "5", "5-1", "0 5");
        follow(t, "5-1");
        t->follow->settled = id_of("5-1");
        t->got[0] = '\0';
        t->told = 0;
        log_own(&t->room, rows[i].term, rows[i].last, rows[i].lineage);
        break_feed(t);
        bus_room_turn(&t->room, 600);
        log_append(&t->room, "N", rows[i].id, rows[i].prev, AS_BROKER);
        bus_room_until(&t->room, &t->told, strchr(rows[i].got, ' ') != NULL ? 2 : 1, LONG_MS);
        if (strcmp(t->got, rows[i].got) != 0)
            fail_msg("%s: %s", rows[i].what, t->got);
        if (message_id_compare(t->follow->settled, t->follow->position) > 0)
            fail_msg("%s: it stays settled", rows[i].what);
    }
}

/* Redis does not know, or not from the beginning, that somebody has joined the Name: what came to it
 * meanwhile has no history, unless the owner keeps the logs of all. */
static void redis_forgot_who_had_joined(void **state) {
    struct test *t = *state;
    static const struct {
        const char *last, *since, *kept, *got;
    } rows[] = {
        {"7-1", "", "", "LOST 7-2"},
        {"7-1", "7-1", "", "LOST 7-2"},
        {"7-1", "5-1", "", "7-2"},
        {"7-1", "", "99999999999999 0-0", "7-2"},
        {"7-1", "", "99999999999999 5-1", "7-2"},
        {"7-1", "", "99999999999999 5-2", "LOST 7-2"},
        {"7-1", "", "1000 0-0", "LOST 7-2"}, /* it has done so, long ago */
        {"7-1", "", "99999999999999 x", "LOST 7-2"},
        {"", "", "", "7-2"}, /* nothing was published */
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        follower_stop(t->follower, t->follow);
        bus_room_ask(&t->room, "FLUSHALL");
        log_own(&t->room, "5", "5-1", "0 5");
        follow(t, "5-1");
        t->got[0] = '\0';
        t->told = 0;
        log_own(&t->room, "7", rows[i].last, "0 7");
        ask(t, "DEL sb:{%s}:s:N", partition_tag(0));
        if (rows[i].since[0] != '\0')
            bus_room_ask(&t->room, "SET sb:{%s}:s:N %s", partition_tag(0), rows[i].since);
        freeReplyObject(redisCommand(t->room.redis.admin, "HSET sb:{%s}:own k %s", partition_tag(0),
                                     rows[i].kept));
        break_feed(t);
        bus_room_turn(&t->room, 600);
        log_append(&t->room, "N", "7-2", "7-0", AS_BROKER);
        bus_room_until(&t->room, &t->told, strchr(rows[i].got, ' ') != NULL ? 2 : 1, LONG_MS);
        if (strcmp(t->got, rows[i].got) != 0)
            fail_msg("row %zu: %s", i, t->got);
    }
}

/* The data that were given up had all that today's have: nothing was missed. */
static void redis_falls_back_to_what_was_read(void **state) {
    struct test *t = *state;
    static const struct {
        const char *term, *last, *terms, *since, *prev, *id, *got;
    } rows[] = {
        {"4", "4-3", "0 4", "0-0", "4-3", "4-4", "NONE 4-4"},
        {"4", "4-5", "0 4", "0-0", "4-5", "4-6", "REWOUND 4-6"},
        {"6", "6-2", "0 4 6<4-3", "4-3", "4-3", "6-3", "6-3"},
        {"6", "6-2", "0 4 6<4-3", "6-1", "6-2", "6-3", "REWOUND 6-3"}, /* joined later there */
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        follower_stop(t->follower, t->follow);
        bus_room_ask(&t->room, "DEL sb:{%s}:h:N sb:{%s}:l:N", partition_tag(0), partition_tag(0));
        log_own(&t->room, "5", "5-1", "0 4 5<4-4");
        follow(t, "5-1");
        bus_room_turn(&t->room, 1500); /* until it is known what Redis has */
        t->got[0] = '\0';
        t->told = 0;
        log_own(&t->room, rows[i].term, rows[i].last, rows[i].terms);
        bus_room_ask(&t->room, "SET sb:{%s}:s:N %s", partition_tag(0), rows[i].since);
        break_feed(t);
        bus_room_turn(&t->room, 600);
        log_append(&t->room, "N", rows[i].id, rows[i].prev, AS_BROKER);
        expect(t, rows[i].got);
    }
}

/* What the follow stood at when a registration was asked for is later than what it answers. */
static void registration_shows_that_redis_fell_back(void **state) {
    struct test *t = *state;
    log_own(&t->room, "4", "4-7", "0 4");
    follow_compare(t->follow, follow_position(t->follow), id_of("4-7"));
    expect(t, "REWOUND");
    log_append(&t->room, "N", "4-8", "4-7", AS_BROKER);
    expect(t, "REWOUND 4-8");
}

/* Everything is gone, the feed stands, nobody owns the partition yet. */
static void redis_forgets(void **state) {
    struct test *t = *state;
    bus_room_turn(&t->room, 1500); /* a heartbeat that can be missed */
    bus_room_ask(&t->room, "FLUSHALL");
    bus_room_turn(&t->room, 2500);
    log_append(&t->room, "N", "9-1", "9-0", AS_BROKER);
    expect_no_more(t, "9-1");
}

static void redis_forgets_and_its_clock_is_behind(void **state) {
    struct test *t = *state;
    bus_room_turn(&t->room, 1500);
    bus_room_ask(&t->room, "FLUSHALL");
    bus_room_turn(&t->room, 2500);
    log_append(&t->room, "N", "3-1", "3-0", AS_BROKER);
    log_append(&t->room, "N", "3-2", "3-1", AS_BROKER);
    expect(t, "REWOUND 3-1 3-2");
}

/* A server that restarts: both links are new, the data another's. */
static void redis_restarts_with_other_data(void **state) {
    struct test *t = *state;
    redis_server_kill(&t->room.redis);
    redis_server_restart(&t->room.redis, "");
    log_own(&t->room, "4", "4-7", "0 4");
    expect(t, "REWOUND");
    log_append(&t->room, "N", "4-8", "4-7", AS_BROKER);
    expect(t, "REWOUND 4-8");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(live_and_in_order, setup, teardown),
        cmocka_unit_test_setup_teardown(hole_is_filled_from_the_history, setup, teardown),
        cmocka_unit_test_setup_teardown(note_has_no_place, setup, teardown),
        cmocka_unit_test_setup_teardown(hole_that_cannot_be_filled_is_told, setup, teardown),
        cmocka_unit_test_setup_teardown(nothing_follows_what_the_feed_lost, setup, teardown),
        cmocka_unit_test_setup_teardown(nothing_follows_what_was_lost, setup, teardown),
        cmocka_unit_test_setup_teardown(nothing_follows_what_was_lost_with_the_feed, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(what_was_lost_is_told_before_what_is_later, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(what_was_lost_is_told_before_what_is_held, setup, teardown),
        cmocka_unit_test_setup_teardown(last_id_that_cannot_be_is_ignored, setup, teardown),
        cmocka_unit_test_setup_teardown(live_after_what_was_lost, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_settled_is_not_beyond_what_was_lost, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(what_is_settled_was_so_in_both_logs_at_once, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(redis_falls_back, setup, teardown),
        cmocka_unit_test_setup_teardown(redis_forgot_who_had_joined, setup, teardown),
        cmocka_unit_test_setup_teardown(redis_falls_back_to_what_was_read, setup, teardown),
        cmocka_unit_test_setup_teardown(registration_shows_that_redis_fell_back, setup, teardown),
        cmocka_unit_test_setup_teardown(redis_forgets, setup, teardown),
        cmocka_unit_test_setup_teardown(redis_forgets_and_its_clock_is_behind, setup, teardown),
        cmocka_unit_test_setup_teardown(redis_restarts_with_other_data, setup, teardown),
    };
    if (!redis_server_is_installed())
        return 77;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
