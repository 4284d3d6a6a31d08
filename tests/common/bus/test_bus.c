/* The configuration of the fleet: a process that starts is told of another one, one that runs waits
 * until its own is there again, and what is none is not believed. */
#include "common/bus/bus.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "common/bus/bus_send.h"
#include "tests/common/bus/bus_room.h"

struct told {
    unsigned mismatches;
    char why[256];
};

static void on_mismatch(void *ctx, const char *why) {
    struct told *told = ctx;
    told->mismatches++;
    snprintf(told->why, sizeof(told->why), "%s", why);
}

static const struct bus_events events = {.on_mismatch = on_mismatch};

/* Fields of the configuration that are not those of a process with one partition. */
static const struct {
    const char *field, *wrong, *right, *why;
} cases[] = {
    {"partitions", "8", "1", "has partitions: 8, this process was told 1"},
    {"version", "2", "1", "has protocol version 2, this process was told 1"},
    {"partitions", "many", "1", NULL},
    {"version", "1.0", "1", NULL},
    {"partitions", "0", "1", NULL},
    {"secret", "?", "", NULL},
};

static void configure(struct bus_room *room, const char *field, const char *value) {
    if (*value == '\0')
        bus_room_ask(room, "HDEL sb:{sb}:cfg %s", field);
    else
        bus_room_ask(room, "HSET sb:{sb}:cfg %s %s", field, value);
}

static void until_can_send(struct bus_room *room, struct bus *bus, bool can) {
    for (int i = 0; i < 1000 && bus_can_send(bus) != can; i++)
        bus_room_turn(room, 10);
    assert_int_equal(bus_can_send(bus), can);
}

static void one_that_runs_waits_for_its_configuration(void **state) {
    struct bus_room room;
    struct told told = {0};
    (void)state;
    bus_room_init(&room, 1);
    struct bus *bus = bus_room_join(&room, BUS_BROKER);
    bus_listen(bus, &events, &told);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const char *why =
            cases[i].why != NULL ? cases[i].why : "redis: the cluster's configuration is not read";
        configure(&room, cases[i].field, cases[i].wrong);
        bus_room_ask(&room, "CLIENT KILL TYPE normal");
        until_can_send(&room, bus, false);
        for (int turns = 0; turns < 500 && strstr(bus_trouble(bus), why) == NULL; turns++)
            bus_room_turn(&room, 10);
        assert_non_null(strstr(bus_trouble(bus), why));
        configure(&room, cases[i].field, cases[i].right);
        until_can_send(&room, bus, true);
    }
    assert_int_equal(told.mismatches, 0);
    bus_close(bus);
    bus_room_deinit(&room);
}

static void one_that_starts_is_told(void **state) {
    struct bus_room room;
    (void)state;
    bus_room_init(&room, 1);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct told told = {0};
        configure(&room, "partitions", "1");
        configure(&room, cases[i].field, cases[i].wrong);
        struct bus *bus = bus_new(&room.loop, &room.settings, BUS_GATEWAY);
        bus_listen(bus, &events, &told);
        bus_start(bus);
        if (cases[i].why != NULL) {
            bus_room_until(&room, &told.mismatches, 1, 10000);
            assert_non_null(strstr(told.why, cases[i].why));
        } else {
            bus_room_turn(&room, 300);
            assert_false(bus_can_send(bus));
        }
        configure(&room, cases[i].field, cases[i].right);
        if (cases[i].why == NULL)
            until_can_send(&room, bus, true);
        assert_int_equal(told.mismatches, cases[i].why != NULL);
        bus_close(bus);
        bus_room_turn(&room, 10);
    }
    bus_room_deinit(&room);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_that_runs_waits_for_its_configuration),
        cmocka_unit_test(one_that_starts_is_told),
    };
    if (!redis_server_is_installed())
        return 77;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
