/* test_handler_send.c - what handlers that run in a gateway send: to whom it goes, what stops it,
 * and when the handler goes on. */
#include "gateway/routes/handler_send.h"

#include <setjmp.h>
#include <stdarg.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/base/metrics.h"
#include "common/bus/log/ingest.h"
#include "tests/common/base/skipped_time.h"
#include "tests/gateway/routes/routes_room.h"

static struct routes_room room;

static int setup(void **state) {
    (void)state;
    routes_room_init(&room, "", WITH_REDIS);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    routes_room_deinit(&room);
    return 0;
}

/* An app whose route /r runs this and answers with what `try` says; a Local connection at /local
 * runs it after its conversion. */
static void load(const char *body) {
    char app[4096];
    snprintf(app, sizeof(app),
             "local last = ''\n"
             "local function try(f, ...) local ok, e = pcall(f, ...)\n"
             "  last = last .. (ok and 'ok' or tostring(e):gsub('^.-app.lua:%%d+: ', '')) end\n"
             "local function run(w) last = '' %s end\n"
             "signalbox.route('GET', '/last', function(w) w:text(last) end)\n"
             "signalbox.route('GET', '/r', function(w) run(w) w:text(last) end)\n"
             "signalbox.route('GET', '/local', function(w)\n"
             "  w:convert { name = 'L', scope = 'local' } run(w) end)\n"
             "signalbox.route('GET', '/global', function(w)\n"
             "  w:convert { name = 'G' } run(w) end)\n",
             body);
    routes_room_load(&room, app);
}

static struct bytes run(const char *body) {
    load(body);
    return routes_room_get(&room, "GET", "/r", "");
}

static void assert_last(const char *expected) {
    routes_room_expect(routes_room_get(&room, "GET", "/last", ""), 200, expected);
}

#define SEND(options) "try(signalbox.send, {" options "})"

/* Every partition that a send concerns gets one entry; the handler goes on when all are there. */
static void a_send_is_in_redis_when_the_handler_goes_on(void **state) {
    char names[400] = "", body[600];
    (void)state;
    unsigned before = routes_room_entries(&room);
    routes_room_expect(run(SEND("name='N', data='first'")), 200, "ok");
    assert_int_equal(routes_room_entries(&room), before + 1);
    assert_true(routes_room_sent(&room, "N", "first"));
    /* of many Names in all partitions */
    for (int i = 0; i < 40; i++)
        snprintf(names + strlen(names), sizeof(names) - strlen(names), "'n%d',", i);
    snprintf(body, sizeof(body), SEND("name={%s}, data='second'"), names);
    routes_room_expect(run(body), 200, "ok");
    assert_int_equal(routes_room_entries(&room), before + 1 + ROUTES_ROOM_PARTITIONS);
    /* to everybody */
    routes_room_expect(run(SEND("data='third'")), 200, "ok");
    assert_int_equal(routes_room_entries(&room), before + 1 + 2 * ROUTES_ROOM_PARTITIONS);
    /* one after the other */
    routes_room_expect(run(SEND("name='N', data='1'") SEND("name='N', data='2'")), 200, "okok");
    assert_int_equal(routes_room_entries(&room), before + 3 + 2 * ROUTES_ROOM_PARTITIONS);
    routes_room_expect(run("try(signalbox.close, {name='N', code=4711, reason='why so'})"), 200,
                       "ok");
    assert_true(routes_room_sent(&room, "N", "why so"));
    assert_int_equal(ingest_count(room.ingest), 0);
}

static void what_is_for_nobody_or_nothing_is_not_sent(void **state) {
    static const char *const bodies[] = {
        SEND("name={}, data='x'"),         SEND("group={}, data='x'"),
        SEND("client_id={}, data='x'"),    SEND("name='N'"),
        "try(signalbox.close, {name={}})", "try(signalbox.close, {client_id={}})",
    };
    (void)state;
    unsigned before = routes_room_entries(&room);
    for (size_t i = 0; i < ARRAY_LEN(bodies); i++)
        routes_room_expect(run(bodies[i]), 200, "ok");
    assert_int_equal(routes_room_entries(&room), before);
}

static void levels_hold_for_every_name(void **state) {
    char app[600];
    static const struct {
        const char *what;
        bool is_allowed;
    } cases[] = {
        {"signalbox.send, {name='Open', data='x'}", true},
        {"signalbox.send, {name='Open', group='g', data='x'}", true},
        {"signalbox.send, {name='Ids', client_id='c', data='x'}", true},
        {"signalbox.send, {name='Ids', data='x'}", false},
        {"signalbox.send, {name={'Open', 'Ids'}, data='x'}", false},
        {"signalbox.send, {name={'Open', 'Ids'}, client_id='c', data='x'}", true},
        {"signalbox.send, {name={}, group='g', data='x'}", true}, /* nobody: no level is broken */
        {"signalbox.close, {name='Ids'}", true},                  /* no level holds for a close */
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        int64_t refused = metrics_values[METRIC_refused_level];
        snprintf(app, sizeof(app),
                 "signalbox.broadcast_level('Ids', 'client_id')\n"
                 "signalbox.route('GET', '/r', function(w)\n"
                 "  w:text(tostring(pcall(%s))) end)\n",
                 cases[i].what);
        routes_room_load(&room, app);
        routes_room_expect(routes_room_get(&room, "GET", "/r", ""), 200,
                           cases[i].is_allowed ? "true" : "false");
        assert_int_equal(metrics_values[METRIC_refused_level],
                         refused + (cases[i].is_allowed ? 0 : 1));
    }
}

/* What a handler of a Local connection sends goes to that connection, whatever it names. */
static void a_local_connection_is_sent_to_first(void **state) {
    static const struct {
        const char *body, *frames;
        unsigned entries;
    } cases[] = {
        {SEND("data='x'"), "\x81\x01x", 0},
        {SEND("name='N', client_id='c', data='x'"), "\x81\x01x", 0},
        {SEND("data='x', mode='direct'"), "\x81\x01x", 0},
        {SEND("data='x', binary=true"), "\x82\x01x", 0},
        {SEND("name={}, data='x', mode='direct'"), "\x81\x01x", 0},
        {SEND("name={}, data='x'"), "", 0}, /* for nobody */
        {SEND("name='N', data='x', ignore_event=true"), "", 1},
        {SEND("name='N', data='x', ignore_event=true, mode='direct'"), "\x81\x01x", 0},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        unsigned before = routes_room_entries(&room);
        load(cases[i].body);
        int fd = routes_room_upgrade(&room, "/local", "", NULL);
        struct bytes frames = routes_room_hear(&room, fd, "\x88\x02\x03\xe8");
        if (!bytes_equal_str(bytes_head(frames, frames.len - 4), cases[i].frames))
            fail_msg("%s: %.*s", cases[i].body, BYTES_FMT(frames));
        routes_room_hang_up(&room, fd);
        assert_last("ok");
        assert_int_equal(routes_room_entries(&room), before + cases[i].entries);
    }
}

/* Levels are for what others could send, not for the way back to the sender. */
static void direct_is_for_connections(void **state) {
    (void)state;
    routes_room_expect(run(SEND("data='x', mode='direct'")), 200,
                       "direct: the request is no signal connection");
    /* while the route runs, a Global connection can be answered, too */
    load(SEND("data='x', mode='direct'"));
    int fd = routes_room_upgrade(&room, "/global", "", NULL);
    assert_true(bytes_equal_str(routes_room_hear(&room, fd, "x"), "\x81\x01x"));
    routes_room_hang_up(&room, fd);
    assert_last("ok");
    /* other sends of a Global one go their way */
    unsigned before = routes_room_entries(&room);
    load(SEND("name='N', data='x'"));
    fd = routes_room_upgrade(&room, "/global", "", NULL);
    for (int i = 0; i < 100 && routes_room_entries(&room) < before + 2; i++)
        bus_room_turn(&room.bus_room, 5);
    assert_int_equal(routes_room_entries(&room), before + 2); /* with the Connect */
    routes_room_hang_up(&room, fd);
}

/* A connection that is gone gets nothing, and its handler goes on. */
static void a_connection_may_be_gone(void **state) {
    (void)state;
    load("signalbox.sleep(0.05) " SEND("data='x'") SEND("data='x', mode='direct'"));
    int fd = routes_room_upgrade(&room, "/local", "", NULL);
    routes_room_hang_up(&room, fd);
    bus_room_turn(&room.bus_room, 100);
    assert_last("okok");
}

/* An event handler has no request: what it sends goes to the brokers, and nothing is direct. */
static void a_handler_of_an_event_sends_to_all(void **state) {
    (void)state;
    unsigned before = routes_room_entries(&room);
    routes_room_load(
        &room, "local last\n"
               "signalbox.route('GET', '/last', function(w) w:text(last) end)\n"
               "signalbox.on('connect', 'L', 'a', function(e)\n"
               "  signalbox.send { name = 'N', data = 'of an event' }\n"
               "  last = tostring(pcall(signalbox.send, { data = 'x', mode = 'direct' })) end)\n"
               "signalbox.route('GET', '/local', function(w)\n"
               "  w:convert { name = 'L', scope = 'local' } signalbox.sleep(0.05) end)\n");
    int fd = routes_room_upgrade(&room, "/local", "", NULL);
    struct bytes frames = routes_room_hear(&room, fd, "\x88\x02\x03\xe8");
    assert_int_equal(frames.len, 4);
    routes_room_hang_up(&room, fd);
    assert_last("false");
    assert_int_equal(routes_room_entries(&room), before + 1);
    assert_true(routes_room_sent(&room, "N", "of an event"));
}

/* ---- what Redis does not take */

/* Of a send to all partitions what was taken before the bound goes out, and no more. */
static void too_much_at_once_is_an_error(void **state) {
    (void)state;
    unsigned before = routes_room_entries(&room);
    struct ingest *usual = room.ingest;
    room.ingest = room.routes.ingest = ingest_new(room.bus, "x", 1000, NULL, NULL);
    load(SEND("data=('x'):rep(600)") SEND("name='N', data=('x'):rep(600)"));
    int fd = routes_room_connect(&room);
    kill(room.bus_room.redis.pid, SIGSTOP);
    routes_room_say(&room, fd,
                    BYTES_LIT("GET /r HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"));
    struct bytes answer = routes_room_hear(&room, fd, "");
    kill(room.bus_room.redis.pid, SIGCONT);
    routes_room_expect(answer, 200,
                       "not accepted: too much waits for Redis already"
                       "not accepted: too much waits for Redis already");
    routes_room_hang_up(&room, fd);
    for (int i = 0; i < 400 && ingest_count(room.ingest) > 0; i++)
        bus_room_turn(&room.bus_room, 5);
    assert_int_equal(routes_room_entries(&room), before + 1);
    ingest_free(room.ingest);
    room.ingest = room.routes.ingest = usual;
}

/* After ten seconds the handler goes on; the message may go out all the same. */
static void redis_may_not_answer(void **state) {
    (void)state;
    unsigned before = routes_room_entries(&room);
    load(SEND("name='N', data='late'"));
    int fd = routes_room_connect(&room);
    kill(room.bus_room.redis.pid, SIGSTOP);
    routes_room_say(&room, fd,
                    BYTES_LIT("GET /r HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"));
    bus_room_turn(&room.bus_room, 20);
    skipped_ms += 7000;
    bus_room_turn(&room.bus_room, 20);
    char byte;
    assert_int_equal(recv(fd, &byte, 1, MSG_DONTWAIT), -1);
    skipped_ms += 3000;
    struct bytes answer = routes_room_hear(&room, fd, "");
    routes_room_expect(
        answer, 200,
        "not accepted: Redis did not answer within 10 s; the message may still go out");
    kill(room.bus_room.redis.pid, SIGCONT);
    routes_room_hang_up(&room, fd);
    for (int i = 0; i < 400 && ingest_count(room.ingest) > 0; i++)
        bus_room_turn(&room.bus_room, 10);
    assert_int_equal(routes_room_entries(&room), before + 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_send_is_in_redis_when_the_handler_goes_on),
        cmocka_unit_test(what_is_for_nobody_or_nothing_is_not_sent),
        cmocka_unit_test(levels_hold_for_every_name),
        cmocka_unit_test(a_local_connection_is_sent_to_first),
        cmocka_unit_test(direct_is_for_connections),
        cmocka_unit_test(a_connection_may_be_gone),
        cmocka_unit_test(a_handler_of_an_event_sends_to_all),
        cmocka_unit_test(too_much_at_once_is_an_error),
        cmocka_unit_test(redis_may_not_answer),
    };
    if (!redis_server_is_installed())
        return 77;
    return cmocka_run_group_tests(tests, setup, teardown);
}
