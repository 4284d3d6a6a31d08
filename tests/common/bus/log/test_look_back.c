/* Messages of a Name from the newest on: both logs as one, page by page, until it is enough. */
#include "common/bus/log/look_back.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/bus/partition.h"
#include "tests/common/bus/log_room.h"

struct test {
    struct bus_room room;
    struct bus *bus;
    struct look_back *look_back;
    char got[20000];
    unsigned messages, enough, done;
    int status;
    /* A command when so many messages were read */
    const char *command;
    unsigned command_at;
    bool cancels; /* then, too */
};

static int setup(void **state) {
    static struct test t;
    memset(&t, 0, sizeof(t));
    bus_room_init(&t.room, 1);
    t.bus = bus_room_join(&t.room, BUS_TOOL);
    *state = &t;
    return 0;
}

static int teardown(void **state) {
    struct test *t = *state;
    bus_close(t->bus);
    bus_room_deinit(&t->room);
    return 0;
}

static bool on_message(void *ctx, const struct message *m) {
    struct test *t = ctx;
    size_t len = strlen(t->got);
    snprintf(t->got + len, sizeof(t->got) - len, "%s%s%.*s", len > 0 ? " " : "",
             m->is_to_every ? "*" : "", BYTES_FMT(m->data));
    if (++t->messages == t->command_at && t->command != NULL)
        bus_room_ask(&t->room, t->command, partition_tag(0));
    if (t->messages == t->command_at && t->cancels) {
        look_back_cancel(t->look_back);
        t->done = 1;
    }
    return t->messages < t->enough;
}

static void on_done(void *ctx, int status) {
    struct test *t = ctx;
    t->status = status;
    t->done++;
}

static const char *look_back(struct test *t, const char *before, unsigned enough) {
    static const struct look_back_events events = {on_message, on_done};
    const struct look_back_range range = {
        .name = BYTES_LIT("N"), .before = id_of(before), .wanted = enough};
    t->done = t->messages = 0;
    t->got[0] = '\0';
    t->enough = enough;
    t->look_back = look_back_start(t->bus, &range, &events, t);
    assert_int_equal(t->done, 0);
    bus_room_until(&t->room, &t->done, 1, 5000);
    bus_room_turn(&t->room, 20);
    assert_int_equal(t->done, 1);
    return t->got;
}

static void append_all(struct test *t, const char *name, const char *ids) {
    char copy[200], *rest = copy;
    snprintf(copy, sizeof(copy), "%s", ids);
    for (char *id = strtok_r(copy, " ", &rest); id != NULL; id = strtok_r(NULL, " ", &rest))
        log_append(&t->room, name, id, "", AS_BROKER);
}

static void the_newest_of_both_logs_come_first(void **state) {
    struct test *t = *state;
    static const struct {
        const char *own, *every, *before;
        unsigned enough;
        const char *got;
    } rows[] = {
        {"", "", "", 10, ""},
        {"5-1 5-2 5-4", "", "", 10, "5-4 5-2 5-1"},
        {"5-1 5-2 5-4", "5-3 5-5", "", 10, "*5-5 5-4 *5-3 5-2 5-1"},
        {"5-1 5-2 5-4", "5-3 5-5", "", 5, "*5-5 5-4 *5-3 5-2 5-1"},
        {"5-1 5-2 5-4", "5-3 5-5", "", 4, "*5-5 5-4 *5-3 5-2"},
        {"5-1 5-2 5-4", "5-3 5-5", "", 1, "*5-5"},
        {"5-1 5-2 5-4", "5-3 5-5", "5-5", 10, "5-4 *5-3 5-2 5-1"},
        {"5-1 5-2 5-4", "5-3 5-5", "5-4", 1, "*5-3"},
        {"5-1 5-2 5-4", "5-3 5-5", "5-1", 10, ""},
        {"5-1 5-2 5-4", "5-3 5-5", "6-0", 2, "*5-5 5-4"},
        {"4-9 5-1", "4-7", "5-1", 2, "4-9 *4-7"},
        {"", "5-3", "", 2, "*5-3"},
        /* one page of each at a time: the other log goes on behind it */
        {"5-1 5-2 5-3 5-8 5-9", "5-4 5-5 5-6 5-7", "", 9,
         "5-9 5-8 *5-7 *5-6 *5-5 *5-4 5-3 5-2 5-1"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        bus_room_ask(&t->room, "FLUSHALL");
        append_all(t, "N", rows[i].own);
        append_all(t, "*", rows[i].every);
        log_own(&t->room, "5", "5-9", "0 5");
        const char *got = look_back(t, rows[i].before, rows[i].enough);
        assert_int_equal(t->status, 0);
        if (strcmp(got, rows[i].got) != 0)
            fail_msg("%s|%s before '%s' %u: '%s'", rows[i].own, rows[i].every, rows[i].before,
                     rows[i].enough, got);
    }
}

/* Of its own log some have expired, and some are kept as well. */
static void what_is_kept_counts_once(void **state) {
    struct test *t = *state;
    static const struct {
        const char *own, *kept, *every;
        unsigned enough;
        const char *got;
    } rows[] = {
        {"", "5-1 5-2", "", 9, "5-2 5-1"},
        {"5-2 5-3", "5-1 5-2 5-3", "", 9, "5-3 5-2 5-1"},
        {"5-1 5-2 5-3", "5-3", "", 9, "5-3 5-2 5-1"},
        {"5-4", "5-1 5-4", "5-2 5-5", 9, "*5-5 5-4 *5-2 5-1"},
        {"5-1 5-2 5-3 5-4", "5-1 5-2 5-3 5-4", "", 2, "5-4 5-3"},
        {"5-4", "5-1 5-2 5-3 5-4", "", 1, "5-4"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        bus_room_ask(&t->room, "FLUSHALL");
        log_own(&t->room, "5", "5-9", "0 5");
        append_all(t, "N", rows[i].kept);
        if (*rows[i].kept != '\0')
            bus_room_ask(&t->room, "RENAME sb:{%s}:h:N sb:{%s}:k:N", partition_tag(0),
                         partition_tag(0));
        append_all(t, "N", rows[i].own);
        append_all(t, "*", rows[i].every);
        const char *got = look_back(t, "", rows[i].enough);
        if (strcmp(got, rows[i].got) != 0)
            fail_msg("%s|%s|%s %u: '%s'", rows[i].own, rows[i].kept, rows[i].every, rows[i].enough,
                     got);
    }
}

/* Page by page, too. */
static void all_of_it_is_kept_as_well(void **state) {
    struct test *t = *state;
    char id[24];
    const char *tag = partition_tag(0);
    log_own(&t->room, "1", "1-700", "0 1");
    for (unsigned i = 1; i <= 700; i++) {
        snprintf(id, sizeof(id), "1-%u", i);
        log_append(&t->room, "N", id, "", IN_HISTORY | IN_LAST);
    }
    bus_room_ask(&t->room, "COPY sb:{%s}:h:N sb:{%s}:k:N", tag, tag);
    bus_room_ask(&t->room, "XTRIM sb:{%s}:h:N MINID 1-100", tag);
    (void)look_back(t, "", 1000);
    assert_int_equal(t->messages, 700);
    assert_true(strncmp(t->got, "1-700 1-699 1-698", 17) == 0);
    bus_room_ask(&t->room, "XTRIM sb:{%s}:k:N MINID 1-600", tag);
    (void)look_back(t, "", 1000);
    assert_int_equal(t->messages, 601);
}

/* 1-1 … 1-<count>, odd ones of N and even ones of every Name. */
static void fill(struct test *t, unsigned count) {
    char id[24];
    log_own(&t->room, "1", "1-1", "0 1");
    for (unsigned i = 1; i <= count; i++) {
        snprintf(id, sizeof(id), "1-%u", i);
        log_append(&t->room, i % 2 == 1 ? "N" : "*", id, "", IN_HISTORY | IN_LAST);
    }
}

static void assert_falling(const char *got, unsigned from, unsigned to) {
    char expected[20000], *at = expected;
    for (unsigned i = from; i >= to; i--)
        at += snprintf(at, sizeof(expected) - (size_t)(at - expected), "%s%s1-%u",
                       at > expected ? " " : "", i % 2 == 1 ? "" : "*", i);
    assert_string_equal(got, expected);
}

static void pages_follow_each_other(void **state) {
    struct test *t = *state;
    fill(t, 1300);
    assert_falling(look_back(t, "", LOOK_BACK_MAX), 1300, 301);
    assert_falling(look_back(t, "", 3), 1300, 1298);
    t->command_at = 0;
    /* of few that are wanted, each is found late: whoever asks takes more than it hoped for */
    const struct look_back_range range = {.name = BYTES_LIT("N"), .wanted = 1};
    static const struct look_back_events events = {on_message, on_done};
    t->done = t->messages = 0;
    t->got[0] = '\0';
    t->enough = 1300;
    t->look_back = look_back_start(t->bus, &range, &events, t);
    bus_room_until(&t->room, &t->done, 1, 5000);
    assert_falling(t->got, 1300, 1);
}

/* What is trimmed while it is read is not there, and what is new is not asked for. */
static void the_log_changes_while_it_is_read(void **state) {
    struct test *t = *state;
    fill(t, 100);
    t->command = "XTRIM sb:{%s}:h:N MINID 1-90";
    t->command_at = 1;
    const char *got = look_back(t, "", 40);
    assert_true(strncmp(got, "*1-100 1-99 *1-98", 17) == 0);
    assert_int_equal(t->messages, 40);
    bus_room_ask(&t->room, "FLUSHALL");
    fill(t, 700);
    t->command = "FLUSHALL%.0s";
    t->command_at = 1;
    (void)look_back(t, "", 700);
    assert_int_equal(t->status, 0);
    assert_in_range(t->messages, 1, 699); /* of the first pages */
    assert_falling(t->got, 700, 701 - t->messages);
    fill(t, 10);
    bus_room_ask(&t->room, "SET sb:{%s}:h:M x", partition_tag(0));
    assert_falling(look_back(t, "", 20), 10, 1);
}

static void it_may_be_cancelled_and_redis_may_go(void **state) {
    struct test *t = *state;
    fill(t, 20);
    t->command_at = 3;
    t->cancels = true;
    (void)look_back(t, "", 10);
    assert_int_equal(t->messages, 3);
    t->cancels = false;
    t->command_at = 0;
    bus_room_ask(&t->room, "DEL sb:{%s}:h:N", partition_tag(0));
    bus_room_ask(&t->room, "SET sb:{%s}:h:N x", partition_tag(0));
    assert_string_equal(look_back(t, "", 10), "");
    assert_int_equal(t->status, -ENOTCONN);
    look_back_cancel(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_newest_of_both_logs_come_first, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_kept_counts_once, setup, teardown),
        cmocka_unit_test_setup_teardown(all_of_it_is_kept_as_well, setup, teardown),
        cmocka_unit_test_setup_teardown(pages_follow_each_other, setup, teardown),
        cmocka_unit_test_setup_teardown(the_log_changes_while_it_is_read, setup, teardown),
        cmocka_unit_test_setup_teardown(it_may_be_cancelled_and_redis_may_go, setup, teardown),
    };
    if (!redis_server_is_installed())
        return 77;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
