/* test_json_lua.c - JSON from Lua values and back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <lauxlib.h>
#include <lualib.h>

#include "common/app/lua/json_lua.h"
#include "common/base/must.h"

static lua_State *open_state(void) {
    lua_State *L = luaL_newstate();
    luaL_openlibs(L);
    lua_pushlightuserdata(L, NULL);
    lua_setglobal(L, "null");
    return L;
}

/* The JSON of a Lua expression, or "! error". */
static void expect_json(const char *expression, int depth, const char *wanted) {
    lua_State *L = open_state();
    struct buf out = {0}, error = {0};
    char chunk[500];
    snprintf(chunk, sizeof(chunk), "return %s", expression);
    assert_int_equal(luaL_dostring(L, chunk), LUA_OK);
    buf_append_str(&out, "");
    if (!json_from_lua(L, -1, depth, &out, &error)) {
        assert_int_equal(out.len, 0);
        buf_printf(&out, "! %.*s", BYTES_FMT(buf_bytes(&error)));
    }
    assert_int_equal(lua_gettop(L), 1);
    buf_append_char(&out, '\0');
    if (strcmp(out.ptr, wanted) != 0 && !(wanted[0] == '!' && strstr(out.ptr, wanted) != NULL))
        fail_msg("%s\n  is       %s\n  expected %s", expression, out.ptr, wanted);
    buf_deinit(&out);
    buf_deinit(&error);
    lua_close(L);
}

static void test_write(void **state) {
    static const struct {
        const char *expression, *json;
    } rows[] = {
        {"nil", "null"},
        {"null", "null"},
        {"true", "true"},
        {"false", "false"},
        {"0", "0"},
        {"-7", "-7"},
        {"math.maxinteger", "9223372036854775807"},
        {"math.mininteger", "-9223372036854775808"},
        {"5.0", "5"},
        {"0.1", "0.1"},
        {"1/3", "0.3333333333333333"},
        {"1e300", "1e+300"},
        {"-0.0", "-0"},
        {"2^53", "9007199254740992"},
        {"'a\"b\\\\c\\n\\0\\u{e9}'", "\"a\\\"b\\\\c\\n\\u0000\xc3\xa9\""},
        {"{}", "{}"},
        {"{1, 2, 3}", "[1,2,3]"},
        {"{{}, {{}}}", "[{},[{}]]"},
        {"{b = 1, a = {2}, [10] = 3}", "{\"10\":3,\"a\":[2],\"b\":1}"},
        {"{1, 2, nil, 4, n = 1}", "{\"1\":1,\"2\":2,\"4\":4,\"n\":1}"},
        {"{[2] = 1}", "{\"2\":1}"},
        {"{[0] = 1, 2}", "{\"0\":1,\"1\":2}"},
        {"{[1.5] = 1}", "{\"1.5\":1}"},
        {"{null, false}", "[null,false]"},
        {"setmetatable({a = 1}, {__index = error, __pairs = error, __len = error})", "{\"a\":1}"},
        {"print", "! there is no JSON for a function"},
        {"{print}", "! there is no JSON for a function"},
        {"{a = {b = coroutine.create(print)}}", "! there is no JSON for a thread"},
        {"io.stdout", "! there is no JSON for a userdata"},
        {"0/0", "! JSON has no number"},
        {"{x = math.huge}", "! JSON has no number"},
        {"'\\xff'", "! a text is not valid UTF-8"},
        {"{['\\xff'] = 1}", "! a text is not valid UTF-8"},
        {"{[true] = 1}", "! a key of an object"},
        {"{[{}] = 1}", "! a key of an object"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        expect_json(rows[i].expression, 10, rows[i].json);
}

static void test_depth(void **state) {
    (void)state;
    expect_json("{{{1}}}", 3, "[[[1]]]");
    expect_json("{{{1}}}", 2, "[[\"table\"]]");
    expect_json("{a = {b = {}}}", 1, "{\"a\":\"table\"}");
    expect_json("{1}", 0, "\"table\"");
    expect_json("(function() local t = {} t[1] = t return t end)()", 4, "[[[[\"table\"]]]]");
}

/* A table that holds the next one a hundred times, nine deep. Objects: test_app_budget.c. */
static void test_bomb(void **state) {
    (void)state;
    expect_json("(function() local t = ('x'):rep(9999) for _ = 1, 9 do local n = {} for i = 1, 100 "
                "do n[i] = t "
                "end t = n end return t end)()",
                20, "! the JSON would be larger than 64 MiB");
}

/* The text read and written again; NULL: the same. */
static void expect_round(const char *text, size_t len, const char *wanted) {
    lua_State *L = open_state();
    struct buf out = {0}, error = {0};
    if (!json_push(L, bytes_of(text, len), &error)) {
        assert_int_equal(lua_gettop(L), 0);
        buf_printf(&out, "! %.*s", BYTES_FMT(buf_bytes(&error)));
    } else {
        assert_int_equal(lua_gettop(L), 1);
        assert_true(json_from_lua(L, -1, 100, &out, &error));
    }
    buf_append_char(&out, '\0');
    if (wanted[0] == '!' ? strstr(out.ptr, wanted) == NULL : strcmp(out.ptr, wanted) != 0)
        fail_msg("%s\n  is       %s\n  expected %s", text, out.ptr, wanted);
    buf_deinit(&out);
    buf_deinit(&error);
    lua_close(L);
}

static void test_read(void **state) {
    static const struct {
        const char *text, *json;
    } rows[] = {
        {" 1 ", "1"},
        {"\t\r\n null", "null"},
        {"[]", "[]"},
        {"{}", "{}"},
        {"[ ]", "[]"},
        {"{ }", "{}"},
        {"[[],{},[[]]]", "[[],{},[[]]]"},
        {"[null,true,false]", "[null,true,false]"},
        {"{ \"a\" : [ 1 , 2.5 ] , \"b\" : null }", "{\"a\":[1,2.5],\"b\":null}"},
        {"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\\"\\\\/\\u0008\\u000c\\n\\u000d\\u0009\""},
        {"\"\\u0041\\u00e9\\u20ac\\ud83d\\ude00\"", "\"A\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\""},
        {"\"x\\u0000y\"", "\"x\\u0000y\""},
        {"-0", "0"}, /* a number alone is Lua's number; in a table it keeps its spelling */
        {"1.0", "1"},
        {"1e2", "100"},
        {"1E-2", "0.01"},
        {"9223372036854775807", "9223372036854775807"},
        {"-9223372036854775808", "-9223372036854775808"},
        {"9223372036854775808", "9.223372036854776e+18"},
        {"-9223372036854775809", "-9.223372036854776e+18"},
        {"0.10000000000000000000000000000000000000000000000000000000000000000000000000", "0.1"},
        {"{\"a\":1,\"a\":2}", "{\"a\":2}"},
        {"", "! no JSON: a value was expected"},
        {"nul", "!"},
        {"nulls", "! no JSON: something follows"},
        {"1 2", "! no JSON: something follows the value, at byte 3"},
        {"01", "!"},
        {"+1", "!"},
        {".5", "!"},
        {"1.", "!"},
        {"1e", "!"},
        {"-", "!"},
        {"[1e999]", "[1e999]"},
        {"NaN", "!"},
        {"[1,]", "!"},
        {"[1", "! no JSON: ',' or ']'"},
        {"[,1]", "!"},
        {"{\"a\"}", "! no JSON: ':'"},
        {"{\"a\":1,}", "! no JSON: a key"},
        {"{a:1}", "! no JSON: a key"},
        {"{\"a\":1", "! no JSON: ',' or '}'"},
        {"'a'", "!"},
        {"\"a", "! no JSON: a string has no end"},
        {"\"a\\", "! no JSON: a string has no end"},
        {"\"\n\"", "! no JSON: a control character"},
        {"\"\\x\"", "! no JSON: an unknown escape"},
        {"\"\\u12g4\"", "! no JSON: a wrong \\u escape"},
        {"\"\\u12", "! no JSON: a wrong \\u escape"},
        {"\"\xff\"", "! no JSON: it is not valid UTF-8"},
        {"/* */ 1", "!"},
        {"1 // x", "!"},
        {"\xef\xbb\xbf"
         "1",
         "1"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        expect_round(rows[i].text, strlen(rows[i].text), rows[i].json);
    expect_round("\"a\0b\"", 5, "! no JSON: a control character");
    expect_round("1\0", 2, "! no JSON: something follows");
}

/* No byte after the text is looked at. */
static void test_read_stops_at_the_end(void **state) {
    static const char text[] = "{\"a\":[1,-2.5e3,\"x\\u00e9\\ud83d\\ude00\",true,null]}";
    (void)state;
    for (size_t len = 0; len < sizeof(text) - 1; len++) {
        char *copy = mem_alloc(len);
        memcpy(copy, text, len);
        lua_State *L = open_state();
        struct buf error = {0};
        assert_false(json_push(L, bytes_of(copy, len), &error));
        assert_int_equal(lua_gettop(L), 0);
        buf_deinit(&error);
        lua_close(L);
        free(copy);
    }
}

static void test_depth_of_text(void **state) {
    struct buf text = {0};
    (void)state;
    for (int i = 0; i < 100; i++)
        buf_append_char(&text, '[');
    for (int i = 0; i < 100; i++)
        buf_append_char(&text, ']');
    buf_append_char(&text, '\0');
    expect_round(text.ptr, 200, text.ptr);
    buf_clear(&text);
    for (int i = 0; i < 100000; i++)
        buf_append_str(&text, i % 2 ? "[" : "{\"a\":");
    buf_append_char(&text, '\0');
    expect_round(text.ptr, text.len - 1, "! no JSON: nested deeper than 2048 levels");
    buf_deinit(&text);
}

/* What a handler did to a message, and what goes out then: D6. */
static void test_spelling_stays(void **state) {
    static const struct {
        const char *text, *change, *json; /* json NULL: the text */
    } rows[] = {
        {"{\"b\":1.0,\"a\":12345678901234567890}", "", NULL},
        {"{\"z\":{\"y\":1e5,\"x\":[-0,1.50,0.10]},\"a\":\"\\u00e9\\/\"}", "", NULL},
        {"[1.0,[2.0,{\"b\":3.0,\"a\":[]}],{}]", "", NULL},
        {"{\"n\":1e400,\"m\":-1e400}", "", NULL},
        {"[\"\\ud83d\",{\"\\udc00\":\"\\ud83d\"}]", "", NULL},
        {"{\"a\":null,\"B\":true,\"A\":false}", "", NULL},
        {"{ \"b\" : [ 1.0 , 2 ] , \"a\" : 1.0 }", "", "{\"b\":[1.0,2],\"a\":1.0}"},
        /* one field */
        {"{\"b\":1.0,\"a\":2.0,\"c\":3.0}", "v.a = 7", "{\"b\":1.0,\"a\":7,\"c\":3.0}"},
        {"{\"b\":1.0,\"a\":2.0}", "v.b = nil", "{\"a\":2.0}"},
        {"{\"b\":1.0,\"a\":2.0}", "v.aa = 1; v.zz = 2", "{\"b\":1.0,\"a\":2.0,\"aa\":1,\"zz\":2}"},
        {"{\"b\":1.0,\"a\":2.0}", "v.a, v.b = v.b, v.a", "{\"b\":2,\"a\":1}"},
        {"{\"b\":{\"d\":1.0,\"c\":2.0},\"a\":3.0}", "v.b.c = 'x'",
         "{\"b\":{\"d\":1.0,\"c\":\"x\"},\"a\":3.0}"},
        {"{\"b\":1.0}", "v.b = {}", "{\"b\":{}}"},
        {"{\"b\":[],\"a\":{}}", "v.b[1] = 5; v.a.x = 1", "{\"b\":[5],\"a\":{\"x\":1}}"},
        {"[1.0,2.0,3.0]", "v[2] = 9", "[1.0,9,3.0]"},
        {"[1.0,2.0,3.0]", "table.remove(v)", "[1.0,2.0]"},
        {"[1.0,2.0]", "v[3] = 4", "[1.0,2.0,4]"},
        {"{\"b\":1.0,\"a\":2.0}", "v.b = nil; v.a = nil", "{}"},
        {"{\"b\":1.0}", "v.b = nil; v[1] = 'x'", "[\"x\"]"},
        {"[1.0]", "v[1] = nil; v.k = 'x'", "{\"k\":\"x\"}"},
        /* a part, and a part of something else */
        {"{\"a\":{\"d\":1.0,\"c\":2e0}}", "v = v.a", "{\"d\":1.0,\"c\":2e0}"},
        {"{\"b\":1.0,\"a\":[2.0]}", "v = {x = v, y = {v.a}}",
         "{\"x\":{\"b\":1.0,\"a\":[2.0]},\"y\":[[2.0]]}"},
        /* of several members of one name the last counts, and goes on */
        {"{\"a\":1.0,\"b\":0,\"a\":2.0}", "", "{\"b\":0,\"a\":2.0}"},
        {"{\"a\":1.0,\"\\u0061\":2.0}", "", "{\"\\u0061\":2.0}"},
        {"{\"k\\u0000\":1.0,\"k\":2.0}", "", NULL},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const char *wanted = rows[i].json != NULL ? rows[i].json : rows[i].text;
        lua_State *L = open_state();
        struct buf out = {0}, error = {0};
        char chunk[200];
        snprintf(chunk, sizeof(chunk), "local v = ... %s return v", rows[i].change);
        assert_int_equal(luaL_loadstring(L, chunk), LUA_OK);
        assert_true(json_push(L, bytes_str(rows[i].text), &error));
        lua_gc(L, LUA_GCCOLLECT);
        assert_int_equal(lua_pcall(L, 1, 1, 0), LUA_OK);
        lua_gc(L, LUA_GCCOLLECT);
        assert_true(json_from_lua(L, -1, 10, &out, &error));
        buf_append_char(&out, '\0');
        if (strcmp(out.ptr, wanted) != 0)
            fail_msg("%s %s\n  is       %s\n  expected %s", rows[i].text, rows[i].change, out.ptr,
                     wanted);
        buf_deinit(&out);
        lua_close(L);
    }
}

/* The bound on the depth holds for what was read as for any other table. */
static void test_spelling_has_the_depth(void **state) {
    (void)state;
    lua_State *L = open_state();
    struct buf out = {0}, error = {0};
    assert_true(json_push(L, BYTES_LIT("{\"b\":{\"a\":{\"x\":1.0}},\"a\":1.0}"), &error));
    assert_true(json_from_lua(L, -1, 2, &out, &error));
    assert_true(bytes_equal_str(buf_bytes(&out), "{\"b\":{\"a\":\"table\"},\"a\":1.0}"));
    buf_deinit(&out);
    lua_close(L);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_write),
        cmocka_unit_test(test_depth),
        cmocka_unit_test(test_bomb),
        cmocka_unit_test(test_read),
        cmocka_unit_test(test_read_stops_at_the_end),
        cmocka_unit_test(test_depth_of_text),
        cmocka_unit_test(test_spelling_stays),
        cmocka_unit_test(test_spelling_has_the_depth),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
