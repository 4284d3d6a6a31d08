/* test_sandbox.c - a script from its file to its end: where it is looked for, what stops it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <lauxlib.h>

#include "common/app/lua/sandbox.h"

struct place {
    char folder[64];
    struct sandbox sandbox;
    struct buf file, error;
};

static int open_libraries(lua_State *L) {
    sandbox_open(L);
    return 0;
}

static void place_open(struct place *p, int64_t memory, int64_t slice_ms) {
    *p = (struct place){0};
    strcpy(p->folder, "/tmp/test_sandbox.XXXXXX");
    assert_non_null(mkdtemp(p->folder));
    sandbox_init(&p->sandbox, memory, slice_ms);
    assert_true(sandbox_protected(&p->sandbox, open_libraries, NULL, NULL));
}

static void place_write(struct place *p, const char *name, const char *text, size_t len) {
    char path[128];
    snprintf(path, sizeof(path), "%s/%s", p->folder, name);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, len, file), len);
    fclose(file);
}

/* Runs app.lua with that text; NULL, or its error. */
static const char *place_run(struct place *p, const char *text) {
    place_write(p, "app.lua", text, strlen(text));
    buf_clear(&p->file);
    buf_clear(&p->error);
    free(p->sandbox.folder);
    free(p->sandbox.shown);
    if (sandbox_locate(&p->sandbox, p->folder, &p->file, &p->error) &&
        sandbox_run_file(&p->sandbox, p->file.ptr, &p->error))
        return NULL;
    buf_append_char(&p->error, '\0');
    return p->error.ptr;
}

static void place_close(struct place *p) {
    char command[128];
    sandbox_deinit(&p->sandbox);
    buf_deinit(&p->file);
    buf_deinit(&p->error);
    snprintf(command, sizeof(command), "rm -r %s", p->folder);
    assert_int_equal(system(command), 0);
}

static void test_folders_and_files(void **state) {
    struct place p;
    char path[128];
    (void)state;
    place_open(&p, 1 << 24, 1000);
    assert_null(place_run(&p, "x = 1"));
    assert_string_equal(p.sandbox.folder, p.folder);
    snprintf(path, sizeof(path), "%s/app.lua", p.folder);
    assert_string_equal(p.file.ptr, path);
    free(p.sandbox.folder);
    free(p.sandbox.shown);
    buf_clear(&p.file);
    assert_true(sandbox_locate(&p.sandbox, path, &p.file, &p.error));
    assert_string_equal(p.sandbox.folder, p.folder);
    assert_non_null(strstr(place_run(&p, "x ="), "app.lua:1:"));
    assert_non_null(strstr(place_run(&p, "\x1bLua"), "bytecode is not loaded"));
    assert_false(sandbox_run_file(&p.sandbox, "/none/app.lua", &p.error));
    place_close(&p);
}

static void test_modules(void **state) {
    static const char good[] = "return {n = 7}", wrong[] = "return +", self[] = "require 'self'";
    struct place p;
    (void)state;
    place_open(&p, 1 << 24, 1000);
    place_write(&p, "good.lua", good, strlen(good));
    place_write(&p, "wrong.lua", wrong, strlen(wrong));
    place_write(&p, "self.lua", self, strlen(self));
    assert_null(
        place_run(&p, "assert(require('good').n == 7 and require('good') == require 'good')"));
    assert_non_null(strstr(place_run(&p, "require 'wrong'"), "wrong.lua:1:"));
    assert_non_null(strstr(place_run(&p, "require 'self'"), "requires itself"));
    assert_non_null(strstr(place_run(&p, "require 'none'"), "module not found"));
    assert_non_null(strstr(place_run(&p, "require '..good'"), "a module beside the app file"));
    place_close(&p);
}

static void test_memory_is_bounded_and_given_back(void **state) {
    struct place p;
    (void)state;
    place_open(&p, 1 << 20, 1000);
    size_t before = p.sandbox.budget.memory_used;
    assert_null(place_run(&p, "t = ('x'):rep(300000)"));
    assert_true(p.sandbox.budget.memory_used > before + 300000);
    assert_string_equal(place_run(&p, "t = nil u = ('x'):rep(1100000)"), "not enough memory");
    assert_string_equal(place_run(&p, "v = {} for i = 1, 200 do v[i] = ('x'):rep(10000) .. i end"),
                        "not enough memory");
    assert_true(p.sandbox.budget.memory_used <= 1 << 20);
    assert_null(place_run(&p, "v = nil"));
    lua_gc(p.sandbox.L, LUA_GCCOLLECT);
    assert_true(p.sandbox.budget.memory_used < before + 300000);
    place_close(&p);
}

static void test_a_file_has_a_bound(void **state) {
    enum { BOUND = 16 * 1024 * 1024 };
    struct place p;
    (void)state;
    char *text = malloc(BOUND + 1);
    assert_non_null(text);
    memset(text, ' ', BOUND + 1);
    place_open(&p, 1 << 26, 60000);
    place_write(&p, "large.lua", text, BOUND);
    place_write(&p, "larger.lua", text, BOUND + 1);
    assert_null(place_run(&p, "require 'large'"));
    assert_non_null(place_run(&p, "require 'larger'"));
    place_close(&p);
    free(text);
}

static int collect(lua_State *L) {
    lua_gc(L, LUA_GCCOLLECT);
    return 0;
}

/* Whatever a script does to a metatable later. */
static void test_no_table_becomes_weak(void **state) {
    struct place p;
    (void)state;
    place_open(&p, 1 << 24, 1000);
    assert_null(place_run(&p, "local m = {} t = setmetatable({}, m) m.__mode = 'kv' "
                              "m['__' .. 'mode'] = 'kv' rawset(m, '__mode', 'kv') "
                              "t[1] = {} t[{}] = 1"));
    assert_true(sandbox_protected(&p.sandbox, collect, NULL, NULL));
    assert_null(place_run(&p, "assert(t[1] and next(t, 1))"));
    place_close(&p);
}

static void test_time_is_bounded(void **state) {
    struct place p;
    (void)state;
    place_open(&p, 1 << 24, 2); /* the main chunk has ten slices */
    const char *error = place_run(&p, "while true do pcall(function() while true do end end) end");
    assert_non_null(strstr(error, "app.lua:1: used up its processor time of 20 ms"));
    assert_null(p.sandbox.budget.slice);
    assert_null(place_run(&p, "y = 1")); /* the state goes on */
    place_close(&p);
}

static int raise_table(lua_State *L) {
    lua_newtable(L);
    return lua_error(L);
}

static int raise_number(lua_State *L) {
    lua_pushnumber(L, 1.5);
    return lua_error(L);
}

static void test_errors_that_are_no_text(void **state) {
    struct place p;
    (void)state;
    place_open(&p, 1 << 24, 1000);
    assert_false(sandbox_protected(&p.sandbox, raise_table, NULL, &p.error));
    assert_true(bytes_equal_str(buf_bytes(&p.error), "(an error that is a table, not a text)"));
    buf_clear(&p.error);
    assert_false(sandbox_protected(&p.sandbox, raise_number, NULL, &p.error));
    assert_true(bytes_equal_str(buf_bytes(&p.error), "1.5"));
    assert_false(sandbox_protected(&p.sandbox, raise_number, NULL, NULL));
    assert_int_equal(lua_gettop(p.sandbox.L), 0);
    place_close(&p);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_folders_and_files),
        cmocka_unit_test(test_modules),
        cmocka_unit_test(test_memory_is_bounded_and_given_back),
        cmocka_unit_test(test_a_file_has_a_bound),
        cmocka_unit_test(test_no_table_becomes_weak),
        cmocka_unit_test(test_time_is_bounded),
        cmocka_unit_test(test_errors_that_are_no_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
