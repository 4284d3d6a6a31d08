/* test_restore.c - after Redis lost registrations: they are made again, and an id that somebody
 * else has taken meanwhile belongs to nobody twice. */
#include "gateway/restore.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <hiredis/hiredis.h>

#include "common/base/log.h"
#include "common/bus/cluster/registry.h"
#include "common/bus/log/follower.h"
#include "common/bus/partition.h"
#include "gateway/conn/conn.h"
#include "gateway/delivery/reconcile.h"
#include "gateway/session/client.h"
#include "gateway/session/clients.h"
#include "tests/common/app/app_of_text.h"
#include "tests/common/base/skipped_time.h"
#include "tests/common/bus/log_room.h"

enum { CLIENTS = 3, WAIT_MS = 5000 };

struct world {
    struct bus_room room;
    struct bus *bus;
    struct registry *registry;
    struct follower *follower;
    struct app *app;
    struct clients clients;
    struct reconcile reconcile;
    struct restore restore;
    struct client_host host;
    struct conn conns[CLIENTS];
    struct client *client[CLIENTS];
    unsigned answers, gaps, closed[CLIENTS];
    int closed_with[CLIENTS];
};

static struct world w;

static void on_close(void *carrier, const struct transport_end *end) {
    size_t i = (size_t)((struct conn *)carrier - w.conns);
    w.closed[i]++;
    w.closed_with[i] = end->code;
}

static const struct transport transport = {.close = on_close};

static void on_left(void *ctx, struct client *c) {
    (void)ctx;
    (void)c;
}

static const struct client_events client_events = {.on_left = on_left};

static void on_message(void *ctx, void *owner, const struct message *m) {
    (void)ctx;
    (void)owner;
    (void)m;
}

static void on_gap(void *ctx, void *owner, enum gap gap) {
    (void)ctx;
    (void)owner;
    w.gaps += gap != GAP_NONE;
}

static const struct follower_events follower_events = {.on_message = on_message, .on_gap = on_gap};

static void on_registered(void *ctx, enum registered result, struct message_id position) {
    (void)ctx;
    (void)position;
    assert_int_equal(result, REGISTERED_OK);
    w.answers++;
}

/* The i-th connection, as client c0, c1 … of the Name N. */
static void add(size_t i, struct name_entry *entry) {
    char id[8], value[64];
    snprintf(id, sizeof(id), "c%zu", i);
    snprintf(value, sizeof(value), "%s:%zu:5|", bus_id(w.bus), i + 1);
    w.conns[i] = (struct conn){.state = CONN_OPEN};
    w.client[i] = client_new(&w.host,
                             &(struct identity){.name = BYTES_LIT("N"),
                                                .client_id = bytes_str(id),
                                                .value = bytes_str(value),
                                                .number = i + 1,
                                                .connected_ms = 5},
                             WIRE_WS);
    client_carry(w.client[i], &transport, &w.conns[i], &w.conns[i]);
    clients_attach(entry, w.client[i]);
    client_register(w.client[i], false, on_registered, NULL);
}

static void leave(size_t i) {
    if (w.client[i] == NULL)
        return;
    client_transport_events.on_gone(w.client[i]);
    client_unref(w.client[i]);
    w.client[i] = NULL;
}

static int setup(void **state) {
    (void)state;
    memset(&w, 0, sizeof(w));
    bus_room_init(&w.room, 1);
    log_set_level(LOG_ERROR + 1);
    w.bus = bus_room_join(&w.room, BUS_GATEWAY);
    for (int i = 0; i < 300 && !bus_may_register(w.bus); i++)
        bus_room_turn(&w.room, 10);
    w.registry = registry_new(w.bus);
    w.host = (struct client_host){.registry = w.registry, .events = &client_events};
    w.follower = follower_new(w.bus, &follower_events, &w);
    w.room.settings.lua_memory_bytes = 1 << 26;
    w.room.settings.lua_budget_ms = 1000;
    w.app = app_of_text(
        "", &(struct app_environment){.loop = &w.room.loop, .settings = &w.room.settings});
    clients_init(&w.clients, w.bus, w.follower, &w.app);
    reconcile_init(&w.reconcile, w.bus, w.registry, &w.clients);
    restore_init(&w.restore, w.bus, w.registry, &w.clients, &w.reconcile);
    struct name_entry *entry = clients_enter(&w.clients, BYTES_LIT("N"));
    for (size_t i = 0; i < CLIENTS; i++)
        add(i, entry);
    bus_room_until(&w.room, &w.answers, CLIENTS, WAIT_MS);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    for (size_t i = 0; i < CLIENTS; i++)
        leave(i);
    bus_room_turn(&w.room, 20);
    clients_deinit(&w.clients);
    registry_free(w.registry);
    app_release(w.app);
    bus_hang_up(w.bus);
    follower_free(w.follower);
    bus_close(w.bus);
    bus_room_deinit(&w.room);
    return 0;
}

static const char *value_of(const char *id) {
    return bus_room_ask(&w.room, "HGET sb:{%s}:c:N %s", partition_tag(0), id);
}

static bool is_ours(const char *id) {
    return strncmp(value_of(id), bus_id(w.bus), strlen(bus_id(w.bus))) == 0;
}

static void take(const char *id) {
    bus_room_ask(&w.room, "HSET sb:{%s}:c:N %s other:1:1|", partition_tag(0), id);
}

static void forget(const char *id) {
    bus_room_ask(&w.room, "HDEL sb:{%s}:c:N %s", partition_tag(0), id);
    bus_room_ask(&w.room, "DEL sb:{%s}:g:%s", partition_tag(0), bus_id(w.bus));
}

/* One look at each connection, as the process takes one each second, and the round it leads to. */
static void look(void) {
    for (int i = 0; i < CLIENTS; i++) {
        restore_probe(&w.restore);
        bus_room_turn(&w.room, 20);
    }
    for (int i = 0; i < 100 && w.restore.is_restoring; i++)
        bus_room_turn(&w.room, 10);
    assert_false(w.restore.is_restoring);
}

/* Which of the three Redis forgot, and which somebody else took: each ends as it should. */
static void each_is_restored_or_replaced(void **state) {
    static const struct {
        const char *forgotten, *taken;
    } cases[] = {{"", ""}, {"0", ""}, {"012", ""}, {"0", "1"}, {"1", "02"}, {"2", "01"}};
    for (size_t k = 0; k < ARRAY_LEN(cases); k++) {
        setup(state);
        for (size_t i = 0; i < CLIENTS; i++) {
            char id[] = {'c', (char)('0' + i), '\0'};
            if (strchr(cases[k].forgotten, id[1]) != NULL)
                forget(id);
            if (strchr(cases[k].taken, id[1]) != NULL)
                take(id);
        }
        look();
        assert_int_equal(w.restore.round, cases[k].forgotten[0] != '\0');
        for (size_t i = 0; i < CLIENTS; i++) {
            char id[] = {'c', (char)('0' + i), '\0'};
            bool is_taken = strchr(cases[k].taken, id[1]) != NULL;
            if (w.closed[i] != is_taken)
                fail_msg("case %zu: %s closed %u times with %d", k, id, w.closed[i],
                         w.closed_with[i]);
            assert_int_equal(w.closed_with[i], is_taken ? 4001 : 0);
            assert_int_equal(is_ours(id), !is_taken);
            assert_int_equal(w.client[i]->is_registered, !is_taken);
        }
        teardown(state);
    }
}

/* A connection that ended in data which Redis gave up. */
static void list_a_stray(void) {
    char value[64], member[100];
    int len = snprintf(value, sizeof(value), "%s:99:5|", bus_id(w.bus));
    bus_room_ask(&w.room, "HSET sb:{%s}:c:N gone %s", partition_tag(0), value);
    len = snprintf(member, sizeof(member), "N%cgone%c%s", '\0', '\0', value);
    freeReplyObject(redisCommand(w.room.redis.admin, "SADD sb:{%s}:g:%s %b", partition_tag(0),
                                 bus_id(w.bus), member, (size_t)len));
}

/* Redis is lost before it has answered, and is back so soon that nothing is restored. */
static void a_reconciliation_that_breaks_off_begins_again(void **state) {
    setup(state);
    list_a_stray();
    reconcile_start(&w.reconcile);
    bus_room_ask(&w.room, "CLIENT KILL TYPE normal SKIPME yes");
    for (int i = 0; i < 50 && (w.reconcile.is_running || !bus_can_send(w.bus)); i++)
        bus_room_turn(&w.room, 20);
    assert_string_not_equal(value_of("gone"), "nil");
    restore_probe(&w.restore);
    for (int i = 0; i < 100 && strcmp(value_of("gone"), "nil") != 0; i++)
        bus_room_turn(&w.room, 10);
    assert_string_equal(value_of("gone"), "nil");
    assert_int_equal(w.restore.round, 0);
    assert_true(is_ours("c0"));
    teardown(state);
}

/* ---- the way to Redis is lost */

static void wait_until(bool (*is_so)(void), const char *what) {
    for (int i = 0; i < 500 && !is_so(); i++)
        bus_room_turn(&w.room, 10);
    if (!is_so())
        fail_msg("%s", what);
}

static bool is_away(void) {
    return !bus_can_send(w.bus);
}

static bool is_back(void) {
    return bus_may_register(w.bus);
}

static void lose_redis(void) {
    bus_room_ask(&w.room, "CLIENT KILL TYPE normal SKIPME yes");
    wait_until(is_away, "the connection was not lost");
}

/* As in a process, which hears of its first connection. */
static int setup_connected(void **state) {
    setup(state);
    lose_redis();
    wait_until(is_back, "it did not come back");
    assert_int_equal(w.restore.round, 0);
    return 0;
}

static bool is_restored(void) {
    return w.restore.round > 0 && !w.restore.is_restoring;
}

/* The process looks each second. */
static void await_round(void) {
    for (int i = 0; i < 500 && !is_restored(); i++) {
        restore_probe(&w.restore);
        bus_room_turn(&w.room, 10);
    }
    assert_true(is_restored());
}

static void assert_all_are_ours(void) {
    for (size_t i = 0; i < CLIENTS; i++) {
        char id[] = {'c', (char)('0' + i), '\0'};
        if (!is_ours(id))
            fail_msg("%s is %s", id, value_of(id));
        assert_int_equal(w.closed[i], 0);
    }
}

/* Another instance of Redis need not know what the one before knew. */
static void another_server_is_told_again(void **state) {
    (void)state;
    redis_server_kill(&w.room.redis);
    redis_server_restart(&w.room.redis, "");
    await_round();
    assert_int_equal(w.restore.round, 1);
    assert_all_are_ours();
}

static void a_server_that_lost_all_is_told_again(void **state) {
    (void)state;
    bus_room_ask(&w.room, "FLUSHALL");
    for (int i = 0; i < 500 && !is_restored(); i++) /* without a probe of ours */
        bus_room_turn(&w.room, 10);
    assert_int_equal(w.restore.round, 1);
    assert_all_are_ours();
}

/* Five seconds are enough for others to declare us dead. */
static void a_long_absence_is_a_reason_to_look(void **state) {
    static const struct {
        uint64_t away_ms;
        unsigned rounds;
    } cases[] = {{0, 0}, {3000, 0}, {5100, 1}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        if (i > 0) {
            teardown(state);
            setup_connected(state);
        }
        lose_redis();
        skipped_ms += cases[i].away_ms;
        wait_until(is_back, "it did not come back");
        bus_room_turn(&w.room, 100);
        assert_int_equal(w.restore.round, cases[i].rounds);
        if (cases[i].rounds > 0)
            await_round();
        assert_all_are_ours();
    }
}

/* A Redis without memory refuses; with the next probe it goes on, and none is left out. */
static void what_is_refused_is_tried_again(void **state) {
    (void)state;
    forget("c0");
    forget("c1");
    forget("c2");
    bus_room_ask(&w.room, "CONFIG SET maxmemory 1");
    for (int i = 0; i < 4; i++) {
        restore_probe(&w.restore);
        bus_room_turn(&w.room, 20);
        assert_int_equal(w.restore.in_flight, 0);
    }
    assert_true(w.restore.is_restoring);
    assert_int_equal(w.restore.round, 1);
    bus_room_ask(&w.room, "CONFIG SET maxmemory 0");
    wait_until(is_back, "it did not come back");
    bus_room_turn(&w.room, 50);
    restore_probe(&w.restore);
    await_round();
    assert_int_equal(w.restore.round, 1);
    assert_all_are_ours();
}

/* Each has its turn to be looked at, and nothing is looked at while a round runs. */
static void each_is_looked_at_in_turn(void **state) {
    (void)state;
    for (int i = 0; i < CLIENTS; i++) {
        restore_probe(&w.restore);
        bus_room_turn(&w.room, 20);
    }
    assert_int_equal(w.restore.round, 0);
    assert_false(w.reconcile.is_running); /* it has not been worth it */
    forget("c1");
    unsigned looks = 0;
    for (; looks < CLIENTS && w.restore.round == 0; looks++) {
        restore_probe(&w.restore);
        bus_room_turn(&w.room, 20);
    }
    assert_int_equal(w.restore.round, 1);
    await_round();
    assert_all_are_ours();
}

/* Whoever leaves between the question and the answer is not registered again. */
static void a_connection_may_leave_meanwhile(void **state) {
    (void)state;
    forget("c0");
    forget("c1");
    forget("c2");
    restore_probe(&w.restore);
    leave(1);
    bus_room_turn(&w.room, 50);
    await_round();
    assert_true(is_ours("c0"));
    assert_string_equal(value_of("c1"), "nil");
    assert_true(is_ours("c2"));
}

/* Others have written our connections off, each with its Disconnect; none may go on. */
static void who_is_declared_dead_closes_all(void **state) {
    char id[64];
    (void)state;
    snprintf(id, sizeof(id), "%s", bus_id(w.bus));
    bus_room_ask(&w.room, "HDEL sb:{sb}:gw %s", id);
    bus_room_ask(&w.room, "SET sb:{sb}:dead:%s 1", id);
    for (int i = 0; i < 500 && w.closed[CLIENTS - 1] == 0; i++)
        bus_room_turn(&w.room, 10);
    for (size_t i = 0; i < CLIENTS; i++) {
        assert_int_equal(w.closed[i], 1);
        assert_int_equal(w.closed_with[i], 1012);
        assert_false(w.client[i]->is_registered);
    }
}

/* Or between the registration that is asked for and its answer. */
static void a_connection_may_leave_while_it_is_registered(void **state) {
    (void)state;
    forget("c0");
    forget("c1");
    forget("c2");
    restore_probe(&w.restore);
    for (int i = 0; i < 1000 && w.restore.in_flight == 0; i++)
        bus_room_turn(&w.room, 0);
    assert_int_equal(w.restore.in_flight, CLIENTS);
    leave(1);
    await_round();
    for (int i = 0; i < 100 && strcmp(value_of("c1"), "nil") != 0; i++)
        bus_room_turn(&w.room, 10);
    assert_string_equal(value_of("c1"), "nil");
    assert_true(is_ours("c0") && is_ours("c2"));
}

static void forget_all(void) {
    forget("c0");
    forget("c1");
    forget("c2");
}

/* Neither a connection that has gone, nor one that is not registered any more, is missed. */
static void who_is_not_registered_is_not_missed(void **state) {
    (void)state;
    for (size_t i = 0; i < CLIENTS; i++)
        client_forget_registration(w.client[i]);
    forget_all();
    restore_probe(&w.restore);
    bus_room_turn(&w.room, 30);
    assert_int_equal(w.restore.round, 0);
    restore_probe(&w.restore);
    for (size_t i = 0; i < CLIENTS; i++)
        leave(i);
    bus_room_turn(&w.room, 30);
    assert_int_equal(w.restore.round, 0);
    restore_probe(&w.restore); /* there is nobody to look at */
}

/* ---- what a registration says about the logs */

static void stand_at(const char *id) {
    struct name_entry *entry = clients_find(&w.clients, BYTES_LIT("N"));
    follow_start_at(entry->follow, id_of(id));
    bus_room_turn(&w.room, 50);
    assert_int_equal(w.gaps, 0);
}

static void one_that_stands_before_us_shows_that_redis_fell_back(void **state) {
    static const struct {
        const char *stands_at, *term, *last;
        bool is_gap;
    } cases[] = {{"4-7", "4", "4-7", false}, {"4-7", "4", "4-8", false}, {"4-7", "4", "4-6", true}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        if (i > 0) {
            teardown(state);
            setup_connected(state);
        }
        log_own(&w.room, cases[i].term, cases[i].last, "0 4");
        stand_at(cases[i].stands_at);
        forget("c0");
        look();
        bus_room_turn(&w.room, 100);
        assert_int_equal(w.restore.round, 1);
        if ((w.gaps > 0) != cases[i].is_gap)
            fail_msg("%s, %s: %u gaps", cases[i].stands_at, cases[i].last, w.gaps);
    }
}

/* ---- the rounds */

static void a_round_ends_with_a_reconciliation(void **state) {
    (void)state;
    list_a_stray();
    look();
    assert_string_not_equal(value_of("gone"), "nil"); /* nothing was amiss */
    bus_room_ask(&w.room, "HDEL sb:{%s}:c:N c0", partition_tag(0));
    look();
    for (int i = 0; i < 100 && strcmp(value_of("gone"), "nil") != 0; i++)
        bus_room_turn(&w.room, 10);
    assert_string_equal(value_of("gone"), "nil");
}

/* Two questions are under way, and both find a connection missing. */
static void what_is_found_twice_is_one_round(void **state) {
    (void)state;
    forget_all();
    restore_probe(&w.restore);
    restore_probe(&w.restore);
    restore_probe(&w.restore);
    await_round();
    bus_room_turn(&w.room, 50);
    assert_int_equal(w.restore.round, 1);
    assert_all_are_ours();
}

/* Of a Name whose key is broken; it stands for one that Redis has no room for. */
static struct client *add_refused(void) {
    static struct conn conn = {.state = CONN_OPEN};
    char value[64];
    snprintf(value, sizeof(value), "%s:50:5|", bus_id(w.bus));
    struct client *client = client_new(&w.host,
                                       &(struct identity){.name = BYTES_LIT("M"),
                                                          .client_id = BYTES_LIT("m"),
                                                          .value = bytes_str(value),
                                                          .number = 50,
                                                          .connected_ms = 5},
                                       WIRE_WS);
    client_carry(client, &transport, &w.conns[0], &conn);
    clients_attach(clients_enter(&w.clients, BYTES_LIT("M")), client);
    client->is_registered = true;
    bus_room_ask(&w.room, "SET sb:{%s}:c:M x", partition_tag(0));
    return client;
}

/* Those that are left are in front, whoever is looked at while none may be registered. */
static void a_probe_ends_no_round(void **state) {
    struct client *refused = add_refused();
    (void)state;
    forget("c1");
    for (int i = 0; i < 200 && !w.restore.has_to_wait; i++) {
        if (w.restore.round == 0)
            restore_probe(&w.restore);
        bus_room_turn(&w.room, 10);
    }
    assert_true(w.restore.is_restoring && w.restore.has_to_wait);
    lose_redis();
    while (!bus_can_send(w.bus))
        bus_room_turn(&w.room, 0);
    assert_false(bus_may_register(w.bus));
    for (int i = 0; i < 3; i++)
        restore_probe(&w.restore);
    assert_true(w.restore.is_restoring);
    bus_room_ask(&w.room, "DEL sb:{%s}:c:M", partition_tag(0));
    wait_until(is_back, "it did not come back");
    await_round();
    assert_int_equal(w.restore.round, 1);
    assert_string_not_equal(bus_room_ask(&w.room, "HGET sb:{%s}:c:M m", partition_tag(0)), "nil");
    client_transport_events.on_gone(refused);
    client_unref(refused);
}

enum { MANY = 700, AT_A_TIME = 512 };

/* So many are asked for at a time, and all in the end. */
static void many_are_restored_in_turn(void **state) {
    static struct client *many[MANY];
    struct name_entry *entry = clients_find(&w.clients, BYTES_LIT("N"));
    (void)state;
    for (unsigned i = 0; i < MANY; i++) {
        char id[16], value[64];
        snprintf(id, sizeof(id), "m%u", i);
        snprintf(value, sizeof(value), "%s:%u:5|", bus_id(w.bus), 100 + i);
        many[i] = client_new(&w.host,
                             &(struct identity){.name = BYTES_LIT("N"),
                                                .client_id = bytes_str(id),
                                                .value = bytes_str(value),
                                                .number = 100 + i,
                                                .connected_ms = 5},
                             WIRE_WS);
        client_carry(many[i], &transport, &w.conns[0], &w.conns[0]);
        clients_attach(entry, many[i]);
        many[i]->is_registered = true; /* as it was, before Redis lost it */
    }
    forget_all();
    restore_probe(&w.restore);
    for (int i = 0; i < 100 && !w.restore.is_restoring; i++)
        bus_room_turn(&w.room, 0);
    assert_int_equal(w.restore.in_flight, AT_A_TIME);
    await_round();
    assert_int_equal(atoi(bus_room_ask(&w.room, "HLEN sb:{%s}:c:N", partition_tag(0))),
                     MANY + CLIENTS);
    for (unsigned i = 0; i < MANY; i++) {
        client_transport_events.on_gone(many[i]);
        client_unref(many[i]);
    }
    bus_room_turn(&w.room, 50);
}

/* Before it there was no other server, and no absence. */
static void a_first_connection_is_no_return(void **state) {
    struct restore restore;
    (void)state;
    skipped_ms += 20000;
    struct bus *bus = bus_new(&w.room.loop, &w.room.settings, BUS_GATEWAY);
    restore_init(&restore, bus, w.registry, &w.clients, &w.reconcile);
    bus_start(bus);
    for (int i = 0; i < 300 && !bus_may_register(bus); i++)
        bus_room_turn(&w.room, 10);
    assert_true(bus_may_register(bus));
    assert_int_equal(restore.round, 0);
    bus_close(bus);
}

int main(void) {
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup_connected, teardown)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_is_restored_or_replaced),
        cmocka_unit_test(a_reconciliation_that_breaks_off_begins_again),
        TEST(another_server_is_told_again),
        TEST(a_server_that_lost_all_is_told_again),
        TEST(a_long_absence_is_a_reason_to_look),
        TEST(what_is_refused_is_tried_again),
        TEST(each_is_looked_at_in_turn),
        TEST(a_connection_may_leave_meanwhile),
        TEST(a_connection_may_leave_while_it_is_registered),
        TEST(who_is_declared_dead_closes_all),
        TEST(who_is_not_registered_is_not_missed),
        TEST(one_that_stands_before_us_shows_that_redis_fell_back),
        TEST(a_round_ends_with_a_reconciliation),
        TEST(what_is_found_twice_is_one_round),
        TEST(a_probe_ends_no_round),
        TEST(many_are_restored_in_turn),
        TEST(a_first_connection_is_no_return),
    };
    if (!redis_server_is_installed())
        return 77;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
