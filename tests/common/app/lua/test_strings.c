/* test_strings.c - the sandbox' string and table functions do what the standard ones do: random
 * patterns and a list of awkward ones, side by side. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include <lauxlib.h>
#include <lualib.h>

#include "common/app/lua/sandbox.h"

/* Compares own and standard functions, both in the sandbox' own words: `ours` and `std`. */
static const char compare[] =
    "local function shown(...) local t = table.pack(...) for i = 1, t.n do "
    "t[i] = math.type(t[i]) == 'integer' and '#' .. t[i] or tostring(t[i]) end "
    "if not ... then return 'error ' .. tostring((select(2, ...))):gsub('^.-:%d+: ', '') end "
    "return table.concat(t, ';') end\n"
    "local function gathered(gmatch) return function(...) local t = {} "
    "for a, b in gmatch(...) do t[#t + 1] = tostring(a) .. '/' .. tostring(b) "
    "if #t > 50 then break end end return table.concat(t, ',') end end\n"
    "return function(text, pattern, init) local calls = {"
    "{'find', text, pattern, init}, {'match', text, pattern, init}, "
    "{'gsub', text, pattern, '<%0%1>'}, {'gsub', text, pattern, '%2', 2}, "
    "{'gsub', text, pattern, {a = 'X', ab = false}}, "
    "{'gsub', text, pattern, function(...) return select('#', ...) .. tostring(...) end}, "
    "{'gmatch', text, pattern, init}, {'find', text, pattern, init, true}}\n"
    "for _, c in ipairs(calls) do local mine, theirs = ours[c[1]], std[c[1]]\n"
    "if c[1] == 'gmatch' then mine, theirs = gathered(mine), gathered(theirs) end\n"
    "local a = shown(pcall(mine, table.unpack(c, 2, 5)))\n"
    "local b = shown(pcall(theirs, table.unpack(c, 2, 5)))\n"
    "if a ~= b then return c[1] .. '(' .. string.format('%q, %q, %s', text, pattern, init) .. "
    "')\\n "
    "ours: ' .. a .. '\\n std:  ' .. b end end end";

static void open_pair(struct sandbox *p) {
    sandbox_init(p, INT64_MAX / 2, 3600000);
    luaL_requiref(p->L, "string", luaopen_string, 0);
    lua_setglobal(p->L, "std");
    sandbox_open(p->L);
    lua_getglobal(p->L, "string");
    lua_setglobal(p->L, "ours");
    assert_int_equal(luaL_dostring(p->L, compare), LUA_OK);
}

static void expect_same(struct sandbox *p, const char *text, const char *pattern, int init) {
    lua_pushvalue(p->L, 1);
    lua_pushstring(p->L, text);
    lua_pushstring(p->L, pattern);
    lua_pushinteger(p->L, init);
    if (lua_pcall(p->L, 3, 1, 0) != LUA_OK || !lua_isnil(p->L, -1))
        fail_msg("%s", lua_tostring(p->L, -1));
    lua_pop(p->L, 1);
}

static void test_awkward_patterns(void **state) {
    static const char *const patterns[] = {
        "",        "a",         "^a",       "a$",        "^",          "$",        "^$",
        "a*",      "a-",        "a+",       "a?",        ".-b",        "(a)(b)",   "(a*)(b*)",
        "()a()",   "%a+",       "%A",       "[a-c]+",    "[^a]",       "[]]",      "[^]]",
        "[a-]",    "[%a]",      "[%-x]",    "%bab",      "%b()",       "%f[a]a",   "%f[%z]",
        "(a)%1",   "%1",        "(",        ")",         "(()",        "[",        "[a",
        "[^",      "%",         "%b",       "%ba",       "%f",         "%fa",      "a%",
        "((a)b)",  "(.)(.)(.)", "(.-)(%1)", "x*",        "^(a?)(b?)$", "%d%s%w%p", "%x-%u",
        "[a-z][b", "%g+",       "%c",       "(a(b(a)))", "a.-a",       "%(%)",     "[[]",
        "[%]]",    "(a",        "a)",       "%2(a)",     "-",          "*",        "+?",
    };
    static const char *const texts[] = {"",      "a",      "aab",     "abab",       "bbb",
                                        "a(b)a", "xx[a]]", "THE cat", "a-b 1,2 %z", "aaaaaaaaab"};
    struct sandbox p;
    (void)state;
    open_pair(&p);
    for (size_t i = 0; i < ARRAY_LEN(patterns); i++)
        for (size_t j = 0; j < ARRAY_LEN(texts); j++)
            for (int init = -3; init <= 3; init++)
                expect_same(&p, texts[j], patterns[i], init);
    sandbox_deinit(&p);
}

static uint32_t seed = 12345;

static unsigned below(unsigned n) {
    seed = seed * 1664525u + 1013904223u;
    return (seed >> 8) % n;
}

static void random_text(char *out, size_t max, const char *alphabet) {
    size_t len = below((unsigned)max);
    for (size_t i = 0; i < len; i++)
        out[i] = alphabet[below((unsigned)strlen(alphabet))];
    out[len] = '\0';
}

static void test_random_patterns(void **state) {
    char text[20], pattern[12];
    struct sandbox p;
    (void)state;
    open_pair(&p);
    for (int i = 0; i < 20000; i++) {
        random_text(text, sizeof(text), "aabbc(]1 ");
        random_text(pattern, sizeof(pattern), "ab.c*+-?()[]^$%%fb1adw");
        expect_same(&p, text, pattern, (int)below(8) - 3);
    }
    sandbox_deinit(&p);
}

static void test_other_functions(void **state) {
    static const char script[] =
        "assert(('ab'):rep(3, ',') == 'ab,ab,ab' and ('x'):rep(0) == '' and ('x'):rep(-1) == '')\n"
        "assert(('\\0a'):rep(2) == '\\0a\\0a' and (''):rep(5, 'y') == 'yyyy')\n"
        "assert(('a.b'):find('.', 1, true) == 2 and ('abc'):find('') == 1)\n"
        "assert(('a\\0b'):find('\\0', 1, true) == 2 and ('a\\0b'):match('%z?b') == '\\0b')\n"
        "assert(('x'):gsub('x', '%%') == '%' and not pcall(string.gsub, 'x', 'x', '%y'))\n"
        "assert(('hello'):gsub('l', 7) == 'he77o')\n"
        "assert(not pcall(string.gsub, 'x', 'x', function() return {} end))\n"
        "local t = {1, 2, 3} table.insert(t, 4) table.insert(t, 1, 0)\n"
        "assert(table.concat(t, ' ') == '0 1 2 3 4')\n"
        "assert(table.remove(t, 1) == 0 and table.remove(t) == 4 and #t == 3)\n"
        "assert(table.remove({}) == nil and table.remove({}, 0) == nil and table.remove(t, 4) == "
        "nil)\n"
        "assert(not pcall(table.remove, t, 7) and not pcall(table.insert, t, 9, 1))\n"
        "assert(not pcall(table.insert, t) and not pcall(table.insert, t, 1, 2, 3))\n"
        "table.sort(t, function(a, b) return a > b end) assert(table.concat(t) == '321')\n"
        "assert(table.concat(table.move({1, 2}, 1, 2, 2)) == '112')\n"
        "assert(select('#', table.unpack({}, 1, 3)) == 3)\n"
        "for text, pattern in pairs { ab = 'x*', [''] = '', ['a.'] = 'a', ['.a'] = 'a' } do\n"
        "  local next = text:gmatch(pattern) while next() do end\n"
        "  for i = 1, 3 do assert(next() == nil) end\n" /* the end is for good */
        "end\n";
    struct sandbox s;
    (void)state;
    sandbox_init(&s, INT64_MAX / 2, 3600000);
    sandbox_open(s.L);
    if (luaL_dostring(s.L, script) != LUA_OK)
        fail_msg("%s", lua_tostring(s.L, -1));
    sandbox_deinit(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_awkward_patterns),
        cmocka_unit_test(test_random_patterns),
        cmocka_unit_test(test_other_functions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
