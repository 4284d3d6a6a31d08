/* test_web.c - the object `web`: what its fields are, and what each of its methods answers. */
#include "gateway/routes/web.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/gateway/routes/routes_room.h"

static struct routes_room room;

static int setup(void **state) {
    (void)state;
    routes_room_init(&room, "", WITHOUT_REDIS);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    routes_room_deinit(&room);
    return 0;
}

/* What an app answers whose only route, for any method, runs this. `last` is for what is to be
 * seen afterwards: GET /last answers with it. */
static void load(const char *body) {
    char app[4096];
    snprintf(app, sizeof(app),
             "local last, kept\n"
             "local function try(f, ...) local ok, e = pcall(f, ...)\n"
             "  last = ok and 'ok' or tostring(e):gsub('^.-app.lua:%%d+: ', '') end\n"
             "signalbox.route('GET', '/last', function(w) w:text(tostring(last)) end)\n"
             "signalbox.route('*', '/r', function(w) %s end)\n"
             "signalbox.route('*', '/p/:one/:two/*', function(w) %s end)\n",
             body, body);
    routes_room_load(&room, app);
}

static struct bytes run(const char *body) {
    load(body);
    return routes_room_get(&room, "GET", "/r", "");
}

static void assert_field(struct bytes answer, const char *name, const char *value) {
    struct bytes is = routes_room_field(answer, name);
    if (value == NULL ? is.ptr != NULL : !bytes_equal_str(is, value))
        fail_msg("%s is %.*s, not %s in %.*s", name, BYTES_FMT(is),
                 value != NULL ? value : "missing", BYTES_FMT(answer));
}

/* What the handler has put into `last`. */
static void assert_last(const char *expected) {
    routes_room_expect(routes_room_get(&room, "GET", "/last", ""), 200, expected);
}

/* ---- answers */

#define PLAIN "text/plain; charset=utf-8"
#define JSON  "application/json"
#define WRONG 500, "internal error\n", PLAIN

static void each_method_answers(void **state) {
    static const struct {
        const char *body;
        int status;
        const char *answer, *type;
    } cases[] = {
        {"", 200, "", PLAIN},
        {"return 5", 200, "", PLAIN},
        {"error('broken')", WRONG},
        {"w:text('hi')", 200, "hi", PLAIN},
        {"w:text('hi', 404)", 404, "hi", PLAIN},
        {"w:text(5)", 200, "5", PLAIN},
        {"w:text('')", 200, "", PLAIN},
        {"w:text('a\\0b')", 200, NULL, PLAIN},
        {"w:text()", WRONG},
        {"w:text({})", WRONG},
        {"w:text('x', 200)", 200, "x", PLAIN},
        {"w:text('x', 599)", 599, "x", PLAIN},
        {"w:text('x', 199)", WRONG},
        {"w:text('x', 600)", WRONG},
        {"w:text('x', 204)", 204, "", PLAIN},
        {"w:json({1, 'a'})", 200, "[1,\"a\"]", JSON},
        {"w:json('a', 201)", 201, "\"a\"", JSON},
        {"w:json(nil)", 200, "null", JSON},
        {"w:json()", WRONG},
        {"w:json({}, 199)", WRONG},
        {"w:json(print)", WRONG},
        {"local t = 1 for i = 1, 4 do t = {t} end w:json(t)", 200, "[[[[1]]]]", JSON},
        {"w:respond {}", 200, "", NULL},
        {"w:respond { body = 'b' }", 200, "b", PLAIN},
        {"w:respond { body = 5 }", 200, "5", PLAIN},
        {"w:respond { body = '' }", 200, "", NULL},
        {"w:respond { body = {a = 1} }", 200, "{\"a\":1}", JSON},
        {"w:respond { body = {print} }", WRONG},
        {"w:respond { status = 418, body = 'tea' }", 418, "tea", PLAIN},
        {"w:respond { status = 199 }", WRONG},
        {"w:respond { status = 600 }", WRONG},
        {"w:respond { status = 'x' }", WRONG},
        {"w:respond()", WRONG},
        {"w:respond('x')", WRONG},
        {"w:respond { body = 'b', headers = { ['content-TYPE'] = 'text/x' } }", 200, "b", "text/x"},
        {"w:respond { headers = { ['Content-Type'] = 'text/x' } }", 200, "", "text/x"},
        {"w:respond { body = {1}, headers = { ['Content-Type'] = 'a/b' } }", 200, "[1]", "a/b"},
        {"w:respond { body = 'b', headers = { ['Content-Type'] = 'a\\r\\nb: c' } }", WRONG},
        {"w:respond { body = 'b', headers = { ['Content-Type'] = true } }", WRONG},
        {"w:respond { body = 'b', headers = { ['Content-Type'] = {'a/b'} } }", WRONG},
        {"w.respond({}, {})", WRONG},
        {"w:none()", WRONG},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct bytes answer = run(cases[i].body);
        if (routes_room_status(answer) != cases[i].status)
            fail_msg("%s: %.*s", cases[i].body, BYTES_FMT(answer));
        routes_room_expect(answer, cases[i].status, cases[i].answer);
        assert_field(answer, "Content-Type", cases[i].type);
    }
}

/* Deeper tables are not shown. */
static void tables_have_32_levels(void **state) {
    char body[100];
    (void)state;
    for (int levels = 32; levels <= 33; levels++) {
        snprintf(body, sizeof(body), "local t = 1 for i = 1, %d do t = {t} end w:json(t)", levels);
        struct bytes json = routes_room_body(run(body));
        assert_int_equal(memmem(json.ptr, json.len, "[1]", 3) != NULL, levels == 32);
        assert_int_equal(memmem(json.ptr, json.len, "[\"table\"]", 9) != NULL, levels == 33);
    }
}

/* A handler that failed may have left anything half done, so its client has to come anew. */
static void a_failure_closes_the_connection(void **state) {
    (void)state;
    load("error('broken')");
    routes_room_expect(routes_room_ask(&room, "GET /r HTTP/1.1\r\nHost: h\r\n\r\n"), 500,
                       "internal error\n");
    load("");
    struct bytes two = routes_room_ask(&room, "GET /r HTTP/1.1\r\nHost: h\r\n\r\n"
                                              "GET /r HTTP/1.0\r\n\r\n");
    routes_room_expect(routes_room_body(two), 200, "");
}

static void headers_are_the_apps_but_some(void **state) {
    static const struct {
        const char *body;
        int status;
        const char *name, *value;
    } cases[] = {
        {"w:respond { headers = { X = 'a' } }", 200, "X", "a"},
        {"w:respond { headers = { X = 5 } }", 200, "X", "5"},
        {"w:respond { headers = { X = {'a', 'b'} } }", 200, "X", "a"},
        {"w:respond { headers = { X = {} } }", 200, "X", NULL},
        {"w:respond { headers = { X = {true, 'a'} } }", 500, "X", NULL},
        {"w:respond { headers = { X = true } }", 500, "X", NULL},
        {"w:respond { headers = { X = 'a\\nb' } }", 500, "X", NULL},
        {"w:respond { headers = { ['X Y'] = 'a' } }", 500, "X Y", NULL},
        {"w:respond { headers = { [''] = 'a' } }", 500, "", NULL},
        {"w:respond { headers = { 'a' } }", 500, "1", NULL},
        {"w:respond { headers = 'x' }", 200, "X", NULL},
        {"w:respond { body = 'b', headers = { ['content-LENGTH'] = '99' } }", 200, "Content-Length",
         "1"},
        {"w:respond { headers = { Connection = 'x' } }", 200, "Connection", "close"},
        {"w:respond { headers = { ['Transfer-Encoding'] = 'chunked' } }", 200, "Transfer-Encoding",
         NULL},
        {"w:respond { headers = { server = 'x' } }", 200, "Server", "Signalbox"},
        {"w:header('X', 'a') w:text('')", 200, "X", "a"},
        {"w:header('X', 5) w:text('')", 200, "X", "5"},
        {"w:header('X', 'a')", 200, "X", "a"}, /* also when the handler just ends */
        {"w:header('X', 'a') w:json(1)", 200, "X", "a"},
        {"w:header('X', 'a') error('x')", 500, "X", "a"},
        {"w:header('X')", 500, "X", NULL},
        {"w:header('X', {})", 500, "X", NULL},
        {"w:header('X:', 'a')", 500, "X", NULL},
        {"w:header('X', 'a\\r\\n')", 500, "X", NULL},
        {"w:header('content-length', '9')", 500, "X", NULL},
        {"w:header('Connection', 'x')", 500, "X", NULL},
        {"w:header('Transfer-Encoding', 'x')", 500, "X", NULL},
        {"w:header('Date', 'x')", 500, "X", NULL},
        {"w:header('Server', 'x')", 500, "X", NULL},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct bytes answer = run(cases[i].body);
        if (routes_room_status(answer) != cases[i].status)
            fail_msg("%s: %.*s", cases[i].body, BYTES_FMT(answer));
        assert_field(answer, cases[i].name, cases[i].value);
    }
    /* each value of a list is a line */
    struct bytes answer = run("w:header('X', '0') w:respond { headers = { X = {'a', 'b', 3} } }");
    assert_non_null(memmem(answer.ptr, answer.len, "X: 0\r\nX: a\r\nX: b\r\nX: 3\r\n", 24));
    /* there is one Date, and it is ours */
    answer = run("w:respond { headers = { Date = 'never' } }");
    assert_null(memmem(answer.ptr, answer.len, "never", 5));
}

static void an_answer_returns_nothing(void **state) {
    static const char *const calls[] = {"w:text('x')",
                                        "w:json('x')",
                                        "w:respond { body = 'x' }",
                                        "w:respond { body = {} }",
                                        "w:file('app.lua')",
                                        "w:header('X', 'x')"};
    char body[100];
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(calls); i++) {
        snprintf(body, sizeof(body), "last = select('#', %s)", calls[i]);
        assert_int_equal(routes_room_status(run(body)), 200);
        assert_last("0");
    }
}

static void one_answer_is_given(void **state) {
    static const struct {
        const char *body, *answer, *last;
    } cases[] = {
        {"w:text('1') try(w.text, w, '2')", "1", "web:text: the request was answered already"},
        {"w:text('1') try(w.json, w, '2')", "1", "web:json: the request was answered already"},
        {"w:text('1') try(w.respond, w, {})", "1", "web:respond: the request was answered already"},
        {"w:text('1') try(w.header, w, 'a', 'b')", "1",
         "web:header: the request was answered already"},
        {"w:text('1') try(w.convert, w, {name='N'})", "1",
         "web:convert: the request was answered already"},
        {"w:text('1') error('late')", "1", "nil"},
        {"w:file('app.lua') try(w.text, w, '2')", NULL,
         "web:text: the request was answered already"},
        {"w:file('app.lua') try(w.file, w, 'app.lua')", NULL,
         "web:file: the request was answered already"},
        {"try(w.file, w, 'app.lua\\0') w:text('1')", "1", "web:file: the path holds a NUL"},
        {"try(w.file, w, '/app.lua\\0') w:text('1')", "1", "web:file: the path holds a NUL"},
        {"try(w.text, w, 'x', 600) w:text('1')", "1", "status must be 200 to 599, not 600"},
        {"try(w.header, w, 'Date', 'x') w:text('1')", "1", "web:header: Date is the server's own"},
        {"try(w.respond, w, {headers={'x'}}) w:text('1')", "1", "headers must have names"},
        {"try(w.respond, w, {headers={X=true}}) w:text('1')", "1",
         "the value of header X must be a string or a number"},
        {"try(w.header, w, 'X Y', 'x') w:text('1')", "1",
         "header X Y: name or value holds what a header cannot"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        routes_room_expect(run(cases[i].body), 200, cases[i].answer);
        assert_last(cases[i].last);
    }
}

static void a_file_is_in_the_folder_of_the_app(void **state) {
    (void)state;
    routes_room_file(&room, "a.txt", BYTES_LIT("file"));
    routes_room_expect(run("w:file('a.txt')"), 200, "file");
    routes_room_expect(run("w:file('/a.txt')"), 200, "file");
    routes_room_expect(run("w:file('a.txt', 404)"), 404, "file");
    routes_room_expect(run("w:file('none')"), 404, "not found\n");
    routes_room_expect(run("w:file('a.txt', 199)"), 500, "internal error\n");
    routes_room_expect(run("w:file()"), 500, "internal error\n");
}

/* ---- fields */

static void each_field_says_what_was_asked(void **state) {
    static const struct {
        const char *expression, *method, *target, *fields, *value;
    } cases[] = {
        {"w.method", "PUT", "/r", "", "PUT"},
        {"w.path", "GET", "/%72?x", "", "/r"},
        {"w.path", "GET", "/p/1/2/3/4", "", "/p/1/2/3/4"},
        {"w.params.one .. w.params.two", "GET", "/p/a%20b/c+d/e", "", "a bc+d"},
        {"w.params.three", "GET", "/p/1/2/3", "", "nil"},
        {"next(w.params)", "GET", "/r", "", "nil"},
        {"w.query.a", "GET", "/r?a=1", "", "1"},
        {"w.query.a", "GET", "/r?a=1&a=2", "", "2"},
        {"w.query.b", "GET", "/r?a=1&b=2&c=3", "", "2"},
        {"w.query.c", "GET", "/r?a=1&b=2&c=3", "", "3"},
        {"w.query['a b']", "GET", "/r?a+b=c+%2b%20d", "", "c + d"},
        {"#w.query.a", "GET", "/r?a", "", "0"},
        {"w.query.a", "GET", "/r?a=b=c", "", "b=c"},
        {"w.query['']", "GET", "/r?=x", "", "x"},
        {"w.query['']", "GET", "/r?&&a=1&", "", "nil"},
        {"next(w.query)", "GET", "/r", "", "nil"},
        {"next(w.query)", "GET", "/r?", "", "nil"},
        {"w.headers['x-a']", "GET", "/r", "X-A: 1\r\nx-a: 2\r\n", "1, 2"},
        {"w.headers.none", "GET", "/r", "", "nil"},
        {"w.headers.host", "GET", "/r", "", "h"},
        {"#w.body", "POST", "/r", "", "0"},
        {"w.remote_address", "GET", "/r", "", "127.0.0.1"},
        {"w.endpoint.name", "GET", "/r", "", "e"},
        {"w.endpoint.protocol", "GET", "/r", "", "http"},
        {"w.endpoint.address", "GET", "/r", "", "h"},
        {"w.signal", "GET", "/r", "", "nil"},
        {"w.signal", "GET", "/r", "X-PODE-SIGNAL-NAME: N\r\n", "nil"},
        {"w.tls", "GET", "/r", "", "nil"},
        {"w.none", "GET", "/r", "", "nil"},
        {"w[5]", "GET", "/r", "", "nil"},
        {"w[true]", "GET", "/r", "", "nil"},
        {"type(w.convert)", "GET", "/r", "", "function"},
        {"getmetatable(w)", "GET", "/r", "", "false"},
    };
    char body[200];
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        snprintf(body, sizeof(body), "w:text(tostring((%s)))", cases[i].expression);
        load(body);
        struct bytes answer =
            routes_room_get(&room, cases[i].method, cases[i].target, cases[i].fields);
        if (!bytes_equal_str(routes_room_body(answer), cases[i].value))
            fail_msg("%s of %s: %.*s", cases[i].expression, cases[i].target, BYTES_FMT(answer));
    }
}

static void a_body_is_a_text(void **state) {
    (void)state;
    load("w:text(w.body .. #w.body)");
    routes_room_expect(routes_room_ask(&room, "POST /r HTTP/1.1\r\nHost: h\r\nConnection: close\r\n"
                                              "Content-Length: 5\r\n\r\na b\rc"),
                       200, "a b\rc5");
}

static void an_endpoint_is_http_or_ws_plain_or_not(void **state) {
    (void)state;
    load("w:text(w.endpoint.protocol .. tostring(w.endpoint.name))");
    static char name[] = "e";
    for (int is_http = 0; is_http <= 1; is_http++) {
        room.endpoint.at.is_http = is_http != 0;
        routes_room_expect(routes_room_get(&room, "GET", "/r", ""), 200, is_http ? "httpe" : "wse");
        room.endpoint.at.is_tls = true; /* a proxy would say so */
        routes_room_expect(routes_room_get(&room, "GET", "/r", ""), 200,
                           is_http ? "httpse" : "wsse");
        room.endpoint.at.is_tls = false;
    }
    static char none[] = "";
    room.endpoint.at.name = none;
    routes_room_expect(routes_room_get(&room, "GET", "/r", ""), 200, "httpnil");
    room.endpoint.at.name = name;
}

/* A field is made once and can be replaced; what an app adds stays, too. */
static void fields_can_be_kept_and_set(void **state) {
    static const struct {
        const char *body, *answer;
    } cases[] = {
        {"w.query.x = 'set' w:text(w.query.x)", "set"},
        {"w:text(tostring(w.headers == w.headers))", "true"},
        {"w.mine = 'm' w:text(w.mine)", "m"},
        {"w.path = 'p' w:text(w.path)", "p"},
        {"w.path = nil w:text(w.path)", "/r"},
        {"w[5] = 'five' w:text(w[5])", "five"},
        {"w[w] = 'me' w:text(w[w])", "me"},
        {"w.text = function(_, s) w:respond { body = s .. '!' } end w:text('x')", "x!"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        routes_room_expect(run(cases[i].body), 200, cases[i].answer);
}

static void after_the_end_only_what_was_read_is_left(void **state) {
    (void)state;
    load("if kept then w:text(tostring(kept.method) .. tostring(kept.path)) "
         "else kept = w; kept.x = w.method end");
    assert_int_equal(routes_room_status(routes_room_get(&room, "PUT", "/r", "")), 200);
    routes_room_expect(routes_room_get(&room, "GET", "/r", ""), 200, "PUTnil");
    load("if kept then try(kept.text, kept, 'x') else kept = w end");
    for (int i = 0; i < 2; i++)
        assert_int_equal(routes_room_status(routes_room_get(&room, "GET", "/r", "")), 200);
    assert_last("web:text: the request has ended");
    load("if kept then try(kept.convert, kept, {name='N'}) else kept = w end");
    for (int i = 0; i < 2; i++)
        assert_int_equal(routes_room_status(routes_room_get(&room, "GET", "/r", "")), 200);
    assert_last("web:convert: the request has ended");
}

/* ---- convert */

static struct bytes try_upgrade(const char *body) {
    load(body);
    return routes_room_get(&room, "GET", "/r", ROUTES_ROOM_UPGRADE);
}

static void what_cannot_be_converted_is_refused(void **state) {
    static const struct {
        const char *body;
        int status;
        const char *answer;
    } cases[] = {
        {"w:convert {}", 500, "internal error\n"}, /* the app gave no Name */
        {"w:convert()", 500, "internal error\n"},
        {"w:convert('N')", 500, "internal error\n"},
        {"w:convert { name = 'N', other = 1 }", 500, "internal error\n"},
        {"w:convert { name = 'N', scope = 'x' }", 500, "internal error\n"},
        {"w:convert { name = 'N', last = -1 }", 500, "internal error\n"},
        {"w:convert { name = 'N', last = 1001 }", 500, "internal error\n"},
        {"w:convert { name = 'N', last = 1.5 }", 500, "internal error\n"},
        {"w:convert { name = 'N', last = '1' }", 500, "internal error\n"},
        {"w:convert { name = '\\xff' }", 400, "convert: name, group and client_id must be UTF-8\n"},
        {"w:convert { name = 'N', group = '\\xff' }", 400,
         "convert: name, group and client_id must be UTF-8\n"},
        {"w:convert { name = 'N', client_id = '\\xff' }", 400,
         "convert: name, group and client_id must be UTF-8\n"},
        {"w:convert { name = 'a\\nb' }", 400,
         "convert: name, group and client_id must not hold control characters\n"},
        {"w:convert { name = 'N', group = 'a\\x7f' }", 400,
         "convert: name, group and client_id must not hold control characters\n"},
        {"w:convert { name = 'N', client_id = '\\x1f' }", 400,
         "convert: name, group and client_id must not hold control characters\n"},
        {"w:convert { name = ('n'):rep(1025) }", 400,
         "convert: name, group and client_id must be short: name: has more than 1024 bytes\n"},
        {"w:convert { name = 'N', group = ('g'):rep(1025) }", 400,
         "convert: name, group and client_id must be short: group: has more than 1024 bytes\n"},
        {"w:convert { name = 'N', client_id = ('c'):rep(1025) }", 400,
         "convert: name, group and client_id must be short: clientId: has more than 1024 bytes\n"},
        /* as far as Redis, which is not reached here */
        {"w:convert { name = 'N' }", 503, "Redis is not reached\n"},
        {"w:convert { name = 'N', last = 0 }", 503, "Redis is not reached\n"},
        {"w:convert { name = 'N', last = 1000 }", 503, "Redis is not reached\n"},
        {"w:convert { name = 'N', scope = 'default' }", 503, "Redis is not reached\n"},
        {"w:convert { name = 'N', scope = 'GLOBAL' }", 503, "Redis is not reached\n"},
        /* the app may answer itself, … */
        {"if not pcall(w.convert, w, { name = '\\xff' }) then w:text('own', 403) end", 403, "own"},
        {"if not pcall(w.convert, w, {}) then w:text('own', 403) end", 403, "own"},
        /* … and an error that only looks like the last one is its own */
        {"pcall(w.convert, w, { name = '\\xff' }) error('other')", 500, "internal error\n"},
        {"pcall(w.convert, w, { name = '\\xff' })", 200, ""},
        /* … but not when the refusal was sent */
        {"pcall(w.convert, w, { name = 'N' }) pcall(w.text, w, 'own')", 503,
         "Redis is not reached\n"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct bytes answer = try_upgrade(cases[i].body);
        if (routes_room_status(answer) != cases[i].status)
            fail_msg("%s: %.*s", cases[i].body, BYTES_FMT(answer));
        routes_room_expect(answer, cases[i].status, cases[i].answer);
    }
    /* an ordinary request */
    load("w:convert { name = 'N', scope = 'local' }");
    routes_room_expect(routes_room_get(&room, "GET", "/r", ""), 412,
                       "Sec-WebSocket-Key is missing\n");
    routes_room_expect(routes_room_get(&room, "POST", "/r", ROUTES_ROOM_UPGRADE), 405, NULL);
}

static void the_first_conversion_counts(void **state) {
    (void)state;
    load("w:convert { name = 'N', scope = 'local' } "
         "w:convert { name = 'M', scope = 'local' } last = w.signal.name");
    routes_room_hang_up(&room, routes_room_upgrade(&room, "/r", "", NULL));
    assert_last("N");
    load("pcall(w.convert, w, { name = 'N' }) last = tostring(w:convert { name = 'M' })");
    assert_int_equal(routes_room_status(routes_room_get(&room, "GET", "/r", ROUTES_ROOM_UPGRADE)),
                     503);
    load("w:convert { name = 'N', scope = 'local' } try(w.text, w, 'x')");
    routes_room_hang_up(&room, routes_room_upgrade(&room, "/r", "", NULL));
    assert_last("web:text: the request became a signal connection");
}

static void the_scope_may_be_the_apps_default(void **state) {
    static const char *const scopes[] = {"'default'", "'DEFAULT'", "''", "nil", "'Local'"};
    char app[500];
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(scopes); i++) {
        snprintf(app, sizeof(app),
                 "signalbox.default_scope('local')\n"
                 "signalbox.route('GET', '/r', function(w) w:convert {name='N', scope=%s} end)\n",
                 scopes[i]);
        routes_room_load(&room, app);
        routes_room_hang_up(&room, routes_room_upgrade(&room, "/r", "", NULL));
    }
}

/* web.signal is what the headers refer to until the conversion, and the connection after it, even
 * if it was read before. */
static void signal_is_the_new_connection(void **state) {
    (void)state;
    load("last = tostring(w.signal) "
         "w:convert { name = 'N', group = 'g', client_id = 'ann', scope = 'local' } "
         "local s = w.signal last = table.concat({last, s.name, s.group, s.client_id, "
         "tostring(s.is_local), tostring(s.is_global)}, ' ')");
    routes_room_hang_up(&room, routes_room_upgrade(&room, "/r", "", NULL));
    assert_last("nil N g ann true false");
    load("w:convert { name = 'N', scope = 'local' } last = '<' .. w.signal.group .. '>'");
    routes_room_hang_up(&room, routes_room_upgrade(&room, "/r", "", NULL));
    assert_last("<>");
}

/* The Local connection lives as long as its route. */
static void a_local_connection_ends_with_its_route(void **state) {
    (void)state;
    load("w:convert { name = 'N', scope = 'local' } "
         "signalbox.send { data = 'hi', mode = 'direct' } signalbox.sleep(0.01)");
    int fd = routes_room_upgrade(&room, "/r", "", NULL);
    struct bytes frames = routes_room_hear(&room, fd, "\x88\x02\x03\xe8");
    assert_non_null(memmem(frames.ptr, frames.len, "hi", 2));
    routes_room_hang_up(&room, fd);
}

static void the_client_may_leave_before(void **state) {
    (void)state;
    load("signalbox.sleep(0.05) try(w.convert, w, {name='N', scope='local'}) "
         "last = last .. tostring(w.tls)");
    int fd = routes_room_connect(&room);
    routes_room_say(&room, fd,
                    BYTES_LIT("GET /r HTTP/1.1\r\nHost: h\r\n" ROUTES_ROOM_UPGRADE "\r\n"));
    bus_room_turn(&room.bus_room, 10);
    routes_room_hang_up(&room, fd);
    bus_room_turn(&room.bus_room, 100);
    assert_last("the handshake was refusednil");
    /* and before an answer */
    load("signalbox.sleep(0.05) try(w.text, w, 'x')");
    fd = routes_room_connect(&room);
    routes_room_say(&room, fd, BYTES_LIT("GET /r HTTP/1.1\r\nHost: h\r\n\r\n"));
    bus_room_turn(&room.bus_room, 10);
    routes_room_hang_up(&room, fd);
    bus_room_turn(&room.bus_room, 100);
    assert_last("ok");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_method_answers),
        cmocka_unit_test(tables_have_32_levels),
        cmocka_unit_test(a_failure_closes_the_connection),
        cmocka_unit_test(headers_are_the_apps_but_some),
        cmocka_unit_test(an_answer_returns_nothing),
        cmocka_unit_test(one_answer_is_given),
        cmocka_unit_test(a_file_is_in_the_folder_of_the_app),
        cmocka_unit_test(each_field_says_what_was_asked),
        cmocka_unit_test(a_body_is_a_text),
        cmocka_unit_test(an_endpoint_is_http_or_ws_plain_or_not),
        cmocka_unit_test(fields_can_be_kept_and_set),
        cmocka_unit_test(after_the_end_only_what_was_read_is_left),
        cmocka_unit_test(what_cannot_be_converted_is_refused),
        cmocka_unit_test(the_first_conversion_counts),
        cmocka_unit_test(the_scope_may_be_the_apps_default),
        cmocka_unit_test(signal_is_the_new_connection),
        cmocka_unit_test(a_local_connection_ends_with_its_route),
        cmocka_unit_test(the_client_may_leave_before),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
