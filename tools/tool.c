/* tool.c - see tool.h. */
#include "tools/tool.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/bus/bus.h"
#include "common/bus/redis/redis_url.h"
#include "common/bus/cluster/registry.h"
#include "tools/table.h"
#include "tools/verb.h"
#include "tools/where.h"

void tool_complain(const struct tool *t, const char *format, ...) {
    va_list args;
    va_start(args, format);
    fprintf(stderr, "signalbox %s: ", t->verb->name);
    table_vline(stderr, format, args);
    va_end(args);
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

static void on_timer_closed(uv_handle_t *handle) {
    (void)handle;
}

static int run(struct tool *t) {
    uv_run(&t->loop, UV_RUN_DEFAULT);
    uv_close((uv_handle_t *)&t->timer, on_timer_closed);
    return t->exit_code;
}

int tool_run(struct tool *t, void (*on_ready)(void *ctx), void *ctx) {
    static const struct bus_events events = {.on_commands = on_commands};
    t->on_ready = on_ready;
    t->ctx = ctx;
    MUST(uv_timer_init(&t->loop, &t->timer) == 0);
    MUST(uv_timer_start(&t->timer, on_late, (uint64_t)t->timeout_ms, 0) == 0);
    bus_listen(t->bus, &events, t);
    bus_start(t->bus);
    return run(t);
}

static void on_first_turn(uv_timer_t *timer) {
    struct tool *t = container_of(timer, struct tool, timer);
    t->on_ready(t->ctx);
}

int tool_run_offline(struct tool *t, void (*on_ready)(void *ctx), void *ctx) {
    t->on_ready = on_ready;
    t->ctx = ctx;
    MUST(uv_timer_init(&t->loop, &t->timer) == 0);
    MUST(uv_timer_start(&t->timer, on_first_turn, 0, 0) == 0);
    return run(t);
}

void tool_end(struct tool *t, int exit_code) {
    t->exit_code = exit_code;
    uv_stop(&t->loop);
}

void tool_end_lost(struct tool *t) {
    const char *refused = bus_refusals(t->bus);
    if (bus_can_send(t->bus) && *refused != '\0')
        tool_complain(t, "Redis refuses %s", refused);
    else
        tool_complain(t, "the connection to Redis broke");
    tool_end(t, TOOL_FAILED);
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

bool tool_flush(void) {
    return fflush(stdout) == 0 && !ferror(stdout);
}
