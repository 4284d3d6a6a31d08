/* test_event_stream.c - which requests become event streams, what their answers say, and how they
 * are refused. */
#include "gateway/routes/event_stream.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tests/gateway/routes/routes_room.h"

#define ACCEPT "Accept: text/event-stream\r\n"

static struct routes_room room;

static const char app[] =
    "signalbox.origins { 'https://page.example' }\n"
    "signalbox.route('GET', '/local', function(w)\n"
    "  w:header('Set-Cookie', 'a=b')\n"
    "  w:convert { name = 'N', group = w.query.group, client_id = 'me', scope = 'local' }\n"
    "  signalbox.send { name = 'N', data = 'one\\ntwo' }\n"
    "end)\n"
    "signalbox.route('GET', '/global', function(w) w:convert { name = 'N' } end)\n"
    "signalbox.route('GET', '/bad', function(w) w:convert { name = 'N\\n' } end)\n"
    "signalbox.route('GET', '/text', function(w) w:text('text') end)\n"
    "signalbox.route('POST', '/post', function(w) w:convert { name = 'N' } end)\n";

static int setup(void **state) {
    (void)state;
    routes_room_init(&room, app, WITHOUT_REDIS);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    routes_room_deinit(&room);
    return 0;
}

static void assert_field(struct bytes answer, const char *name, const char *value) {
    struct bytes is = routes_room_field(answer, name);
    if (value == NULL ? is.ptr != NULL : !bytes_equal_str(is, value))
        fail_msg("%s is %.*s, not %s in %.*s", name, BYTES_FMT(is),
                 value != NULL ? value : "missing", BYTES_FMT(answer));
}

static void assert_has(struct bytes answer, const char *text) {
    if (memmem(answer.ptr, answer.len, text, strlen(text)) == NULL)
        fail_msg("%s is not in %.*s", text, BYTES_FMT(answer));
}

/* ---- what becomes one */

static void the_whole_of_a_local_one(void **state) {
    (void)state;
    struct bytes got = routes_room_get(&room, "GET", "/local?group=G", ACCEPT);
    assert_int_equal(routes_room_status(got), 200);
    assert_field(got, "Content-Type", "text/event-stream");
    assert_field(got, "Cache-Control", "no-store, no-transform");
    assert_field(got, "X-Accel-Buffering", "no");
    assert_field(got, "X-PODE-SIGNAL-CLIENT-ID", "me");
    assert_field(got, "X-PODE-SIGNAL-NAME", "N");
    assert_field(got, "X-PODE-SIGNAL-GROUP", "G");
    assert_field(got, "Set-Cookie", "a=b");
    assert_field(got, "Vary", "Origin");
    assert_field(got, "Transfer-Encoding", "chunked");
    assert_field(got, "Connection", "close");
    assert_field(got, "Content-Length", NULL);
    assert_has(got, "\r\n\r\n");
    assert_has(got, "\r\nevent: hello\nid: 0-0\nretry: ");
    assert_has(got, "\r\ndata: one\ndata: two\n\n\r\n");
    assert_has(got, "\r\nevent: close\nid: 0-0!end\ndata: {\"code\":1000,\"reason\":\"\"}\n\n\r\n");
    assert_true(bytes_ends_with(got, BYTES_LIT("0\r\n\r\n")));
}

static void http_1_0_has_no_chunks(void **state) {
    (void)state;
    struct bytes got = routes_room_ask(&room, "GET /local HTTP/1.0\r\nHost: h\r\n" ACCEPT "\r\n");
    assert_int_equal(routes_room_status(got), 200);
    assert_field(got, "Transfer-Encoding", NULL);
    assert_has(got, "\r\n\r\nevent: hello\n");
    assert_has(got, "\n\ndata: one\ndata: two\n\nevent: close\n");
    assert_true(bytes_ends_with(got, BYTES_LIT("}\n\n")));
}

static void v1_is_asked_for_in_the_query(void **state) {
    (void)state;
    struct bytes got = routes_room_get(&room, "GET", "/local?x=1&signalbox=v1", ACCEPT);
    assert_has(
        got, "data: {\"type\":\"message\",\"id\":null,\"name\":\"N\",\"data\":\"one\\ntwo\"}\n\n");
    assert_has(got, "data: {\"type\":\"closed\",\"code\":1000,\"reason\":\"\"}\n\n");
    got = routes_room_get(&room, "GET", "/local?signalbox=v10&xsignalbox=v1", ACCEPT);
    assert_has(got, "\r\ndata: one\n");
}

/* What comes behind the request is no request: there is no end to the answer before. */
static void nothing_is_answered_behind_it(void **state) {
    (void)state;
    struct bytes got = routes_room_ask(&room, "GET /local HTTP/1.1\r\nHost: h\r\n" ACCEPT
                                              "\r\nGET /text HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_has(got, "event: close");
    assert_true(bytes_ends_with(got, BYTES_LIT("0\r\n\r\n")));
}

/* ---- what does not */

static void what_is_refused(void **state) {
    static const struct {
        const char *method, *target, *fields;
        int status;
        const char *text;
    } cases[] = {
        {"GET", "/local", "", 412, NULL}, /* a WebSocket that is not one */
        {"GET", "/local", "Accept: */*\r\n", 412, NULL},
        {"GET", "/local", "Accept: text/event-stream;q=0\r\n", 412, NULL},
        {"POST", "/post", ACCEPT, 405, NULL},
        {"POST", "/local", ACCEPT, 405, NULL},
        {"GET", "/text", ACCEPT, 200, "text"}, /* a route that does not convert */
        {"GET", "/none", ACCEPT, 404, NULL},
        {"GET", "/bad", ACCEPT, 400, NULL},
        {"GET", "/local", ACCEPT "Origin: https://other.example\r\n", 403,
         "this origin is not allowed\n"},
        {"GET", "/local", ACCEPT "Origin: null\r\n", 403, NULL},
        {"GET", "/local", ACCEPT "Sec-Fetch-Site: cross-site\r\n", 403, NULL},
        {"GET", "/local", ACCEPT "Sec-Fetch-Site: same-site\r\n", 403, NULL},
        {"GET", "/local", ACCEPT "Last-Event-ID: 1-1\r\nLast-Event-ID: 1-2\r\n", 400,
         "Last-Event-ID came twice\n"},
        {"GET", "/local", ACCEPT "Last-Event-ID: 5-7!end\r\n", 204, ""},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        routes_room_expect(
            routes_room_get(&room, cases[i].method, cases[i].target, cases[i].fields),
            cases[i].status, cases[i].text);
}

static void what_is_not_refused(void **state) {
    static const char *const cases[] = {
        ACCEPT "Origin: https://page.example\r\nSec-Fetch-Site: cross-site\r\n",
        ACCEPT "Sec-Fetch-Site: same-origin\r\n",
        ACCEPT "Sec-Fetch-Site: none\r\n",
        ACCEPT "Last-Event-ID: \r\n",
        ACCEPT "Last-Event-ID: what is this?\r\n",
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_has(routes_room_get(&room, "GET", "/local", cases[i]), "event: hello");
}

/* EventSource would take another status to be for good. */
static void what_is_refused_for_now_is_a_stream_that_ends(void **state) {
    (void)state;
    struct bytes got =
        routes_room_get(&room, "GET", "/global", ACCEPT "Origin: https://page.example\r\n");
    assert_int_equal(routes_room_status(got), 200);
    assert_field(got, "Content-Type", "text/event-stream");
    assert_field(got, "Cache-Control", "no-store, no-transform");
    assert_field(got, "Access-Control-Allow-Origin", "https://page.example");
    assert_has(got, "\r\n\r\nevent: close\nretry: ");
    assert_has(got, "\ndata: {\"code\":1013,\"reason\":\"Redis is not reached\"}\n\n");
    got = routes_room_get(&room, "GET", "/global?signalbox=v1", ACCEPT);
    assert_has(got,
               "\ndata: {\"type\":\"closed\",\"code\":1013,\"reason\":\"Redis is not reached\","
               "\"retryMs\":");
    assert_int_equal(
        routes_room_status(routes_room_get(&room, "GET", "/global", ROUTES_ROOM_UPGRADE)), 503);
}

static void a_gateway_that_drains_says_so(void **state) {
    (void)state;
    room.conns.is_draining = true;
    struct bytes got = routes_room_get(&room, "GET", "/local", ACCEPT);
    room.conns.is_draining = false;
    assert_int_equal(routes_room_status(got), 200);
    assert_has(got, "{\"code\":1013,\"reason\":\"the gateway is shutting down\"}");
}

static void a_head_takes_no_connection(void **state) {
    (void)state;
    struct bytes got = routes_room_get(&room, "HEAD", "/local", ACCEPT);
    assert_int_equal(routes_room_status(got), 200);
    assert_field(got, "Content-Type", "text/event-stream");
    assert_field(got, "Cache-Control", "no-store, no-transform");
    assert_field(got, "X-PODE-SIGNAL-CLIENT-ID", NULL);
    assert_true(bytes_ends_with(got, BYTES_LIT("\r\n\r\n")));
    assert_int_equal(routes_room_status(routes_room_get(
                         &room, "HEAD", "/local", ACCEPT "Origin: https://other.example\r\n")),
                     403);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_whole_of_a_local_one),
        cmocka_unit_test(http_1_0_has_no_chunks),
        cmocka_unit_test(v1_is_asked_for_in_the_query),
        cmocka_unit_test(nothing_is_answered_behind_it),
        cmocka_unit_test(what_is_refused),
        cmocka_unit_test(what_is_not_refused),
        cmocka_unit_test(what_is_refused_for_now_is_a_stream_that_ends),
        cmocka_unit_test(a_gateway_that_drains_says_so),
        cmocka_unit_test(a_head_takes_no_connection),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
