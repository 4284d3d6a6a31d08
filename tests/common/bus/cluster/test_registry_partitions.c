/* test_registry_partitions.c - questions that go to every partition, and walks over all of them. */
#include "common/bus/cluster/registry.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/bus/cluster/own_registrations.h"
#include "common/bus/partition.h"
#include "tests/common/bus/bus_room.h"

enum { PARTITIONS = 4, NAMES = 12 };

struct test {
    struct bus_room room;
    struct bus *bus;
    struct registry *registry;
    unsigned answers, rows;
    int status;
    char all[400];
};

static void on_registered(void *ctx, enum registered result, struct message_id position) {
    struct test *t = ctx;
    (void)position;
    assert_int_equal(result, REGISTERED_OK);
    t->answers++;
}

static void wait(struct test *t, unsigned answers) {
    bus_room_until(&t->room, &t->answers, answers, 5000);
    t->answers = 0;
}

/* One client in each of the Names n0 … n11, which lie in all partitions. */
static int setup(void **state) {
    static struct test t;
    bool is_used[PARTITIONS] = {false};
    memset(&t, 0, sizeof(t));
    bus_room_init(&t.room, PARTITIONS);
    t.bus = bus_room_join(&t.room, BUS_GATEWAY);
    for (int i = 0; i < 300 && !bus_may_register(t.bus); i++)
        bus_room_turn(&t.room, 10);
    t.registry = registry_new(t.bus);
    for (int i = 0; i < NAMES; i++) {
        char name[8], value[64];
        snprintf(name, sizeof(name), "n%02d", i);
        snprintf(value, sizeof(value), "%s:%d:1|", bus_id(t.bus), i);
        is_used[partition_of(bytes_str(name), PARTITIONS)] = true;
        const struct registration what = {bytes_str(name), BYTES_LIT("ann"), bytes_str(value),
                                          false};
        registry_register(t.registry, &what, on_registered, &t);
        wait(&t, 1);
    }
    for (int p = 0; p < PARTITIONS; p++)
        assert_true(is_used[p]);
    *state = &t;
    return 0;
}

static int teardown(void **state) {
    struct test *t = *state;
    registry_free(t->registry);
    bus_close(t->bus);
    bus_room_deinit(&t->room);
    return 0;
}

static void on_rows(void *ctx, int status, const struct registry_row *rows, size_t count) {
    struct test *t = ctx;
    t->status = status;
    t->rows = (unsigned)count;
    t->all[0] = '\0';
    for (size_t i = 0; i < count; i++)
        snprintf(t->all + strlen(t->all), 10, "%.*s ", BYTES_FMT(rows[i].name));
    t->answers++;
}

static void expect_all(struct test *t) {
    wait(t, 1);
    assert_int_equal(t->status, 0);
    assert_string_equal(t->all, "n00 n01 n02 n03 n04 n05 n06 n07 n08 n09 n10 n11 ");
}

static void an_id_is_found_in_every_partition(void **state) {
    struct test *t = *state;
    registry_find_id(t->registry, BYTES_LIT("ann"), 100, on_rows, t);
    expect_all(t);
    registry_find_id(t->registry, BYTES_LIT("ann"), 1, on_rows, t); /* of each */
    wait(t, 1);
    assert_int_equal(t->rows, PARTITIONS);
    registry_names(t->registry, on_rows, t);
    expect_all(t);
}

/* An index may name what is not there any more, and a partition may refuse. */
static void what_an_index_names_wrongly_is_left_out(void **state) {
    struct test *t = *state;
    char command[200];
    unsigned p = partition_of(BYTES_LIT("n03"), PARTITIONS);
    bus_room_ask(&t->room, "DEL sb:{%s}:c:n03", partition_tag(p));
    registry_find_id(t->registry, BYTES_LIT("ann"), 100, on_rows, t);
    wait(t, 1);
    assert_int_equal(t->rows, NAMES - 1);
    assert_null(strstr(t->all, "n03"));
    snprintf(command, sizeof(command), "SET sb:{%s}:i text", partition_tag(1));
    bus_room_ask(&t->room, "%s", command);
    registry_find_id(t->registry, BYTES_LIT("ann"), 100, on_rows, t);
    wait(t, 1);
    assert_true(t->status < 0);
    assert_int_equal(t->rows, 0);
}

static void on_own(void *ctx, const struct registry_row *row) {
    struct test *t = ctx;
    assert_true(bytes_equal_str(row->client_id, "ann"));
    t->rows++;
}

static void on_own_end(void *ctx, bool is_complete) {
    struct test *t = ctx;
    t->status = is_complete ? 0 : -1;
    t->answers++;
}

/* Through all partitions, or to where Redis refuses. */
static void ones_own_are_those_of_all_partitions(void **state) {
    struct test *t = *state;
    struct own_registrations walk;
    t->rows = 0;
    own_registrations_read(&walk, t->bus, on_own, on_own_end, t);
    wait(t, 1);
    assert_int_equal(t->status, 0);
    assert_int_equal(t->rows, NAMES);
    bus_room_ask(&t->room, "SET sb:{%s}:g:%s text", partition_tag(PARTITIONS - 1), bus_id(t->bus));
    t->rows = 0;
    own_registrations_read(&walk, t->bus, on_own, on_own_end, t);
    wait(t, 1);
    assert_int_equal(t->status, -1);
    assert_in_range(t->rows, 1, NAMES - 1);
}

int main(void) {
#define WITH_REDIS(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        WITH_REDIS(an_id_is_found_in_every_partition),
        WITH_REDIS(what_an_index_names_wrongly_is_left_out),
        WITH_REDIS(ones_own_are_those_of_all_partitions),
    };
    if (!redis_server_is_installed())
        return 77;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
