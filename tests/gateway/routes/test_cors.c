/* test_cors.c - which preflights are answered, and what the answers let a page do. */
#include "gateway/routes/cors.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tests/gateway/routes/routes_room.h"

#define PAGE                 "https://page.example"
#define FROM(origin, method) "Origin: " origin "\r\nAccess-Control-Request-Method: " method "\r\n"

static struct routes_room room;

static const char routes[] =
    "signalbox.route('GET', '/up', function(w) w:convert { name = 'N', scope = 'local' } end)\n"
    "signalbox.route('GET', '/loud', function(w)\n"
    "  for _, name in ipairs { 'access-control-allow-origin', 'Cache-Control', 'content-type',\n"
    "    'X-Accel-Buffering', 'Vary', 'X-Own' } do w:header(name, 'own') end\n"
    "  w:convert { name = 'N', scope = 'local' }\n"
    "end)\n"
    "signalbox.route('GET', '/text', function(w) w:text('text') end)\n"
    "signalbox.route('POST', '/only-post', function(w) end)\n"
    "signalbox.route('GET', '/own', function(w) end)\n"
    "signalbox.route('OPTIONS', '/own', function(w) w:text('its own') end)\n";

static void load(const char *origins) {
    char app[2048];
    snprintf(app, sizeof(app), "%s\n%s", origins, routes);
    routes_room_load(&room, app);
}

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

static void assert_field(struct bytes answer, const char *name, const char *value) {
    struct bytes is = routes_room_field(answer, name);
    if (value == NULL ? is.ptr != NULL : !bytes_equal_str(is, value))
        fail_msg("%s is %.*s, not %s in %.*s", name, BYTES_FMT(is),
                 value != NULL ? value : "missing", BYTES_FMT(answer));
}

static void preflights(void **state) {
    static const struct {
        const char *origins, *target, *fields;
        int status;
        const char *allowed; /* the origin; NULL: none */
    } cases[] = {
        {"signalbox.origins { '" PAGE "' }", "/up", FROM(PAGE, "GET"), 204, PAGE},
        {"signalbox.origins { '" PAGE "' }", "/up", FROM(PAGE, "POST"), 204, PAGE},
        {"signalbox.origins { '" PAGE ":443/' }", "/up", FROM(PAGE, "GET"), 204, PAGE},
        {"signalbox.origins { '*' }", "/up", FROM("http://any.example", "GET"), 204,
         "http://any.example"},
        {"signalbox.origins { '*' }", "/up", FROM("null", "GET"), 204, NULL},
        {"signalbox.origins { '" PAGE "' }", "/up", FROM("http://page.example", "GET"), 403, NULL},
        {"signalbox.origins { '" PAGE "' }", "/up", FROM(PAGE ":444", "GET"), 403, NULL},
        {"signalbox.origins { '" PAGE "' }", "/up", FROM(PAGE ".evil", "GET"), 403, NULL},
        {"signalbox.origins { '" PAGE "' }", "/up", FROM("null", "POST"), 403, NULL},
        {"signalbox.origins { '" PAGE "' }", "/up", "Origin: " PAGE "\r\n" FROM(PAGE, "GET"), 403,
         NULL},
        {"", "/up", FROM(PAGE, "GET"), 403, NULL}, /* closed by default */
        {"", "/up", FROM("http://h", "GET"), 204, "http://h"},
        {"signalbox.origins { '" PAGE "' }", "/up", FROM(PAGE, "DELETE"), 405, NULL},
        {"signalbox.origins { '" PAGE "' }", "/up", "Origin: " PAGE "\r\n", 405, NULL},
        {"signalbox.origins { '" PAGE "' }", "/up", "Access-Control-Request-Method: GET\r\n", 405,
         NULL},
        {"signalbox.origins { '" PAGE "' }", "/only-post", FROM(PAGE, "POST"), 405, NULL},
        {"signalbox.origins { '" PAGE "' }", "/none", FROM(PAGE, "GET"), 404, NULL},
        {"signalbox.origins { '" PAGE "' }", "/own", FROM(PAGE, "GET"), 200, NULL},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        load(cases[i].origins);
        struct bytes got = routes_room_get(&room, "OPTIONS", cases[i].target, cases[i].fields);
        if (routes_room_status(got) != cases[i].status)
            fail_msg("%zu: %.*s", i, BYTES_FMT(got));
        assert_field(got, "Access-Control-Allow-Origin", cases[i].allowed);
        assert_field(got, "Vary",
                     cases[i].status == 204 || cases[i].status == 403 ? "Origin" : NULL);
    }
}

static void a_preflight_that_is_allowed_says_what(void **state) {
    static const char private[] =
        FROM(PAGE, "POST") "Access-Control-Request-Private-Network: true\r\n";
    (void)state;
    load("signalbox.origins { '" PAGE "' }");
    struct bytes got = routes_room_get(&room, "OPTIONS", "/up", FROM(PAGE, "POST"));
    assert_field(got, "Access-Control-Allow-Methods", "GET, POST");
    assert_field(got, "Access-Control-Allow-Headers",
                 "Authorization, Content-Type, Idempotency-Key, Last-Event-ID, "
                 "X-PODE-SIGNAL-CLIENT-ID, X-PODE-SIGNAL-NAME, X-PODE-SIGNAL-GROUP");
    assert_field(got, "Access-Control-Allow-Credentials", "true");
    assert_field(got, "Access-Control-Max-Age", "7200");
    assert_field(got, "Access-Control-Allow-Private-Network", NULL);
    got = routes_room_get(&room, "OPTIONS", "/up", private);
    assert_field(got, "Access-Control-Allow-Private-Network", "true");
}

static void cookies_are_for_listed_pages_only(void **state) {
    (void)state;
    load("signalbox.origins { '*' }");
    struct bytes got = routes_room_get(&room, "OPTIONS", "/up", FROM(PAGE, "GET"));
    assert_field(got, "Access-Control-Allow-Origin", PAGE);
    assert_field(got, "Access-Control-Allow-Credentials", NULL);
}

static void a_stream_may_be_read_by_its_page(void **state) {
    (void)state;
    load("signalbox.origins { '" PAGE "' }");
    struct bytes got =
        routes_room_get(&room, "GET", "/up", "Accept: text/event-stream\r\nOrigin: " PAGE "\r\n");
    assert_field(got, "Access-Control-Allow-Origin", PAGE);
    assert_field(got, "Access-Control-Expose-Headers",
                 "X-PODE-SIGNAL-CLIENT-ID, X-PODE-SIGNAL-NAME, X-PODE-SIGNAL-GROUP, Retry-After");
    assert_field(got, "Vary", "Origin");
}

static void what_a_route_answers_is_its_own(void **state) {
    (void)state;
    load("signalbox.origins { '" PAGE "' }");
    struct bytes got =
        routes_room_get(&room, "GET", "/text", "Accept: text/event-stream\r\nOrigin: " PAGE "\r\n");
    assert_field(got, "Access-Control-Allow-Origin", NULL);
}

static unsigned count(struct bytes answer, const char *text) {
    unsigned found = 0;
    for (size_t at = 0; at < answer.len; at++)
        found += bytes_starts_with(bytes_from(answer, at), bytes_str(text));
    return found;
}

static void a_stream_says_nothing_twice(void **state) {
    static const char *const once[] = {"Access-Control-Allow-Origin: " PAGE "\r\n",
                                       "Cache-Control: no-store, no-transform\r\n",
                                       "Content-Type: text/event-stream\r\n",
                                       "X-Accel-Buffering: no\r\n",
                                       "Vary: own\r\n",
                                       "Vary: Origin\r\n",
                                       "X-Own: own\r\n"};
    (void)state;
    load("signalbox.origins { '" PAGE "' }");
    struct bytes got =
        routes_room_get(&room, "GET", "/loud", "Accept: text/event-stream\r\nOrigin: " PAGE "\r\n");
    for (size_t i = 0; i < ARRAY_LEN(once); i++)
        assert_int_equal(count(got, once[i]), 1);
    assert_int_equal(count(got, ": own\r\n"), 2);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(preflights),
        cmocka_unit_test(a_preflight_that_is_allowed_says_what),
        cmocka_unit_test(cookies_are_for_listed_pages_only),
        cmocka_unit_test(a_stream_may_be_read_by_its_page),
        cmocka_unit_test(a_stream_says_nothing_twice),
        cmocka_unit_test(what_a_route_answers_is_its_own),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
