/* A tick of a schedule: once in the cluster, and not settled before Redis has it. */
#include "broker/schedules.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "broker/handlers/handler_send.h"
#include "common/base/metrics.h"
#include "common/bus/log/tick.h"
#include "common/bus/partition.h"
#include "tests/broker/slots_room.h"

enum { LEASE_MS = 5000, WAIT_MS = 5000 };

struct test {
    struct broker_room room;
    struct slots_room slots;
    struct schedules *schedules, *others;
    struct buf source, in;
    unsigned ticks;
    int64_t due; /* the time of the last tick, seconds */
};

static struct test t;

static void process(struct processing *p) {
    if (p->entry->entry.kind != ENTRY_TICK || !bytes_equal_str(p->entry->entry.name, "hourly"))
        return;
    t.ticks++;
    t.due = p->entry->entry.code;
}

static void on_end(void *ctx, unsigned slot, bool is_fenced) {
    (void)ctx;
    (void)slot;
    (void)is_fenced;
    fail();
}

/* The schedule's last tick was so many seconds ago. */
static void setup_with(const char *cron, int ago) {
    static const char set[] =
        "local\tnow=redis.call('TIME')[1]\t"
        "redis.call('HSET',KEYS[1],'c:hourly',string.format('%020d',now-ARGV[1]))";
    static const struct inbox_events inbox_events = {process, process, on_end};
    memset(&t, 0, sizeof(t));
    char app[100];
    snprintf(app, sizeof(app), "signalbox.schedule('hourly', '%s', function() end)", cron);
    broker_room_init(&t.room, app, NULL);
    slots_room_init(&t.slots, &t.room, LEASE_MS, &inbox_events);
    unsigned partition = tick_partition(t.room.bus, "hourly");
    key_of(&t.source, partition, KEY_SOURCES, BYTES_NONE);
    key_of(&t.in, partition, KEY_IN, BYTES_NONE);
    bus_room_ask(&t.room.bus_room, "EVAL %s 1 %.*s %d", set, BYTES_FMT(buf_bytes(&t.source)), ago);
    slots_room_take(&t.slots, WAIT_MS);
}

static void setup_ticked(int ago) {
    setup_with("* * * * *", ago);
}

static int teardown(void **state) {
    (void)state;
    schedules_free(t.schedules);
    schedules_free(t.others);
    slots_room_drop(&t.slots);
    buf_deinit(&t.source);
    buf_deinit(&t.in);
    broker_room_deinit(&t.room);
    slots_room_free(&t.slots);
    return 0;
}

static struct schedules *start(void) {
    return schedules_new(&t.room.bus_room.loop, &t.room.parts, t.slots.inboxes);
}

/* How often Redis refused a call with this error. */
static int refused(const char *error) {
    const char *all = bus_room_ask(&t.room.bus_room, "INFO errorstats"), *at = strstr(all, error);
    return at != NULL ? atoi(at + strlen(error) + strlen(":count=")) : 0;
}

static void a_tick_that_redis_refused_is_tried_again(void **state) {
    struct bus_room *room = &t.room.bus_room;
    (void)state;
    setup_ticked(3600);
    bus_room_ask(room, "RENAME %.*s aside", BYTES_FMT(buf_bytes(&t.source)));
    bus_room_ask(room, "SET %.*s text", BYTES_FMT(buf_bytes(&t.source)));
    t.schedules = start();
    for (int i = 0; i < WAIT_MS / 10 && refused("errorstat_WRONGTYPE") == 0; i++)
        bus_room_turn(room, 10);
    assert_true(refused("errorstat_WRONGTYPE") > 0);
    assert_int_equal(t.ticks, 0);
    bus_room_ask(room, "RENAME aside %.*s", BYTES_FMT(buf_bytes(&t.source)));
    bus_room_until(room, &t.ticks, 1, WAIT_MS);
}

/* Two brokers that both believe they own the partition, and one that forgets what it has added. */
static void a_missed_tick_is_added_once_by_whoever_asks(void **state) {
    (void)state;
    setup_ticked(3600);
    t.schedules = start();
    t.others = start();
    bus_room_until(&t.room.bus_room, &t.ticks, 1, WAIT_MS);
    schedules_forget_ticks(t.schedules);
    bus_room_turn(&t.room.bus_room, 1500); /* each asks once more */
    assert_in_range(t.ticks, 1, 2);        /* a minute may begin meanwhile */
}

/* The tick of this minute, by Redis' clock. */
static void a_tick_has_the_time_that_it_was_due(void **state) {
    (void)state;
    setup_ticked(3600);
    t.schedules = start();
    bus_room_until(&t.room.bus_room, &t.ticks, 1, WAIT_MS);
    int64_t now = atoll(bus_room_ask(&t.room.bus_room, "TIME"));
    assert_int_equal(t.due % 60, 0);
    assert_in_range(now - t.due, 0, 65);
}

/* No tick is due for half an hour. What Redis has as the last one may be of the future, if a clock was
 * set back: it is believed up to the next tick, and a later one is of a wrong clock. */
static void a_mark_of_the_future_is_believed_up_to_the_next_tick(void **state) {
    static const struct {
        int ahead;
        bool stays;
    } rows[] = {{-7200, true}, {600, true}, {7200, false}};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char cron[32], before[32];
        snprintf(cron, sizeof(cron), "%d * * * *", (int)((time(NULL) / 60 + 30) % 60));
        setup_with(cron, -rows[i].ahead);
        snprintf(
            before, sizeof(before), "%.31s",
            bus_room_ask(&t.room.bus_room, "HGET %.*s c:hourly", BYTES_FMT(buf_bytes(&t.source))));
        t.schedules = start();
        bus_room_turn(&t.room.bus_room, 400);
        const char *after =
            bus_room_ask(&t.room.bus_room, "HGET %.*s c:hourly", BYTES_FMT(buf_bytes(&t.source)));
        assert_int_equal(strcmp(before, after) == 0, rows[i].stays);
        assert_int_equal(t.ticks, 0);
        teardown(NULL);
    }
}

/* A partition that is not ours: its ticks are another broker's. */
static void a_tick_of_another_broker_is_not_added(void **state) {
    (void)state;
    setup_ticked(3600);
    inboxes_drop(t.slots.inboxes, tick_partition(t.room.bus, "hourly"));
    t.schedules = start();
    bus_room_turn(&t.room.bus_room, 1300);
    assert_string_equal(bus_room_ask(&t.room.bus_room, "XLEN %.*s", BYTES_FMT(buf_bytes(&t.in))),
                        "0");
}

/* Of the app's schedules the one that the tick is of runs; none of a tick that nobody knows. */
static void a_tick_runs_its_schedule(void **state) {
    static const struct {
        const char *name;
        int ticks;
    } rows[] = {{"first", 1}, {"second", 1}, {"third", 0}, {"Second", 0}, {"", 0}};
    struct broker_room room;
    (void)state;
    broker_room_init(&room,
                     "signalbox.schedule('first', '* * * * *', function(e)\n"
                     "  signalbox.send { name = 'n2', data = '1 ' .. e.name .. e.timestamp }\n"
                     "end)\n"
                     "signalbox.schedule('second', '* * * * *', function(e)\n"
                     "  signalbox.send { name = 'n2', data = '2 ' .. e.name .. e.timestamp }\n"
                     "end)\n",
                     &handler_send_functions);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        int64_t before = metrics_get(METRIC_schedule_ticks);
        struct entry e = {.kind = ENTRY_TICK, .name = bytes_str(rows[i].name), .code = 60};
        struct in_entry *entry = broker_room_entry(&e, ++room.cursor);
        struct processing p = broker_room_begin(&room, entry);
        char said[100] = "";
        schedules_process(&p);
        if (rows[i].ticks > 0)
            snprintf(said, sizeof(said), "data %zu %s1970-01-01T00:01:00.000Z\n", i + 1,
                     rows[i].name);
        assert_string_equal(broker_room_log(&room, BYTES_LIT("n2")), said);
        assert_int_equal(metrics_get(METRIC_schedule_ticks), before + rows[i].ticks);
        in_entry_unref(entry);
    }
    broker_room_deinit(&room);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(a_tick_has_the_time_that_it_was_due, teardown),
        cmocka_unit_test_teardown(a_tick_of_another_broker_is_not_added, teardown),
        cmocka_unit_test(a_mark_of_the_future_is_believed_up_to_the_next_tick),
        cmocka_unit_test(a_tick_runs_its_schedule),
        cmocka_unit_test_teardown(a_tick_that_redis_refused_is_tried_again, teardown),
        cmocka_unit_test_teardown(a_missed_tick_is_added_once_by_whoever_asks, teardown),
    };
    if (!redis_server_is_installed())
        return 77;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
