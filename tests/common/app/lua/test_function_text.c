/* A function travels as text: what comes out compiles to the same function, or there is a reason. */
#include "common/app/lua/function_text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <lauxlib.h>
#include <lualib.h>

#include "common/app/lua/stack.h"

/* Runs the chunk, which returns the function, and writes that. */
static bool write_of(const char *chunk, struct buf *out, int *line, struct buf *error) {
    lua_State *L = luaL_newstate();
    luaL_openlibs(L);
    assert_int_equal(luaL_dostring(L, chunk), LUA_OK);
    int top = lua_gettop(L);
    bool is_fine = function_text_write(L, top, out, line, error);
    assert_int_equal(lua_gettop(L), top);
    lua_close(L);
    return is_fine;
}

/* Builds it in another state and runs it with 3 and 4. An outer local holds its own name. */
static char *result_of(struct bytes text, int line) {
    lua_State *L = luaL_newstate();
    luaL_openlibs(L);
    function_text_build(L, text, line, BYTES_LIT("@app.lua"));
    assert_int_equal(lua_gettop(L), 1);
    const char *name;
    for (int i = 1; (name = lua_getupvalue(L, 1, i)) != NULL; i++) {
        bool is_globals = strcmp(name, "_ENV") == 0;
        lua_pop(L, 1);
        if (is_globals)
            lua_pushglobaltable(L);
        else
            lua_pushstring(L, name);
        lua_setupvalue(L, 1, i);
    }
    lua_pushinteger(L, 3);
    lua_pushinteger(L, 4);
    if (lua_pcall(L, 2, 1, 0) != LUA_OK)
        assert_non_null(strstr(lua_tostring(L, -1), "app.lua:"));
    char *result = strdup(luaL_tolstring(L, -1, NULL));
    lua_close(L);
    return result;
}

static void what_is_written_is_the_function(void **state) {
    static const struct {
        const char *chunk, *text, *result;
    } cases[] = {
        {"return function(a, b) return a + b end", "return function(a, b) return a + b end", "7"},
        {"\n\nlocal function f(a, b) return b end\nreturn f", "return function(a, b) return b end",
         "4"},
        {"local t = {} function t:m(b) return b end return t.m",
         "return function(self,b) return b end", "4"},
        {"local t = {} function t:m() return self end return t.m",
         "return function(self) return self end", "3"},
        {"local outer = 'x' return function() return outer end",
         "local outer return function() return outer end", "outer"},
        {"local a = function() return 'no' end local f = function() return 'yes' end return f",
         "return function() return 'yes' end", "yes"},
        {"local ONE <const>, TWO <const> = 1, 2 local N <const> = -5 local outer = 1\n"
         "return function() return outer and N end",
         "local outer local N < const > = -5 return function() return outer and N end", "-5"},
        {"--[==[ function() ]] ]==] local s = '\\'function end' -- function\n"
         "return function(...) if ... then for i = 1, 2 do repeat local x = 1 until x end end\n"
         "while true do break end return (function() return 'in' end)() end",
         NULL, "in"},
        {"return function() return [[\nend ]] .. \"end\\z\n  end\" end", NULL, "end endend"},
        {"return function(a, b)\n\n  error('here')\nend", NULL, "app.lua:3: here"},
        {"return load('return ...')", "return ...", "3"},
        {"return load('local a = ...\\nreturn function() return 7 end')()",
         "return function() return 7 end", "7"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct buf text = {0}, error = {0};
        int line;
        if (!write_of(cases[i].chunk, &text, &line, &error))
            fail_msg("%s: %.*s", cases[i].chunk, BYTES_FMT(buf_bytes(&error)));
        char *result = result_of(buf_bytes(&text), line);
        assert_string_equal(result, cases[i].result);
        buf_append_char(&text, '\0');
        if (cases[i].text != NULL)
            assert_string_equal(text.ptr, cases[i].text);
        free(result);
        buf_deinit(&text);
        buf_deinit(&error);
    }
}

static void what_is_not_known_is_refused(void **state) {
    static const struct {
        const char *chunk, *why;
    } cases[] = {
        {"return print", "must be a function of Lua"},
        {"return load('return 1', '=named')", "the text of this one is not known (named:0)"},
        {"local N <const> = 2 * 3 return function() return N end", "outer constants as"},
        {"local f = load('return function() return 1 end', '=x')() return f", "(x:1)"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct buf text = {0}, error = {0};
        int line;
        assert_false(write_of(cases[i].chunk, &text, &line, &error));
        assert_int_equal(text.len, 0);
        buf_append_char(&error, '\0');
        assert_non_null(strstr(error.ptr, cases[i].why));
        buf_deinit(&text);
        buf_deinit(&error);
    }
}

static bool is_known(lua_State *L, const char *name, const char *text) {
    struct buf out = {0}, error = {0};
    int line;
    assert_int_equal(luaL_loadbuffer(L, text, strlen(text), name), LUA_OK);
    bool is_fine = function_text_write(L, -1, &out, &line, &error);
    lua_pop(L, 1);
    buf_deinit(&out);
    buf_deinit(&error);
    return is_fine;
}

/* What scripts load under names is bounded; files are kept. */
static void the_bound_of_kept_texts(void **state) {
    lua_State *L = luaL_newstate();
    struct buf large = {0};
    (void)state;
    memset(buf_reserve(&large, CHUNK_TEXTS_MAX), ' ', CHUNK_TEXTS_MAX);
    buf_added(&large, CHUNK_TEXTS_MAX - 8);
    function_text_keep(L, "@file", BYTES_LIT("return 1"), true);
    function_text_keep(L, "=name", BYTES_LIT("return 2"), false);
    function_text_keep(L, "=large", buf_bytes(&large), false);
    assert_true(is_known(L, "@file", "return 1") && is_known(L, "=name", "return 2"));
    function_text_keep(L, "=more", BYTES_LIT("r"), false);
    assert_true(is_known(L, "@file", "return 1") && !is_known(L, "=name", "return 2"));
    assert_false(is_known(L, "@file", "return 2"));
    buf_deinit(&large);
    lua_close(L);
}

static int build_of(lua_State *L) {
    function_text_build(L, stack_bytes_at(L, 1), (int)lua_tointeger(L, 2), BYTES_NONE);
    return 1;
}

/* Anybody may have written it. */
static void nothing_but_text_is_built(void **state) {
    static const struct {
        struct bytes text;
        int line;
    } cases[] = {
        {BYTES_LIT("\x1bLua\x54"), 0},
        {BYTES_LIT("\x1bLua\x54"), 1},
        {BYTES_LIT(""), 1},
        {BYTES_LIT("return 7"), 1},
        {BYTES_LIT("return print"), 1},
        {BYTES_LIT("return function("), 1},
        {BYTES_LIT("return string.dump"), 1},
        {BYTES_LIT("x"), FUNCTION_TEXT_MAX},
        {BYTES_LIT("x"), -1},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        lua_State *L = luaL_newstate();
        luaL_openlibs(L);
        lua_pushcfunction(L, build_of);
        lua_pushlstring(L, cases[i].text.ptr, cases[i].text.len);
        lua_pushinteger(L, cases[i].line);
        assert_int_not_equal(lua_pcall(L, 2, 1, 0), LUA_OK);
        lua_close(L);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_the_function),
        cmocka_unit_test(what_is_not_known_is_refused),
        cmocka_unit_test(the_bound_of_kept_texts),
        cmocka_unit_test(nothing_but_text_is_built),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
