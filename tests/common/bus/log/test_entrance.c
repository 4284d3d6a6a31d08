/* test_entrance.c - the durable public entrance: what Redis has, what it refuses, and what is not
 * sent at all. */
#include "common/bus/log/publish.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/metrics.h"
#include "common/bus/backlog.h"
#include "common/bus/bus_send.h"
#include "tests/common/bus/bus_room.h"

struct test {
    struct bus_room room;
    struct bus *bus;
    unsigned answers;
    int status;
    char id[200];
};

static int setup(void **state) {
    static struct test t;
    memset(&t, 0, sizeof(t));
    bus_room_init(&t.room, 1);
    t.bus = bus_room_join(&t.room, BUS_TOOL);
    bus_room_turn(&t.room, 50); /* bounds are known */
    *state = &t;
    return 0;
}

static int teardown(void **state) {
    struct test *t = *state;
    bus_close(t->bus);
    bus_room_deinit(&t->room);
    return 0;
}

static void on_done(void *ctx, int status, struct bytes id) {
    struct test *t = ctx;
    t->status = status;
    snprintf(t->id, sizeof(t->id), "%.*s", BYTES_FMT(id));
    t->answers++;
}

static void publish(struct test *t, const char *json) {
    publish_json(t->bus, bytes_str(json), on_done, t);
    assert_int_equal(t->answers, 0);
}

static void wait(struct test *t) {
    bus_room_until(&t->room, &t->answers, 1, 3000);
    t->answers = 0;
}

static void what_redis_has_has_an_id(void **state) {
    struct test *t = *state;
    publish(t, "{\"a\":1}");
    wait(t);
    assert_int_equal(t->status, 0);
    const char *row = bus_room_ask(&t->room, "XRANGE signalbox:send - +");
    assert_memory_equal(row, t->id, strlen(t->id));
    assert_string_equal(row + strlen(t->id), " m {\"a\":1}");
}

static void what_redis_refuses_is_said(void **state) {
    struct test *t = *state;
    bus_room_ask(&t->room, "SET signalbox:send text");
    publish(t, "{}");
    wait(t);
    assert_int_equal(t->status, -EIO);
    assert_memory_equal(t->id, "WRONGTYPE", 9);
}

static void a_broken_connection_leaves_it_unknown(void **state) {
    struct test *t = *state;
    publish(t, "{}");
    bus_hang_up(t->bus);
    if (t->answers == 0)
        wait(t);
    assert_int_equal(t->status, -ENOTCONN);
    assert_non_null(strstr(t->id, "unknown whether it was taken"));
}

/* The backlog and the size: the bound, and one beyond. */
static void what_is_not_sent_at_all(void **state) {
    static const struct {
        int64_t backlog;
        size_t bytes;
        int result;
    } rows[] = {{0, 1000, 0},
                {0, 1001, -EMSGSIZE},
                {BACKLOG_MAX - 1, 1000, 0},
                {BACKLOG_MAX, 1, -ENOBUFS},
                {BACKLOG_MAX, 1001, -EMSGSIZE}};
    struct test *t = *state;
    bus_set_largest(t->bus, 1000);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct buf error = {0};
        int64_t refused = metrics_get(METRIC_refused_too_large);
        bus_backlog(t->bus)->length = rows[i].backlog;
        assert_int_equal(publish_check(t->bus, rows[i].bytes, &error), rows[i].result);
        assert_int_equal(error.len > 0, rows[i].result != 0);
        assert_int_equal(metrics_get(METRIC_refused_too_large) - refused,
                         rows[i].result == -EMSGSIZE);
        buf_append_char(&error, '\0');
        if (rows[i].result == -EMSGSIZE)
            assert_non_null(strstr(error.ptr, "has 1001 bytes with its address, and this Redis "
                                              "takes at most 1000"));
        if (rows[i].result == -ENOBUFS)
            assert_memory_equal(error.ptr, "50000 messages wait", 19);
        buf_deinit(&error);
    }
}

int main(void) {
#define WITH_REDIS(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        WITH_REDIS(what_redis_has_has_an_id),
        WITH_REDIS(what_redis_refuses_is_said),
        WITH_REDIS(a_broken_connection_leaves_it_unknown),
        WITH_REDIS(what_is_not_sent_at_all),
    };
    if (!redis_server_is_installed())
        return 77;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
