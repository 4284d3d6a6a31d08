/*
 * sandbox.c - see sandbox.h. A script has the base functions without files and bytecode, string,
 * table, math, utf8, coroutine, five functions of os, and require for modules beside its file.
 *
 * What is opened here must not run for long without the budget's hook, raise past it, or reach
 * outside: libraries.c replaces the standard functions that can.
 */
#include "common/app/lua/sandbox.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <lauxlib.h>
#include <lualib.h>

#include "common/app/lua/function_text.h"
#include "common/app/lua/json_lua.h"
#include "common/app/lua/libraries.h"
#include "common/app/lua/metatables.h"
#include "common/app/lua/stack.h"
#include "common/base/log.h"

enum { LOAD_MAX_BYTES = 1024 * 1024, FILE_MAX_BYTES = 16 * 1024 * 1024, MAIN_CHUNK_SLICES = 10 };

static char modules_key;

/* --- errors --- */

void sandbox_append_error(lua_State *L, struct buf *out) {
    int type = lua_type(L, -1);
    if (type == LUA_TSTRING) {
        buf_append(out, stack_bytes_at(L, -1));
    } else if (lua_isinteger(L, -1)) {
        buf_printf(out, "%lld", (long long)lua_tointeger(L, -1));
    } else if (type == LUA_TNUMBER) {
        buf_printf(out, "%.14g", (double)lua_tonumber(L, -1));
    } else {
        buf_printf(out, "(an error that is a %s, not a text)", lua_typename(L, type));
    }
}

bool sandbox_protected(struct sandbox *s, lua_CFunction fn, void *ctx, struct buf *error_out) {
    lua_pushcfunction(s->L, fn);
    lua_pushlightuserdata(s->L, ctx);
    bool is_fine = lua_pcall(s->L, 1, 0, 0) == LUA_OK;
    if (!is_fine && error_out != NULL)
        sandbox_append_error(s->L, error_out);
    lua_settop(s->L, 0);
    return is_fine;
}

/* --- files --- */

static int load_text(lua_State *L, struct bytes text, const char *name) {
    if (text.len > 0 && text.ptr[0] == LUA_SIGNATURE[0]) {
        lua_pushfstring(L, "%s: bytecode is not loaded", name[0] == '@' ? name + 1 : name);
        return LUA_ERRSYNTAX;
    }
    return budget_load(L, text, name);
}

static bool read_all(FILE *file, struct buf *out) {
    size_t got;
    do {
        got = fread(buf_reserve(out, 65536), 1, 65536, file);
        buf_added(out, got);
    } while (got > 0 && out->len <= FILE_MAX_BYTES);
    return !ferror(file);
}

static bool read_file(const char *path, struct buf *out, struct buf *error_out) {
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

/* --- print, load --- */

static int sandbox_print(lua_State *L) {
    int count = lua_gettop(L);
    luaL_Buffer text;
    luaL_buffinit(L, &text);
    for (int i = 1; i <= count; i++) {
        if (i > 1)
            luaL_addchar(&text, '\t');
        budget_look(L);
        luaL_tolstring(L, i, NULL);
        luaL_addvalue(&text);
    }
    luaL_pushresult(&text);
    log_app("app", "printed text=%s", LOG_TEXT(stack_bytes_at(L, -1)));
    return 0;
}

/* Pushes the text that a function gives piece by piece. */
static void gather_pieces(lua_State *L, int function) {
    luaL_Buffer all;
    size_t total = 0, len;
    luaL_buffinit(L, &all);
    for (;;) {
        budget_look(L);
        lua_pushvalue(L, function);
        lua_call(L, 0, 1);
        if (lua_isnil(L, -1))
            break;
        if (lua_type(L, -1) != LUA_TSTRING)
            luaL_error(L, "reader function must return a string");
        (void)lua_tolstring(L, -1, &len);
        if (len == 0)
            break;
        total += len;
        if (total > LOAD_MAX_BYTES)
            luaL_error(L, "chunk larger than 1 MiB");
        luaL_addvalue(&all);
    }
    lua_pop(L, 1);
    luaL_pushresult(&all);
}

/* load(chunk [, name [, mode [, env]]]): text only, whatever the mode says. */
static int sandbox_load(lua_State *L) {
    bool has_environment = !lua_isnone(L, 4);
    const char *name = luaL_optstring(L, 2, NULL);
    lua_settop(L, 4);
    if (lua_type(L, 1) != LUA_TSTRING) {
        luaL_checktype(L, 1, LUA_TFUNCTION);
        gather_pieces(L, 1);
        lua_replace(L, 1);
    }
    struct bytes text = stack_bytes_at(L, 1);
    luaL_argcheck(L, text.len <= LOAD_MAX_BYTES, 1, "chunk larger than 1 MiB");
    if (name == NULL) /* the text is its own name, unless it is bytecode */
        name = text.len > 0 && text.ptr[0] != LUA_SIGNATURE[0] ? text.ptr : "=(load)";
    function_text_keep(L, name, text, false);
    if (load_text(L, text, name) != LUA_OK) {
        budget_look(L);
        lua_pushnil(L);
        lua_insert(L, -2);
        return 2;
    }
    if (has_environment) {
        lua_pushvalue(L, 4);
        if (lua_setupvalue(L, -2, 1) == NULL)
            lua_pop(L, 1);
    }
    return 1;
}

/* --- require --- */

static bool is_module_name(const char *name, size_t len) {
    if (len == 0 || len > 200 || strlen(name) != len || name[0] == '.' || name[len - 1] == '.' ||
        strstr(name, "..") != NULL)
        return false;
    for (const char *c = name; *c != '\0'; c++)
        if (!isalnum((unsigned char)*c) && strchr("_-.", *c) == NULL)
            return false;
    return true;
}

/* Reads and compiles "views/list.lua" for "views.list"; nothing is left allocated outside when it
 * raises. */
static void load_module(lua_State *L, const char *name) {
    const struct sandbox *s = sandbox_of(L);
    struct buf text = {0}, error = {0};
    const char *path = lua_pushfstring(L, "%s.lua", luaL_gsub(L, name, ".", "/"));
    const char *file = lua_pushfstring(L, "%s/%s", s->folder, path);
    const char *chunk = lua_pushfstring(L, "@%s%s", s->shown, path);
    bool is_there = read_file(file, &text, &error);
    buf_deinit(&error);
    if (!is_there) {
        buf_deinit(&text);
        luaL_error(L, "module not found: %s%s", s->shown, path);
    }
    stack_push_take(L, &text);
    function_text_keep(L, chunk, stack_bytes_at(L, -1), true);
    if (load_text(L, stack_bytes_at(L, -1), chunk) != LUA_OK)
        lua_error(L);
}

/* Each module once: what it returned, or true. false stands for one that is being loaded. */
static int sandbox_require(lua_State *L) {
    size_t len;
    const char *name = luaL_checklstring(L, 1, &len);
    luaL_argcheck(L, is_module_name(name, len), 1,
                  "a module beside the app file: letters, digits, '_', '-', and '.' for folders");
    lua_settop(L, 1);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &modules_key);
    if (lua_getfield(L, 2, name) != LUA_TNIL) {
        if (lua_isboolean(L, -1) && !lua_toboolean(L, -1))
            return luaL_error(L, "module '%s' requires itself", name);
        return 1;
    }
    load_module(L, name);
    lua_pushboolean(L, false);
    lua_setfield(L, 2, name);
    lua_pushvalue(L, 1);
    if (lua_pcall(L, 1, 1, 0) != LUA_OK) {
        lua_pushnil(L);
        lua_setfield(L, 2, name);
        return lua_error(L);
    }
    if (!lua_toboolean(L, -1))
        lua_pushboolean(L, true);
    lua_pushvalue(L, -1);
    lua_setfield(L, 2, name);
    return 1;
}

/* --- opening --- */

static void keep_only(lua_State *L, const char *library, const char *const names[]) {
    lua_getglobal(L, library);
    lua_newtable(L);
    for (; *names != NULL; names++) {
        lua_getfield(L, -2, *names);
        lua_setfield(L, -2, *names);
    }
    lua_setglobal(L, library);
    lua_pop(L, 1);
}

static void open_base(lua_State *L) {
    static const char *const taken[] = {"dofile", "loadfile", "collectgarbage", "warn"};
    static const luaL_Reg replaced[] = {
        {"print", sandbox_print},
        {"load", sandbox_load},
        {"require", sandbox_require},
        {NULL, NULL},
    };
    lua_pushcfunction(L, luaopen_base);
    lua_call(L, 0, 1);
    for (size_t i = 0; i < ARRAY_LEN(taken); i++) {
        lua_pushnil(L);
        lua_setfield(L, -2, taken[i]);
    }
    luaL_setfuncs(L, replaced, 0);
    lua_pop(L, 1);
}

static void open_as(lua_State *L, lua_CFunction open, const char *name) {
    lua_pushcfunction(L, open);
    lua_call(L, 0, 1);
    lua_setglobal(L, name);
}

void sandbox_open(lua_State *L) {
    static const char *const kept_of_os[] = {"date", "time", "clock", "getenv", "difftime", NULL};
    open_base(L);
    metatables_open(L);
    open_as(L, luaopen_string, "string");
    open_as(L, luaopen_table, "table");
    open_as(L, luaopen_math, "math");
    open_as(L, luaopen_utf8, "utf8");
    open_as(L, luaopen_coroutine, "coroutine");
    open_as(L, luaopen_os, "os");
    keep_only(L, "os", kept_of_os);
    libraries_open(L);
    lua_newtable(L);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &modules_key);
}

/* --- the state --- */

static int on_panic(lua_State *L) {
    (void)L;
    MUST(!"Lua raised outside of a protected call");
    return 0;
}

void sandbox_init(struct sandbox *s, int64_t memory_bytes, int64_t slice_ms) {
    *s = (struct sandbox){
        .budget = {.memory_limit = (size_t)memory_bytes, .slice_us = (uint64_t)slice_ms * 1000}};
    budget_init(&s->budget);
    s->L = lua_newstate(budget_allocate, &s->budget);
    MUST(s->L != NULL);
    lua_atpanic(s->L, on_panic);
    *budget_owner_of(s->L) = NULL;
}

void sandbox_deinit(struct sandbox *s) {
    lua_close(s->L);
    budget_deinit(&s->budget);
    MUST(s->budget.memory_used == 0);
    free(s->folder);
    free(s->shown);
}

bool sandbox_locate(struct sandbox *s, const char *path, struct buf *file_out,
                    struct buf *error_out) {
    struct stat found;
    buf_append_str(file_out, path);
    if (stat(path, &found) == 0 && S_ISDIR(found.st_mode))
        buf_append_str(file_out, path[strlen(path) - 1] == '/' ? "app.lua" : "/app.lua");
    ptrdiff_t slash = bytes_find_last(buf_bytes(file_out), '/');
    s->shown = bytes_dup(bytes_head(buf_bytes(file_out), (size_t)(slash + 1)));
    char *absolute = realpath(s->shown[0] == '\0' ? "." : s->shown, NULL);
    if (absolute == NULL) {
        buf_printf(error_out, "%.*s: %s", BYTES_FMT(buf_bytes(file_out)), strerror(errno));
        return false;
    }
    s->folder = absolute;
    buf_append_char(file_out, '\0');
    return true;
}

/* --- the main chunk --- */

struct main_chunk {
    struct bytes text;
    const char *file;
};

static int run_main_chunk(lua_State *L) {
    struct main_chunk *m = lua_touserdata(L, 1);
    const char *name = lua_pushfstring(L, "@%s", m->file);
    function_text_keep(L, name, m->text, true);
    if (load_text(L, m->text, name) != LUA_OK)
        return lua_error(L);
    lua_call(L, 0, 0);
    return 0;
}

bool sandbox_run_file(struct sandbox *s, const char *file, struct buf *error_out) {
    struct buf text = {0};
    struct slice slice = budget_slice(&s->budget, MAIN_CHUNK_SLICES);
    bool is_fine = read_file(file, &text, error_out);
    if (is_fine) {
        struct main_chunk chunk = {buf_bytes(&text), file};
        struct entered before = budget_enter(&s->budget, &slice, s->L);
        is_fine = sandbox_protected(s, run_main_chunk, &chunk, error_out);
        budget_leave(&s->budget, before);
    }
    buf_deinit(&text);
    return is_fine;
}
