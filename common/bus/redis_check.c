/*
 * redis_check.c - see redis_check.h. redis_check_look asks, judge compares with what was reported
 * last.
 */
#include "common/bus/redis_check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/log.h"
#include "common/base/metrics.h"
#include "common/bus/bus_send.h"
#include "common/bus/redis/redis_settings.h"

enum { EVERY_TICKS = 30, QUERY_HEADROOM = 1024 };

static const char BULK[] = "proto-max-bulk-len", QUERY[] = "client-query-buffer-limit";

/* One setting and the question about it that is under way. */
struct watched {
    struct redis_check *check;
    const struct redis_setting *setting;
    char reported[128]; /* the value that was reported as wrong, or "" */
};

struct redis_check {
    struct bus *bus;
    int64_t largest;
    unsigned ticks, outstanding;
    bool may_ask_config; /* on this connection */
    int64_t bulk, query; /* of the two bounds of an argument, 0: not known */
    struct watched watched[REDIS_SETTINGS_MAX];
};

static void count_wrong(const struct redis_check *c) {
    int64_t wrong = 0;
    for (unsigned i = 0; i < redis_settings_count; i++)
        wrong += c->watched[i].reported[0] != '\0' && c->watched[i].setting->is_required;
    metrics_set(METRIC_redis_settings_wrong, wrong);
}

static void report_wrong(struct watched *w, const char *value) {
    const struct redis_setting *s = w->setting;
    if (strncmp(w->reported, value, sizeof(w->reported) - 1) == 0)
        return;
    snprintf(w->reported, sizeof(w->reported), "%s", value);
    LOG_LIMITED(LOG_BURST, LOG_PER_MINUTE, s->is_required ? LOG_WARN : LOG_INFO, "redis",
                "found_setting name=%s value=%s remedy=%s", s->name, LOG_TEXT(bytes_str(value)),
                LOG_TEXT(bytes_str(s->remedy)));
}

static void keep_bound(struct redis_check *c, const char *name, const char *value) {
    if (strcmp(name, BULK) == 0)
        c->bulk = redis_settings_bytes(value);
    else if (strcmp(name, QUERY) == 0)
        c->query = redis_settings_bytes(value) - QUERY_HEADROOM;
    else
        return;
    int64_t most = c->bulk > 0 && (c->query <= 0 || c->bulk < c->query) ? c->bulk : c->query;
    bus_set_largest(c->bus, most > 0 ? (size_t)most : 0);
}

static void judge(struct watched *w, const char *value) {
    if (*value == '\0')
        return; /* not known here */
    keep_bound(w->check, w->setting->name, value);
    if (!w->setting->is_fine(value, w->check->largest)) {
        report_wrong(w, value);
    } else if (w->reported[0] != '\0') {
        w->reported[0] = '\0';
        log_info("redis", "set_right name=%s value=%s", w->setting->name,
                 LOG_TEXT(bytes_str(value)));
    }
    count_wrong(w->check);
}

static void on_info(void *ctx, struct redisReply *reply) {
    struct watched *w = ctx;
    w->check->outstanding--;
    char *value = redis_info_value(reply_bytes(reply), w->setting->info_name);
    judge(w, value);
    free(value);
}

static void ask_info(struct watched *w) {
    struct redis_check *c = w->check;
    if (w->setting->info_section == NULL || !bus_can_send(c->bus))
        return;
    struct command info = command_begin("INFO");
    command_text(&info, w->setting->info_section);
    c->outstanding++;
    bus_send(c->bus, BUS_FLEET, &info, on_info, w);
}

/* [name, value] */
static void on_config(void *ctx, struct redisReply *reply) {
    struct watched *w = ctx;
    struct bytes value = reply_bytes(reply_at(reply, 1));
    w->check->outstanding--;
    if (reply != NULL && value.ptr == NULL) {
        ask_info(w);
        return;
    }
    char *text = bytes_dup(value);
    judge(w, text);
    free(text);
}

static void ask_config(const struct redis_check *c, const char *name, reply_fn *fn, void *ctx) {
    struct command config = command_begin("CONFIG");
    command_text(&config, "GET");
    command_text(&config, name);
    bus_send(c->bus, BUS_FLEET, &config, fn, ctx);
}

void redis_check_look(struct redis_check *c) {
    c->ticks = 0;
    if (c->outstanding > 0 || !bus_can_send(c->bus))
        return;
    for (unsigned i = 0; i < redis_settings_count; i++) {
        struct watched *w = &c->watched[i];
        if (c->may_ask_config) {
            c->outstanding++;
            ask_config(c, w->setting->name, on_config, w);
        } else {
            ask_info(w);
        }
    }
}

static void on_bound(void *ctx, struct redisReply *reply) {
    struct redis_check *c = ctx;
    if (reply == NULL)
        return;
    c->may_ask_config = !reply_is_error(reply, NULL);
    char *name = bytes_dup(reply_bytes(reply_at(reply, 0)));
    char *value = bytes_dup(reply_bytes(reply_at(reply, 1)));
    keep_bound(c, name, value);
    free(name);
    free(value);
}

void redis_check_begin(struct redis_check *c) {
    c->bulk = c->query = 0;
    ask_config(c, BULK, on_bound, c);
    ask_config(c, QUERY, on_bound, c);
}

void redis_check_tick(struct redis_check *c) {
    if (++c->ticks >= EVERY_TICKS)
        redis_check_look(c);
}

struct redis_check *redis_check_new(struct bus *bus, int64_t max_message_bytes) {
    struct redis_check *c = mem_zalloc(sizeof(*c));
    MUST(redis_settings_count <= REDIS_SETTINGS_MAX);
    c->bus = bus;
    c->largest = redis_settings_largest(max_message_bytes);
    for (unsigned i = 0; i < redis_settings_count; i++)
        c->watched[i] = (struct watched){.check = c, .setting = &redis_settings[i]};
    return c;
}

void redis_check_free(struct redis_check *c) {
    free(c);
}
