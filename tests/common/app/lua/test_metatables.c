/* test_metatables.c - metatables are as the manual says, also those that a script changes later;
 * no chain of them outlasts the budget. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/common/app/lua/run_script.h"

static void run(const char *script, bool is_fine) {
    struct sandbox s;
    struct buf error = {0};
    sandbox_init(&s, 64 << 20, 60000);
    if (sandbox_protected(&s, run_script, (void *)(uintptr_t)script, &error) != is_fine)
        fail_msg("%s\n  %.*s", script, BYTES_FMT(buf_bytes(&error)));
    sandbox_deinit(&s);
    buf_deinit(&error);
}

static void test_they_are_as_in_lua(void **state) {
    static const char *const scripts[] = {
        "local m = {} local t = setmetatable({}, m) assert(getmetatable(t) == m)",
        "local t = setmetatable({}, {__metatable = 'no'}) assert(getmetatable(t) == 'no') "
        "assert(not pcall(setmetatable, t, {}) and not pcall(setmetatable, t, nil))",
        "local t = setmetatable({}, {__index = {a = 1}}) assert(t.a == 1 and t.b == nil) "
        "assert(rawget(t, 'a') == nil) setmetatable(t, nil) assert(not t.a and not "
        "getmetatable(t))",
        "local t = setmetatable({}, {__index = function(_, k) return k .. '!', 2 end}) "
        "assert(t.a == 'a!' and select('#', t.b) == 1)",
        "local t = setmetatable({}, {__index = 'text'}) assert(t.upper == string.upper)",
        "local t = setmetatable({}, {__index = 5}) assert(not pcall(function() return t.x end))",
        "local t = setmetatable({}, {__index = setmetatable({a = 1}, {__index = function(s, k) "
        "return rawget(s, 'a') .. k end})}) assert(t.b == '1b')",
        "local s = {} local t = setmetatable({a = 1}, {__newindex = s}) t.a = 2 t.b = 3 "
        "assert(t.a == 2 and s.b == 3 and rawget(t, 'b') == nil)",
        "local s = {b = 1} local t = setmetatable({}, {__newindex = setmetatable(s, {__newindex = "
        "function(_, k, v) s.last = k .. v end, __index = error})}) t.b = 2 assert(s.b == 2) "
        "setmetatable(s, {__newindex = function(_, k, v) rawset(s, 'last', k .. v) end}) t.c = 3 "
        "assert(s.last == 'c3')",
        "local t = setmetatable({}, {__newindex = {}}) assert(not pcall(function() t[nil] = 1 "
        "end))",
        "local t = setmetatable({}, {__newindex = 5}) assert(not pcall(function() t.x = 1 end))",
        "local t = setmetatable({}, {__call = function(self, ...) return self, ... end}) "
        "local a, b, c = t(1, 2) assert(a == t and b == 1 and c == 2)",
        "local f = setmetatable({}, {__call = function(_, t, a) return a + 1 end}) "
        "local t = setmetatable({}, {__call = f}) assert(t(1) == 2)",
        "local t = setmetatable({}, {__call = 5}) assert(not pcall(t))",
        "local m = {__eq = function() return true end, __lt = rawequal, __le = rawequal} "
        "local a, b = setmetatable({}, m), setmetatable({}, m) assert(a == b and not (a < b))",
        "local m = {__tostring = function() return 'T' end, __len = function() return 7 end, "
        "__concat = function() return 'C' end, __unm = function() return 'U' end, __name = 'N', "
        "__pairs = function() return function(_, k) return not k and 1 or nil end end} "
        "local t = setmetatable({}, m) assert(tostring(t) == 'T' and #t == 7 and t .. 1 == 'C') "
        "assert(-t == 'U') local n = 0 for _ in pairs(t) do n = n + 1 end assert(n == 1) "
        "assert(tostring(setmetatable({}, {__name = 'N'})):find('^N: '))",
        "local ended = 0 do local x <close> = setmetatable({}, {__close = function() ended = 1 "
        "end}) "
        "end assert(ended == 1)",
        "local C = {} C.__index = C function C.new(v) return setmetatable({v = v}, C) end "
        "function C:get() return self.v end local D = setmetatable({}, {__index = C, __call = "
        "function(c, v) return setmetatable({v = v * 2}, c) end}) D.__index = D "
        "assert(C.new(3):get() == 3 and D(3):get() == 6 and D(1).none == nil)",
        "for i = 1, 1000 do local m = {__index = {i}} local t = setmetatable({}, m) "
        "assert(t[1] == i and getmetatable(t) == m) end",
        "local t = {} for i = 1, 1000 do t = setmetatable({}, {__index = t, __newindex = t}) end "
        "assert(t.x == nil) t.x = 1 assert(t.x == 1 and rawget(t, 'x') == nil)",
        "local c = coroutine.wrap(function() local t = setmetatable({}, {__index = "
        "setmetatable({}, "
        "{__index = function(_, k) return coroutine.yield(k) end}), __call = setmetatable({}, "
        "{__call = function(_, _, a) return coroutine.yield(a) end})}) return t.x + t(5) end) "
        "assert(c() == 'x' and c(1) == 5 and c(2) == 3)",
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(scripts); i++)
        run(scripts[i], true);
}

static void test_what_is_changed_later(void **state) {
    static const char *const scripts[] = {
        "local m = {} local t = setmetatable({}, m) m.__index = {a = 1} assert(t.a == 1) "
        "m.__index = function(_, k) return k end assert(t.b == 'b') m.__index = nil assert(not "
        "t.a)",
        "local m = {} local t = setmetatable({}, m) m.__call = function() return 1 end "
        "assert(t() == 1) m.__call = nil assert(not pcall(t))",
        "local m = {} local t = setmetatable({}, m) m.__add = function() return 'sum' end "
        "assert(not pcall(function() return t + t end)) setmetatable({}, m) assert(t + t == 'sum') "
        "m.__add = nil setmetatable({}, m) assert(not pcall(function() return t + t end))",
        "local m = {__newindex = {}} local t = setmetatable({}, m) m.__newindex = function(s, k, "
        "v) "
        "rawset(s, k, v + 1) end t.a = 1 assert(t.a == 2) m.__newindex = nil t.b = 1 assert(t.b == "
        "1)",
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(scripts); i++)
        run(scripts[i], true);
}

static void test_chains_without_an_end(void **state) {
    static const char *const scripts[] = {
        "local m = {} local t = setmetatable({}, m) m.__index = t return t.x",
        "local m = {} m.__newindex = m setmetatable(m, m) m.x = 1",
        "local m = {} local t = setmetatable({}, m) m.__call = t t()",
        "local m = {} local t = setmetatable({}, m) m.__call = t t(table.unpack({}, 1, 200))",
        "local m = {} local t = setmetatable({}, m) m.__call = t m.__eq = t setmetatable({}, m) "
        "return t == setmetatable({}, m)",
        "local a, b = {}, {} local t, u = setmetatable({}, a), setmetatable({}, b) a.__call = u "
        "b.__call = t local x <close> = setmetatable({}, {__close = t})",
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(scripts); i++)
        run(scripts[i], false);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_they_are_as_in_lua),
        cmocka_unit_test(test_what_is_changed_later),
        cmocka_unit_test(test_chains_without_an_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
