/*
 * sandbox.h - a Lua state for a script that nobody has to trust: the language it has, its files,
 * its budget.
 *
 *     struct sandbox s;
 *     sandbox_init(&s, memory_bytes, slice_ms);
 *     sandbox_protected(&s, open, …)       calls sandbox_open and adds what the script may call
 *     sandbox_locate(&s, "app/", &file, …)
 *     sandbox_run_file(&s, file.ptr, …)
 *     sandbox_deinit(&s);
 *
 * Functions that get only a lua_State find the sandbox by sandbox_of.
 */
#ifndef SIGNALBOX_APP_LUA_SANDBOX_H
#define SIGNALBOX_APP_LUA_SANDBOX_H

#include "common/app/lua/budget.h"
#include "common/base/buf.h"

struct sandbox {
    struct budget budget;
    lua_State *L;
    char *folder; /* absolute; NULL until sandbox_locate */
    char *shown;  /* the folder as it was given, "" or with a '/' at its end: for error texts */
};

static inline struct sandbox *sandbox_of(lua_State *L) {
    return container_of(budget_of(L), struct sandbox, budget);
}

void sandbox_init(struct sandbox *s, int64_t memory_bytes, int64_t slice_ms);
void sandbox_deinit(struct sandbox *s);

/* Opens the libraries that a script may use. May raise. */
void sandbox_open(lua_State *L);

/* Runs fn(L) under pcall on the main thread, `ctx` as its light userdata; false: the error text is
 * in error_out (may be NULL). */
bool sandbox_protected(struct sandbox *s, lua_CFunction fn, void *ctx, struct buf *error_out);
/* Appends the text of the error on the top, without running anything of the script. */
void sandbox_append_error(lua_State *L, struct buf *out);

/* path: a script, or a folder with app.lua in it. The script's path is appended to file_out, with a
 * NUL; modules are looked for in its folder. false with one line in error_out. */
bool sandbox_locate(struct sandbox *s, const char *path, struct buf *file_out,
                    struct buf *error_out);
/* Runs a whole file; false with "file:line: message" in error_out. */
bool sandbox_run_file(struct sandbox *s, const char *file, struct buf *error_out);

#endif
