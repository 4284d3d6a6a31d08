/*
 * test_app_world.h - an app of a few lines in a folder of its own, with a host that remembers what
 * was sent. For the test_app*.c and test_api*.c.
 */
#ifndef SIGNALBOX_TESTS_TEST_APP_WORLD_H
#define SIGNALBOX_TESTS_TEST_APP_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/app/app.h"
#include "common/base/log.h"
#include "common/base/settings.h"

struct world {
    uv_loop_t loop;
    struct settings settings;
    struct app_environment environment;
    struct app *app;
    char folder[64];
    char *error;     /* of the last load or call */
    struct buf sent; /* data of all sends, each with a '|' after it */
    struct app_send last;
    enum app_outcome answer; /* of send and close */
    const char *refusal;
    struct app_call *waiting, *first_waiter;
    int ended;
    char *end_error;
};

static enum app_outcome world_send(void *ctx, struct app_call *call, const struct app_send *send,
                                   struct buf *error_out) {
    struct world *w = ctx;
    buf_append(&w->sent, send->what.data);
    buf_append_char(&w->sent, '|');
    w->last = *send;
    w->waiting = call;
    if (w->answer == APP_FAILED)
        buf_append_str(error_out, w->refusal);
    return w->answer;
}

static enum app_outcome world_close(void *ctx, struct app_call *call, const struct delivery *close,
                                    struct buf *error_out) {
    struct world *w = ctx;
    buf_printf(&w->sent, "close %zu %lld %.*s|", close->names.count, (long long)close->code,
               BYTES_FMT(close->data));
    w->waiting = call;
    if (w->answer == APP_FAILED)
        buf_append_str(error_out, w->refusal);
    return w->answer;
}

static void world_first_wait(void *ctx, struct app_call *call) {
    ((struct world *)ctx)->first_waiter = call;
}

static const struct app_host world_host = {
    .send = world_send, .close = world_close, .on_first_wait = world_first_wait};

static void world_open(struct world *w) {
    char program[] = "test", *arguments[] = {program, NULL};
    int rest;
    *w = (struct world){.answer = APP_DONE, .refusal = "refused"};
    log_set_level(LOG_ERROR + 1);
    assert_int_equal(settings_parse(&w->settings, FOR_ALL, 1, arguments, &rest), SETTINGS_OK);
    assert_int_equal(uv_loop_init(&w->loop), 0);
    w->environment = (struct app_environment){
        .loop = &w->loop, .settings = &w->settings, .host = &world_host, .host_ctx = w};
    strcpy(w->folder, "/tmp/signalbox-test-XXXXXX");
    assert_non_null(mkdtemp(w->folder));
}

static inline void world_file(struct world *w, const char *name, const char *text) {
    size_t len = strlen(text);
    char path[300];
    snprintf(path, sizeof(path), "%s/%s", w->folder, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, len, file), len);
    fclose(file);
}

/* Whether the app loads. */
static bool world_load(struct world *w, const char *text) {
    world_file(w, "app.lua", text);
    free(w->error);
    w->error = NULL;
    w->app = app_load(w->folder, &w->environment, &w->error);
    return w->app != NULL;
}

static inline void world_must_load(struct world *w, const char *text) {
    if (!world_load(w, text))
        fail_msg("%s", w->error);
}

static void world_on_end(void *ctx, struct app_call *call, const char *error) {
    struct world *w = ctx;
    (void)call;
    w->ended++;
    free(w->end_error);
    w->end_error = error == NULL ? NULL : strdup(error);
}

/* Runs the signal route of that path; an error is in w->error. */
static inline enum app_outcome world_run(struct world *w, const char *path) {
    const struct signal_route *route =
        registrations_signal_route(app_registrations(w->app), path, NULL);
    assert_non_null(route);
    struct app_handler handler = {
        route->function, route->arguments, "a test", NULL, world_on_end, w};
    free(w->error);
    w->error = NULL;
    return app_call(w->app, &handler, NULL, &w->error);
}

static inline void world_turn(struct world *w) {
    uv_run(&w->loop, UV_RUN_DEFAULT);
}

/* What was sent since the last look. */
static inline const char *world_sent(struct world *w) {
    static char text[65536];
    snprintf(text, sizeof(text), "%.*s", BYTES_FMT(buf_bytes(&w->sent)));
    buf_clear(&w->sent);
    return text;
}

static void world_unload(struct world *w) {
    app_release(w->app);
    w->app = NULL;
    world_turn(w);
}

static void world_remove(struct world *w, const char *name) {
    char path[300];
    snprintf(path, sizeof(path), "%s/%s", w->folder, name);
    if (remove(path) != 0)
        return;
}

static void world_close_all(struct world *w) {
    if (w->app != NULL)
        world_unload(w);
    assert_int_equal(uv_loop_close(&w->loop), 0);
    free(w->error);
    free(w->end_error);
    buf_deinit(&w->sent);
    world_remove(w, "app.lua");
    (void)rmdir(w->folder);
}

static inline void assert_contains(const char *text, const char *part) {
    if (text == NULL || strstr(text, part) == NULL)
        fail_msg("\"%s\" does not contain \"%s\"", text == NULL ? "(null)" : text, part);
}

/* One app, one handler at "/": what it sends, or its error. */
static inline const char *world_answer(const char *handler_body) {
    static char text[65536];
    struct world w;
    struct buf lua = {0};
    world_open(&w);
    buf_printf(&lua, "signalbox.signal_route('/', function(...) %s\nend)", handler_body);
    buf_append_char(&lua, '\0');
    if (!world_load(&w, lua.ptr))
        snprintf(text, sizeof(text), "load: %s", w.error);
    else if (world_run(&w, "/") == APP_FAILED)
        snprintf(text, sizeof(text), "error: %s", w.error);
    else
        snprintf(text, sizeof(text), "%s", world_sent(&w));
    buf_deinit(&lua);
    world_close_all(&w);
    return text;
}

#endif
