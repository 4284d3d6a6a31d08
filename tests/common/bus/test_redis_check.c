/* Settings of Redis that are wrong are noticed at the start, while running, and without CONFIG. */
#include "common/bus/redis_check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <hiredis/hiredis.h>

#include "common/base/metrics.h"
#include "common/bus/redis/redis_settings.h"
#include "tests/common/bus/bus_room.h"

enum { MESSAGE = 4 * 1024 * 1024 };

static void set(struct bus_room *room, const char *name, const char *value) {
    struct redisReply *reply = redisCommand(room->redis.admin, "CONFIG SET %s %s", name, value);
    assert_int_equal(reply->type, REDIS_REPLY_STATUS);
    freeReplyObject(reply);
}

static int64_t wrong(struct bus_room *room, struct redis_check *c) {
    redis_check_begin(c);
    bus_room_turn(room, 30);
    redis_check_look(c);
    bus_room_turn(room, 60);
    return metrics_get(METRIC_redis_settings_wrong);
}

static void wrong_settings_are_counted(void **state) {
    static const struct {
        const char *set, *wrong, *right;
        bool is_in_info;
    } cases[] = {
        {"maxmemory-policy", "allkeys-lru", "noeviction", true},
        {"maxmemory-policy", "volatile-ttl", "noeviction", true},
        {"proto-max-bulk-len", "1048576", "536870912", false},
        {"client-query-buffer-limit", "1048576", "1073741824", false},
        {"client-output-buffer-limit", "pubsub 1mb 0 0", "pubsub 256mb 64mb 30", false},
        {"client-output-buffer-limit", "normal 1mb 0 0", "normal 0 0 0", false},
        {"maxmemory", "1gb", "0", false}, /* recommended: not counted either way */
    };
    struct bus_room room;
    (void)state;
    bus_room_init(&room, 1);
    struct bus *bus = bus_room_join(&room, BUS_TOOL);
    struct redis_check *c = redis_check_new(bus, MESSAGE);
    set(&room, "client-output-buffer-limit", "pubsub 256mb 64mb 30");
    assert_int_equal(wrong(&room, c), 0);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        bool is_counted = strcmp(cases[i].set, "maxmemory") != 0;
        set(&room, cases[i].set, cases[i].wrong);
        assert_int_equal(wrong(&room, c), is_counted);
        if (strcmp(cases[i].set, "proto-max-bulk-len") == 0)
            assert_int_equal(bus_largest(bus), 1048576);
        bus_room_ask(&room, "ACL SETUSER default -config|get");
        if (cases[i].is_in_info)
            assert_int_equal(wrong(&room, c), 1);
        bus_room_ask(&room, "ACL SETUSER default +config|get");
        set(&room, cases[i].set, cases[i].right);
        assert_int_equal(wrong(&room, c), 0);
    }
    bus_close(bus);
    bus_room_turn(&room, 10);
    redis_check_free(c);
    bus_room_deinit(&room);
}

static unsigned asked_for_info(struct bus_room *room) {
    const char *at = strstr(bus_room_ask(room, "INFO commandstats"), "cmdstat_info:calls=");
    return at != NULL ? (unsigned)strtoul(at + 19, NULL, 10) : 0;
}

/* Only what INFO knows is looked up there. */
static void without_config_info_is_asked_for_what_it_has(void **state) {
    struct bus_room room;
    unsigned known = 0;
    (void)state;
    bus_room_init(&room, 1);
    struct bus *bus = bus_room_join(&room, BUS_TOOL);
    struct redis_check *c = redis_check_new(bus, MESSAGE);
    for (unsigned i = 0; i < redis_settings_count; i++)
        known += redis_settings[i].info_section != NULL;
    bus_room_ask(&room, "ACL SETUSER default -config|get");
    redis_check_begin(c);
    bus_room_turn(&room, 30);
    bus_room_ask(&room, "CONFIG RESETSTAT");
    redis_check_look(c);
    redis_check_look(c); /* is under way */
    bus_room_turn(&room, 60);
    assert_in_range(asked_for_info(&room), known, known + 2); /* the bus asks, too, and we */
    assert_null(strstr(bus_room_ask(&room, "INFO commandstats"), "cmdstat_config|get"));
    bus_close(bus);
    bus_room_turn(&room, 10);
    redis_check_free(c);
    bus_room_deinit(&room);
}

static unsigned asked_for_config(struct bus_room *room) {
    const char *at = strstr(bus_room_ask(room, "INFO commandstats"), "cmdstat_config|get:calls=");
    return at != NULL ? (unsigned)strtoul(at + 25, NULL, 10) : 0;
}

/* At the thirtieth tick, and thirty ticks after the last look, however that came. */
static void it_looks_every_thirty_ticks(void **state) {
    static const struct {
        unsigned ticks;
        bool looks_first, is_look;
    } rows[] = {{29, false, false}, {1, false, true},  {29, false, false}, {1, false, true},
                {20, false, false}, {29, true, false}, {1, false, true}};
    struct bus_room room;
    (void)state;
    bus_room_init(&room, 1);
    struct bus *bus = bus_room_join(&room, BUS_TOOL);
    struct redis_check *c = redis_check_new(bus, MESSAGE);
    redis_check_begin(c);
    bus_room_turn(&room, 50);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (rows[i].looks_first)
            redis_check_look(c);
        bus_room_turn(&room, 50);
        bus_room_ask(&room, "CONFIG RESETSTAT");
        for (unsigned k = 0; k < rows[i].ticks; k++)
            redis_check_tick(c);
        bus_room_turn(&room, 50);
        assert_int_equal(asked_for_config(&room), rows[i].is_look ? redis_settings_count : 0);
    }
    bus_close(bus);
    bus_room_turn(&room, 10);
    redis_check_free(c);
    bus_room_deinit(&room);
}

/* The smaller one of two counts, and what the smaller leaves beside the argument. */
static void the_bound_of_an_argument(void **state) {
    static const struct {
        const char *bulk, *query;
        size_t most;
    } rows[] = {{"1048576", "1073741824", 1048576},
                {"536870912", "2097152", 2097152 - 1024},
                {"2097152", "2097152", 2097152 - 1024},
                {"2096128", "2097152", 2096128},
                {"2096129", "2097152", 2096128}};
    struct bus_room room;
    (void)state;
    bus_room_init(&room, 1);
    struct bus *bus = bus_room_join(&room, BUS_TOOL);
    struct redis_check *c = redis_check_new(bus, MESSAGE);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        set(&room, "proto-max-bulk-len", rows[i].bulk);
        set(&room, "client-query-buffer-limit", rows[i].query);
        redis_check_begin(c);
        bus_room_turn(&room, 50);
        assert_int_equal(bus_largest(bus), rows[i].most);
    }
    bus_close(bus);
    bus_room_turn(&room, 10);
    redis_check_free(c);
    bus_room_deinit(&room);
}

static void every_setting_has_a_remedy(void **state) {
    (void)state;
    assert_in_range(redis_settings_count, 5, REDIS_SETTINGS_MAX);
    for (unsigned i = 0; i < redis_settings_count; i++) {
        assert_non_null(strstr(redis_settings[i].remedy, redis_settings[i].name));
        assert_int_equal(redis_settings[i].info_section == NULL,
                         redis_settings[i].info_name == NULL);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_setting_has_a_remedy),
        cmocka_unit_test(wrong_settings_are_counted),
        cmocka_unit_test(without_config_info_is_asked_for_what_it_has),
        cmocka_unit_test(it_looks_every_thirty_ticks),
        cmocka_unit_test(the_bound_of_an_argument),
    };
    if (!redis_server_is_installed())
        return 77;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
