/* test_app.c - an app from its file to its end: loading, handlers that wait, release. */
#include "test_app_world.h"

#include <lauxlib.h>
#include <lua.h>

/* --- loading --- */

static void test_load_errors(void **state) {
    static const struct {
        const char *text, *error;
    } rows[] = {
        {"\n\nlocal x = = 1", "/app.lua:3: unexpected symbol near '='"},
        {"\nerror('here')", "/app.lua:2: here"},
        {"error('here', 0)", "here"},
        {"error({})", "an error that is a table"},
        {"error()", "an error that is a nil"},
        {"error(7)", "7"},
        {"\033Lua", "app.lua: bytecode is not loaded"},
        {"signalbox.sleep(1)", "app.lua:1: only a handler can wait"},
        {"signalbox.store.get('x')", "app.lua:1: only a handler can wait"},
        {"signalbox.send{data='x'}", "app.lua:1: only a handler can wait"},
        {"signalbox.names()", "app.lua:1: only a handler can wait"},
        {"coroutine.yield()", "outside a coroutine"},
    };
    struct world w;
    (void)state;
    world_open(&w);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (world_load(&w, rows[i].text))
            fail_msg("%s\n  loaded", rows[i].text);
        assert_contains(w.error, rows[i].error);
    }
    world_close_all(&w);
}

static void test_paths(void **state) {
    struct world w;
    char path[200], here[200], *error = NULL;
    (void)state;
    world_open(&w);
    world_file(&w, "app.lua", "nothing()");
    assert_non_null(getcwd(here, sizeof(here)));
    assert_int_equal(chdir(w.folder), 0);
    assert_null(app_load("app.lua", &w.environment, &error));
    assert_int_equal(strncmp(error, "app.lua:1: ", 11), 0);
    free(error);
    world_file(&w, "app.lua", "");
    w.app = app_load("app.lua", &w.environment, &error);
    assert_non_null(w.app);
    assert_string_equal(app_folder(w.app), w.folder);
    assert_int_equal(chdir(here), 0);
    world_unload(&w);
    assert_null(app_load("/no/such/folder", &w.environment, &error));
    assert_contains(error, "/no/such/folder: No such file");
    free(error);
    snprintf(path, sizeof(path), "%s/", w.folder);
    w.app = app_load(path, &w.environment, &error);
    assert_non_null(w.app);
    world_unload(&w);
    world_remove(&w, "app.lua");
    assert_null(app_load(w.folder, &w.environment, &error));
    assert_contains(error, "No such file");
    free(error);
    world_close_all(&w);
}

/* --- handlers --- */

static int push_two(void *ctx, lua_State *L) {
    (void)ctx;
    lua_pushstring(L, "a");
    lua_pushinteger(L, 2);
    return 2;
}

static int push_error(void *ctx, lua_State *L) {
    (void)ctx;
    return luaL_error(L, "while pushing");
}

static void test_arguments(void **state) {
    struct world w;
    char *error = NULL;
    (void)state;
    world_open(&w);
    world_must_load(&w, "signalbox.signal_route('/', function(...) "
                        "signalbox.send{data=table.concat({...}, ',')} end, {args={'x', 7}})");
    const struct signal_route *route = &app_registrations(w.app)->signal_routes.items[0];
    struct app_handler handler = {
        route->function, route->arguments, "a test", push_two, NULL, NULL};
    assert_int_equal(app_call(w.app, &handler, NULL, &error), APP_DONE);
    handler.arguments = LUA_NOREF;
    assert_int_equal(app_call(w.app, &handler, NULL, &error), APP_DONE);
    assert_string_equal(world_sent(&w), "a,2,x,7|a,2|");
    handler.push = push_error;
    assert_int_equal(app_call(w.app, &handler, NULL, &error), APP_FAILED);
    assert_string_equal(error, "while pushing");
    free(error);
    world_close_all(&w);
}

static void test_errors_of_handlers(void **state) {
    struct world w;
    (void)state;
    world_open(&w);
    world_must_load(&w, "local function deep() error('deep') end\n"
                        "signalbox.signal_route('/text', function()\n deep() end)\n"
                        "signalbox.signal_route('/table', function() error({ no = 'text' }) end)\n"
                        "signalbox.signal_route('/nil', function() error() end)\n"
                        "signalbox.signal_route('/closes', function() local x <close> = "
                        "setmetatable({}, {__close = function() signalbox.log('x') closed = "
                        "(closed or 0) + 1 end}) error('x') end)\n"
                        "signalbox.signal_route('/closed', function() signalbox.send{data=closed} "
                        "end)");
    assert_int_equal(world_run(&w, "/text"), APP_FAILED);
    assert_contains(w.error, "app.lua:1: deep");
    assert_int_equal(world_run(&w, "/table"), APP_FAILED);
    assert_contains(w.error, "an error that is a table");
    assert_int_equal(world_run(&w, "/nil"), APP_FAILED);
    assert_int_equal(world_run(&w, "/closes"), APP_FAILED);
    assert_int_equal(world_run(&w, "/closed"), APP_DONE);
    assert_string_equal(world_sent(&w), "1|");
    world_close_all(&w);
}

/* --- waiting --- */

static void test_sleep(void **state) {
    struct world w;
    (void)state;
    world_open(&w);
    world_must_load(&w, "signalbox.signal_route('/a', function() signalbox.sleep(0.02) "
                        "signalbox.send{data='a'} end)\n"
                        "signalbox.signal_route('/b', function() signalbox.sleep(0) "
                        "signalbox.send{data='b'} end)");
    assert_int_equal(world_run(&w, "/a"), APP_WAITING);
    assert_non_null(w.first_waiter);
    assert_ptr_equal(app_call_ctx(w.first_waiter), &w);
    assert_int_equal(world_run(&w, "/b"), APP_WAITING);
    assert_int_equal(app_waiting(w.app), 2);
    world_turn(&w);
    assert_string_equal(world_sent(&w), "b|a|");
    assert_int_equal(w.ended, 2);
    assert_null(w.end_error);
    assert_int_equal(app_waiting(w.app), 0);
    world_close_all(&w);
}

/* Neither a handler of the app nor one of an app that was replaced. */
static void test_nobody_goes_on_after_the_end(void **state) {
    struct world w;
    bool has_ended = false;
    (void)state;
    world_open(&w);
    w.environment.has_ended = &has_ended;
    const char *text = "signalbox.signal_route('/a', function() signalbox.sleep(0.02) "
                       "signalbox.send{data='a'} end)";
    world_must_load(&w, text);
    assert_int_equal(world_run(&w, "/a"), APP_WAITING);
    struct app_call *replaced = w.first_waiter;
    app_release(w.app);
    world_must_load(&w, text);
    assert_int_equal(world_run(&w, "/a"), APP_WAITING);
    has_ended = true;
    world_turn(&w);
    assert_string_equal(world_sent(&w), "");
    assert_int_equal(w.ended, 0);
    assert_int_equal(app_waiting(w.app), 1);
    has_ended = false;
    app_resume_ok(replaced, NULL, NULL);
    app_resume_ok(w.first_waiter, NULL, NULL);
    assert_int_equal(w.ended, 2);
    world_close_all(&w);
}

static void test_waiting_everywhere(void **state) {
    static const char *const bodies[] = {
        "pcall(signalbox.sleep, 0)",
        "pcall(function() signalbox.sleep(0) end)",
        "xpcall(function() signalbox.sleep(0) error('x') end, function() signalbox.sleep(0) end)",
        "local t = setmetatable({}, {__index = function() signalbox.sleep(0) return 1 end}) "
        "assert(t.x == 1)",
        "local t = setmetatable({}, {__index = setmetatable({}, {__index = function(_, k) "
        "signalbox.sleep(0) return k end})}) assert(t.x == 'x')",
        "local s = setmetatable({}, {__newindex = function(t, k) signalbox.sleep(0) rawset(t, k, "
        "1) "
        "end}) local t = setmetatable({}, {__newindex = s}) t.x = 2 assert(s.x == 1)",
        "local f = setmetatable({}, {__call = function(_, _, a) signalbox.sleep(0) return a end}) "
        "assert(setmetatable({}, {__call = f})(7) == 7)",
        "for i in function(_, i) signalbox.sleep(0) i = (i or 0) + 1 return i < 3 and i or nil "
        "end do end",
        "local x <close> = setmetatable({}, {__close = function() signalbox.sleep(0) end})",
        "local a <const> = (function(...) signalbox.sleep(0) return ... end)(1, 2) assert(a == 1)",
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
        struct world w;
        struct buf lua = {0};
        world_open(&w);
        buf_printf(&lua,
                   "signalbox.signal_route('/', function() do %s end\nsignalbox.send{data="
                   "'end'} end)",
                   bodies[i]);
        buf_append_char(&lua, '\0');
        world_must_load(&w, lua.ptr);
        assert_int_equal(world_run(&w, "/"), APP_WAITING);
        world_turn(&w);
        assert_string_equal(world_sent(&w), "end|");
        buf_deinit(&lua);
        world_close_all(&w);
    }
}

static void test_where_nothing_waits(void **state) {
    static const char *const bodies[] = {
        "table.sort({2, 1}, function() signalbox.sleep(0) end)",
        "('x'):gsub('x', function() signalbox.sleep(0) end)",
        "load(function() signalbox.sleep(0) end)",
        "tostring(setmetatable({}, {__tostring = function() signalbox.sleep(0) end}))",
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bodies); i++)
        assert_contains(world_answer(bodies[i]), "cannot wait inside a callback");
}

static void test_too_many_wait(void **state) {
    struct world w;
    (void)state;
    world_open(&w);
    w.settings.max_waiting_handlers = 2;
    world_must_load(&w, "signalbox.signal_route('/', function() signalbox.sleep(0) end)\n"
                        "signalbox.signal_route('/send', function() signalbox.send{data='x'} end)");
    assert_int_equal(world_run(&w, "/"), APP_WAITING);
    assert_int_equal(world_run(&w, "/"), APP_WAITING);
    assert_int_equal(world_run(&w, "/"), APP_FAILED);
    assert_contains(w.error, "2 handlers wait already");
    assert_int_equal(world_run(&w, "/send"), APP_DONE);
    world_turn(&w);
    assert_int_equal(world_run(&w, "/"), APP_WAITING);
    world_close_all(&w);
}

/* --- the host's waits --- */

static const char waiting_send[] =
    "signalbox.signal_route('/', function() signalbox.send{data='1'} signalbox.send{data='2'} "
    "end)\n"
    "signalbox.signal_route('/try', function() local ok, why = pcall(signalbox.send, {data='1'}) "
    "signalbox.log(tostring(why)) result = tostring(ok) .. tostring(why) end)\n"
    "signalbox.signal_route('/result', function() signalbox.send{data=result} end)";

static void test_send_that_waits(void **state) {
    struct world w;
    (void)state;
    world_open(&w);
    world_must_load(&w, waiting_send);
    w.answer = APP_WAITING;
    assert_int_equal(world_run(&w, "/"), APP_WAITING);
    assert_string_equal(world_sent(&w), "1|");
    struct app_call *call = w.waiting;
    app_resume_ok(call, NULL, NULL);
    assert_string_equal(world_sent(&w), "2|");
    assert_int_equal(w.ended, 0);
    app_resume_ok(w.waiting, NULL, NULL);
    assert_int_equal(w.ended, 1);
    world_close_all(&w);
}

static void test_send_that_fails(void **state) {
    struct world w;
    (void)state;
    world_open(&w);
    world_must_load(&w, waiting_send);
    w.answer = APP_WAITING;
    assert_int_equal(world_run(&w, "/"), APP_WAITING);
    app_resume_error(w.waiting, "100% lost");
    assert_contains(w.end_error, "app.lua:1: 100% lost");
    assert_int_equal(world_run(&w, "/try"), APP_WAITING);
    app_resume_error(w.waiting, "gone");
    w.answer = APP_DONE;
    buf_clear(&w.sent);
    assert_int_equal(world_run(&w, "/result"), APP_DONE);
    assert_contains(world_sent(&w), "falsegone");
    w.answer = APP_FAILED;
    w.refusal = "Signal failed to broadcast";
    assert_int_equal(world_run(&w, "/"), APP_FAILED);
    assert_contains(w.error, "app.lua:1: Signal failed to broadcast");
    world_close_all(&w);
}

/* --- release --- */

static void test_release_while_waiting(void **state) {
    struct world w;
    struct app *app;
    (void)state;
    world_open(&w);
    world_must_load(&w, "signalbox.signal_route('/', function() for i = 1, 3 do "
                        "signalbox.sleep(0.002) signalbox.send{data=tostring(i)} end end)");
    assert_int_equal(world_run(&w, "/"), APP_WAITING);
    assert_int_equal(world_run(&w, "/"), APP_WAITING);
    app = w.app;
    const struct signal_route *route = &app_registrations(app)->signal_routes.items[0];
    struct app_handler handler = {route->function, route->arguments, "too late", NULL, NULL, NULL};
    w.app = NULL;
    app_release(app);
    char *error = NULL;
    assert_int_equal(app_call(app, &handler, NULL, &error), APP_FAILED);
    assert_contains(error, "replaced");
    free(error);
    world_turn(&w);
    assert_string_equal(world_sent(&w), "1|1|2|2|3|3|");
    assert_int_equal(w.ended, 2);
    world_close_all(&w);
}

static void test_release_with_an_error_to_come(void **state) {
    struct world w;
    (void)state;
    world_open(&w);
    world_must_load(&w, "signalbox.signal_route('/', function() signalbox.sleep(0) error('last') "
                        "end)");
    assert_int_equal(world_run(&w, "/"), APP_WAITING);
    app_release(w.app);
    w.app = NULL;
    world_turn(&w);
    assert_contains(w.end_error, "last");
    world_close_all(&w);
}

static struct world *releasing;

static enum app_outcome release_within(void *ctx, struct app_call *call,
                                       const struct app_send *send, struct buf *error_out) {
    (void)ctx;
    (void)call;
    (void)send;
    (void)error_out;
    app_release(releasing->app);
    releasing->app = NULL;
    return APP_DONE;
}

static void test_release_within_a_handler(void **state) {
    static const struct app_host host = {.send = release_within, .close = world_close};
    struct world w;
    (void)state;
    world_open(&w);
    releasing = &w;
    w.environment.host = &host;
    world_must_load(&w, "signalbox.signal_route('/', function() signalbox.send{data='x'} local t = "
                        "{} for i = 1, 1000 do t[i] = {} end end)");
    assert_int_equal(world_run(&w, "/"), APP_DONE);
    world_close_all(&w);
}

/* Many at once: places are made, kept and given up. */
static void test_many(void **state) {
    struct world w;
    (void)state;
    world_open(&w);
    world_must_load(&w, "n = 0 signalbox.signal_route('/', function() signalbox.sleep(0) n = n + 1 "
                        "end)\nsignalbox.signal_route('/n', function() signalbox.send{data=n} "
                        "end)");
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 1000; i++)
            assert_int_equal(world_run(&w, "/"), APP_WAITING);
        world_turn(&w);
    }
    assert_int_equal(world_run(&w, "/n"), APP_DONE);
    assert_string_equal(world_sent(&w), "3000|");
    world_close_all(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_load_errors),
        cmocka_unit_test(test_paths),
        cmocka_unit_test(test_arguments),
        cmocka_unit_test(test_errors_of_handlers),
        cmocka_unit_test(test_sleep),
        cmocka_unit_test(test_nobody_goes_on_after_the_end),
        cmocka_unit_test(test_waiting_everywhere),
        cmocka_unit_test(test_where_nothing_waits),
        cmocka_unit_test(test_too_many_wait),
        cmocka_unit_test(test_send_that_waits),
        cmocka_unit_test(test_send_that_fails),
        cmocka_unit_test(test_release_while_waiting),
        cmocka_unit_test(test_release_with_an_error_to_come),
        cmocka_unit_test(test_release_within_a_handler),
        cmocka_unit_test(test_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
