/* test_dispatch.c - what a request is for: the host, the route, the file, or which refusal. */
#include "gateway/routes/dispatch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "common/base/memory_budget.h"
#include "tests/gateway/routes/routes_room.h"

static struct routes_room room;

static const char app[] =
    "signalbox.route('GET', '/here', function(w) w:text(w.path) end)\n"
    "signalbox.route('POST', '/here', function(w) w:text(w.body) end)\n"
    "signalbox.route('DELETE', '/gone', function(w) end)\n"
    "signalbox.route('PUT', '/gone', function(w) end)\n"
    "signalbox.route('PATCH', '/gone', function(w) end)\n"
    "signalbox.route('OPTIONS', '/gone', function(w) end)\n"
    "signalbox.route('GET', '/files/made', function(w) w:text('made') end)\n"
    "signalbox.route('POST', '/files/a.txt', function(w) w:text('posted') end)\n"
    "signalbox.static('/files', 'files')\n"
    "signalbox.static('/files/deep', 'deep')\n"
    "signalbox.route('GET', '/socket', function(w) w:convert { name = 'N', scope = 'local' } "
    "end)\n";

static int setup(void **state) {
    char path[128];
    (void)state;
    routes_room_init(&room, "", WITHOUT_REDIS);
    snprintf(path, sizeof(path), "%s/files", room.folder);
    assert_int_equal(mkdir(path, 0700), 0);
    snprintf(path, sizeof(path), "%s/deep", room.folder);
    assert_int_equal(mkdir(path, 0700), 0);
    routes_room_file(&room, "files/a.txt", BYTES_LIT("file a"));
    routes_room_file(&room, "files/made", BYTES_LIT("a file"));
    routes_room_file(&room, "deep/a.txt", BYTES_LIT("deep a"));
    routes_room_load(&room, app);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    routes_room_deinit(&room);
    return 0;
}

static void assert_answer(const char *method, const char *target, int status, const char *body) {
    routes_room_expect(routes_room_get(&room, method, target, ""), status, body);
}

static void the_first_that_fits_answers(void **state) {
    static const struct {
        const char *method, *target;
        int status;
        const char *body;
    } cases[] = {
        {"GET", "/here", 200, "/here"},
        {"GET", "/%68ere?x=1", 200, "/here"}, /* canonical */
        {"HEAD", "/here", 200, ""},
        {"GET", "/files/a.txt", 200, "file a"},
        {"HEAD", "/files/a.txt", 200, ""},
        {"GET", "/files/made", 200, "made"},         /* a route before a file */
        {"GET", "/files/deep/a.txt", 200, "deep a"}, /* the longer prefix */
        {"POST", "/files/a.txt", 200, "posted"},
        {"GET", "/files/none", 404, "not found\n"},
        {"GET", "/none", 404, "not found\n"},
        {"POST", "/none", 404, "not found\n"},
        {"PUT", "/files/deep/a.txt", 404, "not found\n"}, /* files are read only */
        {"PUT", "/here", 405, "this path has other methods\n"},
        {"GET", "/gone", 405, "this path has other methods\n"},
        {"GET", "/files/%00", 400, NULL},
        {"GET", "/here/%2e%2e/%2e%2e/x", 400, NULL},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_answer(cases[i].method, cases[i].target, cases[i].status, cases[i].body);
}

/* The text after the name of the file in the folder is the file's, whatever the order in which the
 * folders were registered. */
static void the_longest_prefix_wins_in_any_order(void **state) {
    (void)state;
    routes_room_load(&room, "signalbox.static('/files/deep', 'deep')\n"
                            "signalbox.static('/files', 'files')\n"
                            "signalbox.static('/', 'deep')\n");
    assert_answer("GET", "/files/deep/a.txt", 200, "deep a");
    assert_answer("GET", "/files/a.txt", 200, "file a");
    assert_answer("GET", "/a.txt", 200, "deep a");
    assert_answer("GET", "/filesa.txt", 404, "not found\n");
    routes_room_load(&room, app);
}

static void a_405_names_the_methods_and_closes(void **state) {
    static const struct {
        const char *method, *target, *allow;
    } cases[] = {
        {"PUT", "/here", "GET, HEAD, POST"},
        {"GET", "/gone", "PUT, PATCH, DELETE, OPTIONS"},
        {"HEAD", "/gone", "PUT, PATCH, DELETE, OPTIONS"},
        {"PUT", "/socket", "GET, HEAD"},
    };
    char text[128];
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        snprintf(text, sizeof(text), "%s %s HTTP/1.1\r\nHost: h\r\n\r\n", cases[i].method,
                 cases[i].target);
        struct bytes answer = routes_room_ask(&room, text); /* closes without being asked to */
        assert_int_equal(routes_room_status(answer), 405);
        if (!bytes_equal_str(routes_room_field(answer, "Allow"), cases[i].allow))
            fail_msg("%.*s", BYTES_FMT(answer));
    }
}

static void an_endpoint_may_answer_one_host_only(void **state) {
    static char name[] = "my.example";
    static const struct {
        const char *host;
        int status;
    } cases[] = {
        {"my.example", 200},   {"MY.Example", 200},    {"my.example:80", 200},
        {"my.example:1", 200}, {"other.example", 400}, {"my.example.x", 400},
        {"my.exampl", 400},
    };
    char text[128];
    (void)state;
    room.endpoint.at.hostname = name;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        snprintf(text, sizeof(text), "GET /here HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n",
                 cases[i].host);
        routes_room_expect(routes_room_ask(&room, text), cases[i].status,
                           cases[i].status == 200 ? "/here" : "no such host here\n");
    }
    room.endpoint.at.hostname = NULL;
}

/* ---- WebSocket or not */

static struct bytes ask_to_upgrade(const char *target) {
    return routes_room_get(&room, "GET", target, ROUTES_ROOM_UPGRADE);
}

static void an_endpoint_without_websocket_says_so(void **state) {
    (void)state;
    room.endpoint.at.is_ws = false;
    struct bytes answer = ask_to_upgrade("/socket");
    routes_room_expect(answer, 426, "this endpoint does not speak WebSocket\n");
    assert_true(bytes_equal_str(routes_room_field(answer, "Upgrade"), "websocket"));
    assert_true(bytes_equal_str(routes_room_field(answer, "Sec-WebSocket-Version"), "13"));
    /* also when no route fits; and an ordinary request is none of it */
    assert_int_equal(routes_room_status(ask_to_upgrade("/none")), 426);
    assert_answer("GET", "/here", 200, "/here");
    room.endpoint.at.is_ws = true;
    routes_room_hang_up(&room, routes_room_upgrade(&room, "/socket", "", NULL));
}

/* With auto_upgrade, whoever brings a key wants a WebSocket, whatever the path. Redis is not
 * reached here, so a good handshake gets as far as that. */
static void auto_upgrade_goes_by_the_key(void **state) {
    static const struct {
        bool is_auto;
        const char *fields;
        int status;
        const char *body;
    } cases[] = {
        {true, ROUTES_ROOM_UPGRADE, 503, "Redis is not reached\n"},
        {true, "Sec-WebSocket-Key: x\r\n", 400, NULL}, /* no handshake, but meant as one */
        {true, "", 200, "/here"},
        {true, "Sec-WebSocket-Version: 13\r\n", 200, "/here"},
        {false, ROUTES_ROOM_UPGRADE, 200, "/here"},
        {false, "Sec-WebSocket-Key: x\r\n", 200, "/here"},
    };
    char path[1100];
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        room.endpoint.at.auto_upgrade = cases[i].is_auto;
        routes_room_expect(routes_room_get(&room, "GET", "/here", cases[i].fields), cases[i].status,
                           cases[i].body);
    }
    /* The path is the Name, so it has the bounds of one. */
    room.endpoint.at.auto_upgrade = true;
    snprintf(path, sizeof(path), "/%0*d", 1024, 7);
    struct bytes answer = ask_to_upgrade(path);
    assert_int_equal(routes_room_status(answer), 400);
    path[1024] = '\0';
    routes_room_expect(ask_to_upgrade(path), 503, "Redis is not reached\n");
    room.endpoint.at.auto_upgrade = false;
}

static void short_of_memory_nothing_is_begun(void **state) {
    (void)state;
    int64_t before = metrics_values[METRIC_refused_memory];
    int fd = routes_room_connect(&room);
    memory_init(1);
    routes_room_say(&room, fd, BYTES_LIT("GET /here HTTP/1.1\r\nHost: h\r\n\r\n"));
    struct bytes answer = routes_room_hear(&room, fd, "");
    routes_room_expect(answer, 503, "memory is short, try again later\n");
    assert_true(bytes_equal_str(routes_room_field(answer, "Retry-After"), "1"));
    memory_init(0);
    routes_room_hang_up(&room, fd);
    assert_true(metrics_values[METRIC_refused_memory] > before);
    assert_answer("GET", "/here", 200, "/here");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_that_fits_answers),
        cmocka_unit_test(the_longest_prefix_wins_in_any_order),
        cmocka_unit_test(a_405_names_the_methods_and_closes),
        cmocka_unit_test(an_endpoint_may_answer_one_host_only),
        cmocka_unit_test(an_endpoint_without_websocket_says_so),
        cmocka_unit_test(auto_upgrade_goes_by_the_key),
        cmocka_unit_test(short_of_memory_nothing_is_begun),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
