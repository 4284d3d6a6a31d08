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
#include "common/bus/ask.h"
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

static void report_wrong(struct watched *w, const char *value) {
    const struct redis_setting *s = w->setting;
    if (strncmp(w->reported, value, sizeof(w->reported) - 1) == 0)
        return;
    snprintf(w->reported, sizeof(w->reported), "%s", value);
    LOG_LIMITED(LOG_BURST, LOG_PER_MINUTE, s->is_required ? LOG_WARN : LOG_INFO, "redis",
                "found_setting name=%s value=%s remedy=%s", s->name, LOG_TEXT(bytes_str(value)),
                LOG_TEXT(bytes_str(s->remedy)));
}

static void keep_bound(const struct watched *w, const char *value) {
    struct redis_check *c = w->check;
    if (strcmp(w->setting->name, BULK) == 0)
        c->bulk = redis_settings_bytes(value);
    else if (strcmp(w->setting->name, QUERY) == 0)
        c->query = redis_settings_bytes(value) - QUERY_HEADROOM;
    else
        return;
    int64_t most = c->bulk > 0 && (c->query <= 0 || c->bulk < c->query) ? c->bulk : c->query;
    bus_set_largest(c->bus, most > 0 ? (size_t)most : 0);
}

static void judge(struct watched *w, const char *value) {
    const struct redis_check *c = w->check;
    int64_t wrong = 0;
    if (*value == '\0')
        return; /* not known here */
    keep_bound(w, value);
    if (!w->setting->is_fine(value, c->largest)) {
        report_wrong(w, value);
    } else if (w->reported[0] != '\0') {
        w->reported[0] = '\0';
        log_info("redis", "set_right name=%s value=%s", w->setting->name,
                 LOG_TEXT(bytes_str(value)));
    }
    for (unsigned i = 0; i < redis_settings_count; i++)
        wrong += c->watched[i].reported[0] != '\0' && c->watched[i].setting->is_required;
    metrics_set(METRIC_redis_settings_wrong, wrong);
}

static void on_info(void *ctx, const struct ask_answer *a) {
    struct watched *w = ctx;
    w->check->outstanding--;
    char *value = redis_info_value(a->text, w->setting->info_name);
    judge(w, value);
    free(value);
}

static void look_in_info(struct watched *w) {
    struct redis_check *c = w->check;
    if (w->setting->info_section == NULL || !bus_can_send(c->bus))
        return;
    c->outstanding++;
    ask_info(c->bus, w->setting->info_section, on_info, w);
}

static void on_config(void *ctx, const struct ask_answer *a) {
    struct watched *w = ctx;
    w->check->outstanding--;
    if (a->is_refused || (!a->is_lost && a->text.ptr == NULL)) {
        look_in_info(w);
        return;
    }
    char *text = bytes_dup(a->text);
    judge(w, text);
    free(text);
}

void redis_check_look(struct redis_check *c) {
    c->ticks = 0;
    if (c->outstanding > 0 || !bus_can_send(c->bus))
        return;
    for (unsigned i = 0; i < redis_settings_count; i++) {
        struct watched *w = &c->watched[i];
        if (c->may_ask_config) {
            c->outstanding++;
            ask_config(c->bus, w->setting->name, on_config, w);
        } else {
            look_in_info(w);
        }
    }
}

static void on_bound(void *ctx, const struct ask_answer *a) {
    struct watched *w = ctx;
    if (a->is_lost)
        return;
    w->check->may_ask_config = !a->is_refused;
    char *value = bytes_dup(a->text);
    if (!a->is_refused && *value != '\0')
        keep_bound(w, value);
    free(value);
}

void redis_check_begin(struct redis_check *c) {
    c->bulk = c->query = 0;
    for (unsigned i = 0; i < redis_settings_count; i++) {
        const char *name = redis_settings[i].name;
        if (strcmp(name, BULK) == 0 || strcmp(name, QUERY) == 0)
            ask_config(c->bus, name, on_bound, &c->watched[i]);
    }
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
