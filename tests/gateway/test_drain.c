/* test_drain.c - the end in good order: at which pace connections are closed, for whom and what it
 * waits, and how it is taken back. */
#include "gateway/drain.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <cmocka.h>

#include "common/base/log.h"
#include "common/bus/cluster/about.h"
#include "common/bus/cluster/registry.h"
#include "common/bus/log/ingest.h"
#include "common/bus/notice.h"
#include "gateway/conn/turn.h"
#include "gateway/gateway.h"
#include "tests/fuzz/still_clock.h"
#include "tests/gateway/free_port.h"

enum { CALLERS = 10 };

struct world {
    struct gateway g;
    struct endpoint_run endpoint;
    uv_tcp_t server;
    struct sockaddr_in address;
    int callers[CALLERS];
    unsigned asked[CALLERS]; /* to end, by the order in which they came */
    struct conn *conns[CALLERS];
    size_t accepted;
    bool are_busy;
};

static struct world w;

/* ---- connections that count how often they are asked to end */

static size_t index_of(const struct conn *c) {
    for (size_t i = 0; i < CALLERS; i++)
        if (w.conns[i] == c)
            return i;
    fail();
    return 0;
}

static void on_bytes(struct conn *c, struct bytes in) {
    (void)c;
    (void)in;
}

static void on_end(struct conn *c, int status) {
    (void)status;
    conn_drop(c);
}

static void on_nothing(struct conn *c) {
    (void)c;
}

static void on_sweep(struct conn *c, uint64_t at_ms) {
    (void)c;
    (void)at_ms;
}

static bool on_shutdown(struct conn *c) {
    w.asked[index_of(c)]++;
    if (w.are_busy)
        return false;
    conn_finish(c, 1000);
    return true;
}

static void on_gone(struct conn *c) {
    w.conns[index_of(c)] = NULL;
}

static const struct conn_proto proto = {.name = "test",
                                        .on_bytes = on_bytes,
                                        .on_end = on_end,
                                        .on_drained = on_nothing,
                                        .on_deadline = on_nothing,
                                        .on_sweep = on_sweep,
                                        .on_shutdown = on_shutdown,
                                        .on_gone = on_gone};

/* ---- a gateway of those parts that a drain uses, without Redis */

static void on_connection(uv_stream_t *server, int status) {
    assert_int_equal(status, 0);
    w.conns[w.accepted++] = conn_accept(&w.g.conns, server, NULL, NULL, &proto);
}

struct run {
    uv_idle_t turn;
    uint64_t left_ms;
};

/* A turn takes a millisecond of the time that they see. */
static void on_turn(uv_idle_t *handle) {
    struct run *run = container_of(handle, struct run, turn);
    usleep(50);
    now_ms++;
    if (--run->left_ms == 0)
        uv_stop(handle->loop);
}

/* Runs the loop. True: daemon_quit has stopped it. */
static bool has_quit_within(uint64_t ms) {
    struct run run = {.left_ms = ms};
    uv_idle_init(&w.g.daemon.loop, &run.turn);
    uv_idle_start(&run.turn, on_turn);
    uv_run(&w.g.daemon.loop, UV_RUN_DEFAULT);
    uv_close((uv_handle_t *)&run.turn, NULL);
    uv_run(&w.g.daemon.loop, UV_RUN_NOWAIT);
    return run.left_ms > 0;
}

static void go_on(void) {
    assert_false(has_quit_within(60)); /* some ticks */
}

/* A tick at which it is so late. */
static void skip_to(uint64_t elapsed_ms) {
    struct drain *d = &w.g.drain;
    uv_update_time(&w.g.daemon.loop);
    uint64_t is_ms = uv_now(&w.g.daemon.loop) - d->start_ms;
    assert_true(is_ms <= elapsed_ms);
    now_ms += elapsed_ms - is_ms;
}

static void open_parts(struct gateway *g) {
    struct daemon *d = &g->daemon;
    static char program[] = "test", *arguments[] = {program, NULL};
    int rest;
    uv_loop_init(&d->loop);
    assert_int_equal(settings_parse(&d->settings, FOR_ALL, 1, arguments, &rest), SETTINGS_OK);
    d->settings.redis = "redis://127.0.0.1:1";
    d->settings.drain_ms = 7000;
    d->bus = bus_new(&d->loop, &d->settings, BUS_GATEWAY);
    d->registry = registry_new(d->bus);
    d->about = about_new(d->bus, BYTES_NONE, "");
    supervisor_init(&d->supervisor);
    g->ingest = ingest_new(d->bus, "", 1000, NULL, NULL);
    conns_init(&g->conns, &d->loop, 65536, 1000);
    turn_start(&g->conns);
    drain_init(&g->drain, d, &g->conns, &g->listeners, g->ingest);
}

static void open_door(struct gateway *g) {
    static char here[] = "127.0.0.1";
    char *error = NULL;
    w.endpoint.at = (struct endpoint){.address = here, .port = free_port()};
    g->endpoints = (struct endpoints){.items = &w.endpoint, .count = 1};
    struct listeners_options options = {
        .loop = &g->daemon.loop, .conns = &g->conns, .endpoints = &g->endpoints, .fleet = "test"};
    assert_int_equal(listeners_open(&g->listeners, &options, &error), 0);
}

static void call_in(void) {
    uv_loop_t *loop = &w.g.daemon.loop;
    int len = sizeof(w.address);
    uv_tcp_init(loop, &w.server);
    uv_ip4_addr("127.0.0.1", 0, &w.address);
    uv_tcp_bind(&w.server, (struct sockaddr *)&w.address, 0);
    uv_listen((uv_stream_t *)&w.server, CALLERS, on_connection);
    uv_tcp_getsockname(&w.server, (struct sockaddr *)&w.address, &len);
    for (size_t i = 0; i < CALLERS; i++) {
        w.callers[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(connect(w.callers[i], (struct sockaddr *)&w.address, sizeof(w.address)),
                         0);
        while (w.accepted <= i || w.conns[i]->state != CONN_OPEN)
            (void)uv_run(loop, UV_RUN_ONCE);
    }
}

static int setup(void **state) {
    (void)state;
    memset(&w, 0, sizeof(w));
    log_set_level(LOG_ERROR + 1);
    open_parts(&w.g);
    open_door(&w.g);
    call_in();
    return 0;
}

static void drop(struct conn *c, void *ctx) {
    (void)ctx;
    conn_drop(c);
}

static int teardown(void **state) {
    struct gateway *g = &w.g;
    (void)state;
    for (size_t i = 0; i < CALLERS; i++)
        close(w.callers[i]);
    listeners_close(&g->listeners);
    drain_deinit(&g->drain);
    conns_each(&g->conns, drop, NULL);
    while (g->conns.unfreed > 0)
        (void)uv_run(&g->daemon.loop, UV_RUN_ONCE);
    uv_close((uv_handle_t *)&w.server, NULL);
    turn_stop(&g->conns);
    conns_deinit(&g->conns);
    bus_hang_up(g->daemon.bus);
    about_free(g->daemon.about);
    ingest_free(g->ingest);
    registry_free(g->daemon.registry);
    bus_close(g->daemon.bus);
    supervisor_deinit(&g->daemon.supervisor);
    uv_run(&g->daemon.loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&g->daemon.loop), 0);
    return 0;
}

static void hang_up_all(void) {
    for (size_t i = 0; i < CALLERS; i++) {
        close(w.callers[i]);
        w.callers[i] = -1;
    }
}

static unsigned asked(void) {
    unsigned count = 0;
    for (size_t i = 0; i < CALLERS; i++)
        count += w.asked[i] > 0;
    return count;
}

static bool is_listening(void) {
    struct sockaddr_in at;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    uv_ip4_addr("127.0.0.1", w.endpoint.at.port, &at);
    bool is_it = connect(fd, (struct sockaddr *)&at, sizeof(at)) == 0;
    close(fd);
    return is_it;
}

/* ---- the pace */

static void they_are_closed_evenly(void **state) {
    static const struct {
        uint64_t at_ms;
        unsigned closed;
    } cases[] = {{0, 1}, {900, 1}, {1000, 2}, {1900, 2}, {5000, 6}, {8900, 9}, {9000, 10}};
    (void)state;
    assert_true(drain_start(&w.g.drain, 10000, DRAIN_STAYS));
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        skip_to(cases[i].at_ms);
        go_on();
        assert_int_equal(asked(), cases[i].closed);
    }
    for (size_t i = 0; i < CALLERS; i++)
        assert_int_equal(w.asked[i], 1);
    assert_int_equal(w.g.conns.count, 0);
    assert_int_equal(w.g.drain.state, DRAIN_DRAINED);
    assert_true(w.g.conns.is_draining);
}

static void without_time_all_are_closed_at_once(void **state) {
    (void)state;
    assert_true(drain_start(&w.g.drain, 0, DRAIN_STAYS));
    assert_int_equal(w.g.drain.state, DRAIN_CLOSING);
    go_on();
    assert_int_equal(asked(), CALLERS);
    assert_int_equal(w.g.drain.state, DRAIN_DRAINED);
}

/* Whoever cannot end yet is asked again, and others go instead. */
static void who_is_busy_is_asked_again(void **state) {
    (void)state;
    w.are_busy = true;
    assert_true(drain_start(&w.g.drain, 10000, DRAIN_STAYS));
    go_on();
    assert_int_equal(asked(), CALLERS); /* one was wanted, and none could */
    assert_true(w.asked[0] >= 2);
    assert_int_equal(w.g.conns.count, CALLERS);
    w.are_busy = false;
    go_on();
    assert_int_equal(w.g.conns.count, CALLERS - 1);
    w.are_busy = true;
    skip_to(10000);
    go_on();
    assert_int_equal(w.g.conns.count, CALLERS - 1);
    assert_int_equal(w.g.drain.state, DRAIN_CLOSING);
    w.are_busy = false;
    go_on();
    assert_int_equal(w.g.conns.count, 0);
    assert_int_equal(w.g.drain.state, DRAIN_DRAINED);
}

/* A later call sets the time anew, for those who are left. */
static void a_second_call_counts_from_its_own_time(void **state) {
    (void)state;
    assert_true(drain_start(&w.g.drain, 10000, DRAIN_STAYS));
    skip_to(4000);
    go_on();
    assert_int_equal(w.g.conns.count, 5);
    assert_true(drain_start(&w.g.drain, 50000, DRAIN_STAYS));
    go_on();
    assert_int_equal(w.g.conns.count, 4);
    skip_to(9000);
    go_on();
    assert_int_equal(w.g.conns.count, 4);
    skip_to(10000);
    go_on();
    assert_int_equal(w.g.conns.count, 3);
}

/* ---- taken back */

static void a_drain_can_be_taken_back(void **state) {
    char *error = NULL;
    (void)state;
    assert_true(is_listening());
    assert_int_equal(drain_stop(&w.g.drain, &error), 0); /* nothing to stop */
    assert_int_equal(w.g.drain.state, DRAIN_OFF);
    assert_int_equal(w.g.listeners.count, 1);
    for (int i = 0; i < 2; i++) {
        assert_true(drain_start(&w.g.drain, 10000, DRAIN_STAYS));
        assert_true(w.g.conns.is_draining);
        assert_false(is_listening());
        go_on();
        assert_int_equal(drain_stop(&w.g.drain, &error), 0);
        assert_false(w.g.conns.is_draining);
        assert_int_equal(w.g.drain.state, DRAIN_OFF);
        assert_int_equal(w.g.listeners.count, 1);
        now_ms += 20000;
        go_on();
        assert_int_equal(asked(), (unsigned)i + 1); /* the others stay */
    }
}

static void it_cannot_be_taken_back_without_the_port(void **state) {
    char *error = NULL;
    struct sockaddr_in at;
    (void)state;
    assert_true(drain_start(&w.g.drain, 0, DRAIN_STAYS));
    go_on();
    int other = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    uv_ip4_addr("127.0.0.1", w.endpoint.at.port, &at);
    assert_int_equal(bind(other, (struct sockaddr *)&at, sizeof(at)), 0);
    assert_int_equal(listen(other, 1), 0);
    assert_int_equal(drain_stop(&w.g.drain, &error), -1);
    assert_non_null(strstr(error, "cannot listen on"));
    free(error);
    assert_int_equal(w.g.drain.state, DRAIN_DRAINED);
    assert_true(w.g.conns.is_draining);
    close(other);
    assert_int_equal(drain_stop(&w.g.drain, &error), 0);
    assert_int_equal(w.g.drain.state, DRAIN_OFF);
}

static void an_end_is_for_good(void **state) {
    char *error = NULL;
    (void)state;
    assert_true(drain_start(&w.g.drain, 10000, DRAIN_STAYS));
    go_on();
    assert_true(drain_start(&w.g.drain, 10000, DRAIN_ENDS));
    assert_int_equal(w.g.drain.state, DRAIN_ENDING);
    assert_false(drain_start(&w.g.drain, 0, DRAIN_STAYS));
    assert_int_equal(w.g.drain.over_ms, 10000);
    assert_int_equal(drain_stop(&w.g.drain, &error), -1);
    assert_string_equal(error, "the process is ending: start it again");
    free(error);
    go_on();
    assert_int_equal(w.g.conns.count, CALLERS - 2);
    assert_true(drain_start(&w.g.drain, 0, DRAIN_ENDS)); /* sooner */
    hang_up_all();
    assert_true(has_quit_within(5000));
    assert_true(drain_start(&w.g.drain, 10000, DRAIN_ENDS)); /* it is leaving */
    assert_int_equal(w.g.drain.over_ms, 0);
}

/* ---- what an end waits for */

static void it_ends_when_all_are_gone(void **state) {
    (void)state;
    assert_true(drain_start(&w.g.drain, 10000, DRAIN_ENDS));
    skip_to(8000);
    go_on();
    assert_int_equal(w.g.conns.count, 1);
    hang_up_all();
    skip_to(9000); /* nobody is left: it need not wait for the rest of its time */
    assert_true(has_quit_within(1000));
    assert_int_equal(w.g.conns.count, 0);
}

/* Whoever has not taken its end yet is not gone. */
static void it_waits_until_the_last_bytes_are_taken(void **state) {
    (void)state;
    assert_true(drain_start(&w.g.drain, 0, DRAIN_ENDS));
    go_on();
    assert_int_equal(w.g.conns.count, 0);
    assert_int_equal(w.g.conns.unfreed, CALLERS);
    assert_false(w.g.drain.is_leaving);
    hang_up_all();
    assert_true(has_quit_within(1000));
}

static void clients_that_read_have_half_a_minute(void **state) {
    (void)state;
    w.are_busy = true;
    assert_true(drain_start(&w.g.drain, 1000, DRAIN_ENDS));
    skip_to(30800);
    go_on();
    assert_int_equal(w.g.conns.count, CALLERS);
    skip_to(31000);
    assert_true(has_quit_within(5000));
    assert_int_equal(w.g.conns.count, 0);
}

/* A handshake that is not over yet is no reason to wait. */
static void who_is_not_here_yet_is_dropped_at_the_last_call(void **state) {
    (void)state;
    w.are_busy = true;
    w.conns[3]->state = CONN_OPENING;
    assert_true(drain_start(&w.g.drain, 1000, DRAIN_STAYS));
    skip_to(900);
    go_on();
    assert_int_equal(w.asked[3], 0);
    assert_int_equal(w.g.conns.count, CALLERS);
    skip_to(1000);
    go_on();
    assert_int_equal(w.asked[3], 0);
    assert_int_equal(w.g.conns.count, CALLERS - 1);
    assert_null(w.conns[3]);
}

/* What Redis was not told yet keeps the process for five seconds, counted from when the last client
 * was gone, … */
static void redis_has_five_seconds(void **state) {
    (void)state;
    for (int what = 0; what <= 1; what++) {
        if (what == 0)
            assert_int_equal(ingest_push(w.g.ingest, 0, NULL, BYTES_LIT("x"), NULL, NULL), 0);
        else
            registry_unregister(w.g.daemon.registry, BYTES_LIT("N"), BYTES_LIT("c"), BYTES_LIT("v"),
                                BYTES_LIT(""));
        w.are_busy = true;
        assert_true(drain_start(&w.g.drain, 1000, DRAIN_ENDS));
        skip_to(2000);
        go_on();
        assert_int_equal(w.g.conns.count, CALLERS);
        hang_up_all();
        go_on();
        assert_int_equal(w.g.conns.count, 0);
        skip_to(6900);
        go_on();
        skip_to(7300);
        assert_true(has_quit_within(1000));
        if (what == 0) {
            teardown(state);
            setup(state);
        }
    }
}

/* … or from the end of the time, if they are gone before. */
static void redis_has_five_seconds_after_the_time(void **state) {
    (void)state;
    assert_int_equal(ingest_push(w.g.ingest, 0, NULL, BYTES_LIT("x"), NULL, NULL), 0);
    assert_true(drain_start(&w.g.drain, 1000, DRAIN_ENDS));
    hang_up_all();
    go_on();
    assert_int_equal(w.g.conns.count, 0);
    skip_to(5800);
    go_on();
    skip_to(6100);
    assert_true(has_quit_within(1000));
}

/* A second call gives it the time anew. */
static void a_second_end_waits_anew_for_redis(void **state) {
    (void)state;
    assert_int_equal(ingest_push(w.g.ingest, 0, NULL, BYTES_LIT("x"), NULL, NULL), 0);
    assert_true(drain_start(&w.g.drain, 1000, DRAIN_ENDS));
    hang_up_all();
    skip_to(3000);
    go_on();
    assert_true(drain_start(&w.g.drain, 10000, DRAIN_ENDS));
    go_on();
    skip_to(14800);
    go_on();
    skip_to(15100);
    assert_true(has_quit_within(1000));
}

static void systemd_is_told_how_long_it_may_take(void **state) {
    char path[] = "/tmp/signalbox-notify.XXXXXX", text[200] = "";
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    (void)state;
    close(mkstemp(path));
    unlink(path);
    strcpy(at.sun_path, path);
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
    setenv("NOTIFY_SOCKET", path, 1);
    supervisor_deinit(&w.g.daemon.supervisor);
    supervisor_init(&w.g.daemon.supervisor);
    unsetenv("NOTIFY_SOCKET");
    assert_true(drain_start(&w.g.drain, 10000, DRAIN_STAYS));
    assert_int_equal(recv(fd, text, sizeof(text) - 1, MSG_DONTWAIT), -1);
    assert_true(drain_start(&w.g.drain, 10000, DRAIN_ENDS));
    assert_true(recv(fd, text, sizeof(text) - 1, MSG_DONTWAIT) > 0);
    assert_non_null(strstr(text, "STOPPING=1"));
    assert_non_null(strstr(text, "EXTEND_TIMEOUT_USEC=55000000"));
    close(fd);
    unlink(path);
}

/* ---- what the chassis asks for */

static struct notice drain_notice(const char *id, bool exits) {
    return (struct notice){
        .kind = NOTICE_drain,
        .drain = {.id = bytes_str(id), .over_ms = 5000, .exits = exits, .token = BYTES_LIT("t")}};
}

static void notices_are_for_one_gateway(void **state) {
    const char *id = bus_id(w.g.daemon.bus);
    struct notice undrain = {.kind = NOTICE_undrain, .undrain = {.id = bytes_str(id)}};
    (void)state;
    assert_string_equal(gateway_kind.trouble(&w.g), "");
    struct notice n = drain_notice("another", true);
    gateway_kind.on_notice(&w.g, &n);
    assert_int_equal(w.g.drain.state, DRAIN_OFF);
    n = (struct notice){.kind = NOTICE_lease, .lease = {.leaver = bytes_str(id)}};
    gateway_kind.on_notice(&w.g, &n); /* nothing of ours */
    assert_int_equal(w.g.drain.state, DRAIN_OFF);
    n = drain_notice(id, false);
    gateway_kind.on_notice(&w.g, &n);
    assert_int_equal(w.g.drain.state, DRAIN_CLOSING);
    assert_int_equal(w.g.drain.over_ms, 5000);
    assert_string_equal(gateway_kind.trouble(&w.g), "draining");
    undrain.undrain.id = BYTES_LIT("another");
    gateway_kind.on_notice(&w.g, &undrain);
    assert_int_equal(w.g.drain.state, DRAIN_CLOSING);
    undrain.undrain.id = bytes_str(id);
    gateway_kind.on_notice(&w.g, &undrain);
    assert_int_equal(w.g.drain.state, DRAIN_OFF);
    assert_string_equal(gateway_kind.trouble(&w.g), "");
    n = drain_notice(id, true);
    gateway_kind.on_notice(&w.g, &n);
    assert_int_equal(w.g.drain.state, DRAIN_ENDING);
    gateway_kind.on_notice(&w.g, &undrain); /* too late */
    n = drain_notice(id, false);
    n.drain.over_ms = 1;
    gateway_kind.on_notice(&w.g, &n); /* likewise */
    assert_int_equal(w.g.drain.over_ms, 5000);
    assert_int_equal(w.g.drain.state, DRAIN_ENDING);
}

static void a_signal_ends_and_a_second_one_abandons(void **state) {
    (void)state;
    w.are_busy = true;
    w.g.daemon.ctx = &w.g;
    gateway_kind.on_stop(&w.g, false);
    assert_int_equal(w.g.drain.state, DRAIN_ENDING);
    assert_int_equal(w.g.drain.over_ms, 7000);
    assert_false(w.g.daemon.is_abandoned);
    go_on();
    gateway_kind.on_stop(&w.g, true);
    assert_true(w.g.daemon.is_abandoned);
    assert_int_equal(w.g.daemon.exit_code, DAEMON_FAILED);
    assert_true(has_quit_within(5000));
}

int main(void) {
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(they_are_closed_evenly),
        TEST(without_time_all_are_closed_at_once),
        TEST(who_is_busy_is_asked_again),
        TEST(a_second_call_counts_from_its_own_time),
        TEST(a_drain_can_be_taken_back),
        TEST(it_cannot_be_taken_back_without_the_port),
        TEST(an_end_is_for_good),
        TEST(it_ends_when_all_are_gone),
        TEST(it_waits_until_the_last_bytes_are_taken),
        TEST(clients_that_read_have_half_a_minute),
        TEST(who_is_not_here_yet_is_dropped_at_the_last_call),
        TEST(redis_has_five_seconds),
        TEST(redis_has_five_seconds_after_the_time),
        TEST(a_second_end_waits_anew_for_redis),
        TEST(systemd_is_told_how_long_it_may_take),
        TEST(notices_are_for_one_gateway),
        TEST(a_signal_ends_and_a_second_one_abandons),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
