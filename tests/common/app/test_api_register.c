/* test_api_register.c - what the main chunk registers, and what it may not. */
#include "test_app_world.h"

#include <lauxlib.h>
#include <lua.h>

static void test_errors(void **state) {
    static const struct {
        const char *text, *error;
    } rows[] = {
        {"endpoint{}", "'protocol' is missing"},
        {"endpoint{protocol='ftp'}", "the protocol 'ftp' is none of"},
        {"endpoint{protocol='httpx'}", "the protocol 'httpx'"},
        {"endpoint{protocol='wsss'}", "the protocol 'wsss'"},
        {"endpoint{protocol='http', port=65536}", "the port 65536 is not between"},
        {"endpoint{protocol='http', port=0}", "the port 0 is not between"},
        {"endpoint{protocol='http', port='8080'}", "'port' must be a whole number"},
        {"endpoint{protocol='http', prot=1}", "unknown option 'prot'"},
        {"endpoint{protocol='http', name='a\\nb'}", "'name' has a line end"},
        {"endpoint{protocol='ws', certificate='c', key='k'}", "certificate, key and password"},
        {"endpoint{protocol='http', password='p'}", "certificate, key and password"},
        {"endpoint{protocol='wss'}", "need a certificate"},
        {"endpoint{protocol='wss', key='k'}", "needs its certificate"},
        {"endpoint{protocol='ws', certificates={{certificate='c'}}}", "certificate, key and"},
        {"endpoint{protocol='ws', client_ca='c'}", "client_ca is for https"},
        {"endpoint{protocol='wss', certificate='c', client_certificate='optional'}",
         "needs client_ca"},
        {"endpoint{protocol='wss', certificate='c', client_ca='d', client_certificate='never'}",
         "'required' or 'optional'"},
        {"endpoint{protocol='wss', certificate='c', client_ca='d'} "
         "signalbox.endpoint{protocol='https', client_ca='e'}",
         "other client certificates"},
        {"endpoint{protocol='wss', certificates='c'}", "must be a list of tables"},
        {"endpoint{protocol='wss', certificates={'c'}}", "must be a list of tables"},
        {"endpoint{protocol='wss', certificates={{port=1}}}", "unknown option 'port'"},
        {"endpoint{protocol='http', auto_upgrade=true}", "auto_upgrade is for ws"},
        {"endpoint{protocol='ws', auto_upgrade=1}", "'auto_upgrade' must be true or false"},
        {"endpoint{protocol='http', port=1} signalbox.endpoint{protocol='wss', port=1, "
         "certificate='c'}",
         "with and without TLS"},
        {"endpoint{protocol='http', port=1, hostname='a'} signalbox.endpoint{protocol='ws', "
         "port=1, hostname='b'}",
         "another hostname"},
        {"endpoint{protocol='https', port=1, certificate='a'} signalbox.endpoint{protocol='wss', "
         "port=1, certificate='b'}",
         "another certificate"},
        {"endpoint{protocol='http', port=1, name='n'} signalbox.endpoint{protocol='http', port=2, "
         "name='n'}",
         "another endpoint has the name 'n'"},
        {"route()", "string expected"},
        {"route('', '/', print)", "the method is empty"},
        {"route('G T', '/', print)", "no HTTP method"},
        {"route('GET', '', print)", "the path is empty"},
        {"route('GET', '/a*', print)", "'*' may only be the last segment"},
        {"route('GET', '/*/b', print)", "'*' may only be the last segment"},
        {"route('GET', '/')", "function expected"},
        {"route('GET', '/100%', print)", "'%' that begins no escape"},
        {"route('GET', '/../x', print)", "above the root"},
        {"route('GET', '/a\\\\b', print)", "backslash"},
        {"route('GET', '/\xff', print)", "not UTF-8"},
        {"route('GET', '/' .. ('x'):rep(1024), print)", "longer than 1024 bytes"},
        {"route('GET', ('/:p'):rep(17), print)", "more than 16 placeholders"},
        {"route('GET', '/a/./b', print) signalbox.route('GET', '//%61/b', print)",
         "[GET] /a/b: Already"},
        {"route('GET', '/', print, {endpont='x'})", "unknown option 'endpont'"},
        {"route('GET', '/', print) signalbox.route('get', '/', print)", "[get] /: Already"},
        {"static('/')", "string expected"},
        {"static('/a%zz', 'x')", "'%' that begins no escape"},
        {"static('/*', 'x')", "a prefix has no '*'"},
        {"origins('x')", "table expected"},
        {"origins{'a.example'}", "an origin is \"*\" or like \"https://a.example\", \"a.example\" "
                                 "has no scheme"},
        {"origins{'*', 'https://a.example/x'}", "\"https://a.example/x\" has a path"},
        {"origins{'null'}", "\"null\" is what every sandboxed page sends"},
        {"origins{'https://*.a.example'}", "has a wildcard"},
        {"origins{'https://a\\0b'}", "origins: has a line end or a NUL in it"},
        {"origins{true}", "must be a string"},
        {"name('N')", "table expected"},
        {"name('N', {slow='never'})", "'slow' is close"},
        {"name('N', {on_gap='x'})", "'on_gap' is close or continue"},
        {"name('N', {history='no'})", "'history' must be true or false"},
        {"name('N', {}) signalbox.name('N', {})", "has its options already"},
        {"schedule('S', 'x', print)", "bad argument #2 to 'schedule'"},
        {"schedule('S', '* * * * *')", "function expected"},
        {"schedule('S', '@daily', print) signalbox.schedule('S', '@daily', print)",
         "[Schedule] S: Already defined"},
        {"signal_route('/x')", "function expected"},
        {"signal_route('/x', print, {argz={}})", "unknown option 'argz'"},
        {"signal_route('/x', print, {args='a'})", "'args' must be a list"},
        {"signal_route('/x', print, {if_exists='maybe'})", "'if_exists' is"},
        {"signal_route('/x', print) signalbox.signal_route('/X', print)",
         "[Signal] /X: Already defined"},
        {"signal_route('/%C3', print)", "not UTF-8"},
        {"signal_route('/caf%C3%A9', print) signalbox.signal_route('/caf\xC3\xA9', print)",
         "Already defined"},
        {"signal_route_group('/a/../..', print)", "above the root"},
        {"signal_route_group('/x')", "function expected"},
        {"signal_route_group('/x', {args={}}, print)", "unknown option 'args'"},
        {"on('konnect', 'N', 'e', print)", "none of connect, disconnect"},
        {"on('connect', {}, 'e', print)", "a Name was expected"},
        {"on('connect', '', 'e', print)", "a Name was expected"},
        {"on('connect', 'N', '', print)", "the event name is empty"},
        {"on('connect', 'N', 'e')", "function expected"},
        {"on('connect', 'a\\nb', 'e', print)", "name: has a line end"},
        {"on('connect', {'N', 'n'}, 'e', print)",
         "Connect event already registered for Signal connection n: e"},
        {"off('disconnect', 'N', 'e')",
         "Disconnect event not registered for Signal connection N: e"},
        {"signing{secret=7}", "'secret' must be a string"},
        {"signing{secret=''}", "the secret is empty"},
        {"signing{secret='  '}", "the secret is empty"},
        {"signing{secret='\\xff'}", "not valid UTF-8"},
        {"signing{secret='x', strict='y'}", "'strict' must be true or false"},
        {"signing(true)", "table expected"},
    };
    struct world w;
    (void)state;
    world_open(&w);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char text[400];
        snprintf(text, sizeof(text), "\nsignalbox.%s", rows[i].text);
        if (world_load(&w, text))
            fail_msg("%s\n  loaded", rows[i].text);
        assert_contains(w.error, rows[i].error);
        assert_contains(w.error, "app.lua:2: ");
    }
    world_close_all(&w);
}

static void test_endpoints(void **state) {
    struct world w;
    char path[300];
    (void)state;
    world_open(&w);
    world_must_load(
        &w, "local e = signalbox.endpoint\n"
            "e{address='127.0.0.1', port=1, protocol='http', name='first'}\n"
            "e{address='127.0.0.1', port=1, protocol='ws', name='second'}\n"
            "e{protocol='https', certificate='tls/c.pem', key='/k.pem', password='p', ocsp='o',\n"
            "  client_ca='ca.pem', client_certificate='optional',\n"
            "  certificates={{certificate='d.pem'},\n"
            "    {certificate='/e.pem', password_file='/e.password'}}}\n"
            "e{protocol='wss', auto_upgrade=true, hostname='h'}\n"
            "e{port=2, protocol='ws', auto_upgrade=true}\n"
            "e{port=2, protocol='ws'}\n"
            "e{protocol='http'}\n"
            "e{port=3, protocol='ws', auto_upgrade=true}\n"
            "e{port=3, protocol='http'}\n");
    const struct registrations *r = app_registrations(w.app);
    assert_int_equal(r->endpoints.count, 5);
    const struct endpoint *e = r->endpoints.items;
    assert_string_equal(e[0].name, "first");
    assert_true(e[0].is_http && e[0].is_ws && !e[0].is_tls && !e[0].auto_upgrade);
    assert_string_equal(e[1].address, "*");
    assert_int_equal(e[1].port, 8443);
    assert_true(e[1].is_http && e[1].is_ws && e[1].is_tls && e[1].auto_upgrade);
    snprintf(path, sizeof(path), "%s/tls/c.pem", w.folder);
    assert_int_equal(e[1].tls.count, 3);
    assert_string_equal(e[1].tls.certificates[0].certificate, path);
    assert_string_equal(e[1].tls.certificates[0].key, "/k.pem");
    snprintf(path, sizeof(path), "%s/d.pem", w.folder);
    assert_string_equal(e[1].tls.certificates[1].certificate, path);
    assert_null(e[1].tls.certificates[1].key);
    assert_string_equal(e[1].tls.certificates[2].password_file, "/e.password");
    snprintf(path, sizeof(path), "%s/ca.pem", w.folder);
    assert_string_equal(e[1].tls.client_ca, path);
    assert_true(e[1].tls.takes_any_client);
    snprintf(path, sizeof(path), "%s/o", w.folder);
    assert_string_equal(e[1].tls.certificates[0].ocsp, path);
    assert_string_equal(e[1].hostname, "h");
    assert_false(e[2].auto_upgrade);
    assert_int_equal(e[3].port, 8080);
    assert_true(e[4].is_http && e[4].is_ws && e[4].auto_upgrade);
    world_close_all(&w);
}

static void test_the_rest_of_the_gateway(void **state) {
    struct world w;
    char path[300];
    (void)state;
    world_open(&w);
    world_must_load(&w, "signalbox.route('get', 'users/:id', print)\n"
                        "signalbox.route('*', '/files/*', print, {endpoint='e'})\n"
                        "signalbox.static('/', 'public') signalbox.static('assets/', '/abs')\n"
                        "signalbox.origins{'HTTPS://A.example:443/', '*'}\n"
                        "signalbox.name('N', {slow='latest', history=false, on_gap='continue'})\n"
                        "signalbox.name('M', {})\n"
                        "signalbox.name('K', {keep='latest'}) signalbox.name('L', {keep=1000})\n"
                        "signalbox.schedule('S', '*/5 * * * *', print)\n");
    const struct registrations *r = app_registrations(w.app);
    assert_string_equal(r->routes.items[0].method, "GET");
    assert_string_equal(r->routes.items[0].path, "/users/:id");
    assert_string_equal(r->routes.items[1].endpoint, "e");
    snprintf(path, sizeof(path), "%s/public", w.folder);
    assert_string_equal(r->static_folders.items[0].folder, path);
    assert_string_equal(r->static_folders.items[1].prefix, "/assets");
    assert_string_equal(r->static_folders.items[1].folder, "/abs");
    assert_int_equal(r->origins.count, 2);
    assert_string_equal(r->origins.items[0], "https://a.example");
    assert_string_equal(r->origins.items[1], "*");
    const struct name_options *n = registrations_name_options(r, "N");
    assert_true(n->slow == SLOW_LATEST && !n->has_history && n->continues_on_gap);
    n = registrations_name_options(r, "M");
    assert_true(n->slow == SLOW_CLOSE && n->has_history && !n->continues_on_gap && n->keep == 0);
    assert_int_equal(registrations_name_options(r, "K")->keep, 1);
    assert_int_equal(registrations_name_options(r, "L")->keep, 1000);
    assert_string_equal(r->schedules.items[0].text, "*/5 * * * *");
    world_close_all(&w);
}

/* --- signal routes, events --- */

static void test_signal_routes(void **state) {
    struct world w;
    (void)state;
    world_open(&w);
    world_must_load(
        &w, "local s = signalbox\n"
            "s.signal_route('x', function() s.send{data='old'} end)\n"
            "s.signal_route('/X', function() s.send{data='new'} end, {if_exists='Overwrite'})\n"
            "s.signal_route('/x', function() s.send{data='skipped'} end, {if_exists='skip'})\n"
            "s.signal_route('/x', print, {endpoint='e'})\n"
            "assert(#s.signal_route_get('/x') == 2 and s.signal_route_get('/x')[2].endpoint == "
            "'e')\n"
            "assert(#s.signal_route_get() == 2 and #s.signal_route_get('/none') == 0)\n"
            "assert(s.signal_route_test('/x') and s.signal_route_test('X', 'E'))\n"
            "assert(not s.signal_route_test('/x', 'f') and not s.signal_route_test('/y'))\n"
            "s.signal_route_remove('/x', 'e') s.signal_route_remove('/none')\n"
            "assert(not s.signal_route_test('/x', 'e') and s.signal_route_test('/x'))\n");
    assert_int_equal(world_run(&w, "/x"), APP_DONE);
    assert_string_equal(world_sent(&w), "new|");
    world_unload(&w);
    world_must_load(&w, "signalbox.signal_route('/a', print) signalbox.signal_route('/b', print)\n"
                        "signalbox.signal_route_clear()\n"
                        "assert(#signalbox.signal_route_get() == 0)");
    world_close_all(&w);
}

static void test_groups(void **state) {
    struct world w;
    (void)state;
    world_open(&w);
    world_must_load(
        &w, "local all = {}\n"
            "signalbox.signal_route_group('/g', { endpoint = 'e', if_exists = 'skip' }, "
            "function(group)\n"
            "  group.signal_route('/a', print)\n"
            "  group.signal_route('/a', print)\n"
            "  group.signal_route('/', print, { endpoint = 'own' })\n"
            "  group.signal_route_group('deep', nil, function(deep)\n"
            "    deep.signal_route('b', print)\n"
            "    deep.signal_route('b', print)\n"
            "  end)\n"
            "end)\n"
            "signalbox.signal_route_group('/', function(group) group.signal_route('/top', print) "
            "end)\n"
            "for _, r in ipairs(signalbox.signal_route_get()) do all[#all + 1] = r.path .. '@' .. "
            "tostring(r.endpoint) end\n"
            "assert(table.concat(all, ' ') == '/g/a@e /g@own /g/deep/b@e /top@nil', "
            "table.concat(all, ' '))");
    world_close_all(&w);
}

static void test_events(void **state) {
    struct world w;
    (void)state;
    world_open(&w);
    world_must_load(
        &w, "local s = signalbox\n"
            "s.on('connect', {'A', 'B'}, 'e', print) s.on('Disconnect', 'A', 'e', print)\n"
            "assert(not pcall(s.on, 'connect', {'C', 'b'}, 'e', print))\n"
            "assert(not s.signal_event_test('connect', 'C', 'e'))\n"
            "assert(s.signal_event_test('connect', 'a', 'e') and s.signal_event_test('connect', "
            "'a'))\n"
            "assert(not s.signal_event_test('connect', 'a', 'E'))\n"
            "assert(not pcall(s.off, 'connect', {'A', 'C'}, 'e'))\n"
            "s.off('connect', {'A'}, 'e') assert(not s.signal_event_test('connect', 'A', 'e'))\n"
            "s.on('connect', 'A', 'e', print, {args={1, 2}})\n");
    const struct registrations *r = app_registrations(w.app);
    assert_int_equal(r->event_handlers.count, 3);
    assert_int_equal(r->event_handlers.items[0].type, EVENT_CONNECT);
    assert_string_equal(r->event_handlers.items[0].name, "B");
    assert_int_not_equal(r->event_handlers.items[2].arguments, LUA_NOREF);
    world_close_all(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_endpoints),
        cmocka_unit_test(test_the_rest_of_the_gateway),
        cmocka_unit_test(test_signal_routes),
        cmocka_unit_test(test_groups),
        cmocka_unit_test(test_events),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
