/* test_app_sandbox.c - what a script must not have or reach, and what it must. */
#include "test_app_world.h"

struct attack {
    const char *body, *answer; /* the answer contains this */
};

static void run_attacks(const struct attack *attacks, size_t count) {
    for (size_t i = 0; i < count; i++) {
        const char *answer = world_answer(attacks[i].body);
        if (strstr(answer, attacks[i].answer) == NULL)
            fail_msg("%s\n  gave     %s\n  expected %s", attacks[i].body, answer,
                     attacks[i].answer);
    }
}

static void test_absent(void **state) {
    (void)state;
    static const struct attack attacks[] = {
        {"signalbox.send{data=type(io)..type(debug)..type(package)..type(arg)}", "nilnilnilnil|"},
        {"signalbox.send{data=type(dofile)..type(loadfile)..type(collectgarbage)..type(warn)}",
         "nilnilnilnil|"},
        {"local n='' for k in pairs(os) do n=n..'x' end signalbox.send{data=n..type(os.execute)}",
         "xxxxxnil|"},
        {"signalbox.send{data=type(string.dump)..type((''):len())}", "nilnumber|"},
        {"return os.exit(1)", "error: "},
        {"return io.open('/etc/passwd')", "error: "},
        {"signalbox.send{data=tostring(getmetatable(''))}", "false|"},
        {"getmetatable('').__index = nil", "error: "},
        {"setmetatable('', {})", "error: "},
    };
    run_attacks(attacks, ARRAY_LEN(attacks));
}

static void test_bytecode(void **state) {
    (void)state;
    static const struct attack attacks[] = {
        {"local f, why = load('\\27Lua', 'x', 'b') signalbox.send{data=tostring(f)..why}",
         "nilx: bytecode is not loaded"},
        {"local f, why = load(function() return '\\27Lua' end) signalbox.send{data=tostring(f)}",
         "error: "},
        {"local done local f, why = load(function() if done then return end done = true return "
         "'\\27LuaS' end, 'y', 'bt') signalbox.send{data=tostring(f)..why}",
         "nily: bytecode is not loaded"},
        {"signalbox.send{data=load('return 1 + ...')(2)..'!'}", "3!|"},
        {"signalbox.send{data=load('return a', 'n', 't', {a = 'own'})()}", "own|"},
        {"signalbox.send{data=tostring(select(2, load('syntax error', '=c')))}", "c:1: syntax"},
        {"load(string.rep(' ', 2000000))", "larger than 1 MiB"},
        {"load(function() return 'local x = 1 ' end)", "larger than 1 MiB"},
        {"load(os.time)", "must return a string"},
    };
    run_attacks(attacks, ARRAY_LEN(attacks));
}

static void test_metatables(void **state) {
    (void)state;
    static const struct attack attacks[] = {
        {"setmetatable({}, {__gc = function() while true do end end})", "finalizers"},
        {"setmetatable({}, {__gc = true})", "finalizers"},
        {"local m = {} local t = setmetatable({}, m) m.__gc = print setmetatable(t, nil) "
         "setmetatable(t, m)",
         "finalizers"},
        {"local t = setmetatable({}, {__metatable = 1}) setmetatable(t, {})", "protected"},
        /* The mark of arrays is shared by all of them. */
        {"getmetatable(signalbox.array {}).__gc = print", "index a boolean"},
        {"getmetatable(signalbox.parse_json('[]')).__gc = print", "index a boolean"},
        {"local a = setmetatable(signalbox.array {}, {__len = function() return 7 end}) "
         "signalbox.send{data=#a}",
         "7|"},
        {"setmetatable({}, {__mode = 'k'})", "weak tables"},
        {"setmetatable({}, {__mode = 'v'})", "weak tables"},
        {"local t = setmetatable({}, {__index = function(_, k) return k .. '!' end}) "
         "signalbox.send{data=t.hello}",
         "hello!|"},
    };
    run_attacks(attacks, ARRAY_LEN(attacks));
}

/* Coroutines of handlers are not the script's. */
static void test_coroutines(void **state) {
    (void)state;
    static const struct attack attacks[] = {
        {"coroutine.yield()", "nothing to wait for"},
        {"coroutine.yield(1, 2, 3)", "nothing to wait for"},
        {"pcall(coroutine.yield) signalbox.send{data='on'}", "on|"},
        {"coroutine.resume(coroutine.running())", "not the script's"},
        {"coroutine.close(coroutine.running())", "not the script's"},
        {"coroutine.wrap(function() signalbox.sleep(0) end)()", "cannot wait inside a coroutine"},
        {"coroutine.wrap(function() signalbox.send{data='x'} end)()",
         "cannot wait inside a coroutine"},
        {"local s = '' for i in coroutine.wrap(function() for i = 1, 3 do coroutine.yield(i) end "
         "end) do s = s .. i end signalbox.send{data=s}",
         "123|"},
        {"local c = coroutine.create(function(a) local b = coroutine.yield(a + 1) error({b}) end) "
         "local _, x = coroutine.resume(c, 1) local ok, e = coroutine.resume(c, 'z') "
         "signalbox.send{data=x .. tostring(ok) .. e[1] .. coroutine.status(c)}",
         "2falsezdead|"},
        {"local log = '' local c = coroutine.create(function() local x <close> = setmetatable({}, "
         "{__close = function() log = log .. 'closed' end}) coroutine.yield() end) "
         "coroutine.resume(c) local ok = coroutine.close(c) log = log .. tostring(ok) "
         "signalbox.send{data=log}",
         "closedtrue|"},
        {"local log = '' local ok, e = pcall(coroutine.wrap(function() local x <close> = "
         "setmetatable({}, {__close = function(_, why) log = log .. why end}) error('boom', 0) "
         "end)) signalbox.send{data=log .. e}",
         "boom"},
        {"coroutine.wrap(function() error('deep') end)()", "app.lua:1: "},
    };
    run_attacks(attacks, ARRAY_LEN(attacks));
}

static void test_resume_of_another_handler(void **state) {
    struct world w;
    (void)state;
    world_open(&w);
    world_must_load(&w, "signalbox.signal_route('/wait', function() co = coroutine.running() "
                        "signalbox.sleep(0.01) signalbox.send{data='woke'} end)\n"
                        "signalbox.signal_route('/steal', function() coroutine.resume(co) end)");
    assert_int_equal(world_run(&w, "/wait"), APP_WAITING);
    assert_int_equal(world_run(&w, "/steal"), APP_FAILED);
    assert_contains(w.error, "not the script's");
    world_turn(&w);
    assert_string_equal(world_sent(&w), "woke|");
    world_close_all(&w);
}

static void test_xpcall(void **state) {
    (void)state;
    static const struct attack attacks[] = {
        {"signalbox.send{data=tostring(select(2, xpcall(error, function(e) return 'got ' .. e "
         "end, 'it', 0)))}",
         "got it|"},
        {"signalbox.send{data=signalbox.json(signalbox.array{xpcall(function(...) return ... end, "
         "print, 1, 2)})}",
         "[true,1,2]|"},
        {"xpcall(error, nil)", "function expected"},
    };
    run_attacks(attacks, ARRAY_LEN(attacks));
}

/* --- require --- */

static void test_require(void **state) {
    struct world w;
    char path[300];
    (void)state;
    world_open(&w);
    snprintf(path, sizeof(path), "%s/views", w.folder);
    assert_int_equal(mkdir(path, 0700), 0);
    world_file(&w, "mod.lua", "count = (count or 0) + 1 return { name = ... }");
    world_file(&w, "views/list.lua", "return 'list'");
    world_file(&w, "nothing.lua", "");
    world_must_load(&w, "local m = require 'mod' assert(m == require('mod'))\n"
                        "assert(m.name == 'mod' and count == 1)\n"
                        "assert(require 'views.list' == 'list')\n"
                        "assert(require 'nothing' == true)\n");
    world_unload(&w);
    world_file(&w, "mod.lua", "local x = = 1");
    assert_false(world_load(&w, "\n\nrequire 'mod'"));
    assert_contains(w.error, "mod.lua:1: unexpected symbol");
    world_file(&w, "mod.lua", "\nerror('at run')");
    assert_false(world_load(&w, "require 'mod'"));
    assert_contains(w.error, "mod.lua:2: at run");
    world_file(&w, "mod.lua", "require 'mod'");
    assert_false(world_load(&w, "require 'mod'"));
    assert_contains(w.error, "requires itself");
    world_file(&w, "mod.lua", "\033Lua");
    assert_false(world_load(&w, "require 'mod'"));
    assert_contains(w.error, "mod.lua: bytecode is not loaded");
    world_remove(&w, "mod.lua");
    world_remove(&w, "nothing.lua");
    world_remove(&w, "views/list.lua");
    world_remove(&w, "views");
    world_close_all(&w);
}

static void test_require_stays_inside(void **state) {
    static const char *const names[] = {"/etc/passwd", "..secret", "../secret", "a..b", "a/b",
                                        "a\\\\b",      "",         ".hidden",   "a.",   "a b",
                                        "a%b",         "a\\0b",    "~root",     "a\\nb"};
    struct world w;
    char text[200];
    (void)state;
    world_open(&w);
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        snprintf(text, sizeof(text), "require '%s'", names[i]);
        assert_false(world_load(&w, text));
        assert_contains(w.error, "app.lua:1: bad argument #1 to 'require'");
    }
    assert_false(world_load(&w, "require 'no-such-module'"));
    assert_contains(w.error, "no-such-module");
    world_close_all(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_absent),
        cmocka_unit_test(test_bytecode),
        cmocka_unit_test(test_metatables),
        cmocka_unit_test(test_coroutines),
        cmocka_unit_test(test_resume_of_another_handler),
        cmocka_unit_test(test_xpcall),
        cmocka_unit_test(test_require),
        cmocka_unit_test(test_require_stays_inside),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
