/* test_stack.c - texts and fields on Lua's stack. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <lauxlib.h>
#include <lualib.h>

#include "common/app/lua/sandbox.h"
#include "common/app/lua/stack.h"

static void open_state(struct sandbox *s, int64_t memory) {
    sandbox_init(s, memory, 10000);
    sandbox_open(s->L);
}

static void test_texts(void **state) {
    struct sandbox s;
    (void)state;
    open_state(&s, 1 << 24);
    lua_pushlstring(s.L, "a\0b", 3);
    lua_pushinteger(s.L, 17);
    lua_pushboolean(s.L, true);
    lua_pushlightuserdata(s.L, NULL);
    assert_true(bytes_equal(stack_bytes_at(s.L, 1), BYTES_LIT("a\0b")));
    assert_true(bytes_equal_str(stack_bytes_at(s.L, 2), "17"));
    assert_null(stack_bytes_at(s.L, 3).ptr);
    assert_true(stack_is_null(s.L, 4));
    assert_false(stack_is_null(s.L, 3));
    assert_false(stack_is_null(s.L, 9)); /* nothing there */
    stack_push_bytes(s.L, BYTES_NONE);
    assert_int_equal(lua_type(s.L, -1), LUA_TSTRING);
    assert_int_equal(stack_bytes_at(s.L, -1).len, 0);
    sandbox_deinit(&s);
}

static int push_huge(lua_State *L) {
    return stack_push_take(L, lua_touserdata(L, 1));
}

static int raise_long(lua_State *L) {
    return stack_raise(L, lua_touserdata(L, 1));
}

/* The buffer is given back in any case; the address sanitizer would tell. */
static void test_what_is_taken_is_freed(void **state) {
    struct sandbox s;
    struct buf text = {0}, error = {0};
    (void)state;
    open_state(&s, 1 << 20);
    for (int i = 0; i < 1 << 21; i++)
        buf_append_char(&text, 'x');
    assert_false(sandbox_protected(&s, push_huge, &text, &error));
    assert_true(bytes_equal_str(buf_bytes(&error), "not enough memory"));
    assert_null(text.ptr);
    buf_clear(&error);
    for (int i = 0; i < 5000; i++)
        buf_append_char(&text, 'y');
    assert_false(sandbox_protected(&s, raise_long, &text, &error));
    assert_int_equal(error.len, 1023); /* cut, and a C function has no place in the script */
    assert_null(text.ptr);
    buf_deinit(&error);
    sandbox_deinit(&s);
}

static void test_fields(void **state) {
    struct sandbox s;
    (void)state;
    open_state(&s, 1 << 24);
    lua_newtable(s.L);
    stack_set_bytes(s.L, "text", BYTES_LIT("t"));
    stack_set_bytes(s.L, "absent", BYTES_NONE);
    stack_set_optional(s.L, "none", BYTES_LIT(""));
    stack_set_bool(s.L, "yes", true);
    stack_set_time(s.L, "time", 0);
    stack_add_header(s.L, BYTES_LIT("X-One"), BYTES_LIT("1"));
    stack_add_header(s.L, BYTES_LIT("x-ONE"), BYTES_LIT("2"));
    stack_add_header(s.L, BYTES_LIT("Cookie"), BYTES_LIT("a=1"));
    stack_add_header(s.L, BYTES_LIT("cookie"), BYTES_LIT("b=2"));
    lua_setglobal(s.L, "t");
    assert_int_equal(luaL_dostring(s.L, "assert(t.text == 't' and t.absent == '' and t.none == nil)"
                                        "assert(t.yes == true)"
                                        "assert(t.time == '1970-01-01T00:00:00.000Z')"
                                        "assert(t['x-one'] == '1, 2' and t.cookie == 'a=1; b=2')"),
                     LUA_OK);
    assert_int_equal(lua_gettop(s.L), 0);
    sandbox_deinit(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_texts),
                                       cmocka_unit_test(test_what_is_taken_is_freed),
                                       cmocka_unit_test(test_fields)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
