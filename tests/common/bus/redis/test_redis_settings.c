/* Which values of Redis' settings are fine: each bound, and one beyond. */
#include "common/bus/redis/redis_settings.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/buf.h"

#define LARGEST 33554432 /* half of 64 MiB */

static bool is_fine(const char *name, const char *value, int64_t largest) {
    for (unsigned i = 0; i < redis_settings_count; i++)
        if (strcmp(redis_settings[i].name, name) == 0)
            return redis_settings[i].is_fine(value, largest);
    fail_msg("no setting is named %s", name);
    return false;
}

static void what_is_fine(void **state) {
    static const struct {
        const char *name, *value;
        int64_t largest;
        bool is_fine;
    } rows[] = {
        {"maxmemory-policy", "noeviction", LARGEST, true},
        {"maxmemory-policy", "allkeys-lru", LARGEST, false},
        {"maxmemory-policy", "volatile-ttl", LARGEST, false},
        {"maxmemory-policy", "noevictions", LARGEST, false},
        {"maxmemory-policy", "", LARGEST, false},
        {"maxmemory", "0", 1, false}, /* no bound at all */
        {"maxmemory", "67108863", 1, false},
        {"maxmemory", "67108864", 1, true},
        {"maxmemory", "268435456", LARGEST, true},
        {"maxmemory", "268435455", LARGEST, false}, /* less than eight of them */
        {"client-output-buffer-limit", "normal 0 0 0 slave 1 1 1 pubsub 0 0 0", LARGEST, true},
        {"client-output-buffer-limit", "normal 0 0 0 slave 0 0 0 pubsub 67108864 8388608 60",
         LARGEST, true},
        {"client-output-buffer-limit", "normal 0 0 0 slave 0 0 0 pubsub 67108863 8388608 60", 1,
         false},
        {"client-output-buffer-limit", "normal 0 0 0 slave 0 0 0 pubsub 67108864 8388608 60",
         LARGEST + 1, false},
        {"client-output-buffer-limit", "normal 67108864 0 0 slave 0 0 0 pubsub 0 0 0", LARGEST,
         true},
        {"client-output-buffer-limit", "normal 67108863 0 0 slave 0 0 0 pubsub 0 0 0", 1, false},
        {"client-output-buffer-limit", "normal 67108864 0 0 slave 0 0 0 pubsub 0 0 0", LARGEST + 1,
         false},
        {"client-output-buffer-limit", "normal 0 0 0", LARGEST, false},
        {"client-output-buffer-limit", "pubsub 0 0 0", LARGEST, false},
        {"client-output-buffer-limit", "", LARGEST, false},
        {"proto-max-bulk-len", "33554432", LARGEST, true},
        {"proto-max-bulk-len", "33554431", LARGEST, false},
        {"client-query-buffer-limit", "33554432", LARGEST, true},
        {"client-query-buffer-limit", "33554431", LARGEST, false},
        {"appendonly", "yes", LARGEST, true},
        {"appendonly", "1", LARGEST, true}, /* as INFO says it */
        {"appendonly", "no", LARGEST, false},
        {"appendonly", "0", LARGEST, false},
        {"tcp-keepalive", "300", LARGEST, true},
        {"tcp-keepalive", "0", LARGEST, false},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (is_fine(rows[i].name, rows[i].value, rows[i].largest) != rows[i].is_fine)
            fail_msg("%s %s for %lld", rows[i].name, rows[i].value, (long long)rows[i].largest);
}

/* What is wrong with those is counted; the others are advice. */
static void what_is_required(void **state) {
    static const char *const required[] = {"maxmemory-policy", "client-output-buffer-limit",
                                           "proto-max-bulk-len", "client-query-buffer-limit"};
    size_t found = 0;
    (void)state;
    for (unsigned i = 0; i < redis_settings_count; i++) {
        bool is_one = false;
        for (size_t k = 0; k < ARRAY_LEN(required); k++)
            is_one = is_one || strcmp(required[k], redis_settings[i].name) == 0;
        assert_int_equal(redis_settings[i].is_required, is_one);
        found += is_one;
    }
    assert_int_equal(found, ARRAY_LEN(required));
}

static void what_info_says(void **state) {
    static const char text[] = "# Memory\r\nmaxmemory_human:0B\r\nmaxmemory:7\r\n"
                               "maxmemory_policy:noeviction\r\n";
    static const struct {
        const char *name, *value;
    } rows[] = {{"maxmemory", "7"}, {"maxmemory_policy", "noeviction"}, {"aof_enabled", ""}};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char *value = redis_info_value(bytes_str(text), rows[i].name);
        assert_string_equal(value, rows[i].value);
        free(value);
    }
    assert_int_equal(redis_settings_largest(1000), 1000 + 64 * 1024);
    assert_int_equal(redis_settings_bytes("1048576"), 1048576);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_fine),
        cmocka_unit_test(what_is_required),
        cmocka_unit_test(what_info_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
