/* What handlers send, close and answer: to whom it goes, where it is put, and what they are told. */
#include "broker/handlers/handler_send.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "broker/handlers/client_entry.h"
#include "broker/handlers/handler_run.h"
#include "common/base/metrics.h"
#include "common/bus/log/ingest.h"
#include "common/bus/log/log_writer.h"
#include "tests/broker/broker_room.h"

/* Of partition 0, where the sender is, are n2, n6 and shut; of partition 2 are n0 and n4. Messages
 * of /run are Lua code, and what it raises is sent to n6. */
static const char app_text[] =
    "signalbox.broadcast_level('Shut', 'client_id')\n"
    "signalbox.default_broadcast('n0', false)\n"
    "local run = function(event, wait)\n"
    "  local ok, err = pcall(function()\n"
    "    if wait then signalbox.sleep(0.001) end\n"
    "    assert(steps[event.request.url])(event)\n"
    "  end)\n"
    "  if not ok then signalbox.send { name = 'n6', ignore_event = true, data = err } end\n"
    "end\n"
    "signalbox.signal_route('/run', function(event) run(event, false) end)\n"
    "signalbox.signal_route('/late', function(event) run(event, true) end)\n"
    "steps = {\n"
    "  echo = function(e) e.response:send(e.data.message) end,\n"
    "  echo_table = function(e) e.response:send({ a = 1 }) end,\n"
    "  echo_binary = function(e) e.response:send('x', 'binary') end,\n"
    "  echo_plain = function(e) e.response:send('x', nil, { compress = false }) end,\n"
    "  echo_typo = function(e) e.response:send('x', 'text', { compres = false }) end,\n"
    "  send_plain = function(e) signalbox.send { data = 'x', compress = false } end,\n"
    "  ignore_plain = function(e) signalbox.send { data = 'x', name = 'n6', ignore_event = true } "
    "end,\n"
    "  echo_nil = function(e) e.response:send(nil) end,\n"
    "  echo_empty = function(e) e.response:send('') end,\n"
    "  shut_down = function(e) e.response:close(3000, 'so') end,\n"
    "  close_default = function(e) e.response:close() end,\n"
    "  close_2999 = function(e) e.response:close(2999) end,\n"
    "  close_4999 = function(e) e.response:close(4999) end,\n"
    "  close_5000 = function(e) e.response:close(5000) end,\n"
    "  close_1001 = function(e) e.response:close(1001) end,\n"
    "  long_reason = function(e) e.response:close(1000, ('r'):rep(124)) end,\n"
    "  not_utf8 = function(e) e.response:send('\\xff') end,\n"
    "  any_binary = function(e) e.response:send('\\xff', 'binary') end,\n"
    "  send = function(e) signalbox.send { data = 'x' } end,\n"
    "  send_name = function(e) signalbox.send { data = 'x', name = 'n6' } end,\n"
    "  send_group = function(e) signalbox.send { data = 'x', group = 'h' } end,\n"
    "  send_client = function(e) signalbox.send { data = 'x', client_id = 'd' } end,\n"
    "  send_nobody = function(e) signalbox.send { data = 'x', client_id = {} } end,\n"
    "  send_else = function(e) signalbox.send { data = 'x', client_id = 'd', ignore_event = true "
    "}\n"
    "  end,\n"
    "  send_direct = function(e) signalbox.send { data = 'x', mode = 'direct' } end,\n"
    "  send_table = function(e) signalbox.send { data = { 1 }, name = 'n6' } end,\n"
    "  send_both = function(e) signalbox.send { data = 'x', name = { 'n0', 'n2', 'n4' } } end,\n"
    "  send_shut = function(e) signalbox.send { data = 'x', name = 'Shut' } end,\n"
    "  close = function(e) signalbox.close { name = 'n6', code = 4000, reason = 'r' } end,\n"
    "  close_shut = function(e) signalbox.close { name = 'shut' } end,\n"
    "  close_nobody = function(e) signalbox.close { client_id = {} } end,\n"
    "  twice = function(e) e.response:send('1') e.response:send('2') end,\n"
    "}\n";

struct test {
    struct broker_room room;
    struct in_entry *entry;
    struct processing p;
    const char *client;
    struct buf came;
};

static int setup(void **state) {
    static struct test t;
    memset(&t, 0, sizeof(t));
    t.client = "ann";
    broker_room_init(&t.room, app_text, &handler_send_functions);
    *state = &t;
    return 0;
}

static int teardown(void **state) {
    struct test *t = *state;
    handler_run_lost(&t->room.batch);
    bus_room_turn(&t->room.bus_room, 50); /* handlers that wait end */
    in_entry_unref(t->entry);
    buf_deinit(&t->came);
    broker_room_deinit(&t->room);
    return 0;
}

/* A message of ann, who is on n2, for one of the steps. */
static void process(struct test *t, const char *path, const char *step, const char *body) {
    struct buf session = {0};
    session_encode(&session, &(struct session){.path = bytes_str(path), .url = bytes_str(step)});
    struct entry e = {.kind = ENTRY_CLIENT,
                      .ts_ms = 5,
                      .name = BYTES_LIT("n2"),
                      .client_id = bytes_str(t->client),
                      .conn = BYTES_LIT("g:1:2|"),
                      .session = buf_bytes(&session),
                      .body = bytes_str(body)};
    in_entry_unref(t->entry);
    t->entry = broker_room_entry(&e, ++t->room.cursor);
    t->p = broker_room_begin(&t->room, t->entry);
    client_entry_process(&t->p);
    buf_deinit(&session);
}

static void add_lines(struct test *t, const char *where, const char *lines) {
    if (*lines != '\0')
        buf_printf(&t->came, "%s: %s", where, lines);
}

/* All that was written since the last time, by log and stream. */
static const char *what_came(struct test *t) {
    static const char *const names[] = {"n2", "n6", "shut", ""};
    static const char *const streams[] = {"in0", "in1", "in2", "in3"};
    buf_clear(&t->came);
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        add_lines(t, names[i], broker_room_log(&t->room, bytes_str(names[i])));
    for (unsigned p = 0; p < ROOM_PARTITIONS; p++)
        add_lines(t, streams[p], broker_room_in(&t->room, p));
    buf_append_char(&t->came, '\0');
    return t->came.ptr;
}

#define SELF "conn=g:1:2| from=ann"

/* While it has not waited: committed with its message. */
static void where_a_send_goes(void **state) {
    static const struct {
        const char *step, *body, *came;
    } rows[] = {
        {"echo", "{\"message\":\"hi\"}", "n2: data " SELF " hi\n"},
        {"echo", "{\"message\":[1,2]}", "n2: data " SELF " flags=8 [1,2]\n"},
        {"echo_table", "{}", "n2: data " SELF " flags=8 {\"a\":1}\n"},
        {"echo_binary", "{}", "n2: data " SELF " flags=1 x\n"},
        {"echo_plain", "{}", "n2: data " SELF " flags=64 x\n"},
        {"echo_nil", "{}", ""},
        {"echo_empty", "{}", "n2: data " SELF "\n"},
        {"any_binary", "{}", "n2: data " SELF " flags=1 \xff\n"},
        {"twice", "{}", "n2: data " SELF " 1\ndata " SELF " 2\n"},
        {"shut_down", "{}", "n2: close " SELF " 3000 so\n"},
        {"close_default", "{}", "n2: close " SELF " 1000\n"},
        {"close_4999", "{}", "n2: close " SELF " 4999\n"},
        /* what the send does not say, the message does */
        {"send", "{\"path\":\"n6\"}", "n6: data from=ann x\n"},
        {"send_plain", "{\"path\":\"n6\"}", "n6: data from=ann flags=64 x\n"},
        {"send", "{\"path\":\"n6\",\"compress\":false}", "n6: data from=ann flags=64 x\n"},
        {"send", "{\"path\":\"n6\",\"compress\":true}", "n6: data from=ann x\n"},
        {"send", "{\"direct\":true,\"compress\":false}", "n2: data " SELF " flags=64 x\n"},
        {"ignore_plain", "{\"compress\":false}", "n6: data from=ann x\n"},
        {"send", "{\"path\":\"n6\",\"group\":\"g\",\"clientId\":\"c\"}",
         "n6: data groups=g clients=c from=ann x\n"},
        {"send", "{\"clientId\":[]}", ""},
        {"send_name", "{\"path\":\"n2\",\"group\":\"g\"}", "n6: data groups=g from=ann x\n"},
        {"send_group", "{\"path\":\"n6\",\"group\":\"g\"}", "n6: data groups=h from=ann x\n"},
        {"send_client", "{\"path\":\"n6\",\"clientId\":\"c\"}", "n6: data clients=d from=ann x\n"},
        {"send_nobody", "{\"path\":\"n6\",\"clientId\":\"c\"}", ""},
        {"send_else", "{\"path\":\"n6\",\"group\":\"g\",\"clientId\":\"c\"}",
         ": data clients=d from=ann x\n"
         "in1: send clients=d from=ann flags=18 x\n"
         "in2: send clients=d from=ann flags=18 x\n"
         "in3: send clients=d from=ann flags=18 x\n"},
        {"send_table", "{}", "n6: data from=ann flags=8 [1]\n"},
        {"send_both", "{}", "n2: data from=ann x\nin2: send names=n0,n4 from=ann flags=2 x\n"},
        /* direct: to nobody but the sender, whatever the message says */
        {"send_direct", "{\"path\":\"n6\",\"group\":\"g\"}", "n2: data " SELF " x\n"},
        {"send_name", "{\"path\":\"n6\",\"direct\":true}", "n2: data " SELF " x\n"},
        {"send_else", "{\"path\":\"n6\",\"direct\":1,\"group\":\"g\"}",
         ": data clients=d from=ann x\n"
         "in1: send clients=d from=ann flags=18 x\n"
         "in2: send clients=d from=ann flags=18 x\n"
         "in3: send clients=d from=ann flags=18 x\n"},
        /* a close knows nothing of the message, and no levels */
        {"close", "{\"path\":\"n2\",\"group\":\"g\"}", "n6: close 4000 r\n"},
        {"close_shut", "{}", "shut: close 1000\n"},
        {"close_nobody", "{}", ""},
    };
    struct test *t = *state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        process(t, "/run", rows[i].step, rows[i].body);
        assert_string_equal(what_came(t), rows[i].came);
    }
}

/* Of a path without a signal route. */
static void what_the_default_sends(void **state) {
    static const struct {
        const char *body, *came;
        int refused_level, refused_default, bad;
    } rows[] = {
        {"{\"message\":\"hi\",\"path\":\"n6\"}", "n6: data from=ann hi\n", 0, 0, 0},
        {"{\"message\":{\"a\": [1, 2.50]},\"path\":\"n6\"}",
         "n6: data from=ann flags=8 {\"a\":[1,2.50]}\n", 0, 0, 0},
        {"{\"message\":7,\"path\":\"n6\",\"group\":[\"g\",\"h\"],\"clientId\":\"c\"}",
         "n6: data groups=g,h clients=c from=ann flags=8 7\n", 0, 0, 0},
        {"{\"message\":1,\"direct\":true,\"path\":\"Shut\",\"group\":\"g\"}",
         "n2: data " SELF " flags=8 1\n", 0, 0, 0},
        {"{\"message\":1,\"path\":\"n6\",\"group\":[]}", "", 0, 0, 0},
        {"{\"message\":1,\"path\":\"shut\",\"clientId\":\"c\"}",
         "shut: data clients=c from=ann flags=8 1\n", 0, 0, 0},
        {"{\"message\":1,\"path\":\"shut\",\"group\":\"g\"}", "", 1, 0, 0},
        /* only signal routes send to n0, and so to everybody */
        {"{\"message\":1,\"path\":\"N0\"}", "", 0, 1, 0},
        {"{\"message\":1,\"clientId\":\"c\"}", "", 0, 1, 0},
        {"{\"message\":1,\"path\":\"n0\",\"clientId\":[]}", "", 0, 0, 0},
        {"{\"message\":1,\"path\":\"n0\",\"direct\":1}", "n2: data " SELF " flags=8 1\n", 0, 0, 0},
        {"{\"message\":1,\"own\":1}", "", 0, 0, 1},
        {"{\"message\":1,\"group\":{}}", "", 0, 0, 1},
        {"{\"path\":\"n6\"}", "", 0, 0, 1},
        {"{\"message\":{},\"path\":\"n6\"}", "", 0, 0, 0},
        {"{\"message\":null,\"path\":\"n6\"}", "", 0, 0, 0},
    };
    struct test *t = *state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        int64_t level = metrics_get(METRIC_refused_level);
        int64_t closed = metrics_get(METRIC_refused_default);
        int64_t bad = metrics_get(METRIC_messages_bad);
        process(t, "/none", "", rows[i].body);
        assert_string_equal(what_came(t), rows[i].came);
        assert_int_equal(metrics_get(METRIC_refused_level), level + rows[i].refused_level);
        assert_int_equal(metrics_get(METRIC_refused_default), closed + rows[i].refused_default);
        assert_int_equal(metrics_get(METRIC_messages_bad), bad + rows[i].bad);
    }
}

/* The text that pcall returns, at its end. */
static void what_a_handler_is_told(void **state) {
    static const struct {
        const char *step, *body, *error;
    } rows[] = {
        {"close_2999", "{}", "must be 1000 or 3000 to 4999)"},
        {"close_5000", "{}", "must be 1000 or 3000 to 4999)"},
        {"close_1001", "{}", "must be 1000 or 3000 to 4999)"},
        {"long_reason", "{}", "reason: has more than 123 bytes"},
        {"echo_typo", "{}", "unknown option 'compres'"},
        {"not_utf8", "{}", "data: is not valid UTF-8; send it as binary"},
        {"send_shut", "{}", "level"},
        {"send", "{\"path\":\"Shut\",\"group\":\"g\"}", "level"},
        {"send", "{\"own\":1,\"clientId\":\"c\"}", "to whom the message goes is not understood"},
    };
    struct test *t = *state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        int64_t before = metrics_get(METRIC_refused_level);
        bool is_level = strcmp(rows[i].error, "level") == 0;
        process(t, "/run", rows[i].step, rows[i].body);
        const char *came = what_came(t), *at = strstr(came, rows[i].error);
        if (at == NULL || strncmp(came, "n6: ", 4) != 0 || strchr(came, '\n')[1] != '\0')
            fail_msg("row %zu: %s", i, came);
        assert_int_equal(metrics_get(METRIC_refused_level), before + is_level);
    }
}

/* Lets the batch's handlers go on as publishers of their own. */
static void commit(struct test *t) {
    handler_run_committed(&t->room.batch, (struct message_id){t->room.cursor, 0});
    t->room.batch.deferred.count = 0;
}

static void until_idle(struct test *t) {
    for (int i = 0; i < 500 && app_waiting(t->room.app) > 0; i++)
        bus_room_turn(&t->room.bus_room, 10);
    assert_int_equal(app_waiting(t->room.app), 0);
    bus_room_turn(&t->room.bus_room, 1);
}

/* Once it has waited, each send is an entry, of the sender's partition or another. */
static void where_a_send_goes_after_a_wait(void **state) {
    static const struct {
        const char *step, *body, *came;
    } rows[] = {
        {"echo", "{\"message\":\"hi\"}", "in0: send name=n2 " SELF " flags=2 hi\n"},
        {"echo_table", "{}", "in0: send name=n2 " SELF " flags=10 {\"a\":1}\n"},
        {"shut_down", "{}", "in0: close name=n2 " SELF " flags=2 3000 so\n"},
        {"twice", "{}", "in0: send name=n2 " SELF " flags=2 1\nsend name=n2 " SELF " flags=2 2\n"},
        {"send", "{\"path\":\"n6\",\"group\":\"g\"}",
         "in0: send names=n6 groups=g from=ann flags=2 x\n"},
        {"send_nobody", "{}", ""},
        {"send_both", "{}",
         "in0: send names=n2 from=ann flags=2 x\nin2: send names=n0,n4 from=ann flags=2 x\n"},
        {"send_else", "{}",
         "in0: send clients=d from=ann flags=18 x\n"
         "in1: send clients=d from=ann flags=18 x\n"
         "in2: send clients=d from=ann flags=18 x\n"
         "in3: send clients=d from=ann flags=18 x\n"},
        {"send_direct", "{\"path\":\"n6\"}", "in0: send name=n2 " SELF " flags=2 x\n"},
        {"close", "{}", "in0: close names=n6 flags=2 4000 r\n"},
    };
    struct test *t = *state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        process(t, "/late", rows[i].step, rows[i].body);
        assert_int_equal(t->p.count, 0);
        assert_non_null(t->room.batch.open_runs);
        commit(t);
        until_idle(t);
        assert_string_equal(what_came(t), rows[i].came);
    }
}

/* Until it has waited and sent something, which is held until its entry is committed. */
static struct handler_run *until_held(struct test *t, const char *step) {
    process(t, "/late", step, "{}");
    struct handler_run *r = t->room.batch.open_runs;
    for (int i = 0; i < 500 && r->held == NULL; i++)
        bus_room_turn(&t->room.bus_room, 10);
    assert_non_null(r->held);
    return r;
}

/* Its entry runs again elsewhere, so this run may not send any more, whether it lost the partition
 * before its send or while that was held. */
static void a_run_whose_partition_was_lost_sends_nothing(void **state) {
    struct test *t = *state;
    for (int is_held = 0; is_held < 2; is_held++) {
        if (is_held)
            until_held(t, "send_both");
        else
            process(t, "/late", "send_both", "{}");
        assert_true(conn_queues_are_busy(t->room.parts.queues, 0));
        handler_run_lost(&t->room.batch);
        assert_null(t->room.batch.open_runs);
        assert_false(conn_queues_are_busy(t->room.parts.queues, 0));
        until_idle(t);
        assert_string_equal(what_came(t), "");
    }
}

/* Those at or before the cursor are free; a later one still belongs to a batch. */
static void a_commit_frees_what_it_has_passed(void **state) {
    static const char *const clients[] = {"ann", "bob", "cat"};
    struct test *t = *state;
    struct handler_run *runs[3];
    for (size_t i = 0; i < 3; i++) {
        t->client = clients[i];
        process(t, "/late", "echo", "{\"message\":1}");
        runs[i] = t->room.batch.open_runs->prev;
        handler_run_wait(runs[i]); /* again is harmless */
    }
    handler_run_committed(&t->room.batch, (struct message_id){t->room.cursor - 1, 0});
    assert_int_equal(runs[0]->state, HANDLER_RUN_FREE);
    assert_int_equal(runs[1]->state, HANDLER_RUN_FREE);
    assert_int_equal(runs[2]->state, HANDLER_RUN_OPEN);
    assert_ptr_equal(t->room.batch.open_runs, runs[2]);
    handler_run_lost(&t->room.batch);
    assert_int_equal(runs[2]->state, HANDLER_RUN_VOID);
    assert_int_equal(runs[1]->state, HANDLER_RUN_FREE);
    until_idle(t);
    assert_string_equal(what_came(t), "in0: send name=n2 conn=g:1:2| from=ann flags=10 1\n"
                                      "send name=n2 conn=g:1:2| from=bob flags=10 1\n");
}

/* So much may wait for Redis, to the byte. */
static void what_waits_for_redis_has_a_bound(void **state) {
    struct test *t = *state;
    char *large = mem_zalloc(HANDLER_RUN_UNSENT_BYTES);
    for (size_t more = 0; more < 2; more++) {
        struct ingest *free_sends = t->room.parts.free_sends;
        size_t before = ingest_count(free_sends);
        struct handler_run *r = until_held(t, "send_name");
        size_t rest = HANDLER_RUN_UNSENT_BYTES - ingest_bytes(free_sends) - r->held_bytes + more;
        assert_int_equal(ingest_push(free_sends, 0, NULL, bytes_of(large, rest), NULL, NULL), 0);
        commit(t);
        assert_int_equal(ingest_count(free_sends), before + 2 - more);
        assert_int_equal(app_waiting(t->room.app), 1 - more);
        t->room.parts.free_sends =
            ingest_new(t->room.bus, "c", HANDLER_RUN_UNSENT_BYTES, NULL, NULL);
        ingest_free(free_sends); /* it is told that the broker ends */
        until_idle(t);
    }
    free(large);
}

/* One send is taken however large it is, as long as nothing else waits. */
static void a_large_send_waits_for_nothing(void **state) {
    struct test *t = *state;
    struct handler_run *r = until_held(t, "send_name");
    r->held_bytes = HANDLER_RUN_UNSENT_BYTES + 1;
    commit(t);
    until_idle(t);
    assert_string_equal(what_came(t), "in0: send names=n6 from=ann flags=2 x\n");
}

int main(void) {
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(where_a_send_goes),
        TEST(what_the_default_sends),
        TEST(what_a_handler_is_told),
        TEST(where_a_send_goes_after_a_wait),
        TEST(a_run_whose_partition_was_lost_sends_nothing),
        TEST(a_commit_frees_what_it_has_passed),
        TEST(what_waits_for_redis_has_a_bound),
        TEST(a_large_send_waits_for_nothing),
    };
    if (!redis_server_is_installed())
        return 77;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
