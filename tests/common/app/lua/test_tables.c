/* test_tables.c - the functions of `table` do what the manual says, at every size. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/common/app/lua/run_script.h"

static void expect_true(char *script) {
    struct sandbox s;
    struct buf error = {0};
    sandbox_init(&s, 64 << 20, 60000);
    if (!sandbox_protected(&s, run_script, script, &error))
        fail_msg("%s\n  %.*s", script, BYTES_FMT(buf_bytes(&error)));
    sandbox_deinit(&s);
    buf_deinit(&error);
}

static void test_sort(void **state) {
    static char sizes[] =
        "local seed = 1 local function random() seed = seed * 48271 % 2147483647 return seed end "
        "for _, more in ipairs {false, true} do for n = 0, 70 do "
        "  local t, count = {}, {} "
        "  for i = 1, n do t[i] = random() % 50 count[t[i]] = (count[t[i]] or 0) + 1 end "
        "  if more then table.sort(t, function(a, b) return a > b end) else table.sort(t) end "
        "  for i = 2, n do assert(more and t[i - 1] >= t[i] or not more and t[i - 1] <= t[i]) end "
        "  for i = 1, n do count[t[i]] = count[t[i]] - 1 end "
        "  for _, c in pairs(count) do assert(c == 0) end "
        "end end";
    static char errors[] =
        "for _, n in ipairs {5, 50} do "
        "  local t = {} for i = 1, n do t[i] = n - i end local calls = 0 "
        "  assert(not pcall(table.sort, t, function(a, b) calls = calls + 1 "
        "    if calls > n // 2 then error('no') end return a < b end)) "
        "  for i = 1, n do assert(t[i] == n - i) end "
        "  t[2] = 'text' assert(not pcall(table.sort, t)) "
        "end "
        "assert(not pcall(table.sort, {2, 1}, 7)) assert(not pcall(table.sort, 7)) "
        "local t = {} for i = 1, 100 do t[i] = i end "
        "table.sort(t, function() return true end) assert(#t == 100)";
    static char events[] = "local t = setmetatable({}, {__len = function() return 20 end, "
                           "__index = function(_, i) return 20 - i end}) "
                           "table.sort(t) for i = 1, 20 do assert(rawget(t, i) == i - 1) end";
    (void)state;
    expect_true(sizes);
    expect_true(errors);
    expect_true(events);
}

static void test_the_others(void **state) {
    static char rows[] =
        "local c, m, u = table.concat, table.move, table.unpack "
        "assert(c {} == '' and c({1, 'b', 2.5}, ', ') == '1, b, 2.5' and c({1, 2, 3}, '', 2) == "
        "'23') "
        "assert(c({1, 2, 3}, '-', 2, 2) == '2' and c({1}, '', 2, 1) == '') "
        "local ok, why = pcall(c, {1, {}, 3}) assert(not ok and why:find('at index 2')) "
        "assert(c({[math.maxinteger] = 'x'}, '', math.maxinteger, math.maxinteger) == 'x') "
        "assert(c(m({1, 2, 3, 4, 5}, 1, 4, 2)) == '11234') "
        "assert(c(m({1, 2, 3, 4, 5}, 2, 5, 1)) == '23455') "
        "assert(c(m({1, 2, 3}, 1, 3, 1, {9})) == '123' and c(m({1, 2}, 2, 1, 5)) == '12') "
        "assert(not pcall(m, {1, 2}, 1, 2, math.maxinteger)) "
        "assert(select('#', u {}) == 0 and select('#', u({}, 1, 3)) == 3 and u({1, 2, 3}, 2) == 2) "
        "assert(select('#', u({}, 2, 1)) == 0 and u({[-1] = 'x'}, -1, -1) == 'x') "
        "assert(not pcall(u, {}, math.mininteger, math.maxinteger)) "
        "local t = {1, 2} table.insert(t, 3) table.insert(t, 1, 0) assert(c(t) == '0123') "
        "assert(table.remove(t) == 3 and table.remove(t, 1) == 0 and c(t) == '12') "
        "assert(table.remove({}) == nil and not pcall(table.insert, {}, 5, 1))";
    (void)state;
    expect_true(rows);
}

/* How many values each returns, and which argument an error is about. */
static void test_results_and_errors(void **state) {
    static char script[] =
        "local function count(...) return select('#', ...) end local few, many = {2, 1}, {} "
        "for i = 1, 50 do many[i] = -i end "
        "assert(count(table.sort {}) == 0 and count(table.sort(few)) == 0) "
        "assert(count(table.sort(many)) == 0 and many[1] == -50 and many[50] == -1) "
        "assert(count(table.insert({}, 1)) == 0 and count(table.insert({1}, 1, 0)) == 0) "
        "assert(count(table.remove {7}) == 1 and count(table.move({1}, 1, 1, 2)) == 1) "
        "assert(count(table.concat {1}) == 1 and count(table.unpack {1, nil, 3}) == 3) "
        "local endless = setmetatable({}, {__len = function() return 1 << 50 end}) "
        "for name, arguments in pairs {sort = {}, insert = {1, 1}, remove = {1}} do "
        "  local ok, why = pcall(table[name], endless, table.unpack(arguments)) "
        "  assert(not ok and why:find('#1', 1, true), why) "
        "end "
        "local ok, why = pcall(table.sort, {}, 7) assert(not ok and why:find('#2', 1, true)) "
        "ok, why = pcall(table.sort, 7) assert(not ok and why:find('#1', 1, true)) "
        "ok, why = pcall(table.concat, {}, {}) assert(not ok and why:find('#2', 1, true)) ";
    (void)state;
    expect_true(script);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sort),
        cmocka_unit_test(test_the_others),
        cmocka_unit_test(test_results_and_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
