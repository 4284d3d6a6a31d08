/* test_http.c - requests over a real socket: what the answer to each is, when the connection ends
 * after it, and for how long a client is waited for. */
#include "gateway/conn/http.h"

#include <setjmp.h>
#include <stdarg.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <cmocka.h>

#include "common/base/log.h"
#include "common/base/memory_budget.h"
#include "common/base/settings.h"
#include "common/http/http_forwarded.h"
#include "gateway/conn/conn.h"
#include "gateway/conn/endpoints.h"
#include "gateway/conn/request.h"
#include "gateway/conn/turn.h"
#include "tests/fuzz/still_clock.h"
#include "tests/gateway/conn/loopback.h"

static struct world {
    uv_loop_t loop;
    uv_tcp_t server;
    struct settings settings;
    struct http_proxies proxies;
    struct peers peers;
    struct conns set;
    struct endpoint endpoint;
    struct http_host host;
    struct conn *conn; /* only compared */
    int peer;
    unsigned requests;
    struct request *held; /* that of /hold, while something works on it */
    unsigned gone, drained;
    char seen[300]; /* what /who was told */
    struct buf got;
} w;

static void on_gone(struct request *r) {
    (void)r;
    w.gone++;
}

static void on_drained(struct request *r) {
    (void)r;
    w.drained++;
}

static const struct request_worker worker = {.on_gone = on_gone, .on_drained = on_drained};

static bool is_for(const struct request *r, const char *path) {
    return r->path != NULL && strcmp(r->path, path) == 0;
}

static void on_refused(struct request *r, const struct refusal *why) {
    request_refuse(r, why->status, why->text);
}

static void on_request(struct request *r) {
    w.requests++;
    if (is_for(r, "/hold") || is_for(r, "/quiet")) {
        static const struct request_worker quiet; /* wants to know nothing */
        request_work(r);
        request_set_worker(r, is_for(r, "/hold") ? &worker : &quiet, NULL);
        w.held = r;
    } else if (is_for(r, "/large")) {
        size_t len = (size_t)atoi(r->head.query.ptr);
        char *text = mem_zalloc(len);
        request_reply(r, 200, BYTES_NONE, bytes_of(text, len));
        free(text);
    } else if (is_for(r, "/status")) {
        request_reply(r, atoi(r->head.query.ptr), BYTES_LIT("text/x"), BYTES_LIT("body"));
    } else if (is_for(r, "/refuse")) {
        (void)request_header(r, BYTES_LIT("X"), BYTES_LIT("not said"));
        request_refuse(r, atoi(r->head.query.ptr), "why");
    } else if (is_for(r, "/who")) {
        snprintf(w.seen, sizeof(w.seen), "%s %.*s%s%s", r->remote_address, BYTES_FMT(r->host),
                 r->is_secure ? " secure" : "", r->is_proxied ? " proxied" : "");
        request_reply(r, 200, BYTES_NONE, BYTES_LIT("you"));
    } else {
        request_reply(r, 200, BYTES_NONE, r->body.len > 0 ? r->body : BYTES_LIT("hello"));
    }
}

/* ---- the connection */

static void on_connection(uv_stream_t *server, int status) {
    assert_int_equal(status, 0);
    w.conn = http_accept(&w.set, server, NULL, &w.endpoint, &w.host);
    peers_hold(&w.peers, &w.conn->hold, w.conn->ip, conns_now(&w.set));
}

static void turn(int times) {
    loopback_turn(&w.loop, times);
}

static void pass(uint64_t ms) {
    for (; ms > 0; ms -= ms < 200 ? ms : 200) {
        now_ms += ms < 200 ? ms : 200;
        turn(1);
    }
    turn(2);
}

static void hang_up(void) {
    if (w.peer >= 0)
        close(w.peer);
    w.peer = -1;
    for (int i = 0; i < 1000 && w.set.count + w.set.unfreed > 0; i++) {
        now_ms += 20;
        turn(1);
    }
    assert_int_equal(w.set.count + w.set.unfreed, 0);
}

static int connect_again(void) {
    struct sockaddr_in at;
    int len = sizeof(at);
    uv_tcp_getsockname(&w.server, (struct sockaddr *)&at, &len);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&at, sizeof(at)), 0);
    return fd;
}

static void call_anew(void) {
    hang_up();
    buf_clear(&w.got);
    w.peer = connect_again();
    while (w.set.count == 0)
        turn(1);
    turn(1);
}

static int setup(void **state) {
    static char name[] = "e";
    static char program[] = "test", *arguments[] = {program, NULL};
    int rest;
    (void)state;
    memset(&w, 0, sizeof(w));
    log_set_level(LOG_ERROR + 1);
    assert_int_equal(settings_parse(&w.settings, FOR_ALL, 1, arguments, &rest), SETTINGS_OK);
    w.settings.max_body_bytes = 1 << 20;
    w.settings.head_timeout_ms = 10000;
    uv_loop_init(&w.loop);
    peers_init(&w.peers, &w.settings, &w.proxies.trusted, 100);
    conns_init(&w.set, &w.loop, 1 << 20, 100);
    w.set.peers = &w.peers;
    turn_start(&w.set);
    w.endpoint = (struct endpoint){.name = name, .port = 80, .is_http = true};
    w.host = (struct http_host){.settings = &w.settings,
                                .proxies = &w.proxies,
                                .on_request = on_request,
                                .on_refused = on_refused};
    w.peer = loopback_connect(&w.loop, &w.server, on_connection);
    while (w.set.count == 0)
        turn(1);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    hang_up();
    buf_deinit(&w.got);
    uv_close((uv_handle_t *)&w.server, NULL);
    turn_stop(&w.set);
    conns_deinit(&w.set);
    peers_deinit(&w.peers);
    http_proxies_deinit(&w.proxies);
    assert_int_equal(memory_of(MEMORY_requests), 0);
    assert_int_equal(memory_of(MEMORY_incoming), 0);
    uv_run(&w.loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&w.loop), 0);
    return 0;
}

static void say(const char *text) {
    size_t len = strlen(text);
    assert_int_equal(send(w.peer, text, len, MSG_NOSIGNAL), len);
    turn(5);
}

/* What came up to now; false when the connection has ended. */
static bool hear(void) {
    char some[65536];
    ssize_t n;
    turn(2);
    while ((n = recv(w.peer, some, sizeof(some), MSG_DONTWAIT)) > 0) {
        buf_append(&w.got, bytes_of(some, (size_t)n));
        turn(1);
    }
    return n != 0;
}

static bool has_got(const char *text) {
    return w.got.len > 0 && memmem(w.got.ptr, w.got.len, text, strlen(text)) != NULL;
}

static void expect(const char *text, bool goes_on) {
    bool is_open = hear();
    if (!has_got(text) || is_open != goes_on)
        fail_msg("not %s (%d), but %.*s", text, is_open, BYTES_FMT(buf_bytes(&w.got)));
}

#define GET(target, fields) "GET " target " HTTP/1.1\r\nHost: h\r\n" fields "\r\n"

/* ---- answers */

static void an_answer_has_what_its_status_has(void **state) {
    static const struct {
        const char *request, *has, *has_not, *end;
    } cases[] = {
        {GET("/", ""), "Content-Length: 5\r\nConnection: keep-alive\r\n", "Content-Type",
         "\r\n\r\nhello"},
        {GET("/status?200", ""), "Content-Type: text/x\r\n", "X:", "body"},
        {GET("/status?204", ""), "204 No Content\r\n", "Content-Length", "\r\n\r\n"},
        {GET("/status?304", ""), "304 Not Modified\r\n", "Content-Length", "\r\n\r\n"},
        {GET("/status?205", ""), "Content-Length: 4\r\n", "X:", "body"},
        {"HEAD /status?200 HTTP/1.1\r\nHost: h\r\n\r\n", "Content-Length: 4\r\n", "body",
         "\r\n\r\n"},
        {"head /status?200 HTTP/1.1\r\nHost: h\r\n\r\n", "Content-Length: 4\r\n", "X:", "body"},
        {GET("/", ""), "Server: Signalbox\r\n", "X:", "hello"},
        {GET("/", ""), "Date: ", "X:", "hello"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        call_anew();
        say(cases[i].request);
        expect(cases[i].has, true);
        if (has_got(cases[i].has_not) ||
            !bytes_ends_with(buf_bytes(&w.got), bytes_str(cases[i].end)))
            fail_msg("%s: %.*s", cases[i].request, BYTES_FMT(buf_bytes(&w.got)));
    }
}

static void a_connection_goes_on_if_both_want_it(void **state) {
    static const struct {
        const char *request;
        bool goes_on;
    } cases[] = {
        {GET("/", ""), true},
        {GET("/", "Connection: close\r\n"), false},
        {"GET / HTTP/1.0\r\n\r\n", false},
        {"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", true},
        {GET("/refuse?400", ""), false},
        {"BREW\r\n\r\n", false},
        {GET("/%00", ""), true}, /* a path without a form is its owner's matter */
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        call_anew();
        say(cases[i].request);
        expect(cases[i].goes_on ? "keep-alive" : "Connection: close", cases[i].goes_on);
    }
    /* not while the gateway drains, nor when the connection was one too many */
    call_anew();
    w.set.is_draining = true;
    say(GET("/", ""));
    expect("Connection: close", false);
    w.set.is_draining = false;
    call_anew();
    static const struct refusal one_too_many = {503, "too many", NULL, METRIC_refused_full};
    conn_refuse(w.conn, &one_too_many, true);
    unsigned before = w.requests;
    say(GET("/", ""));
    expect("too many\n", false);
    assert_int_equal(w.requests, before);
}

static void a_refusal_says_what_may_help(void **state) {
    static const struct {
        const char *target, *has, *has_not;
    } cases[] = {
        {"/refuse?400", "400 Bad Request\r\n", "Retry-After"},
        {"/refuse?404", "Content-Length: 4\r\n", "Retry-After"},
        {"/refuse?426", "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n", "Retry-After"},
        {"/refuse?429", "Retry-After: 1\r\n", "Upgrade"},
        {"/refuse?503", "Retry-After: 1\r\n", "Upgrade"},
    };
    char text[100];
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        call_anew();
        snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\nHost: h\r\n\r\n", cases[i].target);
        say(text);
        expect(cases[i].has, false);
        assert_false(has_got(cases[i].has_not));
        assert_false(has_got("not said"));
        assert_true(has_got("\r\n\r\nwhy\n"));
    }
}

/* What is no request is answered by nobody's handler. */
static void what_is_no_request_is_answered_here(void **state) {
    static const struct {
        const char *request, *answer;
    } cases[] = {
        {"GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 400 "},
        {"GET / HTTP/3.0\r\nHost: h\r\n\r\n", "HTTP/1.1 505 "},
        {"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1048577\r\n\r\n", "HTTP/1.1 413 "},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        call_anew();
        say(cases[i].request);
        expect(cases[i].answer, false);
        assert_true(has_got("Content-Type: text/plain; charset=utf-8\r\n"));
        assert_true(has_got("Server: Signalbox\r\n"));
        assert_false(has_got("Retry-After"));
    }
    assert_int_equal(w.requests, 0);
}

static void a_body_is_awaited_with_a_word(void **state) {
    (void)state;
    say("POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n");
    expect("HTTP/1.1 100 Continue\r\n\r\n", true);
    assert_int_equal(w.requests, 0);
    say("abc");
    expect("\r\n\r\nabc", true);
}

/* ---- one after the other */

static void requests_wait_for_the_one_before(void **state) {
    (void)state;
    say(GET("/hold", "") GET("/", ""));
    assert_int_equal(w.requests, 1);
    request_reply(w.held, 200, BYTES_NONE, BYTES_LIT("first"));
    turn(2);
    assert_int_equal(w.requests, 1); /* it is answered, but something works on it still */
    request_worked(w.held);
    expect("hello", true);
    assert_int_equal(w.requests, 2);
}

static void a_client_has_to_read_before_it_asks_more(void **state) {
    char text[100];
    (void)state;
    snprintf(text, sizeof(text), "GET /large?%d HTTP/1.1\r\nHost: h\r\n\r\n", 16 << 20);
    say(text);
    assert_true(w.conn->out.bytes > 256 * 1024);
    say(GET("/", ""));
    assert_int_equal(w.requests, 1);
    for (int i = 0; i < 3000 && w.requests < 2; i++)
        (void)hear();
    assert_int_equal(w.requests, 2);
    expect("hello", true);
}

static void a_client_that_shuts_down_is_answered(void **state) {
    (void)state;
    say(GET("/hold", ""));
    assert_int_equal(shutdown(w.peer, SHUT_WR), 0);
    turn(5);
    assert_int_equal(w.gone, 0);
    request_reply(w.held, 200, BYTES_NONE, BYTES_LIT("late"));
    request_worked(w.held);
    expect("late", false);
    call_anew(); /* without a request it just ends */
    assert_int_equal(shutdown(w.peer, SHUT_WR), 0);
    turn(5);
    assert_false(hear());
    assert_int_equal(w.got.len, 0);
}

static void who_works_for_it_hears_that_the_client_is_gone(void **state) {
    (void)state;
    say(GET("/hold", ""));
    struct request *held = request_ref(w.held);
    struct linger now = {.l_onoff = 1};
    assert_int_equal(setsockopt(w.peer, SOL_SOCKET, SO_LINGER, &now, sizeof(now)), 0);
    hang_up(); /* with a reset */
    assert_int_equal(w.gone, 1);
    assert_null(held->conn);
    request_reply(held, 200, BYTES_NONE, BYTES_LIT("nobody hears it"));
    request_worked(held);
    request_unref(held);
}

static void who_sends_a_body_hears_that_it_was_taken(void **state) {
    (void)state;
    say(GET("/hold", ""));
    w.drained = 0;
    request_reply_head(w.held, 200, BYTES_NONE, 6);
    turn(2);
    assert_int_equal(w.drained, 1);
    conn_send_bytes(w.held->conn, BYTES_LIT("in two"));
    turn(2);
    assert_int_equal(w.drained, 2);
    expect("in two", true);
    request_worked(w.held);
}

/* What is written meanwhile is the answer before, and nobody has to want to know. */
static void who_wants_to_know_nothing_hears_nothing(void **state) {
    (void)state;
    for (int leaves = 0; leaves <= 1; leaves++) {
        call_anew();
        say(GET("/", "") GET("/quiet", ""));
        expect("hello", true);
        struct linger now = {.l_onoff = 1};
        assert_int_equal(setsockopt(w.peer, SOL_SOCKET, SO_LINGER, &now, sizeof(now)), 0);
        if (leaves)
            hang_up(); /* with a reset */
        request_reply(w.held, 200, BYTES_NONE, BYTES_LIT("quiet"));
        request_worked(w.held);
        if (!leaves)
            expect("quiet", true);
    }
}

/* ---- time */

static void a_head_has_to_come(void **state) {
    (void)state;
    say("GET / HTTP/1.1\r\n");
    pass(9500);
    assert_true(hear());
    pass(1000);
    expect("HTTP/1.1 408 ", false);
    call_anew(); /* who has asked nothing is just closed */
    pass(9500);
    assert_true(hear());
    pass(1000);
    assert_false(hear());
}

static void whoever_is_only_told_has_two_seconds(void **state) {
    static const struct refusal one_too_many = {503, "too many", NULL, METRIC_refused_full};
    (void)state;
    conn_refuse(w.conn, &one_too_many, true);
    pass(1600);
    assert_true(hear());
    pass(800);
    assert_false(hear());
}

static void who_does_not_read_an_answer_is_dropped(void **state) {
    char text[100];
    (void)state;
    snprintf(text, sizeof(text), "GET /large?%d HTTP/1.1\r\nHost: h\r\n\r\n", 16 << 20);
    say(text);
    pass(9000);
    assert_int_equal(w.set.count, 1);
    for (int i = 0; i < 30 && w.set.count > 0; i++)
        pass(1000);
    assert_int_equal(w.set.count, 0);
}

static void an_idle_connection_ends_when_the_gateway_does(void **state) {
    (void)state;
    say(GET("/", ""));
    expect("hello", true);
    assert_true(w.conn->proto->on_shutdown(w.conn));
    assert_false(hear());
    call_anew();
    say(GET("/hold", ""));
    assert_false(w.conn->proto->on_shutdown(w.conn));
    w.set.is_draining = true;
    request_reply(w.held, 200, BYTES_NONE, BYTES_LIT("done"));
    request_worked(w.held);
    expect("done", false);
    w.set.is_draining = false;
}

/* ---- memory */

/* What is large waits for memory, what is small is worth it, and beyond the budget nothing is. */
static void a_body_needs_memory(void **state) {
    static const struct {
        int64_t incoming, requests;
        int body;
        const char *answer;
    } cases[] = {
        {0, 0, 65537, "HTTP/1.1 100 "},         {900000, 0, 65536, "HTTP/1.1 100 "},
        {900000, 0, 65537, "HTTP/1.1 503 "},    {0, 900000, 1, "HTTP/1.1 503 "},
        {6000000, 6000000, 1, "HTTP/1.1 503 "},
    };
    char text[200];
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        call_anew();
        memory_init(4 << 20);
        memory_add(MEMORY_incoming, cases[i].incoming);
        memory_add(MEMORY_requests, cases[i].requests);
        int64_t refused = metrics_values[METRIC_refused_memory];
        snprintf(text, sizeof(text),
                 "POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n",
                 cases[i].body);
        say(text);
        (void)hear();
        bool is_refused = strstr(cases[i].answer, "503") != NULL;
        memory_add(MEMORY_incoming, -cases[i].incoming);
        memory_add(MEMORY_requests, -cases[i].requests);
        memory_init(0);
        if (!has_got(cases[i].answer) || has_got("Retry-After: 1\r\n") != is_refused)
            fail_msg("case %zu: %.*s", i, BYTES_FMT(buf_bytes(&w.got)));
        assert_int_equal(metrics_values[METRIC_refused_memory], refused + is_refused);
    }
}

static void under_pressure_what_is_unfinished_goes(void **state) {
    (void)state;
    say("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\nabc");
    w.conn->proto->on_pressure(w.conn, PRESSURE_IN);
    expect("memory is short, try again later\n", true);
    pass(1500); /* to read that */
    assert_false(hear());
    call_anew();
    say(GET("/", ""));
    w.conn->proto->on_pressure(w.conn, PRESSURE_OUT);
    assert_false(hear());
}

/* ---- who asks */

static void trust(const char *networks) {
    char *error = NULL;
    http_proxies_deinit(&w.proxies);
    w.settings.trusted_proxies.items[0] = networks;
    w.settings.trusted_proxies.count = 1;
    assert_int_equal(http_proxies_init(&w.proxies, &w.settings, &error), 0);
}

static void a_trusted_proxy_says_who_asks(void **state) {
    static const struct {
        const char *fields, *plain, *trusted;
    } cases[] = {
        {"", "127.0.0.1 h", "127.0.0.1 h proxied"},
        {"X-Forwarded-For: 192.0.2.7\r\n", "127.0.0.1 h", "192.0.2.7 h proxied"},
        {"X-Forwarded-Proto: https\r\n", "127.0.0.1 h", "127.0.0.1 h secure proxied"},
        {"X-Forwarded-Host: other\r\n", "127.0.0.1 h", "127.0.0.1 other proxied"},
        {"X-Forwarded-Port: 8443\r\n", "127.0.0.1 h", "127.0.0.1 h:8443 proxied"},
        {"X-Forwarded-Host: other:1\r\nX-Forwarded-Port: 2\r\n", "127.0.0.1 h",
         "127.0.0.1 other:1 proxied"},
    };
    char text[300];
    (void)state;
    for (int is_trusted = 0; is_trusted <= 1; is_trusted++) {
        trust(is_trusted ? "127.0.0.1" : "10.0.0.0/8");
        for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
            call_anew();
            snprintf(text, sizeof(text), "GET /who HTTP/1.1\r\nHost: h\r\n%s\r\n", cases[i].fields);
            say(text);
            expect("you", true);
            assert_string_equal(w.seen, is_trusted ? cases[i].trusted : cases[i].plain);
        }
    }
}

/* A proxy's connection counts for each client as long as its request runs, and goes on after a
 * refusal, since it serves others, too. */
static void behind_a_proxy_each_client_is_counted(void **state) {
    (void)state;
    trust("127.0.0.1");
    w.peers.limits.most[PEER_CONNECTIONS] = 1;
    call_anew();
    say(GET("/hold", "X-Forwarded-For: 192.0.2.7\r\n"));
    int first = w.peer;
    struct request *held = w.held;
    w.peer = connect_again();
    while (w.set.count < 2)
        turn(1);
    say(GET("/", "X-Forwarded-For: 192.0.2.8\r\n"));
    expect("hello", true);
    buf_clear(&w.got);
    say(GET("/", "X-Forwarded-For: 192.0.2.7\r\n"));
    expect("too many connections from this address\n", true);
    request_reply(held, 200, BYTES_NONE, BYTES_LIT("done"));
    request_worked(held);
    turn(2);
    buf_clear(&w.got);
    say(GET("/", "X-Forwarded-For: 192.0.2.7\r\n"));
    expect("hello", true);
    close(first);
}

static void an_address_may_ask_so_often(void **state) {
    (void)state;
    w.peers.local_limits.per_second[PEER_REQUESTING] = 1;
    for (int i = 0; i < 10; i++)
        say(GET("/", ""));
    assert_int_equal(w.requests, 10);
    expect("hello", true);
    say(GET("/", ""));
    expect("too many requests from this address\n", false);
    assert_int_equal(w.requests, 10);
}

int main(void) {
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(an_answer_has_what_its_status_has),
        TEST(a_connection_goes_on_if_both_want_it),
        TEST(a_refusal_says_what_may_help),
        TEST(what_is_no_request_is_answered_here),
        TEST(a_body_is_awaited_with_a_word),
        TEST(requests_wait_for_the_one_before),
        TEST(a_client_has_to_read_before_it_asks_more),
        TEST(a_client_that_shuts_down_is_answered),
        TEST(who_works_for_it_hears_that_the_client_is_gone),
        TEST(who_sends_a_body_hears_that_it_was_taken),
        TEST(who_wants_to_know_nothing_hears_nothing),
        TEST(a_head_has_to_come),
        TEST(whoever_is_only_told_has_two_seconds),
        TEST(who_does_not_read_an_answer_is_dropped),
        TEST(an_idle_connection_ends_when_the_gateway_does),
        TEST(a_body_needs_memory),
        TEST(under_pressure_what_is_unfinished_goes),
        TEST(a_trusted_proxy_says_who_asks),
        TEST(behind_a_proxy_each_client_is_counted),
        TEST(an_address_may_ask_so_often),
    };
    if (signal(SIGPIPE, SIG_IGN) == SIG_ERR)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
