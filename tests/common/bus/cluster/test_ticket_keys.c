/* test_ticket_keys.c - the keys for session tickets, as the gateways of a fleet see them. */
#include "common/bus/cluster/ticket_keys.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/common/bus/bus_room.h"

enum { KEY = 80, PERIOD_MS = 60000 };

struct gateway {
    struct bus *bus;
    struct ticket_keys *keys;
    unsigned calls;
    uint64_t periods[3];
    unsigned char got[3][KEY]; /* of the periods that were called for, by their order */
};

struct test {
    struct bus_room room;
    struct gateway a, b;
};

static void on_key(void *ctx, uint64_t period, const unsigned char *key) {
    struct gateway *g = ctx;
    g->periods[g->calls % 3] = period;
    memcpy(g->got[g->calls++ % 3], key, KEY);
}

static void join(struct test *t, struct gateway *g, const char *secret) {
    t->room.settings.cluster_secret_file = secret;
    g->bus = bus_room_join(&t->room, BUS_GATEWAY);
    g->keys = ticket_keys_new(g->bus, PERIOD_MS, KEY, on_key, g);
}

static void leave(struct gateway *g) {
    bus_hang_up(g->bus);
    ticket_keys_free(g->keys);
    bus_close(g->bus);
}

static const char *secret_file(void) {
    static char path[64];
    snprintf(path, sizeof(path), "/tmp/test_ticket_keys.%d", (int)getpid());
    FILE *f = fopen(path, "w");
    fputs("a secret of some length\n", f);
    fclose(f);
    return path;
}

static void tick(struct test *t, struct gateway *g, uint64_t wall_ms, unsigned expected) {
    g->calls = 0;
    ticket_keys_tick(g->keys, wall_ms);
    if (expected > 0)
        bus_room_until(&t->room, &g->calls, expected, 3000);
    else
        bus_room_turn(&t->room, 100);
    assert_int_equal(g->calls, expected);
}

static void gateways_have_the_same_keys(void **state) {
    static struct test t;
    unsigned char next[KEY];
    (void)state;
    memset(&t, 0, sizeof(t));
    bus_room_init(&t.room, 1);
    const char *secret = secret_file();
    join(&t, &t.a, secret);
    join(&t, &t.b, secret);
    tick(&t, &t.a, 100 * PERIOD_MS, 2);
    tick(&t, &t.b, 100 * PERIOD_MS + 5, 2);
    assert_int_equal(t.b.periods[0], 100);
    assert_int_equal(t.b.periods[1], 101);
    assert_memory_equal(t.a.got, t.b.got, sizeof(t.a.got));
    assert_memory_not_equal(t.a.got[0], t.a.got[1], KEY);
    memcpy(next, t.a.got[1], KEY);
    tick(&t, &t.a, 100 * PERIOD_MS + PERIOD_MS / 8 - 1, 0); /* not every time */
    tick(&t, &t.a, 100 * PERIOD_MS + PERIOD_MS / 8, 2);
    tick(&t, &t.a, 101 * PERIOD_MS, 3);
    assert_memory_equal(t.a.got[1], next, KEY);
    tick(&t, &t.a, 103 * PERIOD_MS, 3);
    assert_string_equal(bus_room_ask(&t.room, "HEXISTS sb:{sb}:tickets 100"), "0");
    assert_string_equal(bus_room_ask(&t.room, "HLEN sb:{sb}:tickets"), "3");

    /* What nobody who knows the secret made is replaced: a text, and a key of another period. */
    (void)bus_room_ask(&t.room, "HSET sb:{sb}:tickets 105 nonsense");
    tick(&t, &t.b, 104 * PERIOD_MS, 2);
    tick(&t, &t.b, 104 * PERIOD_MS + 1000, 3);
    assert_int_equal(t.b.periods[2], 105);

    (void)bus_room_ask(&t.room, "SET sb:{sb}:tickets nonsense");
    tick(&t, &t.a, 105 * PERIOD_MS, 0);
    leave(&t.a);
    leave(&t.b);
    bus_room_deinit(&t.room);
    unlink(secret);
}

static void without_a_secret_nothing_is_shared(void **state) {
    static struct test t;
    (void)state;
    memset(&t, 0, sizeof(t));
    bus_room_init(&t.room, 1);
    join(&t, &t.a, "");
    tick(&t, &t.a, 100 * PERIOD_MS, 0);
    assert_string_equal(bus_room_ask(&t.room, "EXISTS sb:{sb}:tickets"), "0");
    leave(&t.a);
    bus_room_deinit(&t.room);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(gateways_have_the_same_keys),
                                       cmocka_unit_test(without_a_secret_nothing_is_shared)};
    if (!redis_server_is_installed())
        return 77;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
