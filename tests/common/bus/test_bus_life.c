/* test_bus_life.c - the place of a process on the backplane: what the fleet must agree on, the heartbeat,
 * and what it means when it is refused, forgotten or skipped. */
#include "common/bus/bus.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/base/clock.h"
#include "common/bus/backlog.h"
#include "common/bus/bus_internal.h"
#include "common/bus/bus_send.h"
#include "common/bus/partition.h"
#include "common/base/metrics.h"
#include "tests/common/bus/bus_room.h"

enum { PARTITIONS = 4 };

struct test {
    struct bus_room room;
    struct bus *bus;
    unsigned commands, lost, skipped, passed, dead, forgotten, mismatched, left;
    uint64_t beat; /* that passed last */
    char why[256];
};

static void on_commands(void *ctx) {
    ((struct test *)ctx)->commands++;
}

static void on_commands_lost(void *ctx) {
    ((struct test *)ctx)->lost++;
}

static void on_feed_skipped(void *ctx) {
    ((struct test *)ctx)->skipped++;
}

static void on_feed_passed(void *ctx, uint64_t beat) {
    struct test *t = ctx;
    t->passed++;
    t->beat = beat;
}

static void on_declared_dead(void *ctx) {
    ((struct test *)ctx)->dead++;
}

static void on_forgotten(void *ctx) {
    ((struct test *)ctx)->forgotten++;
}

static void on_mismatch(void *ctx, const char *why) {
    struct test *t = ctx;
    t->mismatched++;
    snprintf(t->why, sizeof(t->why), "%s", why);
}

static void on_left(void *ctx) {
    ((struct test *)ctx)->left++;
}

static void begin(struct test *t, enum bus_kind kind) {
    static const struct bus_events events = {.on_commands = on_commands,
                                             .on_commands_lost = on_commands_lost,
                                             .on_feed_skipped = on_feed_skipped,
                                             .on_feed_passed = on_feed_passed,
                                             .on_declared_dead = on_declared_dead,
                                             .on_forgotten = on_forgotten,
                                             .on_mismatch = on_mismatch};
    t->bus = bus_new(&t->room.loop, &t->room.settings, kind);
    assert_non_null(t->bus);
    bus_listen(t->bus, &events, t);
    bus_start(t->bus);
}

static void begin_ready(struct test *t, enum bus_kind kind) {
    begin(t, kind);
    for (int i = 0; i < 500 && !bus_is_ready(t->bus); i++)
        bus_room_turn(&t->room, 10);
    if (!bus_is_ready(t->bus))
        fail_msg("not ready: %s", bus_trouble(t->bus));
}

static void end(struct test *t) {
    bus_close(t->bus);
    bus_room_turn(&t->room, 10);
    t->bus = NULL;
}

static int setup(void **state) {
    static struct test t;
    memset(&t, 0, sizeof(t));
    bus_room_init(&t.room, PARTITIONS);
    *state = &t;
    return 0;
}

static int teardown(void **state) {
    struct test *t = *state;
    bus_close(t->bus);
    bus_room_deinit(&t->room);
    return 0;
}

static void until(struct test *t, const unsigned *what) {
    bus_room_until(&t->room, what, 1, 4000);
}

/* ---- what the fleet agrees on ---- */

static void the_first_process_decides_the_configuration(void **state) {
    struct test *t = *state;
    begin_ready(t, BUS_GATEWAY);
    assert_string_equal(bus_room_ask(&t->room, "HGET sb:{sb}:cfg version"), "1");
    assert_string_equal(bus_room_ask(&t->room, "HGET sb:{sb}:cfg partitions"), "4");
    assert_string_equal(bus_room_ask(&t->room, "HEXISTS sb:{sb}:cfg secret"), "0");
    assert_int_equal(t->mismatched, 0);
    assert_int_equal(t->commands, 1);
}

static void a_process_with_other_settings_ends(void **state) {
    static const struct {
        const char *field, *value, *says;
    } rows[] = {{"partitions", "8", "has partitions: 8, this process was told 4"},
                {"version", "2", "has protocol version 2, this process was told 1"}};
    struct test *t = *state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        bus_room_ask(&t->room, "DEL sb:{sb}:cfg");
        bus_room_ask(&t->room, "HSET sb:{sb}:cfg %s %s", rows[i].field, rows[i].value);
        t->mismatched = t->commands = 0;
        begin(t, BUS_BROKER);
        until(t, &t->mismatched);
        assert_non_null(strstr(t->why, rows[i].says));
        bus_room_turn(&t->room, 1200); /* it is not asked again */
        assert_int_equal(t->mismatched, 1);
        assert_int_equal(t->commands, 0);
        assert_false(bus_can_send(t->bus) || bus_is_ready(t->bus));
        end(t);
    }
}

/* What nobody can have written is nobody's configuration: a tool keeps its own. */
static void a_tool_learns_the_partitions(void **state) {
    static const struct {
        const char *stored;
        unsigned expected;
    } rows[] = {{"1", 1},          {"64", 64},           {"1024", 1024},
                {"0", PARTITIONS}, {"1025", PARTITIONS}, {"x", PARTITIONS},
                {"-1", PARTITIONS}};
    struct test *t = *state;
    assert_int_equal(PARTITIONS_MAX, 1024);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        bus_room_ask(&t->room, "HSET sb:{sb}:cfg version 1 partitions %s", rows[i].stored);
        begin(t, BUS_TOOL);
        for (int j = 0; j < 300 && !bus_can_send(t->bus) && t->mismatched == 0; j++)
            bus_room_turn(&t->room, 10);
        if (bus_can_send(t->bus))
            assert_int_equal(bus_partitions(t->bus), rows[i].expected);
        assert_int_equal(t->mismatched, 0);
        end(t);
    }
    assert_string_equal(bus_room_ask(&t->room, "EXISTS sb:{sb}:gw sb:{sb}:br"), "0");
}

static const char *secret_file(char path[64], const char *text) {
    snprintf(path, 64, "/tmp/test_bus_%d_%c", (int)getpid(), text[0]);
    FILE *f = fopen(path, "w");
    fputs(text, f);
    fclose(f);
    return path;
}

/* fleet's secret, process' secret ("" none): whether it may begin, and what it says. */
static void a_process_with_another_secret_ends(void **state) {
    static const struct {
        const char *fleet, *process, *says;
    } rows[] = {{"a secret of this fleet", "a secret of this fleet", NULL},
                {"", "a secret of this fleet", NULL}, /* the first that has one decides */
                {"a secret of this fleet", "", "has a cluster secret: start this process"},
                {"a secret of this fleet", "other secret of all", "has another cluster secret"}};
    struct test *t = *state;
    char path[64];
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        bus_room_ask(&t->room, "FLUSHALL");
        for (int second = 0; second < 2; second++) {
            const char *text = second ? rows[i].process : rows[i].fleet;
            bool is_refused = second && rows[i].says != NULL;
            t->room.settings.cluster_secret_file = *text ? secret_file(path, text) : "";
            t->mismatched = 0;
            if (is_refused) {
                begin(t, BUS_GATEWAY);
                until(t, &t->mismatched);
                assert_non_null(strstr(t->why, rows[i].says));
                assert_true(bus_has_other_secret(t->bus));
                assert_false(bus_can_send(t->bus));
            } else {
                begin_ready(t, BUS_GATEWAY);
                assert_false(bus_has_other_secret(t->bus));
            }
            end(t);
            if (is_refused) { /* a tool goes on, and knows */
                begin(t, BUS_TOOL);
                bus_room_until(&t->room, &t->commands, t->commands + 1, 3000);
                assert_true(bus_has_other_secret(t->bus));
                assert_int_equal(metrics_get(METRIC_trouble_secret), 1);
                assert_int_equal(metrics_get(METRIC_trouble_unproven), 0);
                trouble_clear(&t->bus->other_secret);
                end(t);
            }
            if (*text)
                unlink(path);
        }
    }
    t->room.settings.cluster_secret_file = "";
}

/* ---- the heartbeat ---- */

static void a_heartbeat_counts_up_and_comes_back(void **state) {
    struct test *t = *state;
    begin_ready(t, BUS_BROKER);
    assert_true(bus_may_register(t->bus));
    uint64_t next = bus_next_beat(t->bus);
    bus_room_until(&t->room, &t->passed, t->passed + 2, 4000);
    assert_true(t->beat >= next);
    assert_int_equal(
        strtoull(bus_room_ask(&t->room, "HGET sb:{sb}:br %s", bus_id(t->bus)), NULL, 10),
        bus_next_beat(t->bus) - 1);
    assert_string_equal(bus_room_ask(&t->room, "EXISTS sb:{sb}:gw"), "0");
    assert_int_equal(t->skipped, 0);
    assert_string_equal(bus_trouble(t->bus), "");
}

static void an_unfit_broker_says_so_at_once(void **state) {
    struct test *t = *state;
    begin_ready(t, BUS_BROKER);
    for (int is_unfit = 1; is_unfit >= 0; is_unfit--) {
        uint64_t before = bus_next_beat(t->bus);
        bus_set_unfit(t->bus, is_unfit);
        assert_int_equal(bus_next_beat(t->bus), before + 1);
        bus_set_unfit(t->bus, is_unfit); /* said already */
        assert_int_equal(bus_next_beat(t->bus), before + 1);
        bus_room_turn(&t->room, 30);
        const char *beat = bus_room_ask(&t->room, "HGET sb:{sb}:br %s", bus_id(t->bus));
        assert_int_equal(strstr(beat, HEARTBEAT_UNFIT) != NULL, is_unfit);
    }
}

/* Under a new id, which Redis has counted before anybody hears of it. */
static void a_process_that_was_declared_dead_begins_anew(void **state) {
    struct test *t = *state;
    char former[17];
    begin_ready(t, BUS_GATEWAY);
    snprintf(former, sizeof(former), "%s", bus_id(t->bus));
    bus_room_ask(&t->room, "HDEL sb:{sb}:gw %s", former);
    bus_room_ask(&t->room, "SET sb:{sb}:dead:%s 1", former);
    until(t, &t->dead);
    assert_string_not_equal(bus_id(t->bus), former);
    assert_false(bus_may_register(t->bus));
    for (int i = 0; i < 300 && !(bus_may_register(t->bus) && bus_is_ready(t->bus)); i++)
        bus_room_turn(&t->room, 10);
    assert_true(bus_may_register(t->bus));
    assert_string_equal(bus_room_ask(&t->room, "HEXISTS sb:{sb}:gw %s", former), "0");
    assert_string_equal(bus_room_ask(&t->room, "HEXISTS sb:{sb}:gw %s", bus_id(t->bus)), "1");
    t->passed = 0;
    bus_room_until(&t->room, &t->passed, 2, 4000); /* the probe comes over the new channel */
    assert_int_equal(t->dead, 1);
    assert_int_equal(t->forgotten, 0);
    assert_string_equal(bus_room_ask(&t->room, "PUBSUB NUMSUB sb:{sb}:probe:%s", former) +
                            strlen("sb:{sb}:probe:") + 16,
                        " 0");
}

static void data_that_redis_lost_is_noticed(void **state) {
    struct test *t = *state;
    begin_ready(t, BUS_GATEWAY);
    assert_int_equal(t->forgotten, 0);
    bus_room_ask(&t->room, "FLUSHALL");
    until(t, &t->forgotten);
    assert_int_equal(t->dead, 0);
    bus_room_turn(&t->room, 1300); /* and once */
    assert_int_equal(t->forgotten, 1);
    assert_string_equal(bus_room_ask(&t->room, "HGET sb:{sb}:cfg partitions"), "4");
    bus_room_ask(&t->room, "CLIENT KILL TYPE normal SKIPME yes");
    until(t, &t->lost);
    bus_room_until(&t->room, &t->commands, 2, 4000);
    bus_room_turn(&t->room, 300);
    assert_int_equal(t->forgotten, 1); /* a new connection is not lost data */
}

static void refused_heartbeats_are_no_sign_of_life(void **state) {
    struct test *t = *state;
    begin_ready(t, BUS_BROKER);
    assert_true(bus_accepted_since(t->bus) != 0);
    bus_room_ask(&t->room, "CONFIG SET min-replicas-to-write 1");
    for (int i = 0; i < 300 && bus_accepted_since(t->bus) != 0; i++)
        bus_room_turn(&t->room, 10);
    assert_int_equal(bus_accepted_since(t->bus), 0);
    for (int i = 0; i < 400 && strstr(bus_trouble(t->bus), "NOREPLICAS") == NULL; i++)
        bus_room_turn(&t->room, 10);
    assert_non_null(strstr(bus_trouble(t->bus), "the heartbeat: NOREPLICAS"));
    bus_room_ask(&t->room, "CONFIG SET min-replicas-to-write 0");
    uint64_t now = clock_ms();
    for (int i = 0; i < 300 && bus_accepted_since(t->bus) == 0; i++)
        bus_room_turn(&t->room, 10);
    assert_true(bus_accepted_since(t->bus) >= now); /* not since before */
    for (int i = 0; i < 300 && *bus_trouble(t->bus) != '\0'; i++)
        bus_room_turn(&t->room, 10);
    assert_string_equal(bus_trouble(t->bus), "");
}

/* Silence of our own counts like a refusal; a tool has no heartbeat. */
static void acceptance_grows_old(void **state) {
    struct test *t = *state;
    begin_ready(t, BUS_BROKER);
    uint64_t since = bus_accepted_since(t->bus), last = t->bus->accepted_ms;
    clock_freeze(last + HEARTBEAT_GAP_MS);
    assert_int_equal(bus_accepted_since(t->bus), since);
    clock_freeze(last + HEARTBEAT_GAP_MS + 1);
    assert_int_equal(bus_accepted_since(t->bus), 0);
    clock_freeze(0);
    end(t);
    begin(t, BUS_TOOL);
    assert_int_equal(bus_accepted_since(t->bus), 1);
}

/* A probe of the future shows that the accepted ones before it were skipped; once each. */
static void a_feed_that_skipped_is_told(void **state) {
    struct test *t = *state;
    begin_ready(t, BUS_GATEWAY);
    bus_room_until(&t->room, &t->passed, t->passed + 1, 4000);
    bus_room_turn(&t->room, 50); /* now it is answered, too, and the next is far off */
    uint64_t last = t->beat;
    bus_room_ask(&t->room, "PUBLISH sb:{sb}:probe:%s nonsense", bus_id(t->bus));
    bus_room_turn(&t->room, 30);
    assert_int_equal(t->skipped, 0);
    t->bus->probes.all[last % PROBES_KEPT].has_come = false; /* as if it had not */
    bus_room_ask(&t->room, "PUBLISH sb:{sb}:probe:%s %llu", bus_id(t->bus),
                 (unsigned long long)last + 1);
    bus_room_turn(&t->room, 30);
    assert_int_equal(t->skipped, 1);
}

/* ---- leaving ---- */

static void who_leaves_is_not_waited_for(void **state) {
    struct test *t = *state;
    begin_ready(t, BUS_GATEWAY);
    uint64_t next = bus_next_beat(t->bus);
    bus_leave(t->bus, on_left, t);
    assert_int_equal(t->left, 0); /* on a later turn */
    until(t, &t->left);
    assert_string_equal(bus_room_ask(&t->room, "EXISTS sb:{sb}:gw"), "0");
    bus_room_turn(&t->room, 1300);
    assert_int_equal(t->left, 1);
    assert_int_equal(bus_next_beat(t->bus), next);
    assert_string_equal(bus_room_ask(&t->room, "EXISTS sb:{sb}:gw"), "0");
}

static void who_leaves_without_redis_leaves_too(void **state) {
    struct test *t = *state;
    begin_ready(t, BUS_BROKER);
    redis_server_kill(&t->room.redis);
    until(t, &t->lost);
    bus_leave(t->bus, on_left, t);
    assert_int_equal(t->left, 0);
    until(t, &t->left);
}

/* ---- what it says of itself ---- */

static void redis_is_tight_from_three_quarters_on(void **state) {
    static const struct {
        int64_t used, max;
        bool is_tight;
    } rows[] = {{0, 0, false},
                {1000, 0, false},
                {299, 400, false},
                {300, 400, true},
                {301, 400, true},
                {1 << 30, 400, true},
                {0, 400, false},
                {3LL << 40, 4LL << 40, true},
                {(3LL << 40) - 9, 4LL << 40, false}};
    struct test *t = *state;
    t->bus = bus_new(&t->room.loop, &t->room.settings, BUS_TOOL);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        bus_set_memory(t->bus, rows[i].used, rows[i].max);
        assert_int_equal(bus_is_tight(t->bus), rows[i].is_tight);
    }
}

/* --max-ingest-bytes or a quarter of Redis' memory, whichever is less, over the partitions. */
static void the_share_of_a_partition(void **state) {
    static const struct {
        int64_t setting, max, share;
    } rows[] = {{4000, 0, 1000},
                {4000, 16000, 1000},
                {4000, 15999, 999},
                {4000, 16004, 1000},
                {4000, 400, 25}};
    struct test *t = *state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        t->room.settings.max_ingest_bytes = rows[i].setting;
        t->bus = bus_new(&t->room.loop, &t->room.settings, BUS_TOOL);
        bus_set_memory(t->bus, 0, rows[i].max);
        assert_int_equal(bus_ingest_share(t->bus), rows[i].share);
        end(t);
    }
}

static void fill_public(struct test *t, unsigned count) {
    bus_room_ask(&t->room, "DEL signalbox:send");
    bus_room_ask(
        &t->room,
        "EVAL for\ti=1,ARGV[1]\tdo\tredis.call('XADD','signalbox:send','*','a','b')end 0 %u",
        count);
}

static void expect_backlog(struct test *t, unsigned count, bool is_trouble) {
    fill_public(t, count);
    backlog_ask(bus_backlog(t->bus));
    for (int i = 0; i < 200 && bus_backlog(t->bus)->length != count; i++)
        bus_room_turn(&t->room, 5);
    assert_int_equal(bus_backlog(t->bus)->length, count);
    assert_int_equal(metrics_get(METRIC_public_backlog), count);
    assert_int_equal(trouble_is_raised(&bus_backlog(t->bus)->trouble), is_trouble);
}

static void a_backlog_is_trouble_beyond_half_of_its_bound(void **state) {
    struct test *t = *state;
    begin(t, BUS_TOOL);
    until(t, &t->commands);
    expect_backlog(t, 0, false);
    expect_backlog(t, BACKLOG_MAX / 2, false);
    expect_backlog(t, BACKLOG_MAX / 2 + 1, true);
    expect_backlog(t, 1, false);
}

static void a_backlog_is_asked_for_after_every_256(void **state) {
    struct test *t = *state;
    begin(t, BUS_TOOL);
    until(t, &t->commands);
    expect_backlog(t, 1, false);
    fill_public(t, 7);
    for (int round = 0; round < 2; round++) {
        bus_backlog(t->bus)->length = -1;
        for (int i = 0; i < 255; i++)
            backlog_note_sent(bus_backlog(t->bus));
        bus_room_turn(&t->room, 30);
        assert_int_equal(bus_backlog(t->bus)->length, -1);
        backlog_note_sent(bus_backlog(t->bus));
        bus_room_turn(&t->room, 30);
        assert_int_equal(bus_backlog(t->bus)->length, 7);
    }
}

static void partitions_without_an_owner_are_counted(void **state) {
    struct test *t = *state;
    metrics_set(METRIC_partitions_unowned, -1);
    begin_ready(t, BUS_BROKER);
    for (unsigned owned = 0; owned <= PARTITIONS; owned++) {
        if (owned > 0)
            bus_room_ask(&t->room, "SET sb:{%s}:lease x", partition_tag(owned - 1));
        for (int i = 0; i < 300 && metrics_get(METRIC_partitions_unowned) != PARTITIONS - owned;
             i++)
            bus_room_turn(&t->room, 10);
        assert_int_equal(metrics_get(METRIC_partitions_unowned), PARTITIONS - owned);
        assert_int_equal(metrics_get(METRIC_trouble_unowned), owned < PARTITIONS);
    }
}

int main(void) {
#define WITH_REDIS(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        WITH_REDIS(the_first_process_decides_the_configuration),
        WITH_REDIS(a_process_with_other_settings_ends),
        WITH_REDIS(a_tool_learns_the_partitions),
        WITH_REDIS(a_process_with_another_secret_ends),
        WITH_REDIS(a_heartbeat_counts_up_and_comes_back),
        WITH_REDIS(an_unfit_broker_says_so_at_once),
        WITH_REDIS(a_process_that_was_declared_dead_begins_anew),
        WITH_REDIS(data_that_redis_lost_is_noticed),
        WITH_REDIS(refused_heartbeats_are_no_sign_of_life),
        WITH_REDIS(acceptance_grows_old),
        WITH_REDIS(a_feed_that_skipped_is_told),
        WITH_REDIS(who_leaves_is_not_waited_for),
        WITH_REDIS(who_leaves_without_redis_leaves_too),
        WITH_REDIS(redis_is_tight_from_three_quarters_on),
        WITH_REDIS(the_share_of_a_partition),
        WITH_REDIS(a_backlog_is_trouble_beyond_half_of_its_bound),
        WITH_REDIS(a_backlog_is_asked_for_after_every_256),
        WITH_REDIS(partitions_without_an_owner_are_counted),
    };
    if (!redis_server_is_installed())
        return 77;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
