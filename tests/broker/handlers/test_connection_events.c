/* Connect and Disconnect: which handlers run, in which order, and from which one on. */
#include "broker/handlers/connection_events.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "broker/handlers/handler_run.h"
#include "broker/handlers/handler_send.h"
#include "common/base/metrics.h"
#include "tests/broker/broker_room.h"

/* Handlers say to shut who they are. */
static const char app_text[] =
    "local function say(what)\n"
    "  return function(event)\n"
    "    signalbox.send { name = 'shut', data = what .. ' ' .. event.type }\n"
    "  end\n"
    "end\n"
    "signalbox.on('connect', 'N2', 'a', say('a'))\n"
    "signalbox.on('disconnect', 'n2', 'b', say('b'))\n"
    "signalbox.on('connect', 'other', 'c', say('c'))\n"
    "signalbox.on('connect', 'n2', 'fails', function() error('no') end)\n"
    "signalbox.on('connect', 'n2', 'd', say('d'))\n"
    "signalbox.on('connect', 'n6', 'waits', function() signalbox.sleep(0.05) end)\n"
    "signalbox.on('disconnect', 'n6', 'e', say('e'))\n"
    "signalbox.on('disconnect', 'n6', 'once', function(event)\n"
    "  signalbox.off('disconnect', 'n6', 'f')\n"
    "end)\n"
    "signalbox.on('disconnect', 'n6', 'f', say('f'))\n";

struct test {
    struct broker_room room;
    struct in_entry *entry;
    struct processing p;
};

static int setup(void **state) {
    static struct test t;
    memset(&t, 0, sizeof(t));
    broker_room_init(&t.room, app_text, &handler_send_functions);
    *state = &t;
    return 0;
}

static int teardown(void **state) {
    struct test *t = *state;
    handler_run_lost(&t->room.batch);
    while (app_waiting(t->room.app) > 0)
        bus_room_turn(&t->room.bus_room, 10);
    in_entry_unref(t->entry);
    broker_room_deinit(&t->room);
    return 0;
}

static void process(struct test *t, enum entry_kind kind, const char *name, const char *body,
                    unsigned handled, bool is_back) {
    struct entry e = {.kind = kind,
                      .name = bytes_str(name),
                      .client_id = BYTES_LIT("ann"),
                      .conn = BYTES_LIT("g:1:2|"),
                      .body = bytes_str(body)};
    in_entry_unref(t->entry);
    t->entry = broker_room_entry(&e, ++t->room.cursor);
    t->entry->handled = handled;
    t->entry->is_back = is_back;
    t->p = broker_room_begin(&t->room, t->entry);
    connection_events_process(&t->p);
}

static void which_handlers_run(void **state) {
    static const struct {
        enum entry_kind kind;
        const char *name, *body;
        unsigned handled;
        bool is_back;
        const char *said, *told; /* in the logs of shut and n2 */
        int events;
    } rows[] = {
        {ENTRY_CONNECT, "n2", "", 0, false, "data from=ann a connect\ndata from=ann d connect\n",
         "", 3},
        {ENTRY_CONNECT, "n2", "", 1, true, "data from=ann d connect\n", "", 2},
        {ENTRY_CONNECT, "n2", "", 4, true, "data from=ann d connect\n", "", 1},
        {ENTRY_CONNECT, "n2", "", 5, true, "", "", 0},
        {ENTRY_CONNECT, "n2", "", 99, true, "", "", 0},
        {ENTRY_CONNECT, "none", "", 0, false, "", "", 0},
        {ENTRY_DISCONNECT, "n2", "client:1000:", 0, false, "data from=ann b disconnect\n", "", 1},
        {ENTRY_DISCONNECT, "n2", "replaced", 0, false, "data from=ann b disconnect\n",
         "close conn=g:1:2| 4001 replaced\n", 1},
        /* it was told when its entry first came */
        {ENTRY_DISCONNECT, "n2", "replaced", 0, true, "data from=ann b disconnect\n", "", 1},
        {ENTRY_DISCONNECT, "n2", "replaced by", 0, false, "data from=ann b disconnect\n", "", 1},
        {ENTRY_CONNECT, "n2", "replaced", 0, false,
         "data from=ann a connect\ndata from=ann d connect\n", "", 3},
        /* one that an earlier one took off does not run */
        {ENTRY_DISCONNECT, "n6", "", 0, false, "data from=ann e disconnect\n", "", 2},
    };
    struct test *t = *state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        int64_t before = metrics_get(METRIC_events);
        process(t, rows[i].kind, rows[i].name, rows[i].body, rows[i].handled, rows[i].is_back);
        assert_int_equal(metrics_get(METRIC_events), before + rows[i].events);
        assert_string_equal(broker_room_log(&t->room, BYTES_LIT("shut")), rows[i].said);
        assert_string_equal(broker_room_log(&t->room, BYTES_LIT("n2")), rows[i].told);
        /* one that had waited is done, also when no handler is left for it */
        assert_int_equal(t->room.batch.deferred.done_count, rows[i].is_back);
        t->room.batch.deferred.done_count = 0;
    }
}

/* With a handler that waits: the Disconnect waits for it. One without handlers has nothing to wait
 * for, and neither has one of which no handler is left. */
static void a_disconnect_waits_for_its_connect(void **state) {
    struct test *t = *state;
    process(t, ENTRY_CONNECT, "n6", "", 0, false);
    assert_non_null(t->room.batch.open_runs);
    assert_int_equal(t->room.batch.deferred.count, 0); /* it was the only handler */
    process(t, ENTRY_DISCONNECT, "n6", "replaced", 0, false);
    assert_int_equal(t->room.batch.deferred.count, 1);
    assert_int_equal(t->room.batch.deferred.items[0].handled, 0);
    assert_string_equal(broker_room_log(&t->room, BYTES_LIT("shut")), "");
    assert_string_equal(broker_room_log(&t->room, BYTES_LIT("n6")),
                        "close conn=g:1:2| 4001 replaced\n"); /* but it learns that at once */
}

int main(void) {
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(which_handlers_run),
        TEST(a_disconnect_waits_for_its_connect),
    };
    if (!redis_server_is_installed())
        return 77;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
