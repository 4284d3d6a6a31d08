/*
 * app.c - see app.h: an app from its file to its end.
 *
 * Read first: app_load. What a script may do is in lua/sandbox.c (the language) and api/api.c
 * (`signalbox`).
 */
#include "common/app/app.h"

#include <stdlib.h>

#include "common/app/api/api.h"
#include "common/app/running/app_state.h"
#include "common/base/settings.h"

static int open_all(lua_State *L) {
    sandbox_open(L);
    api_open(L);
    return 0;
}

static void destroy(struct app *a) {
    app_calls_free(a);
    sandbox_deinit(&a->sandbox);
    app_rules_free(a);
    registrations_free(a->registrations);
    signing_deinit(&a->own_signing);
    free(a->server_secret);
    free(a);
}

static void on_idle(struct app *a) {
    if (a->is_released)
        destroy(a);
}

static bool run_app_file(struct app *a, const char *path, struct buf *error_out) {
    struct buf file = {0};
    a->is_loading = true;
    bool is_fine = sandbox_protected(&a->sandbox, open_all, NULL, error_out) &&
                   sandbox_locate(&a->sandbox, path, &file, error_out) &&
                   sandbox_run_file(&a->sandbox, file.ptr, error_out);
    a->is_loading = false;
    buf_deinit(&file);
    return is_fine;
}

struct app *app_load(const char *path, const struct app_environment *environment,
                     char **error_out) {
    struct app *a = mem_zalloc(sizeof(*a));
    struct buf error = {0};
    a->env = *environment;
    a->registrations = registrations_new();
    a->on_idle = on_idle;
    sandbox_init(&a->sandbox, environment->settings->lua_memory_bytes,
                 environment->settings->lua_budget_ms);
    if (!run_app_file(a, path, &error)) {
        *error_out = buf_take(&error);
        destroy(a);
        return NULL;
    }
    buf_deinit(&error);
    const struct signing *s = &a->registrations->signing;
    a->own_scope = a->registrations->default_scope;
    signing_set(&a->own_signing, s->is_on, s->secret, s->is_strict);
    a->own_signing.uses_server_secret = s->uses_server_secret;
    return a;
}

void app_release(struct app *a) {
    if (a == NULL)
        return;
    MUST(!a->is_released);
    a->is_released = true;
    if (a->busy == 0 && a->waiting == 0)
        destroy(a);
}

/* --- for the owner --- */

const struct registrations *app_registrations(const struct app *a) {
    return a->registrations;
}

const char *app_folder(const struct app *a) {
    return a->sandbox.folder;
}

uint64_t app_used_us(const struct app *a) {
    return a->used_us;
}

size_t app_waiting(const struct app *a) {
    return a->waiting;
}
