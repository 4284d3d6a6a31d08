/* test_libraries.c - coroutines, xpcall and bounded functions do what the manual says, and each
 * bound holds to the byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/common/app/lua/run_script.h"

static const char helpers[] =
    "local co = coroutine\n"
    "local function same(a, b) if a ~= b then error(a .. ' is not ' .. b, 2) end end\n"
    "local function all(...) local t = table.pack(...) for i = 1, t.n do t[i] = tostring(t[i]) end "
    "return table.concat(t, ',') end\n";

static void expect_true(const char *script) {
    struct sandbox s;
    struct buf error = {0}, whole = {0};
    buf_append_str(&whole, helpers);
    buf_append_str(&whole, script);
    char *text = buf_take(&whole);
    sandbox_init(&s, 512 << 20, 60000);
    if (!sandbox_protected(&s, run_script, text, &error))
        fail_msg("%.*s", BYTES_FMT(buf_bytes(&error)));
    sandbox_deinit(&s);
    buf_deinit(&error);
    free(text);
}

static void test_what_a_resume_returns(void **state) {
    (void)state;
    expect_true("local c = co.create(function(...)\n"
                "  same(all(...), '1,nil')\n"
                "  same(all(co.yield()), '2,3,nil')\n"
                "  same(all(co.yield(4)), '')\n"
                "  same(all(co.yield(5, nil, 7)), 'x')\n"
                "  return 8, nil\n"
                "end)\n"
                "same(all(co.resume(c, 1, nil)), 'true')\n"
                "same(all(co.resume(c, 2, 3, nil)), 'true,4')\n"
                "same(all(co.resume(c)), 'true,5,nil,7')\n"
                "same(all(co.resume(c, 'x')), 'true,8,nil')\n"
                "same(all(co.resume(c)), 'false,cannot resume dead coroutine')\n"
                "c = co.create(function() error({}) end)\n"
                "local ok, e = co.resume(c) assert(not ok and type(e) == 'table')\n"
                "same(all(co.resume(c)), 'false,cannot resume dead coroutine')\n"
                "local w = co.wrap(function(...) co.yield(...) error('why') end)\n"
                "same(all(w(1, nil)), '1,nil')\n"
                "ok, e = pcall(w) assert(not ok and e:find(':%d+: why$'), e)\n"
                "ok, e = pcall(w) assert(not ok and e:find('cannot resume dead coroutine$'), e)\n"
                "ok, e = pcall(co.wrap(function() error({7}) end)) same(e[1], 7)\n"
                "assert(not pcall(co.create, 7) and not pcall(co.resume, 7))");
}

static void test_the_status_of_a_coroutine(void **state) {
    (void)state;
    expect_true("local c, outer\n"
                "outer = co.create(function()\n"
                "  c = co.create(function()\n"
                "    same(co.status(c), 'running') same(co.status(outer), 'normal')\n"
                "    assert(not pcall(co.close, c) and not pcall(co.close, outer))\n"
                "    assert(co.running() == c)\n"
                "    co.yield()\n"
                "  end)\n"
                "  same(co.status(c), 'suspended')\n"
                "  assert(co.resume(c))\n"
                "  same(co.status(c), 'suspended')\n"
                "  assert(co.resume(c))\n"
                "  same(co.status(c), 'dead')\n"
                "end)\n"
                "same(co.status(outer), 'suspended')\n"
                "assert(co.resume(outer))\n"
                "same(co.status(outer), 'dead')\n"
                "assert(not pcall(co.status, 7) and not pcall(co.status))");
}

static void test_closing_a_coroutine(void **state) {
    (void)state;
    expect_true("local log = ''\n"
                "local function with_close(fails)\n"
                "  local c = co.create(function()\n"
                "    local x <close> = setmetatable({}, {__close = function()\n"
                "      log = log .. 'c' if fails then error('no', 0) end\n"
                "    end}) co.yield()\n"
                "  end)\n"
                "  co.resume(c) return c\n"
                "end\n"
                "local c = with_close(false)\n"
                "same(all(co.close(c)), 'true') same(log, 'c') same(co.status(c), 'dead')\n"
                "same(all(co.close(c)), 'true')\n"
                "c = with_close(true)\n"
                "same(all(co.close(c)), 'false,no') same(co.status(c), 'dead')\n"
                "c = co.create(function() error('e', 0) end) co.resume(c)\n"
                "same(all(co.close(c)), 'false,e')\n"
                "same(all(co.close(co.create(print))), 'true')\n"
                "assert(not pcall(co.close, 7))\n"
                "local w = co.wrap(function() local x <close> = setmetatable({}, {__close =\n"
                "  function() log = log .. 'w' end}) error('e', 0) end)\n"
                "assert(not pcall(w)) same(log, 'ccw')");
}

static void test_xpcall(void **state) {
    (void)state;
    expect_true("local function handler(e) return 'h:' .. tostring(e), 'more' end\n"
                "same(all(xpcall(function(...) return ... end, handler)), 'true')\n"
                "same(all(xpcall(function(...) return ... end, handler, 1, nil)), 'true,1,nil')\n"
                "same(all(xpcall(error, handler, 'e')), 'false,h:e,more')\n"
                "same(all(xpcall(error, function() end, 'e')), 'false')\n"
                "same(all(xpcall(error, handler)), 'false,h:nil,more')\n"
                "assert(not pcall(xpcall, error) and not pcall(xpcall, error, 7))\n"
                "assert(not pcall(xpcall, error, error, 'again'))\n"
                "local c = co.wrap(function()\n"
                "  return xpcall(function(...)\n"
                "    local x = co.yield(...) if x then error(x, 0) end return 'fine', 2\n"
                "  end, function(e) return co.yield(e), 'handled' end, 'a', nil)\n"
                "end)\n"
                "same(all(c()), 'a,nil') same(all(c('e')), 'e') same(all(c('b')), "
                "'false,b,handled')\n"
                "c = co.wrap(function() return xpcall(function() co.yield() return 'fine', 2 end, "
                "handler) end)\n"
                "c() same(all(c()), 'true,fine,2')");
}

static void test_rep(void **state) {
    (void)state;
    expect_true("for n = 0, 40 do local t, s = {}, {}\n"
                "  for i = 1, n do t[i] = 'abc' s[i] = 'x' end\n"
                "  same(('abc'):rep(n, '--'), table.concat(t, '--'))\n"
                "  same(('x'):rep(n), table.concat(s)) same((''):rep(n, 'x'), "
                "table.concat(s):sub(2))\n"
                "end\n"
                "local most = 32 * 1024 * 1024\n"
                "same(#('x'):rep(most), most) assert(not pcall(string.rep, 'x', most + 1))\n"
                "same(#('x'):rep(most / 2 | 0, 'y'), most - 1)\n"
                "assert(not pcall(string.rep, 'x', (most / 2 | 0) + 1, 'y'))\n"
                "assert(not pcall(string.rep, 'x', math.maxinteger))\n"
                "same(('x'):rep(math.mininteger), '') same((''):rep(math.maxinteger), '')");
}

static void test_bounds(void **state) {
    (void)state;
    expect_true("local MiB, x = 1024 * 1024, string.rep\n"
                "local full, ok, e = x('a', 16 * MiB)\n"
                "for _, f in ipairs {'upper', 'lower', 'reverse'} do\n"
                "  same(#string[f](full), 16 * MiB)\n"
                "  ok, e = pcall(string[f], full .. 'a')\n"
                "  assert(not ok and e:find('#1.*texts of more than 16 MiB'), e)\n"
                "end\n"
                "ok, e = pcall(string.format, '%s', full)\n"
                "assert(not ok and e:find('#2.*texts of more than 16 MiB'), e)\n"
                "same(#string.format('%s', full:sub(3)), 16 * MiB - 2)\n"
                "same(utf8.len(full), 16 * MiB) assert(not pcall(utf8.len, full .. 'a'))\n"
                "local two = x('a', 2 * MiB)\n"
                "same(#string.format('%q', two), 2 * MiB + 2)\n"
                "ok, e = pcall(string.format, '%q', two .. 'a')\n"
                "assert(not ok and e:find('#2.*texts of more than 2 MiB beside %%q'), e)\n"
                "assert(not pcall(string.format, '%s%q', two, 'a'))\n"
                "same(#string.format('%s%s', two, 'a'), 2 * MiB + 1)\n"
                "local many = {} for i = 1, 100001 do many[i] = i % 100 + 1 end\n"
                "for _, f in ipairs {math.max, math.min, string.char, utf8.char} do\n"
                "  assert(f(table.unpack(many, 1, 100000)))\n"
                "  ok, e = pcall(f, table.unpack(many)) assert(not ok and e:find('more than 100000 "
                "arg'), e)\n"
                "end\n"
                "same(table.pack(table.unpack(many, 1, 100000)).n, 100000)\n"
                "assert(not pcall(table.pack, table.unpack(many)))\n"
                "local numeral = '1' .. x(' ', 1023)\n"
                "same(string.char(numeral), '\\1') assert(math.max(numeral))\n"
                "ok, e = pcall(math.max, 0, numeral .. ' ')\n"
                "assert(not ok and e:find('#2.*number expected, got a long string'), e)\n"
                "same(#os.date(x('a', 1024)), 1024)\n"
                "ok, e = pcall(os.date, x('a', 1025))\n"
                "assert(not ok and e:find('#1.*format longer than 1024 bytes'), e)\n"
                "same(os.date('!%Y', 0), '1970') assert(#os.date() > 10)\n");
}

/* Strings are everybody's. */
static void test_strings_are_guarded(void **state) {
    (void)state;
    expect_true("same(tostring(getmetatable('')), 'false') same(tostring(string.dump), 'nil')\n"
                "assert(not pcall(setmetatable, '', {})) same(('x'):upper(), 'X')");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_a_resume_returns),
        cmocka_unit_test(test_the_status_of_a_coroutine),
        cmocka_unit_test(test_closing_a_coroutine),
        cmocka_unit_test(test_xpcall),
        cmocka_unit_test(test_rep),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_strings_are_guarded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
