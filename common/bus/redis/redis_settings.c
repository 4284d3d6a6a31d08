/* redis_settings.c - see redis_settings.h. */
#include "common/bus/redis/redis_settings.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/bus/redis/server_info.h"

enum {
    MIB = 1024 * 1024,
    OUTPUT_HARD_MIN = 64 * MIB,
    MEMORY_MIN = 64 * MIB,
    AROUND_MAX = 64 * 1024 /* names, ids and a session around a payload */
};

int64_t redis_settings_largest(int64_t max_message_bytes) {
    return max_message_bytes + AROUND_MAX;
}

int64_t redis_settings_bytes(const char *value) {
    return strtoll(value, NULL, 10);
}

/* --- what is fine --- */

static bool is_noeviction(const char *value, int64_t largest) {
    (void)largest;
    return strcmp(value, "noeviction") == 0;
}

static bool is_memory(const char *value, int64_t largest) {
    int64_t bytes = redis_settings_bytes(value);
    return bytes >= MEMORY_MIN && bytes / 8 >= largest;
}

static bool is_set(const char *value, int64_t largest) {
    (void)largest;
    return strcmp(value, "0") != 0;
}

static bool is_yes(const char *value, int64_t largest) {
    (void)largest;
    return strcmp(value, "yes") == 0 || strcmp(value, "1") == 0;
}

/* "normal 0 0 0 slave … pubsub 33554432 8388608 60" */
static bool has_output_room(const char *value, const char *kind, int64_t largest) {
    const char *at = strstr(value, kind);
    int64_t hard = at != NULL ? strtoll(at + strlen(kind), NULL, 10) : 0;
    return at != NULL && (hard == 0 || (hard >= OUTPUT_HARD_MIN && hard / 2 >= largest));
}

static bool has_pubsub_room(const char *value, int64_t largest) {
    return has_output_room(value, "pubsub ", largest) && has_output_room(value, "normal ", largest);
}

static bool takes_largest(const char *value, int64_t largest) {
    return redis_settings_bytes(value) >= largest;
}

/* --- the table --- */

const struct redis_setting redis_settings[] = {
    {"maxmemory-policy", "memory", "maxmemory_policy", is_noeviction, true,
     "CONFIG SET maxmemory-policy noeviction: an evicted key is a lost registration"},
    {"maxmemory", "memory", "maxmemory", is_memory, false,
     "CONFIG SET maxmemory 1gb (or what the host has): a full Redis then refuses, and is not "
     "killed; less than 64mb or eight of the largest messages is too little"},
    {"client-output-buffer-limit", NULL, NULL, has_pubsub_room, true,
     "CONFIG SET client-output-buffer-limit \"normal 0 0 0 pubsub 256mb 64mb 30\": gateways are "
     "cut off too soon (pubsub), or a read of several messages is (normal)"},
    {"proto-max-bulk-len", NULL, NULL, takes_largest, true,
     "CONFIG SET proto-max-bulk-len 512mb, or a smaller --max-message-bytes: larger messages are "
     "refused"},
    {"client-query-buffer-limit", NULL, NULL, takes_largest, true,
     "CONFIG SET client-query-buffer-limit 1gb, or a smaller --max-message-bytes: larger messages "
     "are refused"},
    {"appendonly", "persistence", "aof_enabled", is_yes, false,
     "CONFIG SET appendonly yes: a restart of Redis loses what was accepted"},
    {"tcp-keepalive", NULL, NULL, is_set, false,
     "CONFIG SET tcp-keepalive 30: connections that died are not noticed"},
};

const unsigned redis_settings_count = ARRAY_LEN(redis_settings);

char *redis_info_value(struct bytes text, const char *name) {
    return bytes_dup(server_info_value(text, name));
}
