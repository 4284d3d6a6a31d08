/* test_trace.c - what is remembered, for how long, and events there and back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/clock.h"
#include "common/base/settings.h"
#include "common/bus/bus.h"
#include "common/bus/notice.h"
#include "common/bus/log/trace.h"
#include "tests/common/bus/bus_room.h"

/* A bus that never starts: nothing is told. */
struct room {
    uv_loop_t loop;
    struct settings settings;
    struct bus *bus;
    struct trace trace;
};

static int setup(void **state) {
    static struct room room;
    int rest;
    char *argv[] = {"test", NULL};
    room = (struct room){0};
    assert_int_equal(settings_parse(&room.settings, FOR_GATEWAY, 1, argv, &rest), SETTINGS_OK);
    assert_int_equal(uv_loop_init(&room.loop), 0);
    room.bus = bus_new(&room.loop, &room.settings, BUS_TOOL);
    trace_init(&room.trace, room.bus, "gateway");
    clock_freeze(1000);
    *state = &room;
    return 0;
}

static int teardown(void **state) {
    struct room *room = *state;
    clock_freeze(0);
    trace_deinit(&room->trace);
    bus_close(room->bus);
    uv_run(&room->loop, UV_RUN_DEFAULT);
    return uv_loop_close(&room->loop);
}

static void notice(struct trace *t, const char *token, uint64_t life_ms, bool is_client,
                   const char *text) {
    struct notice_trace n = {bytes_str(token), life_ms, is_client, bytes_str(text)};
    trace_on_notice(t, &n);
}

static void test_it_expires_unless_renewed(void **state) {
    struct trace *t = &((struct room *)*state)->trace;
    assert_false(trace_is_on(t));
    notice(t, "a", 500, true, "some one");
    notice(t, "b", 100, false, "Msg");
    assert_true(trace_is_on(t));
    assert_int_equal(trace_of_client(t, BYTES_LIT("some one")), 1);
    assert_int_equal(trace_of_client(t, BYTES_LIT("Msg")), 0);
    assert_int_equal(trace_of_name(t, BYTES_LIT("Msg")), 2);
    assert_int_equal(trace_of_every_name(t), 2);
    clock_freeze(1400);
    notice(t, "a", 500, true, "some one");
    assert_int_equal(trace_of_name(t, BYTES_LIT("Msg")), 0);
    clock_freeze(1899);
    assert_int_equal(trace_of_client(t, BYTES_LIT("some one")), 1);
    notice(t, "c", 500, true, "other");
    notice(t, "c", 0, true, "other");
    assert_int_equal(t->count, 1);
    notice(t, "never", 0, true, "other");
    assert_int_equal(t->count, 1);
    clock_freeze(1900);
    assert_int_equal(trace_of_client(t, BYTES_LIT("some one")), 0);
    assert_false(trace_is_on(t));
}

static void test_it_is_bounded(void **state) {
    struct trace *t = &((struct room *)*state)->trace;
    char token[8];
    for (int i = 0; i < TRACES_MAX + 3; i++) {
        snprintf(token, sizeof(token), "t%d", i);
        notice(t, token, UINT32_MAX, false, "Msg");
    }
    assert_int_equal(t->count, TRACES_MAX);
    clock_freeze(1000 + TRACE_LIFE_MAX_MS);
    assert_int_equal(trace_of_name(t, BYTES_LIT("Msg")), 0);
}

static void test_bad_notices_are_passed_over(void **state) {
    struct trace *t = &((struct room *)*state)->trace;
    static const char *const bad[] = {
        "",
        "a",
        "a 5",
        "a 5 name",
        "a 5 name ",
        "a x name Msg",
        "a-token-that-is-longer-than-any-that-was-ever-made 5 name Msg"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct notice n;
        char text[120];
        snprintf(text, sizeof(text), "trace %s", bad[i]);
        if (notice_decode(bytes_str(text), &n))
            trace_on_notice(t, &n.trace);
    }
    assert_false(trace_is_on(t));
}

static void test_tokens_and_texts_have_bounds(void **state) {
    struct trace *t = &((struct room *)*state)->trace;
    enum { TEXT_BYTES = 1024 };
    static const struct {
        size_t token, text;
        unsigned count;
    } rows[] = {
        {TRACE_TOKEN_MAX + 1, 1, 0},
        {1, TEXT_BYTES + 1, 0},
        {TRACE_TOKEN_MAX, TEXT_BYTES, 1},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char token[TRACE_TOKEN_MAX + 2] = "", text[TEXT_BYTES + 2] = "";
        memset(token, 'a', rows[i].token);
        memset(text, 'b', rows[i].text);
        notice(t, token, 500, false, text);
        assert_int_equal(t->count, rows[i].count);
    }
}

/* Counted by Redis itself. */
static int published(struct bus_room *redis) {
    const char *text = strstr(bus_room_ask(redis, "INFO commandstats"), "cmdstat_publish:calls=");
    return text == NULL ? 0 : atoi(text + strlen("cmdstat_publish:calls="));
}

static void test_events_of_a_second_are_bounded(void **state) {
    struct bus_room redis;
    struct trace t;
    struct trace_event e = trace_event_of("hop");
    (void)state;
    clock_freeze(0);
    bus_room_init(&redis, 1);
    struct bus *bus = bus_room_join(&redis, BUS_TOOL);
    trace_init(&t, bus, "gateway");
    clock_freeze(clock_ms() / 1000 * 1000 + 5000);
    notice(&t, "a", 5000, true, "one"); /* tells that it listens: the first event */
    for (int i = 1; i < TRACE_EVENTS_MAX + 1; i++)
        trace_tell(&t, 1, &e);
    for (int i = 0; i < 200 && published(&redis) < TRACE_EVENTS_MAX; i++)
        bus_room_turn(&redis, 10);
    bus_room_ask(&redis, "PING");
    bus_room_turn(&redis, 50);
    assert_int_equal(published(&redis), TRACE_EVENTS_MAX);
    clock_freeze(clock_ms() + 1000);
    trace_tell(&t, 1, &e);
    for (int i = 0; i < 200 && published(&redis) < TRACE_EVENTS_MAX + 1; i++)
        bus_room_turn(&redis, 10);
    assert_int_equal(published(&redis), TRACE_EVENTS_MAX + 1);
    clock_freeze(0);
    trace_deinit(&t);
    bus_close(bus);
    bus_room_deinit(&redis);
}

static void test_an_event_there_and_back(void **state) {
    (void)state;
    struct trace_event e = trace_event_of("received"), back;
    struct buf text = {0};
    e.client_id = BYTES_LIT("a b 3 c");
    e.why = BYTES_LIT("");
    e.bytes = 0;
    trace_event_encode(&text, &e);
    buf_append_str(&text, "later 2 xy ");
    assert_true(trace_event_decode(buf_bytes(&text), &back));
    assert_true(bytes_equal_str(back.hop, "received"));
    assert_true(bytes_equal(back.client_id, e.client_id));
    assert_true(back.why.ptr != NULL && back.why.len == 0 && back.name.ptr == NULL);
    assert_int_equal(back.bytes, 0);
    assert_int_equal(back.connections, -1);
    for (size_t len = 0; len < text.len; len++)
        (void)trace_event_decode(bytes_head(buf_bytes(&text), len), &back);
    assert_false(trace_event_decode(BYTES_LIT("hop 99 x "), &back));
    assert_false(trace_event_decode(BYTES_LIT("name 1 x "), &back));
    buf_deinit(&text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_it_expires_unless_renewed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_it_is_bounded, setup, teardown),
        cmocka_unit_test_setup_teardown(test_tokens_and_texts_have_bounds, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bad_notices_are_passed_over, setup, teardown),
        cmocka_unit_test(test_events_of_a_second_are_bounded),
        cmocka_unit_test(test_an_event_there_and_back)};
    if (!redis_server_is_installed())
        return 77;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
