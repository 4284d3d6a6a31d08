/* config.c - CONFIG: the settings that somebody asks for. */
#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>

#include "tests/world/redis/internal.h"
#include "tests/world/redis/numbers.h"

static const struct {
    const char *name, *value;
    bool is_bytes;
} settings[CONFIG_COUNT] = {
    {"appendonly", "no", false},
    {"client-output-buffer-limit",
     "normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 "
     "8388608 60",
     false},
    {"client-query-buffer-limit", "1073741824", true},
    {"databases", "16", false},
    {"hz", "10", false},
    {"maxclients", "10000", false},
    {"maxmemory", "0", true},
    {"maxmemory-policy", "noeviction", false},
    {"min-replicas-to-write", "0", false},
    {"proto-max-bulk-len", "536870912", true},
    {"requirepass", "", false},
    {"save", "3600 1 300 100 60 10000", false},
    {"tcp-keepalive", "300", false},
    {"timeout", "0", false},
};

static int find(const char *name) {
    for (int i = 0; i < CONFIG_COUNT; i++)
        if (strcasecmp(settings[i].name, name) == 0)
            return i;
    return -1;
}

const char *config_get(const struct redis_model *m, const char *name) {
    int i = find(name);
    MUST(i >= 0);
    return m->config[i];
}

static uint64_t number(const struct redis_model *m, const char *name) {
    return strtoull(config_get(m, name), NULL, 10);
}

/* What every command asks for. */
static void read_settings(struct redis_model *m) {
    m->maxmemory = number(m, "maxmemory");
    m->argument_most = number(m, "proto-max-bulk-len");
    m->query_most = number(m, "client-query-buffer-limit");
    m->lacks_replicas = number(m, "min-replicas-to-write") != 0;
}

void config_init(struct redis_model *m) {
    for (int i = 0; i < CONFIG_COUNT; i++)
        snprintf(m->config[i], sizeof(m->config[i]), "%s", settings[i].value);
    read_settings(m);
}

/* "1gb" and its kin, as Redis shows it. False: no number of bytes. */
static bool in_bytes(const char *value, char *out, size_t room) {
    static const struct {
        const char *unit;
        uint64_t factor;
    } units[] = {{"", 1},        {"b", 1},        {"k", 1000},       {"kb", 1 << 10},
                 {"m", 1000000}, {"mb", 1 << 20}, {"g", 1000000000}, {"gb", 1 << 30}};
    char *end;
    uint64_t n = strtoull(value, &end, 10);
    for (size_t i = 0; i < ARRAY_LEN(units) && end != value; i++)
        if (strcasecmp(end, units[i].unit) == 0) {
            snprintf(out, room, "%" PRIu64, n * units[i].factor);
            return true;
        }
    return false;
}

bool redis_model_config(struct redis_model *m, const char *name, const char *value) {
    int i = find(name);
    if (i < 0)
        return false;
    if (!settings[i].is_bytes)
        snprintf(m->config[i], sizeof(m->config[i]), "%s", value);
    else if (!in_bytes(value, m->config[i], sizeof(m->config[i])))
        return false;
    read_settings(m);
    return true;
}

void redis_model_set_maxmemory(struct redis_model *m, size_t bytes) {
    char text[24];
    snprintf(text, sizeof(text), "%zu", bytes);
    redis_model_config(m, "maxmemory", text);
}

static bool is_asked_for(const struct call *c, int i) {
    for (int a = 2; a < c->argc; a++)
        if (glob_matches(c->argv[a], bytes_str(settings[i].name)))
            return true;
    return false;
}

static void get(struct call *c) {
    size_t n = 0;
    for (int i = 0; i < CONFIG_COUNT; i++)
        n += is_asked_for(c, i);
    answer_array(c, 2 * n);
    for (int i = 0; i < CONFIG_COUNT; i++)
        if (is_asked_for(c, i)) {
            answer_bulk(c, bytes_str(settings[i].name));
            answer_bulk(c, bytes_str(c->model->config[i]));
        }
}

static void set(struct call *c) {
    if (c->argc % 2 != 0) {
        answer_syntax_error(c);
        return;
    }
    for (int a = 2; a + 1 < c->argc; a += 2) {
        char *name = bytes_dup(c->argv[a]), *value = bytes_dup(c->argv[a + 1]);
        bool is_known = find(name) >= 0, is_set = redis_model_config(c->model, name, value);
        if (!is_known)
            answer_error(c, "ERR Unknown option or number of arguments for CONFIG SET - '%s'",
                         name);
        else if (!is_set)
            answer_error(c,
                         "ERR CONFIG SET failed (possibly related to argument '%s') - argument "
                         "must be a memory value",
                         name);
        free(name);
        free(value);
        if (!is_set)
            return;
    }
    answer_ok(c);
}

static void reset_statistics(struct call *c) {
    answer_ok(c);
}

enum { ALWAYS = IN_LOADING | IN_STALE | NO_SCRIPT };

const struct command_row config_rows[] = {{"config", -2, 0, NULL},
                                          {"config|get", -3, ALWAYS, get},
                                          {"config|resetstat", 2, ALWAYS, reset_statistics},
                                          {"config|set", -4, ALWAYS, set},
                                          {0}};
