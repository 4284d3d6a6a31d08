/* test_about.c - what a process says of itself, as another one reads it. */
#include "common/bus/cluster/about.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/base/settings.h"
#include "tests/common/bus/bus_room.h"

struct test {
    struct bus_room room;
    struct bus *bus;
    struct about *about;
    unsigned answers;
    int status;
    struct about_row row;
};

static int setup(void **state) {
    static struct test t;
    memset(&t, 0, sizeof(t));
    bus_room_init(&t.room, 1);
    t.bus = bus_room_join(&t.room, BUS_GATEWAY);
    t.about = about_new(t.bus, BYTES_LIT("ws://[::]:80 wss://[::]:443"), "127.0.0.1:9");
    *state = &t;
    return 0;
}

static int teardown(void **state) {
    struct test *t = *state;
    about_free(t->about);
    about_free(NULL);
    bus_close(t->bus);
    bus_room_deinit(&t->room);
    return 0;
}

static void on_row(void *ctx, int status, const struct about_row *row) {
    struct test *t = ctx;
    t->status = status;
    t->row = *row;
    t->answers++;
}

static const struct about_row *ask(struct test *t, const char *id) {
    t->answers = 0;
    about_ask(t->bus, id, on_row, t);
    bus_room_until(&t->room, &t->answers, 1, 3000);
    assert_int_equal(t->status, 0);
    return &t->row;
}

static void everything_is_there(void **state) {
    struct test *t = *state;
    char host[65] = "";
    gethostname(host, 64);
    about_set_state(t->about, "draining");
    const struct about_row *row = ask(t, bus_id(t->bus));
    assert_string_equal(row->host, host);
    assert_int_equal(row->pid, getpid());
    assert_string_equal(row->version, SIGNALBOX_VERSION);
    assert_string_equal(row->state, "draining");
    assert_string_equal(row->listen, "ws://[::]:80 wss://[::]:443");
    assert_string_equal(row->admin, "127.0.0.1:9");
    assert_int_equal(atoi(bus_room_ask(&t->room, "TTL sb:{sb}:about:%s", bus_id(t->bus))),
                     ABOUT_TTL_S);
    assert_string_equal(bus_room_ask(&t->room, "HLEN sb:{sb}:about:%s", bus_id(t->bus)), "6");
}

/* Also after Redis lost its data, and when the connection is made again. */
static void it_is_written_when_redis_needs_it(void **state) {
    static const char *const faults[] = {"FLUSHALL", "CLIENT KILL TYPE normal SKIPME yes"};
    struct test *t = *state;
    for (int i = 0; i < 300 && !bus_may_register(t->bus); i++)
        bus_room_turn(&t->room, 10);
    for (size_t i = 0; i < ARRAY_LEN(faults); i++) {
        bus_room_ask(&t->room, "DEL sb:{sb}:about:%s", bus_id(t->bus));
        bus_room_ask(&t->room, "%s", faults[i]);
        for (int j = 0; j < 500; j++) {
            bus_room_turn(&t->room, 10);
            if (*bus_room_ask(&t->room, "EXISTS sb:{sb}:about:%s", bus_id(t->bus)) == '1')
                break;
        }
        assert_string_equal(ask(t, bus_id(t->bus))->state, "alive");
    }
}

static void nobody_is_an_empty_row(void **state) {
    struct test *t = *state;
    const struct about_row *row = ask(t, "nobody");
    assert_true(row->host[0] == '\0' && row->state[0] == '\0' && row->pid == 0);
}

static void what_some_other_program_wrote_is_cut(void **state) {
    static const struct {
        size_t len, kept;
    } texts[] = {{0, 0}, {398, 398}, {399, 399}, {400, 399}, {5000, 399}};
    static const struct {
        const char *text;
        int64_t pid;
    } pids[] = {{"1", 1},
                {"-1", 0},
                {"x", 0},
                {"", 0},
                {"9223372036854775807", INT64_MAX},
                {"9223372036854775808", 0}};
    struct test *t = *state;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        bus_room_ask(&t->room, "DEL sb:{sb}:about:x");
        bus_room_ask(&t->room,
                     "EVAL redis.call('HSET',KEYS[1],'host',string.rep('h',ARGV[1]),'odd','v') 1 "
                     "sb:{sb}:about:x %zu",
                     texts[i].len);
        assert_int_equal(strlen(ask(t, "x")->host), texts[i].kept);
    }
    for (size_t i = 0; i < ARRAY_LEN(pids); i++) {
        bus_room_ask(&t->room, "HSET sb:{sb}:about:x pid %s", pids[i].text);
        if (*pids[i].text != '\0')
            assert_int_equal(ask(t, "x")->pid, pids[i].pid);
    }
    bus_room_ask(&t->room, "SET sb:{sb}:about:y text"); /* no hash: nothing is known */
    assert_string_equal(ask(t, "y")->host, "");
}

static void without_redis_it_says_so(void **state) {
    struct test *t = *state;
    about_ask(t->bus, "x", on_row, t);
    bus_hang_up(t->bus);
    if (t->answers == 0)
        bus_room_until(&t->room, &t->answers, 1, 3000);
    assert_int_equal(t->status, -ENOTCONN);
    about_set_state(t->about, "ending"); /* nothing is sent */
}

int main(void) {
#define WITH_REDIS(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        WITH_REDIS(everything_is_there),      WITH_REDIS(it_is_written_when_redis_needs_it),
        WITH_REDIS(nobody_is_an_empty_row),   WITH_REDIS(what_some_other_program_wrote_is_cut),
        WITH_REDIS(without_redis_it_says_so),
    };
    if (!redis_server_is_installed())
        return 77;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
