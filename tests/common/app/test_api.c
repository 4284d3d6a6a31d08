/* test_api.c - the functions of `signalbox` that a handler calls: what they give to the host, and
 * the errors of their arguments. */
#include "test_app_world.h"

/* --- send --- */

static void test_send_data(void **state) {
    static const struct {
        const char *options, *sent;
    } rows[] = {
        {"data='verbatim \\n'", "verbatim \n|"},
        {"data=' '", " |"},
        {"data='2024-01-01T00:00:00Z'", "2024-01-01T00:00:00Z|"},
        {"data=''", ""},
        {"data=nil", ""},
        {"data=signalbox.null", ""},
        {"data={}", ""},
        {"data=signalbox.array{}", ""},
        {"data=false", "false|"},
        {"data=0", "0|"},
        {"data=12.5", "12.5|"},
        {"data={1,2}", "[1,2]|"},
        {"data={b={},a='x'}", "{\"a\":\"x\",\"b\":{}}|"},
        {"data={{{{1}}}}, depth=2", "[[\"table\"]]|"},
        {"data={{{{1}}}}, depth=0", "[[\"table\"]]|"},
        {"data={{{{1}}}}, depth=-1", "[[\"table\"]]|"},
        {"data=print", "error: "},
        {"data=0/0", "JSON has no number"},
        {"name='N'", ""},
    };
    char body[200];
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        snprintf(body, sizeof(body), "signalbox.send{%s}", rows[i].options);
        const char *answer = world_answer(body);
        if (rows[i].sent[0] == '\0' ? answer[0] != '\0' : strstr(answer, rows[i].sent) == NULL)
            fail_msg("%s\n  sent     %s\n  expected %s", body, answer, rows[i].sent);
    }
}

static struct buf seen;

static void see_list(const char *what, struct bytes_list list) {
    if (bytes_list_is_nobody(list))
        buf_printf(&seen, "%s={} ", what);
    for (size_t i = 0; i < list.count; i++)
        buf_printf(&seen, "%s=%.*s ", what, BYTES_FMT(list.items[i]));
}

static enum app_outcome see_send(void *ctx, struct app_call *call, const struct app_send *send,
                                 struct buf *error_out) {
    (void)ctx;
    (void)error_out;
    assert_non_null(call);
    see_list("n", send->what.names);
    see_list("g", send->what.groups);
    see_list("c", send->what.clients);
    buf_printf(&seen, "%s%s%s%s|", (send->what.flags & FLAG_JSON) ? "json " : "",
               (send->what.flags & FLAG_BINARY) ? "binary " : "", send->is_direct ? "direct " : "",
               send->ignores_event ? "ignores " : "");
    return APP_DONE;
}

static enum app_outcome see_close(void *ctx, struct app_call *call, const struct delivery *close,
                                  struct buf *error_out) {
    (void)ctx;
    (void)call;
    (void)error_out;
    see_list("n", close->names);
    see_list("g", close->groups);
    see_list("c", close->clients);
    buf_printf(&seen, "%lld %.*s|", (long long)close->code, BYTES_FMT(close->data));
    return APP_DONE;
}

static void test_what_the_host_sees(void **state) {
    static const struct app_host host = {.send = see_send, .close = see_close};
    static const struct {
        const char *call, *seen;
    } rows[] = {
        {"send{name='N', data='x'}", "n=N |"},
        {"send{name={'N', 'M'}, group={'a', 'b'}, client_id={1, 2.5, 'c'}, data='x'}",
         "n=N n=M g=a g=b c=1 c=2.5 c=c |"},
        {"send{name='', group='', client_id={'', 7, signalbox.null}, data={1}}", "c=7 json |"},
        {"send{clientId=42, data=1}", "c=42 json |"},
        {"send{name={}, group={''}, client_id={signalbox.null}, data='x'}", "n={} g={} c={} |"},
        {"send{name=signalbox.array{}, data='x'}", "n={} |"},
        {"close{name='N', client_id={}}", "n=N c={} 1000 |"},
        {"close{group={''}}", "g={} 1000 |"},
        {"close{clientId='x'}", "c=x 1000 |"},
        {"send{data='x', mode='DIRECT', ignore_event=true, binary=true}",
         "binary direct ignores |"},
        {"send{data='x', mode='Broadcast'} signalbox.send{data='x', mode='auto'}", "||"},
        {"send{data='x', mode=signalbox.null, name=signalbox.null}", "|"},
        {"close{name='N'}", "n=N 1000 |"},
        {"close{name='N', group='g', client_id={'a', 1}, code=4999, reason='bye'}",
         "n=N g=g c=a c=1 4999 bye|"},
        {"close{client_id='x', code=1001}", "c=x 1001 |"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct world w;
        char lua[300];
        world_open(&w);
        w.environment.host = &host;
        snprintf(lua, sizeof(lua), "signalbox.signal_route('/', function() signalbox.%s end)",
                 rows[i].call);
        world_must_load(&w, lua);
        if (world_run(&w, "/") != APP_DONE)
            fail_msg("%s\n  failed with %s", rows[i].call, w.error);
        buf_append_char(&seen, '\0');
        assert_string_equal(seen.ptr, rows[i].seen);
        buf_deinit(&seen);
        world_close_all(&w);
    }
}

/* --- errors --- */

static void test_argument_errors(void **state) {
    static const struct {
        const char *call, *error;
    } rows[] = {
        {"send('x')", "bad argument #1 to 'send' (table expected, got string)"},
        {"send()", "table expected, got no value"},
        {"send{dta='x'}", "unknown option 'dta'"},
        {"send{'x'}", "a key of the options is a number"},
        {"send{data='x', name=true}", "name: must be a string or a list of strings"},
        {"send{data='x', group={{}}}", "group: must be a string or a list"},
        {"send{data='x', client_id=print}", "clientId: must be a string or a list"},
        {"send{data='x', client='x'}", "unknown option 'client'"},
        {"send{data='x', Client_ID='x'}", "unknown option 'Client_ID'"},
        {"send{data='x', ['name\\0']='x'}", "unknown option 'name' with a NUL"},
        {"send{data='x', client_id='x', clientId='x'}", "are one option, and both are given"},
        {"close{client_id={}, clientId={}}", "are one option, and both are given"},
        {"allows{name='N', client_id='x', clientId='x'}", "are one option, and both are given"},
        {"send{data='x', client_id={id='x'}}", "clientId: must be a string or a list"},
        {"send{data='x', client_id={[2]='x'}}", "clientId: must be a string or a list"},
        {"send{data='x', client_id={'x', n=1}}", "clientId: must be a string or a list"},
        {"send{data='x', group={true}}", "group: must be a string or a list"},
        {"send{data='x', name=('x'):rep(1025)}", "name: has more than 1024 bytes"},
        {"send{data='x', group={'a', ('x'):rep(1025)}}", "group: has more than 1024 bytes"},
        {"send{data='x', client_id='a\\nb'}", "clientId: has a line end or a NUL"},
        {"send{data='x', client_id='\\xff'}", "clientId: is not valid UTF-8"},
        {"send{data='x', name=(function() local t = {} for i = 1, 1001 do t[i] = 'N' .. i end "
         "return t "
         "end)()}",
         "name: has more than 1000 elements"},
        {"send{data=('x'):rep(1000000), name=(function() local t = {} for i = 1, 1000 do t[i] = "
         "'N' .. i "
         "end return t end)()}",
         "1000 Names times 1000000 bytes are more than"},
        {"groups(('x'):rep(1025))", "the name has more than 1024 bytes"},
        {"clients{name=('x'):rep(1025)}", "name: has more than 1024 bytes"},
        {"send{data='x', mode='loud'}", "the mode 'loud' is none of"},
        {"send{data='x', mode=1}", "the option 'mode' must be a string"},
        {"send{data='x', ignore_event='yes'}", "'ignore_event' must be true or false"},
        {"send{data='x', binary=1}", "'binary' must be true or false"},
        {"send{data='x', depth='many'}", "'depth' must be a whole number"},
        {"send{data='x', depth=1.5}", "'depth' must be a whole number"},
        {"send{data=('x'):rep(5000000)}",
         "data: has 5000000 bytes, more than 4194304 (--max-message-bytes)"},
        {"close{}", "a name, group or client_id is needed"},
        {"close{name=''}", "a name, group or client_id is needed"},
        {"send{data='\\xff'}", "data: is not valid UTF-8; send it as binary"},
        {"close{name='N', code=1005}", "code: must be 1000, 1001, or 3000 to 4999"},
        {"close{name='N', code=2999}", "code: must be 1000, 1001, or 3000 to 4999"},
        {"close{name='N', code=5000}", "code: must be 1000, 1001, or 3000 to 4999"},
        {"close{name='N', code='x'}", "'code' must be a whole number"},
        {"close{name='N', reason=('x'):rep(124)}", "reason: has more than 123 bytes"},
        {"close{name='N', reason='\\xff'}", "reason: is not valid UTF-8"},
        {"close{name='N', reason='a\\r\\nb'}", "'reason' has a line end"},
        {"close{name='N', why='x'}", "unknown option 'why'"},
        {"allows{names='N'}", "unknown option 'names'"},
        {"sleep()", "number expected"},
        {"sleep(-1)", "from 0 to 86400"},
        {"sleep(86401)", "from 0 to 86400"},
        {"sleep(0/0)", "from 0 to 86400"},
        {"lock()", "a key or a lockable"},
        {"lock({}, print)", "a key or a lockable"},
        {"lock('', print)", "the key is empty"},
        {"lock(('x'):rep(1025), print)", "the key has more than 1024 bytes"},
        {"lock(('x'):rep(1024), print)", "signalbox.lock needs Redis"},
        {"lock('k')", "function expected"},
        {"lock('k', function() end)", "signalbox.lock needs Redis"},
        {"lock({lock_key='k'}, function() end)", "signalbox.lock needs Redis"},
        {"store.get()", "string expected"},
        {"store.get('')", "the key is empty"},
        {"store.get(('x'):rep(1025))", "the key has more than 1024 bytes"},
        {"store.get(('\\0'):rep(1024))", "signalbox.store.get needs Redis"},
        {"store.set('k', 1, 10 * 365 * 86400)", "needs Redis"},
        {"store.set('k', 1, 10 * 365 * 86400 + 1)", "ten years"},
        {"store.get('k')", "signalbox.store.get needs Redis"},
        {"store.set('k')", "a value was expected"},
        {"store.set('k', nil)", "a value was expected"},
        {"store.set('k', 1, -1)", "seconds to live"},
        {"store.set('k', 1, 'x')", "number expected"},
        {"store.set('k', print)", "needs Redis"},
        {"store.incr('k', 'x')", "number expected"},
        {"store.incr('k', 1.5)", "no integer representation"},
        {"store.delete({})", "string expected"},
        {"names()", "signalbox.names needs Redis"},
        {"groups()", "string expected"},
        {"groups('')", "the name is empty"},
        {"groups('N')", "signalbox.groups needs Redis"},
        {"clients{}", "'name' is missing"},
        {"clients{name={}}", "'name' must be a string"},
        {"clients{name='N', id=1}", "unknown option 'id'"},
        {"clients{name='N'}", "signalbox.clients needs Redis"},
        {"exists{}", "a name or a client_id"},
        {"exists{name='N', client_id={'a', 'b'}}", "one id"},
        {"exists{name='N'}", "signalbox.exists needs Redis"},
        {"server_secret()", "signalbox.server_secret needs Redis"},
        {"broadcast_level('group')", "needs Redis"},
        {"broadcast_level('N', 'loud')", "none of name, group, client_id"},
        {"broadcast_level('a\\nb')", "line end"},
        {"broadcast_level({})", "string expected"},
        {"default_broadcast(false)", "needs Redis"},
        {"default_broadcast('N', 1)", "boolean expected"},
        {"default_broadcast(true, 'N')", "the Name stands before"},
        {"default_broadcast('a\\nb', true)", "line end"},
        {"default_broadcast({}, true)", "string expected"},
        {"default_scope('some')", "none of global, local"},
        {"default_scope('local')", "needs Redis"},
        {"signing{secret='x'}", "needs Redis"},
        {"signing{}", "'secret' must be a string"},
        {"sign('ann')", "signing is off"},
        {"sign('a\\nb')", "line end"},
        {"sign('')", "the id is empty"},
        {"sign()", "string expected"},
        {"json()", "value expected"},
        {"json(print)", "no JSON for a function"},
        {"parse_json('[')", "no JSON: a value was expected, at byte 2"},
        {"parse_json()", "string expected"},
        {"array(1)", "table expected"},
        {"array(setmetatable({}, {}))", "metatable already"},
        {"log()", "string expected"},
        {"endpoint{protocol='http'}", "endpoint: only in the main chunk"},
        {"route('GET', '/', print)", "route: only in the main chunk"},
        {"static('/', 'x')", "static: only in the main chunk"},
        {"origins{'*'}", "origins: only in the main chunk"},
        {"name('N', {})", "name: only in the main chunk"},
        {"schedule('S', '* * * * *', print)", "schedule: only in the main chunk"},
        {"on('connect', 'N', 'e', print)", "must be a function of Lua"},
        {"off('connect', 'N', 'e')", "Connect event not registered for Signal connection N: e"},
    };
    char body[300];
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        snprintf(body, sizeof(body), "signalbox.%s", rows[i].call);
        const char *answer = world_answer(body);
        if (strncmp(answer, "error: ", 7) != 0 || strstr(answer, rows[i].error) == NULL)
            fail_msg("%s\n  gave     %s\n  expected %s", body, answer, rows[i].error);
        if (strstr(answer, "app.lua:1: ") == NULL)
            fail_msg("%s\n  without its place: %s", body, answer);
    }
}

/* --- what answers at once --- */

static void test_answers(void **state) {
    static const struct {
        const char *body, *answer;
    } rows[] = {
        {"signalbox.send{data=signalbox.json({1, {a = signalbox.null}})}", "[1,{\"a\":null}]|"},
        {"signalbox.send{data=signalbox.json(signalbox.array{})}", "[]|"},
        {"signalbox.send{data=signalbox.json(signalbox.array(signalbox.array{}))}", "[]|"},
        {"signalbox.send{data=signalbox.json(signalbox.array(signalbox.parse_json('[]')))}", "[]|"},
        {"signalbox.send{data=signalbox.json(signalbox.parse_json('[[],{}]'))}", "[[],{}]|"},
        {"signalbox.send{data=signalbox.json({{{1}}}, 1)}", "[\"table\"]|"},
        {"signalbox.send{data=signalbox.json({{{1}}}, 0)}", "[[\"table\"]]|"},
        {"signalbox.send{data=tostring(signalbox.parse_json('null'))}", "nil|"},
        {"signalbox.send{data=tostring(signalbox.parse_json('[null]')[1] == signalbox.null)}",
         "true|"},
        {"signalbox.send{data=signalbox.broadcast_level()}", "name|"},
        {"signalbox.send{data=signalbox.broadcast_level(nil)}", "name|"},
        {"signalbox.send{data=signalbox.broadcast_level('N')}", "name|"},
        {"signalbox.send{data=tostring(signalbox.default_broadcast())}", "true|"},
        {"signalbox.send{data=tostring(signalbox.default_broadcast('N'))}", "true|"},
        {"signalbox.send{data=signalbox.default_scope()}", "global|"},
        {"signalbox.send{data=tostring(pcall(signalbox.sign, 'plain'))}", "false|"},
        {"signalbox.send{data=tostring(signalbox.verify('plain'))}", "false|"},
        {"signalbox.send{data=tostring(signalbox.verify('s:x.y'))}", "false|"},
        {"signalbox.send{data=tostring(signalbox.verify(''))}", "false|"},
        {"signalbox.send{data=tostring(signalbox.is_signed('s:x'))}", "true|"},
        {"signalbox.send{data=tostring(signalbox.allows{name='N'})}", "true|"},
        {"signalbox.send{data=signalbox.json(signalbox.parse_json('{\"b\":1.0,\"a\":[2.50]}'))}",
         "{\"b\":1.0,\"a\":[2.50]}|"},
        {"local v = signalbox.parse_json('{\"b\":1.0,\"a\":[2.50]}') v.b = 3 "
         "signalbox.send{data=v}",
         "{\"b\":3,\"a\":[2.50]}|"},
        {"signalbox.send{data=tostring(signalbox.signal_route_test('/'))}", "true|"},
        {"local f = function() end signalbox.signal_route('/a', f) "
         "signalbox.signal_route('/b', f, {endpoint='e'}) "
         "local t = signalbox.signal_route_test "
         "signalbox.send{data=signalbox.json{t'/a', t'/A', t'/b', t'/c', t('/a', 'e'), "
         "t('/b', 'e'), t('/b', 'x')}}",
         "[true,true,true,false,false,true,false]|"},
        {"signalbox.send{data=tostring(signalbox.signal_event_test('connect', 'N', 'e'))}",
         "false|"},
        {"signalbox.log('text') print('a', 1, nil, {}) signalbox.send{data='fine'}", "fine|"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const char *answer = world_answer(rows[i].body);
        if (strcmp(answer, rows[i].answer) != 0)
            fail_msg("%s\n  gave     %s\n  expected %s", rows[i].body, answer, rows[i].answer);
    }
}

static void test_levels_and_scope_of_the_app_file(void **state) {
    struct world w;
    (void)state;
    world_open(&w);
    world_must_load(&w, "signalbox.broadcast_level('client_id')\n"
                        "signalbox.broadcast_level('Loose', 'Name')\n"
                        "signalbox.broadcast_level('Mid', 'group')\n"
                        "signalbox.default_scope('Local')\n"
                        "local b = signalbox.broadcast_level\n"
                        "assert(b() == 'clientid' and b('loose') == 'name' and b('MID') == "
                        "'group')\n"
                        "assert(signalbox.default_scope() == 'local')\n"
                        "local a = signalbox.allows\n"
                        "assert(a{name='Loose'} and not a{name='Mid'} and a{name='Mid', "
                        "group='g'})\n"
                        "assert(not a{name='Mid', group={}} and not a{name='Other', clientId={}})\n"
                        "assert(not a{name={'Loose', 'Other'}} and not a{} and a{client_id=1})\n");
    const struct registrations *r = app_registrations(w.app);
    assert_int_equal(r->default_scope, SCOPE_LOCAL);
    assert_int_equal(levels_get(r->levels, BYTES_LIT("x")), LEVEL_CLIENT_ID);
    world_close_all(&w);
}

static void signing_context(void *ctx, struct app_call *call, struct signing_context *who_out) {
    (void)ctx;
    (void)call;
    who_out->user_agent = BYTES_LIT("curl/8.5.0");
    who_out->remote_address = BYTES_LIT("::1");
}

/* Vectors V2, V8 and V10 of the reference. */
static void test_signing(void **state) {
    static const struct app_host host = {.send = world_send, .signing_context = signing_context};
    struct world w;
    (void)state;
    world_open(&w);
    w.environment.host = &host;
    world_must_load(
        &w, "signalbox.signing{secret='Sup3rS3cr37!'}\n"
            "assert(signalbox.sign('my-client-id') == "
            "'s:my-client-id.dWeBSAxPRuhkQKBBIiLvAcRZ6vAZAI8G7+qcGvoOA+Q=')\n"
            "signalbox.signing(false) assert(not pcall(signalbox.sign, 'x'))\n"
            "assert(not signalbox.verify('s:my-client-id"
            ".dWeBSAxPRuhkQKBBIiLvAcRZ6vAZAI8G7+qcGvoOA+Q=') and not signalbox.verify('x'))\n"
            "signalbox.signing{secret='super-secret', strict=true}\n"
            "assert(signalbox.sign('my-client-id') == "
            "'s:my-client-id.tunfLy/VtJtfFFxBGFhAeTX/0TVQK0DhVgemMszmIMQ=')\n"
            "signalbox.signal_route('/', function() local id = signalbox.sign('my-client-id') "
            "signalbox.send{data=id .. tostring(signalbox.verify(id))} end)");
    assert_int_equal(world_run(&w, "/"), APP_DONE);
    assert_string_equal(world_sent(&w),
                        "s:my-client-id.hfjQCc1cINRs58Hkv/9iWrbOlkOrqH7Jt2pK6EMamug=true|");
    world_close_all(&w);
}

static void test_server_secret(void **state) {
    struct world w;
    (void)state;
    static const struct {
        const char *rule;
        bool is_strict;
    } cases[] = {{"signalbox.signing{secret=signalbox.server_secret()}", false},
                 {"signalbox.signing{secret=signalbox.server_secret(), strict=true}", true},
                 {"signalbox.signing{secret=signalbox.server_secret(), strict=false}", false}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        world_open(&w);
        world_must_load(&w, cases[i].rule);
        const struct signing *s = &app_registrations(w.app)->signing;
        assert_true(s->is_on && s->is_strict == cases[i].is_strict);
        app_set_server_secret(w.app, BYTES_LIT("once"));
        app_set_server_secret(w.app, BYTES_LIT("twice"));
        assert_string_equal(s->secret, "twice");
        assert_true(s->is_on && s->is_strict == cases[i].is_strict && s->uses_server_secret);
        world_close_all(&w);
    }
    world_open(&w);
    world_must_load(&w, "signalbox.signing{secret=signalbox.server_secret()}\n"
                        "signalbox.signal_route('/', function() "
                        "signalbox.send{data=signalbox.sign('my-client-id')} end)");
    assert_true(app_registrations(w.app)->signing.uses_server_secret);
    assert_null(app_registrations(w.app)->signing.secret);
    assert_int_equal(world_run(&w, "/"), APP_FAILED);
    assert_contains(w.error, "the cluster's secret is not known yet");
    app_set_server_secret(w.app, BYTES_LIT("Sup3rS3cr37!"));
    assert_int_equal(world_run(&w, "/"), APP_DONE);
    assert_string_equal(world_sent(&w),
                        "s:my-client-id.dWeBSAxPRuhkQKBBIiLvAcRZ6vAZAI8G7+qcGvoOA+Q=|");
    world_close_all(&w);
}

/* An id and its signature have 1,024 bytes together at most. */
static void test_a_signed_id_has_a_bound(void **state) {
    static const struct {
        int length;
        const char *sent;
    } rows[] = {{977, "true 1024|"}, {978, "false"}};
    char lua[600];
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct world w;
        world_open(&w);
        snprintf(lua, sizeof(lua),
                 "signalbox.signing{secret='a secret of some length'} "
                 "signalbox.signal_route('/', function() local ok, id = pcall(signalbox.sign, "
                 "('x'):rep(%d)) signalbox.send{data=tostring(ok) .. ' ' .. (ok and #id or id)} "
                 "end)",
                 rows[i].length);
        world_must_load(&w, lua);
        assert_int_equal(world_run(&w, "/"), APP_DONE);
        assert_contains(world_sent(&w), rows[i].sent);
        world_close_all(&w);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_signed_id_has_a_bound),
        cmocka_unit_test(test_send_data),
        cmocka_unit_test(test_what_the_host_sees),
        cmocka_unit_test(test_argument_errors),
        cmocka_unit_test(test_answers),
        cmocka_unit_test(test_levels_and_scope_of_the_app_file),
        cmocka_unit_test(test_signing),
        cmocka_unit_test(test_server_secret),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
