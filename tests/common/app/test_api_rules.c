/* test_api_rules.c - what the cluster decides at run time: rules applied to one app, and handlers
 * that go from one app to another as text. */
#include "test_app_world.h"

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

#include "common/app/running/app_state.h"
#include "common/base/base64.h"
#include "common/app/running/function_code.h"

static void apply(struct world *w, const char *field, const char *value) {
    app_apply_rule(w->app, bytes_str(field), value == NULL ? BYTES_NONE : bytes_str(value));
}

static void test_levels(void **state) {
    struct world w;
    (void)state;
    world_open(&w);
    world_must_load(&w, "signalbox.broadcast_level('group')");
    const struct levels *l = app_registrations(w.app)->levels;
    apply(&w, "level:*", "clientid");
    assert_int_equal(levels_get(l, BYTES_NONE), LEVEL_CLIENT_ID);
    apply(&w, "level:msg", "name");
    assert_int_equal(levels_get(l, BYTES_LIT("Msg")), LEVEL_NAME);
    apply(&w, "level:msg", "nonsense");
    assert_int_equal(levels_get(l, BYTES_LIT("Msg")), LEVEL_NAME);
    apply(&w, "level:msg", NULL);
    assert_int_equal(levels_get(l, BYTES_LIT("Msg")), LEVEL_CLIENT_ID);
    apply(&w, "level:*", NULL);
    assert_int_equal(levels_get(l, BYTES_NONE), LEVEL_GROUP);
    apply(&w, "unknown:field", "x");
    world_close_all(&w);
    world_open(&w);
    world_must_load(&w, "signalbox.broadcast_level('*', 'group') "
                        "signalbox.broadcast_level('Msg', 'name')");
    l = app_registrations(w.app)->levels;
    assert_int_equal(levels_get(l, BYTES_NONE), LEVEL_GROUP);
    assert_int_equal(levels_get(l, BYTES_LIT("Other")), LEVEL_GROUP);
    assert_int_equal(levels_get(l, BYTES_LIT("msg")), LEVEL_NAME);
    world_close_all(&w);
}

static void test_default_broadcast(void **state) {
    struct world w;
    (void)state;
    world_open(&w);
    world_must_load(&w, "signalbox.default_broadcast(false) "
                        "signalbox.default_broadcast('Msg', true)");
    const struct default_broadcast *d = app_registrations(w.app)->default_broadcast;
    static const struct {
        const char *field, *value;
        bool msg, other; /* whether they are open afterwards */
    } steps[] = {
        {"default:*", "on", true, true},       {"default:msg", "off", false, true},
        {"default:msg", "maybe", false, true}, {"default:*", NULL, false, false},
        {"default:msg", NULL, true, false}, /* what the app file says again */
    };
    for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
        apply(&w, steps[i].field, steps[i].value);
        assert_int_equal(default_broadcast_get(d, BYTES_LIT("Msg")), steps[i].msg);
        assert_int_equal(default_broadcast_get(d, BYTES_LIT("Other")), steps[i].other);
    }
    world_close_all(&w);
}

static void test_scope_and_signing(void **state) {
    struct world w;
    (void)state;
    world_open(&w);
    world_must_load(&w, "signalbox.default_scope('local') signalbox.signing{secret='own', "
                        "strict=true}");
    const struct registrations *r = app_registrations(w.app);
    apply(&w, "scope", "global");
    assert_int_equal(r->default_scope, SCOPE_GLOBAL);
    apply(&w, "scope", NULL);
    assert_int_equal(r->default_scope, SCOPE_LOCAL);
    apply(&w, "signing", "{\"on\":true,\"secret\":\"new\\\"s\",\"strict\":false}");
    assert_string_equal(r->signing.secret, "new\"s");
    assert_true(r->signing.is_on && !r->signing.is_strict);
    apply(&w, "signing", "{\"on\":false}");
    assert_false(r->signing.is_on);
    apply(&w, "signing", "not JSON");
    apply(&w, "signing", "{\"on\":true}");
    apply(&w, "signing", "{\"on\":true,\"secret\":\" \"}");
    assert_false(r->signing.is_on);
    apply(&w, "signing", NULL);
    assert_string_equal(r->signing.secret, "own");
    assert_true(r->signing.is_on && r->signing.is_strict);
    apply(&w, "signing", "{\"on\":true,\"secret\":\"signalbox:server-secret\",\"strict\":true}");
    assert_true(r->signing.uses_server_secret && r->signing.secret == NULL);
    app_set_server_secret(w.app, BYTES_LIT("told"));
    assert_string_equal(r->signing.secret, "told");
    assert_true(r->signing.is_strict);
    apply(&w, "signing", NULL);
    assert_string_equal(r->signing.secret, "own");
    world_close_all(&w);
}

/* --- handlers as text --- */

/* The value that `on`, `signal_route` … would publish for the function the script gives. */
static char *value_of(const struct app_change *change, const char *script) {
    lua_State *L = luaL_newstate();
    struct buf value = {0}, error = {0};
    luaL_requiref(L, "_G", luaopen_base, 1);
    lua_pop(L, 1);
    assert_int_equal(luaL_dostring(L, script), LUA_OK);
    int arguments = lua_gettop(L) > 1 ? 2 : 0;
    if (!function_code_write(L, change, 1, arguments, &value, &error)) {
        buf_clear(&value);
        buf_append_str(&value, "! ");
        buf_append(&value, buf_bytes(&error));
    }
    buf_deinit(&error);
    lua_close(L);
    return buf_take(&value);
}

static const struct app_change route_x = {.is_route = true, .is_set = true, .path = "/X"};
static const struct app_change event_e = {
    .is_set = true, .type = EVENT_DISCONNECT, .name = "A:b", .event_name = "e"};

static void test_fields(void **state) {
    struct buf field = {0};
    (void)state;
    function_code_field(&route_x, &field);
    struct app_change bound = route_x;
    bound.endpoint = "Main";
    buf_append_char(&field, ' ');
    function_code_field(&bound, &field);
    buf_append_char(&field, ' ');
    function_code_field(&event_e, &field);
    buf_append_char(&field, '\0');
    assert_string_equal(field.ptr, "route::/x route:main:/x event:disconnect:a%3ab:e");
    buf_deinit(&field);
}

static void test_refused_upvalues(void **state) {
    static const struct {
        const char *script, *error;
    } rows[] = {
        {"local t = {} return function() return t end", "'t' is a table"},
        {"local function f() return f() end return f", "'f' is a function"},
        {"return print", "must be a function of Lua"},
        {"return function() end, {print}", "no JSON for a function"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char *value = value_of(&route_x, rows[i].script);
        assert_contains(value, rows[i].error);
        free(value);
    }
}

static void test_a_handler_travels(void **state) {
    struct world w;
    (void)state;
    char *value = value_of(
        &route_x, "local a, b, c, d, e, g = 'te\\0xt\\xff', -7, 0.1, true, nil, false\n"
                  "return function(...) signalbox.send{data=signalbox.json({a:byte(3), #a, b, c, "
                  "d, e == nil, g, ...})} b = b + 1 end, {'x', {1}}");
    world_open(&w);
    world_must_load(&w, "");
    apply(&w, "route::/x", value);
    apply(&w, "route::/x", value);
    assert_int_equal(app_registrations(w.app)->signal_routes.count, 1);
    assert_string_equal(app_registrations(w.app)->signal_routes.items[0].path, "/X");
    assert_int_equal(world_run(&w, "/x"), APP_DONE);
    apply(&w, "route::/x", value); /* nothing new: the function keeps what it counts */
    assert_int_equal(world_run(&w, "/x"), APP_DONE);
    assert_string_equal(world_sent(&w), "[0,6,-7,0.1,true,true,false,\"x\",[1]]|"
                                        "[0,6,-6,0.1,true,true,false,\"x\",[1]]|");
    apply(&w, "route::/x", NULL);
    assert_int_equal(app_registrations(w.app)->signal_routes.count, 0);
    free(value);
    world_close_all(&w);
}

/* The app file's own comes back when the cluster forgets. */
static void test_own_registrations(void **state) {
    struct world w;
    struct app_change remove_x = route_x;
    (void)state;
    remove_x.is_set = false;
    char *set = value_of(&route_x, "return function() signalbox.send{data='theirs'} end");
    char *gone = value_of(&remove_x, "return nil");
    world_open(&w);
    world_must_load(&w, "signalbox.signal_route('/x', function() signalbox.send{data='own'} end)\n"
                        "signalbox.signal_route('/*', print)");
    const struct registrations *r = app_registrations(w.app);
    for (int i = 0; i < 2; i++) {
        apply(&w, "route::/x", set);
        assert_int_equal(world_run(&w, "/x"), APP_DONE);
        if (i == 0)
            assert_string_equal(r->signal_routes.items[1].path, "/*");
        apply(&w, "route::/x", gone);
        assert_int_equal(r->signal_routes.count, 1);
        apply(&w, "route::/x", set);
        assert_int_equal(world_run(&w, "/x"), APP_DONE);
        apply(&w, "route::/x", NULL);
        assert_int_equal(world_run(&w, "/x"), APP_DONE);
        assert_string_equal(world_sent(&w), "theirs|theirs|own|");
    }
    apply(&w, "route::/x", gone);
    free(set);
    free(gone);
    world_close_all(&w);
}

static void test_events(void **state) {
    struct world w;
    (void)state;
    char *set = value_of(&event_e, "return function() end");
    world_open(&w);
    world_must_load(&w, "");
    const struct registrations *r = app_registrations(w.app);
    apply(&w, "event:disconnect:a%3ab:e", set);
    assert_int_equal(r->event_handlers.count, 1);
    assert_int_equal(r->event_handlers.items[0].type, EVENT_DISCONNECT);
    assert_string_equal(r->event_handlers.items[0].name, "A:b");
    apply(&w, "event:disconnect:a%3ab:e", NULL);
    assert_int_equal(r->event_handlers.count, 0);
    free(set);
    world_close_all(&w);
}

/* A path from Redis is matched as it stands, so one that no request can have is refused. */
static void test_a_path_that_is_not_canonical(void **state) {
    static const char *const paths[] = {"/%61",  "//a", "/a/../b", "a",
                                        "/100%", "/..", "/a\\b",   "/a%2fb"};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        struct function_code code = {0};
        struct buf value = {0}, error = {0};
        buf_printf(&value, "{\"op\":\"remove\",\"path\":\"%s\"}", paths[i]);
        assert_false(function_code_read(&code, buf_bytes(&value), &error));
        buf_append_char(&error, '\0');
        assert_string_equal(error.ptr, "its path is not canonical");
        function_code_free(&code);
        buf_deinit(&value);
        buf_deinit(&error);
    }
}

static void test_rules_that_are_none(void **state) {
    static const char *const values[] = {
        "x",
        "{}",
        "[]",
        "{\"op\":\"set\"}",
        "{\"op\":\"set\",\"path\":\"/x\"}",
        "{\"op\":\"set\",\"path\":\"/x\",\"code\":7,\"upvalues\":[]}",
        "{\"op\":\"set\",\"path\":\"/x\",\"code\":\"!!!!\",\"upvalues\":[]}",
        "{\"op\":\"set\",\"path\":\"/x\",\"code\":\"AAAA\",\"upvalues\":[]}",
        "{\"op\":\"set\",\"path\":\"/x\",\"code\":\"cmV0dXJu\",\"upvalues\":[]}",
        /* bytecode, and what used to hold it */
        "{\"op\":\"set\",\"path\":\"/x\",\"line\":0,\"source\":\"G0x1YVQ=\",\"upvalues\":[]}",
        "{\"op\":\"set\",\"path\":\"/x\",\"line\":1,\"source\":\"G0x1YVQ=\",\"upvalues\":[]}",
        "{\"op\":\"set\",\"path\":\"/"
        "x\",\"line\":99999999999,\"source\":\"cmV0dXJu\",\"upvalues\":[]}",
        "{\"op\":\"set\",\"path\":\"/x\",\"line\":-1,\"source\":\"cmV0dXJu\",\"upvalues\":[]}",
        /* `while true do end` before there is a function */
        "{\"op\":\"set\",\"path\":\"/"
        "x\",\"line\":1,\"source\":\"d2hpbGUgdHJ1ZSBkbyBlbmQ=\",\"upvalues\":[]}",
        "{\"op\":\"away\",\"path\":\"/x\"}",
        "{\"op\":\"remove\",\"name\":\"A\"}",
    };
    struct world w;
    (void)state;
    world_open(&w);
    world_must_load(&w, "");
    for (size_t i = 0; i < ARRAY_LEN(values); i++) {
        apply(&w, "route::/x", values[i]);
        assert_int_equal(app_registrations(w.app)->signal_routes.count, 0);
    }
    world_close_all(&w);
}

/* The value with one part of it replaced. */
static char *replaced(const char *value, const char *part, const char *by) {
    struct buf out = {0};
    const char *at = strstr(value, part);
    assert_non_null(at);
    buf_append(&out, bytes_of(value, (size_t)(at - value)));
    buf_append_str(&out, by);
    buf_append_str(&out, at + strlen(part));
    return buf_take(&out);
}

/* All is right but the operation, or a number that is longer than any number. */
static void test_rules_that_are_nearly_right(void **state) {
    static const struct {
        int digits;
        const char *sent;
    } rows[] = {{1, "7|"}, {63, "7|"}, {64, "0|"}, {65, "0|"}};
    struct world w;
    char upvalue[80];
    char *value = value_of(&route_x, "local n = 7 return function() signalbox.send{data=n} end");
    char *other = replaced(value, "\"op\":\"set\"", "\"op\":\"sat\"");
    (void)state;
    world_open(&w);
    world_must_load(&w, "");
    apply(&w, "route::/x", other);
    assert_int_equal(app_registrations(w.app)->signal_routes.count, 0);
    free(other);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        snprintf(upvalue, sizeof(upvalue), "\"i%0*d\"", rows[i].digits, 7);
        other = replaced(value, "\"i7\"", upvalue);
        apply(&w, "route::/x", other);
        assert_int_equal(world_run(&w, "/x"), APP_DONE);
        assert_string_equal(world_sent(&w), rows[i].sent);
        free(other);
    }
    free(value);
    world_close_all(&w);
}

/* At run time without a cluster (`signalbox run-route`): it holds here. */
static void test_at_run_time(void **state) {
    struct world w;
    (void)state;
    world_open(&w);
    world_must_load(
        &w, "local answer = 'said'\n"
            "signalbox.signal_route('/add', function() signalbox.signal_route('/new', function() "
            "signalbox.send{data=answer} end) end)\n"
            "signalbox.signal_route('/events', function() local s = signalbox "
            "s.on('connect', {'A', 'B'}, 'e', function() end) "
            "assert(s.signal_event_test('connect', 'b', 'e'))\n"
            "s.off('connect', {'a', 'b'}, 'e') assert(not s.signal_event_test('connect', 'A')) "
            "end)\n"
            "signalbox.signal_route('/remove', function() signalbox.signal_route_remove('/new') "
            "end)\n"
            "signalbox.signal_route('/clear', function() signalbox.signal_route_clear() end)\n"
            "signalbox.signal_route('/group', function() signalbox.signal_route_group('/g', {}, "
            "function(g) g.signal_route('/x', function() end) end) end)\n"
            "signalbox.signal_route('/table', function() local t = {} "
            "signalbox.signal_route('/t', function() return t end) end)\n");
    const struct registrations *r = app_registrations(w.app);
    assert_int_equal(world_run(&w, "/add"), APP_DONE);
    assert_int_equal(world_run(&w, "/new"), APP_DONE);
    assert_string_equal(world_sent(&w), "said|");
    assert_int_equal(world_run(&w, "/add"), APP_FAILED);
    assert_contains(w.error, "[Signal] /new: Already defined");
    assert_int_equal(world_run(&w, "/events"), APP_DONE);
    assert_int_equal(world_run(&w, "/remove"), APP_DONE);
    assert_int_equal(world_run(&w, "/add"), APP_DONE);
    assert_int_equal(world_run(&w, "/group"), APP_DONE);
    assert_non_null(registrations_signal_route(r, "/g/x", NULL));
    assert_int_equal(world_run(&w, "/table"), APP_FAILED);
    assert_contains(w.error, "'t' is a table");
    assert_int_equal(world_run(&w, "/clear"), APP_DONE);
    assert_int_equal(r->signal_routes.count, 0);
    world_close_all(&w);
}

static void test_base64(void **state) {
    char decoded[8];
    size_t len;
    (void)state;
    for (size_t n = 0; n <= 6; n++) {
        struct buf text = {0};
        base64_append(&text, bytes_of("\0\xff\x80xyz", n));
        assert_int_equal(text.len, (n + 2) / 3 * 4);
        assert_true(base64_decode(buf_bytes(&text), decoded, &len));
        assert_int_equal(len, n);
        assert_memory_equal(decoded, "\0\xff\x80xyz", n);
        buf_deinit(&text);
    }
    assert_false(base64_decode(BYTES_LIT("AAA"), decoded, &len));
    assert_false(base64_decode(BYTES_LIT("A=AA"), decoded, &len));
    assert_false(base64_decode(BYTES_LIT("A==="), decoded, &len));
    assert_false(base64_decode(BYTES_LIT("AA A"), decoded, &len));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_levels),
        cmocka_unit_test(test_default_broadcast),
        cmocka_unit_test(test_scope_and_signing),
        cmocka_unit_test(test_fields),
        cmocka_unit_test(test_refused_upvalues),
        cmocka_unit_test(test_a_handler_travels),
        cmocka_unit_test(test_own_registrations),
        cmocka_unit_test(test_events),
        cmocka_unit_test(test_a_path_that_is_not_canonical),
        cmocka_unit_test(test_rules_that_are_none),
        cmocka_unit_test(test_rules_that_are_nearly_right),
        cmocka_unit_test(test_at_run_time),
        cmocka_unit_test(test_base64),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
