/*
 * app.c - see app.h: an app from its file to its end. Handlers are run by app_call.c.
 *
 * Read first: app_load. What a script may do is in app_sandbox.c (the language) and api.c
 * (`signalbox`).
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <lauxlib.h>

#include "common/app/lua/stack.h"
#include "common/app/running/app_state.h"
#include "common/base/log.h"
#include "common/base/settings.h"

enum { FILE_MAX_BYTES = 16 * 1024 * 1024, MAIN_CHUNK_SLICES = 10 };

static int on_panic(lua_State *L) {
    (void)L;
    MUST(!"Lua raised outside of a protected call");
    return 0;
}

/* --- errors --- */

void app_error_text(lua_State *L, struct buf *out) {
    int type = lua_type(L, -1);
    if (type == LUA_TSTRING) {
        struct bytes text = stack_bytes_at(L, -1);
        buf_append(out, text);
    } else if (lua_isinteger(L, -1)) {
        buf_printf(out, "%lld", (long long)lua_tointeger(L, -1));
    } else if (type == LUA_TNUMBER) {
        buf_printf(out, "%.14g", (double)lua_tonumber(L, -1));
    } else {
        buf_printf(out, "(an error that is a %s, not a text)", lua_typename(L, type));
    }
}

bool app_protected(struct app *a, lua_CFunction fn, void *ctx, struct buf *error_out) {
    lua_pushcfunction(a->L, fn);
    lua_pushlightuserdata(a->L, ctx);
    bool is_fine = lua_pcall(a->L, 1, 0, 0) == LUA_OK;
    if (!is_fine && error_out != NULL)
        app_error_text(a->L, error_out);
    lua_settop(a->L, 0);
    return is_fine;
}

/* --- files --- */

int app_load_text(lua_State *L, struct bytes text, const char *name) {
    if (text.len > 0 && text.ptr[0] == LUA_SIGNATURE[0]) {
        lua_pushfstring(L, "%s: bytecode is not loaded", name[0] == '@' ? name + 1 : name);
        return LUA_ERRSYNTAX;
    }
    return luaL_loadbufferx(L, text.ptr == NULL ? "" : text.ptr, text.len, name, "t");
}

static bool read_all(FILE *file, struct buf *out) {
    size_t got;
    do {
        got = fread(buf_reserve(out, 65536), 1, 65536, file);
        buf_added(out, got);
    } while (got > 0 && out->len <= FILE_MAX_BYTES);
    return !ferror(file);
}

bool app_read_file(const char *path, struct buf *out, struct buf *error_out) {
    FILE *file = fopen(path, "rbe");
    bool is_fine = file != NULL && read_all(file, out);
    if (!is_fine)
        buf_printf(error_out, "%s: %s", path, strerror(errno));
    if (file != NULL)
        fclose(file);
    if (is_fine && out->len > FILE_MAX_BYTES) {
        buf_printf(error_out, "%s: larger than 16 MiB", path);
        return false;
    }
    return is_fine;
}

static bool is_folder(const char *path) {
    struct stat s;
    return stat(path, &s) == 0 && S_ISDIR(s.st_mode);
}

/* a->folder and a->shown; the app file's path as it is shown goes to `file_out`. */
static bool locate(struct app *a, const char *path, struct buf *file_out, struct buf *error_out) {
    buf_append_str(file_out, path);
    if (is_folder(path))
        buf_append_str(file_out, path[strlen(path) - 1] == '/' ? "app.lua" : "/app.lua");
    ptrdiff_t slash = bytes_find_last(buf_bytes(file_out), '/');
    a->shown = bytes_dup(bytes_head(buf_bytes(file_out), (size_t)(slash + 1)));
    char *absolute = realpath(a->shown[0] == '\0' ? "." : a->shown, NULL);
    if (absolute == NULL) {
        buf_printf(error_out, "%.*s: %s", BYTES_FMT(buf_bytes(file_out)), strerror(errno));
        return false;
    }
    a->folder = absolute;
    buf_append_char(file_out, '\0');
    return true;
}

/* --- the main chunk --- */

struct main_chunk {
    struct bytes text;
    const char *name; /* "@app.lua" */
};

static int run_main_chunk(lua_State *L) {
    struct main_chunk *m = lua_touserdata(L, 1);
    if (app_load_text(L, m->text, m->name) != LUA_OK)
        return lua_error(L);
    lua_call(L, 0, 0);
    return 0;
}

static int open_all(lua_State *L) {
    sandbox_open(L);
    api_open(L);
    return 0;
}

static bool run_file(struct app *a, const char *file, struct buf *error_out) {
    struct buf text = {0}, name = {0};
    struct slice slice = budget_slice(a, MAIN_CHUNK_SLICES);
    bool is_fine = app_read_file(file, &text, error_out);
    if (is_fine) {
        buf_printf(&name, "@%s", file);
        struct main_chunk chunk = {buf_bytes(&text), buf_take(&name)};
        a->slice = &slice;
        a->is_loading = true;
        is_fine = app_protected(a, run_main_chunk, &chunk, error_out);
        a->is_loading = false;
        a->slice = NULL;
        free((char *)chunk.name);
    }
    buf_deinit(&text);
    return is_fine;
}

static void remember_own_settings(struct app *a) {
    const struct signing *s = &a->registrations->signing;
    a->own_scope = a->registrations->default_scope;
    signing_set(&a->own_signing, s->is_on, s->secret, s->is_strict);
    a->own_signing.uses_server_secret = s->uses_server_secret;
}

static struct app *make(const struct app_environment *environment) {
    struct app *a = mem_zalloc(sizeof(*a));
    a->env = *environment;
    a->memory_limit = (size_t)environment->settings->lua_memory_bytes;
    a->registrations = registrations_new();
    app_rules_init(a);
    a->L = lua_newstate(app_allocate, a);
    MUST(a->L != NULL);
    lua_atpanic(a->L, on_panic);
    *app_mark_of(a->L) = NULL;
    budget_watch(a->L);
    return a;
}

static void destroy(struct app *a) {
    app_calls_free(a);
    lua_close(a->L);
    MUST(a->memory_used == 0);
    app_rules_free(a);
    registrations_free(a->registrations);
    signing_deinit(&a->own_signing);
    free(a->server_secret);
    free(a->folder);
    free(a->shown);
    free(a);
}

struct app *app_load(const char *path, const struct app_environment *environment,
                     char **error_out) {
    struct app *a = make(environment);
    struct buf file = {0}, error = {0};
    bool is_fine = app_protected(a, open_all, NULL, &error) && locate(a, path, &file, &error) &&
                   run_file(a, file.ptr, &error);
    buf_deinit(&file);
    if (!is_fine) {
        *error_out = buf_take(&error);
        destroy(a);
        return NULL;
    }
    buf_deinit(&error);
    remember_own_settings(a);
    return a;
}

/* --- the end --- */

void app_end_if_done(struct app *a) {
    if (a->is_released && a->busy == 0 && a->waiting == 0)
        destroy(a);
}

void app_release(struct app *a) {
    if (a == NULL)
        return;
    MUST(!a->is_released);
    a->is_released = true;
    app_end_if_done(a);
}

/* --- for the owner --- */

const struct registrations *app_registrations(const struct app *a) {
    return a->registrations;
}

struct registrations *app_registrations_mutable(struct app *a) {
    return a->registrations;
}

const char *app_folder(const struct app *a) {
    return a->folder;
}

size_t app_waiting(const struct app *a) {
    return a->waiting;
}
