/* test_app_budget.c - what takes too long or too much ends, and nothing else does. */
#include <time.h>

#include <lua.h>

#include "test_app_world.h"

static double processor_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

/* A world with 20 ms and 32 MiB, to be quick. */
static void open_small(struct world *w) {
    world_open(w);
    w->settings.lua_budget_ms = 20;
    w->settings.lua_memory_bytes = 32 * 1024 * 1024;
}

/* The handler fails with `why`, in time, and the state works on. */
static void expect_end(const char *body, const char *why) {
    struct world w;
    struct buf lua = {0};
    open_small(&w);
    buf_printf(&lua,
               "signalbox.signal_route('/bad', function() %s\nend)\n"
               "signalbox.signal_route('/good', function() signalbox.send{data='good'} end)",
               body);
    buf_append_char(&lua, '\0');
    world_must_load(&w, lua.ptr);
    for (int i = 0; i < 3; i++) {
        double before = processor_ms();
        if (world_run(&w, "/bad") != APP_FAILED || strstr(w.error, why) == NULL)
            fail_msg("%s\n  ended with %s", body, w.error == NULL ? "no error" : w.error);
        /* Far beyond any machine's noise, and sanitizers': it only tells an end from none. */
        if (processor_ms() - before > 60000)
            fail_msg("%s\n  took %.0f ms", body, processor_ms() - before);
        assert_int_equal(world_run(&w, "/good"), APP_DONE);
        assert_string_equal(world_sent(&w), "good|");
    }
    buf_deinit(&lua);
    world_close_all(&w);
}

#define TIME   "processor time"
#define MEMORY "not enough memory"

static void test_loops(void **state) {
    (void)state;
    static const char *const bodies[] = {
        "while true do end",
        "while true do pcall(function() while true do end end) end",
        "local function f() while true do end end while true do pcall(pcall, pcall, f) end",
        "repeat local ok = pcall(error) until false",
        "xpcall(function() while true do end end, function() while true do end end)",
        "while true do xpcall(error, function() while true do end end) end",
        "::a:: goto a",
        "for i = 1, math.huge do end",
        "local t = setmetatable({}, {__index = function(t, k) return t[k + 1] end}) "
        "while true do pcall(function() return t[1] end) end",
        "local t = setmetatable({}, {__add = function() while true do end end}) return t + t",
        "local t = setmetatable({}, {__eq = function() while true do end end}) "
        "return t == setmetatable({}, getmetatable(t))",
        "local t = setmetatable({}, {__concat = function() while true do end end}) return t .. t",
        "local t = setmetatable({}, {__len = function() while true do end end}) return #t",
        "tostring(setmetatable({}, {__tostring = function() while true do end end}))",
        "print(setmetatable({}, {__tostring = function() while true do end end}))",
        "for _ in pairs(setmetatable({}, {__pairs = function() while true do end end})) do end",
        "table.sort({3, 2, 1}, function() while true do end end)",
        "('x'):gsub('x', function() while true do end end)",
        "load(function() while true do end end)",
        "load('while true do end')()",
    };
    for (size_t i = 0; i < ARRAY_LEN(bodies); i++)
        expect_end(bodies[i], TIME);
}

static void test_loops_in_coroutines(void **state) {
    (void)state;
    static const char *const bodies[] = {
        "coroutine.wrap(function() while true do end end)()",
        "while true do coroutine.resume(coroutine.create(function() while true do end end)) end",
        "while true do pcall(coroutine.wrap(function() while true do end end)) end",
        "local c = coroutine.wrap(function() while true do coroutine.yield() end end) "
        "while true do c() end",
        "local function nest() return coroutine.wrap(function() pcall(nest) while true do end "
        "end)() end nest = function() end while true do pcall(coroutine.wrap(function() while "
        "true do end end)) end",
        /* Closing must not run what the budget ended. */
        "local function closer() return setmetatable({}, {__close = function() while true do end "
        "end}) end local x <close> = closer() while true do end",
        "local function closer() return setmetatable({}, {__close = function() while true do end "
        "end}) end coroutine.wrap(function() local x <close> = closer() while true do end end)()",
        "local function closer() return setmetatable({}, {__close = function() while true do end "
        "end}) end local x <close> = closer() error('leave')",
        "keep = keep or coroutine.create(function() local x <close> = setmetatable({}, {__close = "
        "function() while true do end end}) while true do end end) coroutine.resume(keep) "
        "coroutine.close(keep) while true do end",
        "local c = coroutine.create(function() local x <close> = setmetatable({}, {__close = "
        "function() while true do end end}) coroutine.yield() end) coroutine.resume(c) "
        "coroutine.close(c) while true do end",
    };
    for (size_t i = 0; i < ARRAY_LEN(bodies); i++)
        if (strstr(bodies[i], "error('leave')") != NULL)
            expect_end(bodies[i], "leave");
        else
            expect_end(bodies[i], TIME);
}

/* A killed coroutine that a later handler closes. */
static void test_closing_a_killed_coroutine(void **state) {
    struct world w;
    (void)state;
    open_small(&w);
    world_must_load(
        &w, "signalbox.signal_route('/kill', function() co = coroutine.create(function() local x "
            "<close> = setmetatable({}, {__close = function() while true do end end}) while true "
            "do end end) coroutine.resume(co) end)\n"
            "signalbox.signal_route('/close', function() local ok, why = coroutine.close(co) "
            "signalbox.send{data=tostring(ok) .. why .. coroutine.status(co) .. "
            "select(2, coroutine.resume(co))} end)");
    (void)world_run(&w, "/kill");
    assert_int_equal(world_run(&w, "/close"), APP_DONE);
    assert_string_equal(world_sent(&w), "falsethe coroutine used up its processor timedeadcannot "
                                        "resume dead coroutine|");
    world_close_all(&w);
}

/* Loops of C that no hook sees. */
static void test_long_functions(void **state) {
    (void)state;
    static const struct {
        const char *body, *why;
    } rows[] = {
        {"('a'):rep(30):find(('a?'):rep(30) .. ('a'):rep(31))", TIME},
        {"('a'):rep(5000):find(('.-'):rep(8) .. 'b')", TIME},
        {"('a'):rep(5000):match(('.*'):rep(8) .. 'b')", TIME},
        {"for _ in ('a'):rep(5000):gmatch(('.-'):rep(8) .. 'b') do end", TIME},
        {"('a'):rep(5000):gsub(('.-'):rep(8) .. 'b', '')", TIME},
        {"while true do pcall(string.find, ('a'):rep(5000), ('.-'):rep(8) .. 'b') end", TIME},
        {"('x'):rep(1e18)", "too large"},
        {"(''):rep(1e18) while true do end", TIME},
        {"('x'):rep(1e9, 'y')", "too large"},
        {"table.move({}, 1, math.maxinteger - 1, 2)", "million"},
        {"table.insert(setmetatable({}, {__len = function() return 1e15 // 1 | 0 end}), 1, 1)",
         "million"},
        {"table.remove(setmetatable({}, {__len = function() return 1 << 50 end}), 1)", "million"},
        {"table.concat(setmetatable({}, {__index = rawlen}), '', 1, 1 << 50)", "million"},
        {"table.sort(setmetatable({}, {__len = function() return 1 << 30 end, __index = rawlen, "
         "__newindex = rawlen}))",
         "million"},
        {"table.unpack({}, 1, 1e8)", "too many results"},
        {"load(('a='):rep(600000))", "1 MiB"},
        {"local t = {} for i = 1, 1 << 17 do t[i * ((1 << 17) - 1)] = true end", "in one chain"},
        {"local a = ('a'):rep(4000000) local key, other = a .. 'b', a .. 'c' "
         "local m = {} local t = setmetatable({[key] = 1}, m) m.__index = t return t[other]",
         TIME},
        {"local a = ('a'):rep(4000000) local key, other = a .. 'b', a .. 'c' "
         "local t, m = {[key] = 1}, {} m.__newindex = t setmetatable(t, m) t[other] = 1",
         TIME},
        {"local m = {} local t = setmetatable({}, m) m.__call = t t()", "stack overflow"},
        {"local m = {} local t = setmetatable({}, m) m.__call = t "
         "while true do pcall(t, table.unpack({}, 1, 100000)) end",
         TIME},
        {"while true do local s = ('x'):rep(6000000) end", TIME},
        {"local s = ('x'):rep(4000000) while true do s:upper() end", TIME},
        {"local s = ('x'):rep(4000000) while true do local t = s .. 'y' end", TIME},
        {"local t = {} for i = 1, 30000 do t[i] = i end for i = 1, 30000 do t[i] = nil end "
         "while true do next(t) end",
         TIME},
        {"os.date(('%c'):rep(1000000))", "longer than 1024"},
        {"local t = 'x' for _ = 1, 9 do local n = {} for i = 1, 99 do n[i] = t end t = n end "
         "signalbox.json(t)",
         TIME},
        {"local t = 'x' for _ = 1, 9 do local n = {} for i = 1, 99 do n['k' .. i] = t end t = n "
         "end signalbox.send{data=t}",
         TIME},
        {"signalbox.parse_json('[' .. ('0,'):rep(900000) .. '0]') while true do end", TIME},
        {"local s = ('x'):rep(4000000) while true do pcall(string.lower, s) end", TIME},
        {"local s = ('x'):rep(4000000) while true do utf8.len(s) end", TIME},
        {"local a, b = ('x'):rep(6000000), ('x'):rep(5999999) .. 'x' while true do a = a, a == b "
         "end",
         TIME},
        {"local a, b = ('x'):rep(6000000), ('x'):rep(5999999) .. 'y' while true do a = a, a < b "
         "end",
         TIME},
        {"local a = ('9'):rep(6000000) while true do local b = a + 1, tonumber(a) end", TIME},
        {"('a'):rep(1000):gsub('()', ('%1'):rep(4000000))", TIME},
        {"while true do pcall(string.gsub, ('a'):rep(1000), 'a', ('x'):rep(4000000)) end", TIME},
        {"for _ in ('a'):rep(8000000):gmatch('') do end", TIME},
        {"('a'):rep(4000000):find('[' .. ('b'):rep(4000000) .. ']')", TIME},
        /* Sources that take a time that grows with their square. */
        {"load('if a then ' .. ('elseif a then '):rep(70000) .. ' end')", TIME},
        {"while true do pcall(load, ('a = '):rep(200000)) end", TIME},
        {"local t = {} for i = 1, 300000 do t[i] = i * 7919 % 65537 end table.sort(t)", TIME},
        {"local t = {} for i = 1, 99999 do t[i] = i end "
         "while true do pcall(table.sort, t, function() return true end) end",
         TIME},
        {"table.sort({'x', 'y', 'z', 'a', 'b'}, function(a) while true do a:rep(100000) end end)",
         TIME},
        /* C that calls C, so that no hook runs in between. */
        {"local t = {} for i = 1, 99999 do t[i] = ('x'):rep(9) end "
         "table.sort(t, function(a, b) return a:rep(99999) < b:rep(99999) end)",
         TIME},
        {"while true do pcall(table.concat, setmetatable({}, {__index = tostring, __len = "
         "function() return 999999 end})) end",
         TIME},
        {"local big = {} for i = 1, 50000 do big[i] = i end setmetatable(big, {__tostring = "
         "signalbox.json}) local t = {} for i = 1, 250 do t[i] = big end "
         "while true do string.format(('%s'):rep(250), table.unpack(t)) end",
         "processor time"},
        {"local t = {} for i = 1, 9 do t['k' .. i] = i end for i = 1, 1e5 do t['l' .. i] = i end "
         "while true do pcall(signalbox.json, t) end",
         TIME},
        /* Arguments: their number and their length together. */
        {"local s, t = ('0'):rep(1000000), {} for i = 1, 99 do t[i] = s end "
         "string.format(('%.1s'):rep(99), table.unpack(t))",
         "more than 16 MiB"},
        {"string.char(('0'):rep(4000000) .. '65')", "a long string"},
        {"local t = {} for i = 1, 100001 do t[i] = 65 end utf8.char(table.unpack(t))",
         "more than 100000 arguments"},
        {"string.format('%q', ('\\0'):rep(2097153))", "beside %q"},
        /* Many variables to close. */
        {"local function f() local x <close> = setmetatable({}, {__close = error}) return f(), 1 "
         "end while true do pcall(f) end",
         TIME},
        {"local function f() local x <close> = setmetatable({}, {__close = error}) return f(), 1 "
         "end while true do table.sort({2, 1}, function() pcall(f) end) end",
         TIME},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        expect_end(rows[i].body, rows[i].why);
}

static void test_memory(void **state) {
    (void)state;
    static const char *const bodies[] = {
        "local t = {} while true do t[#t + 1] = ('x'):rep(65536) .. #t end",
        "local s = 'x' while true do s = s .. s end",
        "local t = {} for i = 1, math.huge do t[i] = i end",
        "local t = {} while true do t = {t, ('y'):rep(9999) .. tostring(t)} end",
        "local s = ('x'):rep(16000000) return s .. s",
        "local t = {} while true do t[#t + 1] = coroutine.create(print) end",
        "local t = {} for i = 1, 1e6 do t[i] = ('z'):rep(100) .. i end return table.concat(t)",
        "signalbox.parse_json('[' .. ('0,'):rep(8000000) .. '0]')",
        "return (('x'):rep(20000)):gsub('x', ('y'):rep(20000))",
    };
    for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
        struct world w;
        struct buf lua = {0};
        open_small(&w);
        w.settings.lua_budget_ms = 60000;
        buf_printf(&lua, "signalbox.signal_route('/bad', function() %s\nend)\n", bodies[i]);
        buf_append_str(&lua, "signalbox.signal_route('/good', function() local t = {} for i = 1, "
                             "1e5 do t[i] = i end end)");
        buf_append_char(&lua, '\0');
        world_must_load(&w, lua.ptr);
        for (int k = 0; k < 2; k++) {
            if (world_run(&w, "/bad") != APP_FAILED || strstr(w.error, MEMORY) == NULL)
                fail_msg("%s\n  ended with %s", bodies[i], w.error == NULL ? "nothing" : w.error);
            assert_int_equal(world_run(&w, "/good"), APP_DONE);
        }
        buf_deinit(&lua);
        world_close_all(&w);
    }
}

/* What a script keeps, it keeps: then others fail, and say so. */
static void test_memory_kept(void **state) {
    struct world w;
    (void)state;
    open_small(&w);
    w.settings.lua_budget_ms = 60000;
    world_must_load(&w, "kept = {} signalbox.signal_route('/keep', function() while true do "
                        "kept[#kept + 1] = ('x'):rep(1000) .. #kept end end)\n"
                        "signalbox.signal_route('/free', function() kept = {} end)");
    for (int i = 0; i < 5; i++) {
        assert_int_equal(world_run(&w, "/keep"), APP_FAILED);
        assert_contains(w.error, MEMORY);
    }
    assert_int_equal(world_run(&w, "/free"), APP_DONE);
    world_close_all(&w);
}

/* As an owner does with a body of its own memory. */
static int push_much(void *ctx, struct lua_State *L) {
    static char body[64 << 20];
    lua_pushlstring(L, body, *(size_t *)ctx);
    return 1;
}

static void test_memory_of_arguments(void **state) {
    struct world w;
    (void)state;
    open_small(&w);
    w.settings.lua_budget_ms = 5000; /* only memory is at stake */
    world_must_load(&w, "signalbox.signal_route('/', function(body) signalbox.send{data=#body} "
                        "end)");
    const struct signal_route *route = &app_registrations(w.app)->signal_routes.items[0];
    struct app_handler handler = {
        route->function, route->arguments, "a body", push_much, NULL, NULL};
    size_t sizes[] = {16 << 20, 64 << 20, 1};
    enum app_outcome expected[] = {APP_DONE, APP_FAILED, APP_DONE};
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        char *error = NULL;
        handler.ctx = &sizes[i];
        assert_int_equal(app_call(w.app, &handler, NULL, &error), expected[i]);
        free(error);
    }
    assert_string_equal(world_sent(&w), "16777216|1|");
    world_close_all(&w);
}

static void test_recursion(void **state) {
    (void)state;
    static const char *const bodies[] = {
        "local function f() return 1 + f() end return f()",
        "local t = {} t.f = function() t.f() t.f() end t.f()",
        "local function f() pcall(f) error('x') end f()",
        "local s = ('('):rep(300) .. '1' .. (')'):rep(300) assert(load('return ' .. s))",
        "local function f(s) return s:gsub('.', f) end f('aa')",
        "local function f() return coroutine.wrap(f)() end f()",
        "local m = {} m.__index = m setmetatable(m, m) return m.x",
        "return ('x'):find(('('):rep(250))",
        "return ('a'):rep(300000):find(('a?'):rep(220))",
    };
    for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
        struct world w;
        struct buf lua = {0};
        open_small(&w);
        w.settings.lua_budget_ms = 2000;
        w.settings.lua_memory_bytes = 256 << 20;
        buf_printf(&lua, "signalbox.signal_route('/', function() %s\nend)", bodies[i]);
        buf_append_char(&lua, '\0');
        world_must_load(&w, lua.ptr);
        if (world_run(&w, "/") != APP_FAILED)
            fail_msg("%s\n  did not fail", bodies[i]);
        buf_deinit(&lua);
        world_close_all(&w);
    }
}

/* The budget is that of one stretch between two waits. */
static void test_budget_begins_anew(void **state) {
    struct world w;
    (void)state;
    open_small(&w);
    w.settings.lua_budget_ms = 100;
    world_must_load(&w, "local function spin() local until_ = os.clock() + 0.02 "
                        "while os.clock() < until_ do end end\n"
                        "signalbox.signal_route('/', function() for i = 1, 8 do spin() "
                        "signalbox.sleep(0) end signalbox.send{data='through'} end)\n"
                        "signalbox.signal_route('/late', function() signalbox.sleep(0) "
                        "while true do end end)");
    assert_int_equal(world_run(&w, "/"), APP_WAITING);
    world_turn(&w);
    assert_string_equal(world_sent(&w), "through|");
    assert_int_equal(world_run(&w, "/late"), APP_WAITING);
    world_turn(&w);
    assert_contains(w.end_error, TIME);
    world_close_all(&w);
}

/* A handler that would wait for ever ends, whatever it catches. */
static void test_time_with_all_waits(void **state) {
    static const struct {
        const char *body, *why;
    } rows[] = {
        {"while true do signalbox.sleep(0.001) end", "longer than --handler-timeout-ms"},
        {"signalbox.sleep(3600)", "longer than --handler-timeout-ms"},
        {"while true do pcall(signalbox.sleep, 0.001) end", TIME},
    };
    struct world w;
    (void)state;
    open_small(&w);
    w.settings.handler_timeout_ms = 30;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct buf lua = {0};
        buf_printf(&lua, "signalbox.signal_route('/', function() %s end)%c", rows[i].body, '\0');
        world_must_load(&w, lua.ptr);
        assert_int_equal(world_run(&w, "/"), APP_WAITING);
        world_turn(&w);
        assert_contains(w.end_error, rows[i].why);
        world_unload(&w);
        buf_deinit(&lua);
    }
    w.settings.handler_timeout_ms = 0;
    world_must_load(&w, "signalbox.signal_route('/', function() for i = 1, 40 do "
                        "signalbox.sleep(0.001) end signalbox.send{data='through'} end)");
    assert_int_equal(world_run(&w, "/"), APP_WAITING);
    world_turn(&w);
    assert_string_equal(world_sent(&w), "through|");
    world_close_all(&w);
}

static void test_main_chunk(void **state) {
    struct world w;
    (void)state;
    open_small(&w);
    assert_false(world_load(&w, "\nwhile true do end"));
    assert_contains(w.error, "app.lua:2: used up its processor time of 200 ms");
    w.settings.lua_budget_ms = 60000;
    assert_false(world_load(&w, "local t = {} while true do t[#t + 1] = ('x'):rep(9999) .. #t "
                                "end"));
    assert_contains(w.error, MEMORY);
    w.settings.lua_memory_bytes = 256 << 20;
    assert_false(world_load(&w, "local function f() return 1 + f() end f()"));
    assert_contains(w.error, "stack overflow");
    world_close_all(&w);
}

/* Finding the text of a handler takes time, too, and the end of the budget may come there. */
static void test_handlers_set_until_the_end(void **state) {
    struct world w;
    struct buf lua = {0};
    (void)state;
    open_small(&w);
    for (int i = 0; i < 20000; i++)
        buf_append_str(&lua, "-- a line before it\n");
    buf_append_str(&lua, "signalbox.signal_route('/set', function() while true do "
                         "signalbox.signal_route('/a', function() return 1 end) "
                         "signalbox.signal_route_remove('/a') end end)");
    buf_append_char(&lua, '\0');
    world_must_load(&w, lua.ptr);
    for (int i = 0; i < 20; i++)
        assert_int_equal(world_run(&w, "/set"), APP_FAILED);
    buf_deinit(&lua);
    world_close_all(&w);
}

/* Each takes most of its budget between two waits, and all wake up at once. */
static void test_handlers_share_a_turn(void **state) {
    struct world w;
    int turns = 0;
    (void)state;
    open_small(&w);
    world_must_load(&w,
                    "signalbox.signal_route('/', function() local a, b = signalbox.sleep(0.001) "
                    "local from = os.clock() while os.clock() - from < 0.015 do end "
                    "signalbox.send{data='x'} end)");
    for (int i = 0; i < 10; i++)
        assert_int_equal(world_run(&w, "/"), APP_WAITING);
    for (size_t sent = 0; w.ended < 10; turns++) {
        uv_run(&w.loop, UV_RUN_ONCE);
        assert_true(w.sent.len <= sent + 2 * strlen("x|"));
        sent = w.sent.len;
    }
    assert_true(turns >= 5);
    world_close_all(&w);
}

/* Whoever sleeps for no time lets the others have their turn. */
static void test_sleep_of_no_time(void **state) {
    struct world w;
    (void)state;
    open_small(&w);
    world_must_load(&w, "signalbox.signal_route('/', function() for i = 1, 3 do "
                        "signalbox.sleep(0) signalbox.send{data=i} end end)");
    assert_int_equal(world_run(&w, "/"), APP_WAITING);
    for (size_t sent = 0; w.ended == 0; sent = w.sent.len) {
        uv_run(&w.loop, UV_RUN_NOWAIT); /* ONCE may look at the timers twice */
        assert_true(w.sent.len <= sent + strlen("1|"));
    }
    assert_string_equal(world_sent(&w), "1|2|3|");
    world_close_all(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_loops),
        cmocka_unit_test(test_loops_in_coroutines),
        cmocka_unit_test(test_closing_a_killed_coroutine),
        cmocka_unit_test(test_long_functions),
        cmocka_unit_test(test_memory),
        cmocka_unit_test(test_handlers_share_a_turn),
        cmocka_unit_test(test_sleep_of_no_time),
        cmocka_unit_test(test_memory_kept),
        cmocka_unit_test(test_memory_of_arguments),
        cmocka_unit_test(test_recursion),
        cmocka_unit_test(test_budget_begins_anew),
        cmocka_unit_test(test_time_with_all_waits),
        cmocka_unit_test(test_main_chunk),
        cmocka_unit_test(test_handlers_set_until_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
