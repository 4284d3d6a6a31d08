/*
 * script.c - EVAL, EVALSHA and SCRIPT: scripts run in Lua 5.1, as in Redis.
 *
 * Why 5.1 beside the product's 5.4: numbers. In 5.4 an integer is no float, 2^53 prints otherwise,
 * and `1 .. ''` of a division has ".0"; a script that passes there proves nothing. The two live in
 * one program because this library is one object of which only redis_… is visible.
 *
 * A script sees its globals through an empty table, so that they cannot be changed. KEYS and ARGV
 * are set anew for each run.
 */
#include "tests/world/redis/script.h"

#include <lualib.h>
#include <openssl/evp.h>
#include <stdio.h>

#include "tests/world/redis/numbers.h"

static const char self_key;

struct scripts *script_self(lua_State *lua) {
    lua_pushlightuserdata(lua, (void *)&self_key);
    lua_rawget(lua, LUA_REGISTRYINDEX);
    struct scripts *s = lua_touserdata(lua, -1);
    lua_pop(lua, 1);
    return s;
}

void sha1_hex(struct bytes text, char out[SHA_TEXT]) {
    unsigned char digest[EVP_MAX_MD_SIZE];
    MUST(EVP_Digest(text.ptr, text.len, digest, NULL, EVP_sha1(), NULL) == 1);
    for (int i = 0; i < 20; i++)
        snprintf(out + 2 * i, 3, "%02x", digest[i]);
}

/* ---- the interpreter ---- */

static int on_missing_global(lua_State *lua) {
    return luaL_error(lua, "Script attempted to access nonexistent global variable '%s'",
                      lua_tostring(lua, 2));
}

static int on_set_global(lua_State *lua) {
    return luaL_error(lua, "Attempt to modify a readonly table");
}

/* An error becomes a table {err, source, line}; the place is that of the script's own code. */
static int on_error(lua_State *lua) {
    lua_Debug at;
    if (!lua_istable(lua, 1)) {
        lua_newtable(lua);
        lua_pushliteral(lua, "ERR ");
        const char *text = lua_tostring(lua, 1);
        lua_pushstring(lua, text != NULL ? text : luaL_typename(lua, 1));
        lua_concat(lua, 2);
        lua_setfield(lua, -2, "err");
        lua_replace(lua, 1);
    }
    for (int level = 1; level <= 2 && lua_getstack(lua, level, &at); level++) {
        lua_getinfo(lua, "Sl", &at);
        if (strcmp(at.what, "C") == 0)
            continue;
        lua_pushstring(lua, at.source);
        lua_setfield(lua, 1, "source");
        lua_pushinteger(lua, at.currentline);
        lua_setfield(lua, 1, "line");
        break;
    }
    lua_settop(lua, 1);
    return 1;
}

/* What would reach out of the script is not there. */
static void open_libraries(lua_State *lua) {
    static const char *const absent[] = {"dofile",  "loadfile", "print",   "module",
                                         "require", "package",  "os",      "io",
                                         "debug",   "newproxy", "setfenv", "getfenv"};
    luaL_openlibs(lua);
    for (size_t i = 0; i < ARRAY_LEN(absent); i++) {
        lua_pushnil(lua);
        lua_setglobal(lua, absent[i]);
    }
    script_push_redis(lua);
    lua_setglobal(lua, "redis");
    script_push_msgpack(lua);
    lua_setglobal(lua, "cmsgpack");
}

/* The globals with their errors, and before them the empty table that scripts see: in the registry
 * under "globals". */
static void guard_globals(lua_State *lua) {
    lua_newtable(lua);
    lua_pushcfunction(lua, on_missing_global);
    lua_setfield(lua, -2, "__index");
    lua_pushvalue(lua, LUA_GLOBALSINDEX);
    lua_insert(lua, -2);
    lua_setmetatable(lua, -2);
    lua_pop(lua, 1);
    lua_newtable(lua);
    lua_newtable(lua);
    lua_pushvalue(lua, LUA_GLOBALSINDEX);
    lua_setfield(lua, -2, "__index");
    lua_pushcfunction(lua, on_set_global);
    lua_setfield(lua, -2, "__newindex");
    lua_setmetatable(lua, -2);
    lua_setfield(lua, LUA_REGISTRYINDEX, "globals");
}

struct scripts *scripts_new(void) {
    struct scripts *s = mem_zalloc(sizeof(*s));
    dict_init(&s->by_sha, 0);
    s->lua = luaL_newstate();
    MUST(s->lua != NULL);
    lua_pushlightuserdata(s->lua, (void *)&self_key);
    lua_pushlightuserdata(s->lua, s);
    lua_rawset(s->lua, LUA_REGISTRYINDEX);
    open_libraries(s->lua);
    guard_globals(s->lua);
    return s;
}

static void forget_all(struct scripts *s) {
    struct dict_entry *e;
    DICT_EACH(e, &s->by_sha) {
        struct script *script = e->value.ptr;
        luaL_unref(s->lua, LUA_REGISTRYINDEX, script->function);
        free(script);
    }
    dict_deinit(&s->by_sha);
    s->bytes = 0;
}

void scripts_free(struct scripts *s) {
    forget_all(s);
    lua_close(s->lua);
    buf_deinit(&s->reply);
    free(s->argv);
    free(s);
}

size_t scripts_bytes(const struct scripts *s) {
    return s->bytes;
}

/* ---- loading ---- */

static bool read_flag(struct call *c, struct bytes word, struct script *script) {
    static const struct {
        const char *word;
        unsigned flag;
    } known[] = {{"no-writes", SCRIPT_NO_WRITES},
                 {"allow-oom", SCRIPT_ALLOWS_OOM},
                 {"allow-stale", SCRIPT_ALLOWS_STALE},
                 {"no-cluster", 0},
                 {"allow-cross-slot-keys", 0}};
    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        if (bytes_equal_str(word, known[i].word)) {
            script->flags |= known[i].flag;
            return true;
        }
    answer_error(c, "ERR Unexpected flag in script shebang: %.*s", BYTES_FMT(word));
    return false;
}

/* "#!lua flags=a,b"; afterwards *text begins with the end of that line, so that lines count. */
static bool read_head(struct call *c, struct bytes *text, struct script *script) {
    script->is_compatible = !bytes_starts_with(*text, BYTES_LIT("#!"));
    if (script->is_compatible)
        return true;
    ptrdiff_t end = bytes_find(*text, '\n');
    if (end < 0) {
        answer_error(c, "ERR Invalid script shebang");
        return false;
    }
    struct bytes head = bytes_from(bytes_head(*text, (size_t)end), 2);
    struct bytes engine = bytes_split(&head, ' ');
    *text = bytes_from(*text, (size_t)end);
    if (!bytes_equal_str(engine, "lua")) {
        answer_error(c, "ERR Unexpected engine in script shebang: #!%.*s", BYTES_FMT(engine));
        return false;
    }
    while (head.len > 0) {
        struct bytes option = bytes_split(&head, ' ');
        if (!bytes_starts_with(option, BYTES_LIT("flags="))) {
            answer_error(c, "ERR Unknown lua shebang option: %.*s", BYTES_FMT(option));
            return false;
        }
        for (option = bytes_from(option, 6); option.len > 0;)
            if (!read_flag(c, bytes_split(&option, ','), script))
                return false;
    }
    return true;
}

static struct script *find(const struct scripts *s, struct bytes sha) {
    char lower[SHA_TEXT];
    if (sha.len != sizeof(lower) - 1)
        return NULL;
    for (size_t i = 0; i < sha.len; i++)
        lower[i] = bytes_lower(sha.ptr[i]);
    struct dict_entry *e = dict_find(&s->by_sha, bytes_of(lower, sha.len));
    return e != NULL ? e->value.ptr : NULL;
}

static bool compile(struct call *c, struct bytes text, struct script *script) {
    lua_State *lua = c->model->scripts->lua;
    if (!read_head(c, &text, script))
        return false;
    if (luaL_loadbuffer(lua, text.ptr, text.len, "@user_script") != 0) {
        answer_error(c, "ERR Error compiling script (new function): %s", lua_tostring(lua, -1));
        lua_pop(lua, 1);
        return false;
    }
    lua_getfield(lua, LUA_REGISTRYINDEX, "globals");
    lua_setfenv(lua, -2);
    script->function = luaL_ref(lua, LUA_REGISTRYINDEX);
    return true;
}

/* NULL, and answered, when it is no script. */
static struct script *load(struct call *c, struct bytes text) {
    struct scripts *s = c->model->scripts;
    struct script made = {.len = text.len};
    sha1_hex(text, made.sha);
    struct script *known = find(s, bytes_str(made.sha));
    if (known != NULL)
        return known;
    if (!compile(c, text, &made))
        return NULL;
    struct script *script = mem_alloc(sizeof(*script));
    *script = made;
    dict_add(&s->by_sha, bytes_str(made.sha))->value.ptr = script;
    s->bytes += text.len + 500;
    return script;
}

/* ---- running ---- */

static void push_list(lua_State *lua, const struct bytes *items, int count, const char *name) {
    lua_createtable(lua, count, 0);
    for (int i = 0; i < count; i++) {
        lua_pushlstring(lua, items[i].ptr, items[i].len);
        lua_rawseti(lua, -2, i + 1);
    }
    lua_setglobal(lua, name);
}

static void answer_failure(lua_State *lua, struct call *c, const struct script *script) {
    lua_getfield(lua, -1, "err");
    lua_getfield(lua, -2, "source");
    lua_getfield(lua, -3, "line");
    const char *err = lua_tostring(lua, -3), *source = lua_tostring(lua, -2);
    MUST(err != NULL); /* error({}) ends a real server, too */
    if (source != NULL)
        answer_error(c, "%s script: %s, on %s:%d.", err, script->sha, source,
                     (int)lua_tointeger(lua, -1));
    else
        answer_error(c, "%s", err);
    lua_pop(lua, 3);
}

static void run(struct call *c, const struct script *script, int keys) {
    struct scripts *s = c->model->scripts;
    lua_State *lua = s->lua;
    push_list(lua, c->argv + 3, keys, "KEYS");
    push_list(lua, c->argv + 3 + keys, c->argc - 3 - keys, "ARGV");
    lua_pushcfunction(lua, on_error);
    lua_rawgeti(lua, LUA_REGISTRYINDEX, script->function);
    s->call = c;
    s->running = script;
    s->has_written = false;
    int status = lua_pcall(lua, 0, 1, -2);
    s->call = NULL;
    if (status != 0)
        answer_failure(lua, c, script);
    else
        script_answer(lua, c);
    lua_settop(lua, 0);
}

static void eval_script(struct call *c, bool is_sha) {
    int64_t keys;
    if (!arg_int(c, 2, &keys))
        return;
    if (keys > c->argc - 3) {
        answer_error(c, "ERR Number of keys can't be greater than number of args");
        return;
    }
    if (keys < 0) {
        answer_error(c, "ERR Number of keys can't be negative");
        return;
    }
    const struct script *script =
        is_sha ? find(c->model->scripts, c->argv[1]) : load(c, c->argv[1]);
    if (script != NULL)
        run(c, script, (int)keys);
    else if (is_sha)
        answer_error(c, "NOSCRIPT No matching script. Please use EVAL.");
}

static void eval(struct call *c) {
    eval_script(c, false);
}

static void evalsha(struct call *c) {
    eval_script(c, true);
}

unsigned script_flags(struct call *c, unsigned flags) {
    struct script head = {0};
    const struct script *script = &head;
    struct bytes text = c->argv[1];
    struct buf ignored = {0};
    struct call quiet = *c;
    quiet.out = &ignored;
    bool is_known = true;
    if (strcmp(c->row->name, "eval") == 0)
        is_known = read_head(&quiet, &text, &head);
    else
        is_known = (script = find(c->model->scripts, c->argv[1])) != NULL;
    buf_deinit(&ignored);
    if (!is_known || script->is_compatible)
        return flags;
    return flags | (script->flags & (SCRIPT_ALLOWS_OOM | SCRIPT_NO_WRITES) ? 0 : NEEDS_MEMORY) |
           (script->flags & SCRIPT_NO_WRITES ? 0 : WRITES) |
           (script->flags & SCRIPT_ALLOWS_STALE ? IN_STALE : 0);
}

/* ---- SCRIPT ---- */

static void script_exists(struct call *c) {
    answer_array(c, (size_t)c->argc - 2);
    for (int i = 2; i < c->argc; i++)
        answer_int(c, find(c->model->scripts, c->argv[i]) != NULL);
}

static void script_kill(struct call *c) {
    if (c->model->refusal != REDIS_BUSY) {
        answer_error(c, "NOTBUSY No scripts in execution right now.");
        return;
    }
    c->model->refusal = REDIS_FINE;
    answer_ok(c);
}

static void script_load(struct call *c) {
    const struct script *script = load(c, c->argv[2]);
    if (script != NULL)
        answer_bulk(c, bytes_str(script->sha));
}

static void script_flush(struct call *c) {
    forget_all(c->model->scripts);
    answer_ok(c);
}

enum { RUNS = NO_SCRIPT | IS_SCRIPT };

const struct command_row script_rows[] = {{"eval", -3, RUNS | IN_STALE, eval},
                                          {"evalsha", -3, RUNS | IN_STALE, evalsha},
                                          {"script", -2, 0, NULL},
                                          {"script|exists", -3, NO_SCRIPT, script_exists},
                                          {"script|flush", -2, NO_SCRIPT, script_flush},
                                          {"script|kill", 2, NO_SCRIPT | IN_BUSY, script_kill},
                                          {"script|load", 3, NO_SCRIPT | IN_STALE, script_load},
                                          {0}};
