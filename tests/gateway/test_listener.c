/* test_listener.c - the door: which sockets are opened, how many are taken at a time, and who is
 * sent away, and how. */
#include "gateway/listener.h"

#include <setjmp.h>
#include <stdarg.h>
#include <errno.h>
#include <netdb.h>
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
#include "gateway/conn/http.h"
#include "gateway/conn/request.h"
#include "gateway/conn/turn.h"
#include "tests/fuzz/still_clock.h"
#include "tests/gateway/free_port.h"

enum { CALLERS_MAX = 300, ENDPOINTS_MAX = 2 };

struct world {
    uv_loop_t loop;
    struct settings settings;
    struct http_proxies proxies;
    struct peers peers;
    struct conns conns;
    struct http_host http;
    struct endpoint_run items[ENDPOINTS_MAX];
    struct endpoints endpoints;
    struct listeners_options options;
    struct listeners listeners;
    int callers[CALLERS_MAX];
    size_t called;
};

static struct world w;
static char any[] = "*", here[] = "127.0.0.1", name[] = "e";

static void on_refused(struct request *r, const struct refusal *why) {
    request_refuse(r, why->status, why->text);
}

static void on_request(struct request *r) {
    request_reply(r, 200, BYTES_NONE, BYTES_LIT("hello"));
}

static void on_proxied(struct conns *set, struct conn *c) {
    (void)set;
    listeners_admit(&w.listeners, c);
}

/* A turn takes a millisecond of the time that they see. */
static void turn(int times) {
    for (int i = 0; i < times; i++) {
        now_ms++;
        uv_run(&w.loop, UV_RUN_NOWAIT);
        usleep(300);
    }
}

/* One endpoint at a port of its own; nothing is opened yet. */
static void begin(char *address) {
    static char program[] = "test", *arguments[] = {program, NULL};
    int rest;
    memset(&w, 0, sizeof(w));
    log_set_level(LOG_ERROR + 1);
    uv_loop_init(&w.loop);
    assert_int_equal(settings_parse(&w.settings, FOR_ALL, 1, arguments, &rest), SETTINGS_OK);
    peers_init(&w.peers, &w.settings, &w.proxies.trusted, CALLERS_MAX);
    conns_init(&w.conns, &w.loop, 65536, 1000);
    w.conns.peers = &w.peers;
    w.conns.on_proxied = on_proxied;
    turn_start(&w.conns);
    for (size_t i = 0; i < ENDPOINTS_MAX; i++)
        w.items[i].at = (struct endpoint){
            .name = name, .address = address, .port = free_port(), .is_http = true, .is_ws = true};
    w.endpoints = (struct endpoints){.items = w.items, .count = 1};
    w.http = (struct http_host){.settings = &w.settings,
                                .proxies = &w.proxies,
                                .on_request = on_request,
                                .on_refused = on_refused};
    w.options = (struct listeners_options){.loop = &w.loop,
                                           .conns = &w.conns,
                                           .http = &w.http,
                                           .endpoints = &w.endpoints,
                                           .fleet = "test",
                                           .max_connections = CALLERS_MAX};
}

static void open_door(void) {
    char *error = NULL;
    if (listeners_open(&w.listeners, &w.options, &error) < 0)
        fail_msg("%s", error);
}

/* What is not set has no value by chance. */
__attribute__((noinline)) static void leave_traces(void) {
    volatile char traces[4096];
    for (size_t i = 0; i < sizeof(traces); i++)
        traces[i] = 'x';
}

static void expect_no_door(const char *text, int port) {
    char expected[300], *error = NULL;
    leave_traces();
    assert_int_equal(listeners_open(&w.listeners, &w.options, &error), -1);
    snprintf(expected, sizeof(expected), text, port);
    if (strncmp(error, expected, strlen(expected)) != 0)
        fail_msg("%s, not %s", error, expected);
    free(error);
    assert_int_equal(w.listeners.count, 0);
}

static void drop(struct conn *c, void *ctx) {
    (void)ctx;
    conn_drop(c);
}

static void end(void) {
    for (size_t i = 0; i < w.called; i++)
        close(w.callers[i]);
    listeners_close(&w.listeners);
    listeners_close(&w.listeners); /* idempotent */
    turn(2);
    conns_each(&w.conns, drop, NULL);
    while (w.conns.unfreed > 0)
        turn(1);
    turn_stop(&w.conns);
    conns_deinit(&w.conns);
    peers_deinit(&w.peers);
    uv_run(&w.loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&w.loop), 0);
}

/* A client of an address of this host; -1 when nobody listens there. */
static int call(const char *address, int port) {
    struct sockaddr_storage to = {0};
    bool is_v6 = strchr(address, ':') != NULL;
    int fd = socket(is_v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (is_v6)
        uv_ip6_addr(address, port, (struct sockaddr_in6 *)&to);
    else
        uv_ip4_addr(address, port, (struct sockaddr_in *)&to);
    if (connect(fd, (struct sockaddr *)&to,
                is_v6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in)) < 0) {
        close(fd);
        return -1;
    }
    return w.callers[w.called++] = fd;
}

static int call_here(void) {
    int fd = call("127.0.0.1", w.items[0].at.port);
    assert_true(fd >= 0);
    return fd;
}

static void call_here_times(int times) {
    for (int i = 0; i < times; i++)
        (void)call_here();
}

/* What a client that asks is told: its status, or 0 when it was closed without a word. */
static int ask(int fd) {
    static const char text[] = "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
    char answer[500] = "";
    (void)send(fd, text, sizeof(text) - 1, MSG_NOSIGNAL);
    for (int i = 0; i < 1000; i++) {
        ssize_t n = recv(fd, answer, sizeof(answer) - 1, MSG_DONTWAIT);
        if (n > 0)
            return atoi(answer + 9);
        if (n == 0 || errno != EAGAIN)
            return 0;
        turn(1);
    }
    fail_msg("no answer");
    return -1;
}

/* The i-th caller goes, and the gateway notices. */
static void hang_up(size_t i) {
    size_t before = w.conns.count + w.conns.unfreed;
    close(w.callers[i]);
    w.callers[i] = -1;
    for (int k = 0; k < 500 && w.conns.count + w.conns.unfreed == before; k++)
        turn(1);
}

static int64_t count_of(enum metric metric) {
    return metrics_values[metric];
}

/* ---- sockets */

static bool has_ipv6(void) {
    struct sockaddr_in6 at = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool has_it = fd >= 0 && bind(fd, (struct sockaddr *)&at, sizeof(at)) == 0;
    close(fd);
    return has_it;
}

static void an_address_is_listened_on(void **state) {
    static const struct {
        const char *address, *called;
        bool is_there;
    } cases[] = {
        {"127.0.0.1", "127.0.0.1", true},
        {"127.0.0.1", "127.0.0.2", false},
        {"127.0.0.1", "::1", false},
        {"*", "127.0.0.1", true},
        {"*", "127.0.0.2", true},
        {"*", "::1", true},
        {"::1", "::1", true},
        {"::1", "127.0.0.1", false},
        {"::", "::1", true},
        {"::", "127.0.0.1", false}, /* that is "*" */
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char address[32];
        if (strchr(cases[i].address, ':') != NULL || strchr(cases[i].called, ':') != NULL)
            if (!has_ipv6())
                continue;
        snprintf(address, sizeof(address), "%s", cases[i].address);
        begin(address);
        open_door();
        int fd = call(cases[i].called, w.items[0].at.port);
        if ((fd >= 0) != cases[i].is_there)
            fail_msg("%s at %s", cases[i].called, cases[i].address);
        if (fd >= 0)
            assert_int_equal(ask(fd), 200);
        end();
    }
}

/* A name may have several addresses: each is listened on, and one that another program has is as
 * wrong as all. */
static void each_address_of_a_name_is_listened_on(void **state) {
    static char local[] = "localhost";
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found;
    char text[8][INET6_ADDRSTRLEN];
    size_t count = 0;
    (void)state;
    assert_int_equal(getaddrinfo(local, NULL, &hints, &found), 0);
    for (struct addrinfo *a = found; a != NULL && count < 8; a = a->ai_next)
        assert_int_equal(getnameinfo(a->ai_addr, a->ai_addrlen, text[count++], INET6_ADDRSTRLEN,
                                     NULL, 0, NI_NUMERICHOST),
                         0);
    freeaddrinfo(found);
    for (size_t i = 0; i < count; i++) {
        begin(local);
        open_door();
        assert_int_equal(w.listeners.count, count);
        assert_int_equal(ask(call(text[i], w.items[0].at.port)), 200);
        end();
        begin(text[i]);
        open_door();
        struct endpoints all = {.items = &w.items[0], .count = 1};
        struct listeners_options options = w.options;
        struct endpoint_run named = w.items[0];
        static struct listeners other;
        char *error = NULL;
        named.at.address = local;
        all.items = &named;
        options.endpoints = &all;
        options.fleet = "stranger";
        assert_int_equal(listeners_open(&other, &options, &error), -1);
        free(error);
        turn(2);
        end();
    }
}

static void a_pause_closes_and_a_resume_opens(void **state) {
    char *error = NULL;
    (void)state;
    begin(here);
    w.endpoints.count = 2;
    w.items[1].at.address = any;
    open_door();
    assert_int_equal(w.listeners.count, 2);
    int before = call_here();
    turn(3);
    for (int i = 0; i < 2; i++) {
        listeners_pause(&w.listeners);
        listeners_pause(&w.listeners);
        turn(2);
        for (int k = 0; k < 2; k++)
            assert_int_equal(call("127.0.0.1", w.items[k].at.port), -1);
        assert_int_equal(listeners_resume(&w.listeners, &error), 0);
        for (int k = 0; k < 2; k++)
            assert_int_equal(ask(call("127.0.0.1", w.items[k].at.port)), 200);
    }
    assert_int_equal(ask(before), 200); /* whoever is here stays */
    end();
}

static void what_cannot_be_opened_is_said(void **state) {
    static char nowhere[] = "256.256.256.256", foreign[] = "192.0.2.77";
    (void)state;
    begin(nowhere);
    expect_no_door("cannot listen on 256.256.256.256 port %d: unknown node or service",
                   w.items[0].at.port);
    end();
    begin(foreign);
    expect_no_door("cannot listen on 192.0.2.77 port %d: address not available",
                   w.items[0].at.port);
    end();
    /* the first is closed again when the second fails */
    begin(here);
    w.endpoints.count = 2;
    w.items[1].at.address = foreign;
    expect_no_door("cannot listen on 192.0.2.77 port %d: ", w.items[1].at.port);
    turn(2);
    assert_int_equal(call("127.0.0.1", w.items[0].at.port), -1);
    end();
}

/* Nor does a resume that fails leave the first one open, or end for good. */
static void a_resume_opens_all_or_none(void **state) {
    static char foreign[] = "192.0.2.77";
    char *error = NULL;
    (void)state;
    begin(here);
    w.endpoints.count = 2;
    open_door();
    listeners_pause(&w.listeners);
    w.items[1].at.address = foreign;
    assert_int_equal(listeners_resume(&w.listeners, &error), -1);
    free(error);
    assert_int_equal(w.listeners.count, 0);
    turn(2);
    assert_int_equal(call("127.0.0.1", w.items[0].at.port), -1);
    w.items[1].at.address = here;
    assert_int_equal(listeners_resume(&w.listeners, &error), 0);
    for (int k = 0; k < 2; k++)
        assert_int_equal(ask(call("127.0.0.1", w.items[k].at.port)), 200);
    end();
}

/* Port 0 is another one each time. */
static void the_kernel_may_choose_the_ports(void **state) {
    (void)state;
    begin(here);
    w.endpoints.count = 2;
    w.items[0].at.port = w.items[1].at.port = 0;
    open_door();
    assert_int_equal(w.listeners.count, 2);
    end();
}

static void a_port_is_of_one_endpoint(void **state) {
    static const char text[] = "cannot listen on %s port %d: another endpoint of this gateway "
                               "listens there: make them one, as in http+ws://ADDRESS:PORT";
    char expected[300];
    (void)state;
    char *addresses[] = {here, any};
    for (size_t i = 0; i < ARRAY_LEN(addresses); i++) {
        begin(addresses[i]);
        w.endpoints.count = 2;
        w.items[1].at.port = w.items[0].at.port;
        snprintf(expected, sizeof(expected), text, addresses[i], w.items[0].at.port);
        expect_no_door(expected, 0);
        end();
    }
}

static void a_port_of_another_program_is_not_shared(void **state) {
    (void)state;
    for (int shares = 0; shares <= 1; shares++) {
        begin(here);
        int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        struct sockaddr_in at;
        uv_ip4_addr("127.0.0.1", w.items[0].at.port, &at);
        assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &shares, sizeof(one)), 0);
        assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
        assert_int_equal(listen(fd, 1), 0);
        expect_no_door("cannot listen on 127.0.0.1 port %d: ", w.items[0].at.port);
        close(fd);
        end();
    }
}

static void gateways_of_a_fleet_share_a_port(void **state) {
    static struct listeners other;
    char *error = NULL;
    (void)state;
    begin(here);
    open_door();
    assert_int_equal(listeners_open(&other, &w.options, &error), 0);
    listeners_close(&other);
    turn(2);
    w.options.fleet = "stranger";
    assert_int_equal(listeners_open(&other, &w.options, &error), -1);
    assert_non_null(strstr(error, "cannot listen on 127.0.0.1 port"));
    free(error);
    turn(2);
    end();
}

/* ---- how many at a time */

/* A turn takes 128, so that a crowd keeps nobody waiting who is here. */
static void a_turn_takes_so_many(void **state) {
    (void)state;
    for (size_t doors = 1; doors <= 2; doors++) {
        begin(here);
        w.endpoints.count = doors;
        open_door();
        for (int i = 0; i < CALLERS_MAX; i++)
            assert_true(call("127.0.0.1", w.items[(size_t)i % doors].at.port) >= 0);
        size_t before = 0, most = 0;
        for (int i = 0; i < 100 && w.conns.count < CALLERS_MAX; i++) {
            uv_run(&w.loop, UV_RUN_NOWAIT);
            size_t now = w.conns.count;
            most = now - before > most ? now - before : most;
            before = now;
        }
        assert_int_equal(w.conns.count, CALLERS_MAX);
        assert_in_range(most, 120, 128);
        assert_int_equal(ask(w.callers[CALLERS_MAX - 1]), 200);
        end();
    }
}

/* Ten at once, and then ten a second; the others wait at the socket and are not lost. */
static void a_rate_makes_them_wait(void **state) {
    (void)state;
    begin(here);
    w.options.connects_per_second = 10;
    open_door();
    call_here_times(25);
    turn(20);
    size_t taken = w.conns.count;
    assert_in_range(taken, 10, 12);
    now_ms += 500;
    turn(20);
    assert_in_range(w.conns.count, taken + 4, taken + 6);
    now_ms += 5000;
    turn(20);
    assert_int_equal(w.conns.count, 25);
    end();
}

/* Those who are sent away take no place of those who are welcome. */
static void whoever_is_refused_takes_nothing_from_the_rate(void **state) {
    (void)state;
    begin(here);
    w.options.connects_per_second = 10;
    w.options.max_connections = 1;
    open_door();
    call_here_times(60);
    turn(40);
    assert_int_equal(ask(w.callers[0]), 200);
    hang_up(0);
    assert_int_equal(ask(call_here()), 200);
    end();
}

/* ---- who is sent away */

static void a_full_gateway_tells_a_few(void **state) {
    (void)state;
    begin(here);
    w.options.max_connections = 2;
    open_door();
    int64_t full = count_of(METRIC_refused_full), dropped = count_of(METRIC_refused_dropped);
    call_here_times(3);
    turn(5);
    assert_int_equal(w.conns.count, 3);
    assert_int_equal(w.conns.refused, 1);
    assert_int_equal(ask(w.callers[2]), 503);
    assert_int_equal(ask(w.callers[1]), 200);
    assert_int_equal(count_of(METRIC_refused_full), full + 1);
    assert_int_equal(count_of(METRIC_refused_dropped), dropped);
    hang_up(0);
    assert_int_equal(ask(call_here()), 200); /* there is a place again */
    end();
}

/* 32 of the process are told, if no address may have fewer; the others are closed at once. */
static void more_are_closed_without_a_word(void **state) {
    (void)state;
    for (int of_address = 0; of_address <= 1; of_address++) {
        begin(here);
        w.options.max_connections = 1;
        uint64_t most = w.peers.local_limits.most[PEER_TOLD];
        if (of_address == 0)
            w.peers.local_limits.most[PEER_TOLD] = 0;
        else
            assert_in_range(most, 1, 31);
        uint64_t told = of_address == 0 ? 32 : most;
        open_door();
        int64_t full = count_of(METRIC_refused_full), dropped = count_of(METRIC_refused_dropped);
        call_here_times(41);
        turn(20);
        assert_int_equal(w.conns.count, 1 + told);
        assert_int_equal(w.conns.told, told);
        assert_int_equal(count_of(METRIC_refused_full), full + 40);
        assert_int_equal(count_of(METRIC_refused_dropped), dropped + 40 - (int64_t)told);
        assert_int_equal(ask(w.callers[told]), 503);
        assert_int_equal(ask(w.callers[told + 1]), 0);
        assert_int_equal(ask(w.callers[0]), 200);
        end();
    }
}

static void short_of_memory_none_is_taken(void **state) {
    (void)state;
    begin(here);
    open_door();
    int64_t refused = count_of(METRIC_refused_memory), full = count_of(METRIC_refused_full);
    int before = call_here();
    turn(5);
    memory_add(MEMORY_incoming, 2);
    memory_init(1);
    int fd = call_here();
    turn(5);
    assert_int_equal(w.conns.refused, 1);
    memory_init(0);
    memory_add(MEMORY_incoming, -2);
    assert_int_equal(ask(fd), 503);
    assert_int_equal(ask(before), 200);
    assert_int_equal(count_of(METRIC_refused_memory), refused + 1);
    assert_int_equal(count_of(METRIC_refused_full), full);
    end();
}

static void an_address_has_limits_of_its_own(void **state) {
    (void)state;
    begin(any);
    w.peers.local_limits.most[PEER_CONNECTIONS] = 2;
    open_door();
    call_here_times(3);
    int other = call("127.0.0.2", w.items[0].at.port); /* from 127.0.0.1, too */
    int v6 = has_ipv6() ? call("::1", w.items[0].at.port) : -1;
    turn(5);
    assert_int_equal(w.conns.refused, 2);
    assert_int_equal(ask(w.callers[2]), 503);
    assert_int_equal(ask(other), 503);
    if (v6 >= 0)
        assert_int_equal(ask(v6), 200);
    assert_int_equal(ask(w.callers[0]), 200);
    hang_up(0);
    assert_int_equal(ask(call_here()), 200);
    end();
}

static void an_address_may_not_come_too_often(void **state) {
    (void)state;
    begin(here);
    w.peers.local_limits.per_second[PEER_CONNECTING] = 1;
    open_door();
    call_here_times(12); /* ten seconds' worth at once */
    turn(10);
    assert_in_range(w.conns.refused, 1, 2);
    assert_int_equal(ask(w.callers[11]), 429);
    assert_int_equal(ask(w.callers[9]), 200);
    end();
}

/* A handshake costs more than a connection, so it has limits of its own; without a handshake nobody
 * is told anything. (Here only the endpoint says that it speaks TLS.) */
static void handshakes_have_limits_of_their_own(void **state) {
    (void)state;
    for (int is_tls = 0; is_tls <= 1; is_tls++)
        for (int is_rate = 0; is_rate <= 1; is_rate++) {
            begin(here);
            w.items[0].at.is_tls = is_tls != 0;
            if (is_rate)
                w.peers.local_limits.per_second[PEER_HANDSHAKING] = 1;
            else
                w.peers.local_limits.most[PEER_HANDSHAKES] = 10;
            open_door();
            int64_t refused = count_of(METRIC_refused_address_handshakes),
                    dropped = count_of(METRIC_refused_dropped);
            call_here_times(12);
            turn(10);
            size_t taken = w.conns.count;
            assert_in_range(taken, is_tls ? 10 : 12, is_tls ? 11 : 12);
            assert_int_equal(count_of(METRIC_refused_address_handshakes),
                             refused + 12 - (int64_t)taken);
            assert_int_equal(count_of(METRIC_refused_dropped), dropped + 12 - (int64_t)taken);
            end();
        }
}

/* ---- behind a proxy that says who comes */

#define PROXY_LINE "PROXY TCP4 192.0.2.1 192.0.2.2 1000 80\r\n"

static void only_a_trusted_proxy_may_say_who_comes(void **state) {
    (void)state;
    for (int is_trusted = 0; is_trusted <= 1; is_trusted++) {
        char *error = NULL;
        begin(here);
        w.settings.trusted_proxies.items[0] = is_trusted ? "127.0.0.1" : "10.0.0.0/8";
        w.settings.trusted_proxies.count = 1;
        assert_int_equal(http_proxies_init(&w.proxies, &w.settings, &error), 0);
        w.items[0].at.proxy = PROXY_ANY;
        w.peers.limits.most[PEER_CONNECTIONS] = 1; /* of whom it speaks for */
        open_door();
        int64_t refused = count_of(METRIC_refused_proxy), accepted = count_of(METRIC_accepted);
        int fd = call_here(), second = call_here();
        (void)send(fd, PROXY_LINE, strlen(PROXY_LINE), 0);
        turn(5);
        (void)send(second, PROXY_LINE, strlen(PROXY_LINE), 0);
        turn(5);
        assert_int_equal(count_of(METRIC_accepted), accepted + 2);
        assert_int_equal(count_of(METRIC_refused_proxy), refused + (is_trusted ? 0 : 2));
        assert_int_equal(ask(second), is_trusted ? 503 : 0);
        assert_int_equal(ask(fd), is_trusted ? 200 : 0);
        end();
        http_proxies_deinit(&w.proxies);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_address_is_listened_on),
        cmocka_unit_test(each_address_of_a_name_is_listened_on),
        cmocka_unit_test(a_pause_closes_and_a_resume_opens),
        cmocka_unit_test(what_cannot_be_opened_is_said),
        cmocka_unit_test(a_resume_opens_all_or_none),
        cmocka_unit_test(the_kernel_may_choose_the_ports),
        cmocka_unit_test(a_port_is_of_one_endpoint),
        cmocka_unit_test(a_port_of_another_program_is_not_shared),
        cmocka_unit_test(gateways_of_a_fleet_share_a_port),
        cmocka_unit_test(a_turn_takes_so_many),
        cmocka_unit_test(a_rate_makes_them_wait),
        cmocka_unit_test(whoever_is_refused_takes_nothing_from_the_rate),
        cmocka_unit_test(a_full_gateway_tells_a_few),
        cmocka_unit_test(more_are_closed_without_a_word),
        cmocka_unit_test(short_of_memory_none_is_taken),
        cmocka_unit_test(an_address_has_limits_of_its_own),
        cmocka_unit_test(an_address_may_not_come_too_often),
        cmocka_unit_test(handshakes_have_limits_of_their_own),
        cmocka_unit_test(only_a_trusted_proxy_may_say_who_comes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
