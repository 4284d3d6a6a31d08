/* tool.c - see tool.h. */
#include "tools/tool.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/cluster_secret.h"
#include "common/base/random.h"
#include "common/base/secret_file.h"
#include "common/bus/bus.h"
#include "common/bus/redis/redis_url.h"
#include "common/bus/cluster/registry.h"
#include "common/json/json_text.h"
#include "tools/table.h"
#include "tools/verb.h"
#include "tools/where.h"

bool tool_complain(const struct tool *t, const char *format, ...) {
    va_list args;
    va_start(args, format);
    fprintf(stderr, "signalbox %s: ", t->verb->name);
    table_vline(stderr, format, args);
    va_end(args);
    return false;
}

int tool_make_secret(const struct tool *t, const char *before, const char *path) {
    char text[65], why[SECRET_FILE_WHY];
    random_secret(text);
    int result = secret_file_make(path, text, why);
    explicit_bzero(text, sizeof(text));
    if (result < 0)
        tool_complain(t, "%s%s: %s", before, path, why);
    return result < 0 ? -1 : result;
}

const char *tool_passed(const struct tool *t, const char *name) {
    for (int i = 0; i < t->passed_count; i += 2)
        if (strcmp(t->passed[i], name) == 0)
            return t->passed[i + 1];
    return NULL;
}

bool tool_connect(struct tool *t) {
    where_is_redis(t->settings.redis, t->redis_url, sizeof(t->redis_url));
    t->settings.redis = t->redis_url;
    t->bus = bus_new(&t->loop, &t->settings, BUS_TOOL);
    if (t->bus == NULL)
        return false;
    t->registry = registry_new(t->bus);
    return true;
}

static void on_commands(void *ctx) {
    struct tool *t = ctx;
    if (t->is_ready)
        return;
    t->is_ready = true;
    uv_timer_stop(&t->timer);
    t->on_ready(t->ctx);
}

static void on_late(uv_timer_t *timer) {
    struct tool *t = container_of(timer, struct tool, timer);
    char url[600];
    redis_url_show(bus_url(t->bus), url);
    tool_complain(t,
                  "no Redis at %s within %g s (%s): start one, give --redis URL, or run "
                  "`signalbox up APP`",
                  url, (double)t->timeout_ms / 1000, bus_trouble(t->bus));
    tool_end(t, TOOL_FAILED);
}

/* Turns the loop until tool_end. on_time is called once after_ms are over. */
static int run(struct tool *t, uv_timer_cb on_time, int64_t after_ms) {
    MUST(uv_timer_init(&t->loop, &t->timer) == 0);
    MUST(uv_timer_start(&t->timer, on_time, (uint64_t)after_ms, 0) == 0);
    uv_run(&t->loop, UV_RUN_DEFAULT);
    uv_close((uv_handle_t *)&t->timer, NULL);
    return t->exit_code;
}

int tool_run(struct tool *t, void (*on_ready)(void *ctx), void *ctx) {
    static const struct bus_events events = {.on_commands = on_commands};
    t->on_ready = on_ready;
    t->ctx = ctx;
    bus_listen(t->bus, &events, t);
    bus_start(t->bus);
    return run(t, on_late, t->timeout_ms);
}

static void on_first_turn(uv_timer_t *timer) {
    struct tool *t = container_of(timer, struct tool, timer);
    t->on_ready(t->ctx);
}

int tool_run_offline(struct tool *t, void (*on_ready)(void *ctx), void *ctx) {
    t->on_ready = on_ready;
    t->ctx = ctx;
    return run(t, on_first_turn, 0);
}

void tool_end(struct tool *t, int exit_code) {
    t->exit_code = exit_code;
    uv_stop(&t->loop);
}

bool tool_is_believed(struct tool *t) {
    if (!bus_has_other_secret(t->bus))
        return true;
    tool_complain(t, "the fleet has %s cluster secret: give --cluster-secret-file",
                  bus_cluster_secret(t->bus)->is_known ? "another" : "a");
    tool_end(t, TOOL_FAILED);
    return false;
}

bool tool_ends_lost(struct tool *t, bool has_failed) {
    if (!has_failed)
        return false;
    const char *refused = bus_refusals(t->bus);
    if (bus_can_send(t->bus) && *refused != '\0')
        tool_complain(t, "Redis refuses %s", refused);
    else
        tool_complain(t, "the connection to Redis broke");
    tool_end(t, TOOL_FAILED);
    return true;
}

void tool_end_refused(struct tool *t, const char *command, struct bytes error) {
    tool_complain(t, "Redis refuses %s: %.*s", command, BYTES_FMT(error));
    tool_end(t, TOOL_FAILED);
}

void tool_close(struct tool *t) {
    registry_free(t->registry);
    bus_close(t->bus);
    t->registry = NULL;
    t->bus = NULL;
    uv_run(&t->loop, UV_RUN_DEFAULT);
}

void tool_append_json(struct buf *out, const char *before, struct bytes text) {
    buf_append_str(out, before);
    json_append_string(out, text);
}

void tool_print(struct buf *line) {
    buf_append_char(line, '\n');
    fwrite(line->ptr, 1, line->len, stdout);
    buf_deinit(line);
}

bool tool_flush(void) {
    return fflush(stdout) == 0 && !ferror(stdout);
}
