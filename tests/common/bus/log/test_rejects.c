/* test_rejects.c - the streams of what was refused: what a row holds, and how many there are. */
#include "common/bus/log/rejects.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/bus/partition.h"
#include "common/bus/redis/refusals.h"
#include "tests/common/bus/bus_room.h"

struct test {
    struct bus_room room;
    struct bus *bus;
};

static int setup(void **state) {
    static struct test t;
    memset(&t, 0, sizeof(t));
    bus_room_init(&t.room, 4);
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

static unsigned ask_number(struct test *t, const char *command, const char *key) {
    return (unsigned)strtoul(bus_room_ask(&t->room, "%s %s", command, key), NULL, 10);
}

static void until_length(struct test *t, const char *key, unsigned length) {
    for (int i = 0; i < 400 && ask_number(t, "XLEN", key) != length; i++)
        bus_room_turn(&t->room, 5);
    assert_int_equal(ask_number(t, "XLEN", key), length);
}

static void each_goes_where_it_belongs(void **state) {
    const struct bytes fields[] = {BYTES_LIT("reason"), BYTES_LIT("why"), BYTES_LIT("m"),
                                   BYTES_LIT("{}")};
    struct test *t = *state;
    char key[64];
    for (unsigned p = 0; p < 4; p++) {
        rejects_add_dead_letter(t->bus, p, fields, 4);
        snprintf(key, sizeof(key), "sb:{%s}:dl", partition_tag(p));
        until_length(t, key, 1);
        assert_non_null(strstr(bus_room_ask(&t->room, "XRANGE %s - +", key), "reason why m {}"));
    }
    rejects_add_dead_letter(t->bus, 4, fields, 4); /* of the public stream */
    until_length(t, "sb:{sb}:xdl", 1);
    rejects_add_refused(t->bus, fields, 4);
    until_length(t, "signalbox:refused", 1);
}

/* The longest value that is kept whole, and one beyond; of several the longest counts. */
static void a_long_value_is_cut(void **state) {
    static char text[2 * REJECTS_VALUE_MAX];
    static const struct {
        size_t first, second, kept;
        const char *bytes; /* "": whole */
    } rows[] = {{10, 20, 20, ""},
                {1, REJECTS_VALUE_MAX, REJECTS_VALUE_MAX, ""},
                {1, REJECTS_VALUE_MAX + 1, REJECTS_VALUE_MAX, "65537"},
                {70000, 66000, REJECTS_VALUE_MAX, "70000"},
                {66000, 70000, REJECTS_VALUE_MAX, "70000"}};
    struct test *t = *state;
    memset(text, 'x', sizeof(text));
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct bytes fields[] = {BYTES_LIT("a"), bytes_of(text, rows[i].first),
                                       BYTES_LIT("b"), bytes_of(text, rows[i].second)};
        bus_room_ask(&t->room, "DEL signalbox:refused");
        rejects_add_refused(t->bus, fields, 4);
        until_length(t, "signalbox:refused", 1);
        const char *row = bus_room_ask(
            &t->room, "EVAL "
                      "local\tf=redis.call('XRANGE',KEYS[1],'-','+')[1][2]return{#f[2],#f[4],#f,f["
                      "6]or'none'} 1 signalbox:refused");
        char expected[100];
        snprintf(expected, sizeof(expected), "%zu %zu %d %s",
                 rows[i].first < REJECTS_VALUE_MAX ? rows[i].first : (size_t)REJECTS_VALUE_MAX,
                 rows[i].kept, *rows[i].bytes ? 6 : 4, *rows[i].bytes ? rows[i].bytes : "none");
        assert_string_equal(row, expected);
    }
}

static void the_last_thousand_are_kept(void **state) {
    const struct bytes fields[] = {BYTES_LIT("a"), BYTES_LIT("b")};
    struct test *t = *state;
    for (int i = 0; i < REJECTS_MAX; i++)
        rejects_add_refused(t->bus, fields, 2);
    until_length(t, "signalbox:refused", REJECTS_MAX);
    rejects_add_refused(t->bus, (const struct bytes[]){BYTES_LIT("a"), BYTES_LIT("last")}, 2);
    for (int i = 0; i < 200; i++) {
        bus_room_turn(&t->room, 5);
        if (strstr(bus_room_ask(&t->room, "XREVRANGE signalbox:refused + - COUNT 1"), "last"))
            break;
    }
    assert_int_equal(ask_number(t, "XLEN", "signalbox:refused"), REJECTS_MAX);
}

static void a_refusal_by_redis_is_noted(void **state) {
    const struct bytes fields[] = {BYTES_LIT("a"), BYTES_LIT("b")};
    struct test *t = *state;
    bus_room_ask(&t->room, "SET signalbox:refused text");
    rejects_add_refused(t->bus, fields, 2);
    for (int i = 0; i < 200 && *bus_refusals(t->bus) == '\0'; i++)
        bus_room_turn(&t->room, 5);
    assert_non_null(strstr(bus_refusals(t->bus), "WRONGTYPE"));
}

int main(void) {
#define WITH_REDIS(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        WITH_REDIS(each_goes_where_it_belongs),
        WITH_REDIS(a_long_value_is_cut),
        WITH_REDIS(the_last_thousand_are_kept),
        WITH_REDIS(a_refusal_by_redis_is_noted),
    };
    if (!redis_server_is_installed())
        return 77;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
