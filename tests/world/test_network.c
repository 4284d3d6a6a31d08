/*
 * test_network.c - the network and the processes of the world: what arrives, what goes wrong when
 * it is asked to, and that a seed decides all of it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "common/base/metrics.h"
#include "common/base/must.h"
#include "tests/world/network.h"
#include "tests/world/process.h"

enum { MUCH = 1 << 20, SEEDS = 12 };
#define SERVER "10.0.0.1:80"

/* --- one connection, two ends that note what they hear --- */

struct end {
    struct sock *sock;
    size_t sent, to_send, got;
    int opened, ended, end_status; /* opened: 1 + status */
    bool is_wrong;                 /* bytes came in another order */
};

static struct end client, server;

static struct end *end_of(const struct sock *s) {
    return sock_ctx(s);
}

static void send_on(struct end *e) {
    char piece[5000];
    while (e->sent < e->to_send) {
        size_t len = e->to_send - e->sent < sizeof(piece) ? e->to_send - e->sent : sizeof(piece);
        for (size_t i = 0; i < len; i++)
            piece[i] = (char)((e->sent + i) % 251);
        long n = sock_write(e->sock, piece, len);
        if (n < 0)
            return;
        e->sent += (size_t)n;
        if ((size_t)n < len)
            return;
    }
}

static void on_open(struct sock *s, int status) {
    end_of(s)->opened = 1 + (status == 0 ? 0 : -status);
    end_of(s)->end_status = status;
    if (status == 0)
        send_on(end_of(s));
}

static void on_data(struct sock *s, const char *bytes, size_t len) {
    struct end *e = end_of(s);
    for (size_t i = 0; i < len; i++)
        e->is_wrong |= bytes[i] != (char)((e->got + i) % 251);
    e->got += len;
}

static void on_drain(struct sock *s) {
    send_on(end_of(s));
}

static void on_end(struct sock *s, int status) {
    end_of(s)->ended++;
    end_of(s)->end_status = status;
}

static void on_accept(struct sock *listener, struct sock *fresh);

static const struct sock_events events = {.on_open = on_open,
                                          .on_accept = on_accept,
                                          .on_data = on_data,
                                          .on_drain = on_drain,
                                          .on_end = on_end};

static void on_accept(struct sock *listener, struct sock *fresh) {
    (void)listener;
    server.sock = fresh;
    sock_set_events(fresh, &events, &server);
    send_on(&server);
}

static struct process *begin(uint64_t seed) {
    sim_begin(seed, NULL);
    net_begin();
    memset(&client, 0, sizeof(client));
    memset(&server, 0, sizeof(server));
    struct process *p = process_new("server", "10.0.0.1", NULL, NULL);
    process_start(p);
    assert_non_null(sock_listen(p, SERVER, &events, NULL));
    return p;
}

static void connect_client(void) {
    client.sock = sock_connect(NULL, "10.0.0.9", SERVER, &events, &client);
}

/* --- what arrives --- */

static void everything_arrives_in_order(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        begin(seed);
        net_manner.split_ppm = net_manner.partial_ppm = net_manner.late_ppm = 300000;
        net_manner.buffer_bytes = seed % 2 ? 4096 : 131072;
        client.to_send = server.to_send = MUCH;
        connect_client();
        sim_run(SIM_NEVER);
        assert_int_equal(client.got, MUCH);
        assert_int_equal(server.got, MUCH);
        assert_false(client.is_wrong || server.is_wrong);
        assert_int_equal(client.ended + server.ended, 0);
    }
}

static void who_does_not_read_holds_up_the_writer(void **state) {
    (void)state;
    begin(1);
    client.to_send = MUCH;
    connect_client();
    sim_run(SIM_MS * 5);
    sock_pause(server.sock, true);
    sim_run(10 * SIM_SECOND);
    assert_true(client.sent < MUCH && sock_unacked(client.sock) > 0);
    sock_pause(server.sock, false);
    sim_run(20 * SIM_SECOND);
    assert_int_equal(server.got, MUCH);
    assert_int_equal(sock_unacked(client.sock), 0);
}

static void a_close_is_an_end_or_a_reset(void **state) {
    (void)state;
    for (int unread = 0; unread < 2; unread++) {
        begin(1);
        client.to_send = 1000;
        connect_client();
        sim_run(SIM_SECOND);
        assert_int_equal(server.got, 1000);
        sock_pause(server.sock, true);
        client.to_send += unread ? 10 : 0;
        send_on(&client);
        sim_run(2 * SIM_SECOND);
        sock_close(server.sock);
        sim_run(3 * SIM_SECOND);
        assert_int_equal(client.ended, 1);
        assert_int_equal(client.end_status, unread ? UV_ECONNRESET : 0);
    }
}

/* --- what does not --- */

static void nobody_is_there(void **state) {
    static const struct {
        const char *to;
        enum net_cut cut;
        int status;
    } cases[] = {{SERVER, NET_OPEN, 0},
                 {SERVER, NET_REFUSE, UV_ECONNREFUSED},
                 {SERVER, NET_STALL, UV_ETIMEDOUT},
                 {"10.0.0.1:81", NET_OPEN, UV_ECONNREFUSED},
                 {"server:80", NET_OPEN, 0},
                 {"stranger:80", NET_OPEN, UV_EAI_NONAME}};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        begin(i);
        net_name("server", "10.0.0.1");
        net_cut("10.0.0.9", "10.0.0.1", cases[i].cut);
        client.sock = sock_connect(NULL, "10.0.0.9", cases[i].to, &events, &client);
        sim_run(200 * SIM_SECOND);
        assert_int_not_equal(client.opened, 0);
        assert_int_equal(client.end_status, cases[i].status);
    }
}

static void one_direction_stalls(void **state) {
    (void)state;
    begin(1);
    connect_client();
    sim_run(SIM_SECOND);
    net_cut("10.0.0.9", "*", NET_STALL);
    client.to_send = server.to_send = 100;
    send_on(&client);
    send_on(&server);
    sim_run(60 * SIM_SECOND);
    assert_int_equal(server.got, 0);
    assert_int_equal(client.got, 100);
    net_cut("10.0.0.9", "*", NET_OPEN);
    sim_run(61 * SIM_SECOND);
    assert_int_equal(server.got, 100);
}

static void a_reset_in_the_middle(void **state) {
    (void)state;
    for (size_t after = 0; after < 1000; after += 333) {
        begin(after);
        connect_client();
        sim_run(SIM_SECOND);
        sock_reset_after(client.sock, after);
        server.to_send = 5000;
        send_on(&server);
        sim_run(2 * SIM_SECOND);
        assert_int_equal(client.got, after);
        assert_int_equal(client.end_status, UV_ECONNRESET);
        assert_int_equal(server.end_status, UV_ECONNRESET);
        assert_int_equal(sock_write(client.sock, "x", 1), UV_EPIPE);
    }
}

static void all_between_two_hosts_are_reset(void **state) {
    (void)state;
    begin(1);
    connect_client();
    sim_run(SIM_SECOND);
    assert_int_equal(net_reset_all("10.0.0.8", "*"), 0);
    assert_int_equal(net_reset_all("10.0.0.1", "10.0.0.9"), 1);
    sim_run(2 * SIM_SECOND);
    assert_int_equal(client.end_status, UV_ECONNRESET);
    assert_int_equal(server.end_status, UV_ECONNRESET);
}

/* --- processes that the driver plays --- */

static void who_is_stopped_hears_later(void **state) {
    (void)state;
    struct process *p = begin(1);
    process_stop(p);
    client.to_send = 100;
    connect_client();
    sim_run(5 * SIM_SECOND);
    assert_int_equal(client.opened, 1); /* its kernel answers */
    assert_null(server.sock);
    process_continue(p);
    sim_run(6 * SIM_SECOND);
    assert_int_equal(server.got, 100);
}

static void a_death_is_heard_unless_the_host_dies(void **state) {
    (void)state;
    for (int with_host = 0; with_host < 2; with_host++) {
        struct process *p = begin(1);
        connect_client();
        sim_run(SIM_SECOND);
        (with_host ? process_lose : process_kill)(p);
        sim_run(100 * SIM_SECOND);
        assert_int_equal(client.ended, !with_host);
        client.to_send = 100;
        send_on(&client);
        sim_run(200 * SIM_SECOND);
        process_start(p);
        sim_run(300 * SIM_SECOND);
        assert_int_equal(client.ended, 1);
        assert_int_equal(client.end_status, with_host ? UV_ECONNRESET : 0);
    }
}

static void keep_alive_finds_the_dead(void **state) {
    (void)state;
    struct process *p = begin(1);
    connect_client();
    sim_run(SIM_SECOND);
    sock_keep_alive(client.sock, 30);
    sim_run(100 * SIM_SECOND);
    assert_int_equal(client.ended, 0);
    process_lose(p);
    sim_run(200 * SIM_SECOND);
    assert_int_equal(client.ended, 1);
    assert_int_equal(client.end_status, UV_ETIMEDOUT);
}

/* --- processes with a main --- */

static struct {
    uint64_t at_us;
    int64_t metric, signals, accepted;
    int write_status;
} noted;

static void on_timer(uv_timer_t *t) {
    (void)t;
    noted.at_us = sim_now_us();
}

static int timer_main(int argc, char **argv) {
    uv_loop_t loop;
    uv_timer_t t;
    (void)argc;
    MUST(uv_loop_init(&loop) == 0 && uv_timer_init(&loop, &t) == 0);
    MUST(uv_timer_start(&t, on_timer, (uint64_t)atoi(argv[1]), 0) == 0);
    return uv_run(&loop, UV_RUN_DEFAULT);
}

static struct process *start(main_fn *main, const char *argument) {
    const char *const argv[] = {"test", argument, NULL};
    struct process *p = process_new("test", "10.0.0.2", main, argv);
    process_start(p);
    return p;
}

static void clocks_go_at_their_own_rate(void **state) {
    static const int rates[] = {0, 100000, -100000};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rates); i++) {
        begin(1);
        struct process *p = start(timer_main, "10000");
        uint64_t wall_us = process_wall_us(p);
        process_set_rate(p, rates[i]);
        process_jump_clock(p, 5000);
        assert_int_equal(process_wall_us(p) - wall_us, 5 * SIM_SECOND);
        sim_run(20 * SIM_SECOND);
        assert_int_equal(process_state(p), PROCESS_ENDED);
        uint64_t due_us = (uint64_t)(1e13 / (1000000 + rates[i]));
        assert_in_range(noted.at_us, due_us - 10 * SIM_MS, due_us + 110 * SIM_MS);
    }
}

static void who_is_stopped_gets_no_turn(void **state) {
    (void)state;
    begin(1);
    struct process *p = start(timer_main, "1000");
    sim_run(SIM_MS);
    process_stop(p);
    sim_run(5 * SIM_SECOND);
    assert_true(process_is_alive(p));
    process_continue(p);
    sim_run(6 * SIM_SECOND);
    assert_int_equal(process_state(p), PROCESS_ENDED);
    assert_true(noted.at_us >= 5 * SIM_SECOND);
}

/* Each counts for itself, and begins at nothing again. */
static int metric_main(int argc, char **argv) {
    uv_loop_t loop;
    uv_timer_t t;
    (void)argc;
    MUST(uv_loop_init(&loop) == 0 && uv_timer_init(&loop, &t) == 0);
    metrics_add(METRIC_accepted, (uint64_t)atoi(argv[1]));
    MUST(uv_timer_start(&t, on_timer, 10, 0) == 0);
    uv_run(&loop, UV_RUN_DEFAULT);
    return (int)metrics_get(METRIC_accepted);
}

static void each_has_its_own_globals(void **state) {
    (void)state;
    begin(1);
    struct process *a = start(metric_main, "3"), *b = start(metric_main, "5");
    for (int life = 1; life < 3; life++) {
        sim_run((uint64_t)life * SIM_SECOND);
        assert_int_equal(process_exit_code(a), 3);
        assert_int_equal(process_exit_code(b), 5);
        assert_int_equal(process_life(a), life);
        process_start(a);
        process_start(b);
    }
}

static void on_connected(uv_connect_t *req, int status) {
    static char bytes[1000];
    MUST(status == 0);
    for (int i = 0; i < 1000; i++)
        bytes[i] = (char)(i % 251);
    uv_buf_t buf = uv_buf_init(bytes, 500);
    noted.write_status = uv_try_write(req->handle, &buf, 1);
    buf = uv_buf_init(bytes + 500, 500);
    noted.write_status += uv_try_write(req->handle, &buf, 1);
}

static int writer_main(int argc, char **argv) {
    uv_loop_t loop;
    uv_tcp_t tcp;
    uv_timer_t t;
    uv_connect_t req;
    struct sockaddr_in to;
    (void)argc;
    (void)argv;
    MUST(uv_loop_init(&loop) == 0 && uv_tcp_init(&loop, &tcp) == 0);
    MUST(uv_ip4_addr("10.0.0.1", 80, &to) == 0);
    MUST(uv_tcp_connect(&req, &tcp, (const struct sockaddr *)&to, on_connected) == 0);
    MUST(uv_timer_init(&loop, &t) == 0 && uv_timer_start(&t, on_timer, 60000, 0) == 0);
    return uv_run(&loop, UV_RUN_DEFAULT);
}

static void killed_or_stopped_at_a_write(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        bool is_kill = seed % 2;
        begin(seed);
        net_manner.partial_ppm = 0;
        noted.write_status = 0;
        struct process *p = start(writer_main, NULL);
        (is_kill ? process_kill_at_write : process_stop_at_write)(p, 2);
        sim_run(10 * SIM_SECOND);
        assert_int_equal(noted.write_status, 500);
        assert_in_range(server.got, 500, 1000);
        assert_false(server.is_wrong);
        assert_int_equal(server.ended, is_kill);
        if (is_kill) {
            assert_int_equal(process_state(p), PROCESS_KILLED);
            continue;
        }
        assert_true(process_is_stopped(p));
        process_continue(p);
        sim_run(20 * SIM_SECOND);
        assert_int_equal(noted.write_status, 1000);
        assert_int_equal(server.got, 1000);
    }
}

static void on_signal(uv_signal_t *h, int number) {
    noted.signals += number;
    uv_close((uv_handle_t *)h, NULL);
}

static int signal_main(int argc, char **argv) {
    uv_loop_t loop;
    uv_signal_t h;
    (void)argc;
    (void)argv;
    MUST(uv_loop_init(&loop) == 0 && uv_signal_init(&loop, &h) == 0);
    MUST(uv_signal_start(&h, on_signal, SIGTERM) == 0);
    return uv_run(&loop, UV_RUN_DEFAULT);
}

static void a_signal_is_caught_or_kills(void **state) {
    (void)state;
    begin(1);
    struct process *caught = start(signal_main, NULL), *not = start(signal_main, NULL);
    noted.signals = 0;
    sim_run(SIM_SECOND);
    process_signal(caught, SIGTERM);
    process_signal(not, SIGHUP);
    sim_run(2 * SIM_SECOND);
    assert_int_equal(process_state(caught), PROCESS_ENDED);
    assert_int_equal(process_state(not ), PROCESS_KILLED);
    assert_int_equal(noted.signals, SIGTERM);
}

static void on_connection(uv_stream_t *s, int status) {
    static uv_tcp_t fresh[8];
    MUST(status == 0);
    MUST(uv_tcp_init(s->loop, &fresh[noted.accepted]) == 0);
    MUST(uv_accept(s, (uv_stream_t *)&fresh[noted.accepted++]) == 0);
}

static int listener_main(int argc, char **argv) {
    uv_loop_t loop;
    uv_tcp_t tcp;
    struct sockaddr_in at;
    (void)argc;
    (void)argv;
    MUST(uv_loop_init(&loop) == 0 && uv_tcp_init(&loop, &tcp) == 0);
    MUST(uv_ip4_addr("0.0.0.0", 90, &at) == 0);
    MUST(uv_tcp_bind(&tcp, (const struct sockaddr *)&at, 0) == 0);
    MUST(uv_listen((uv_stream_t *)&tcp, 8, on_connection) == 0);
    return uv_run(&loop, UV_RUN_DEFAULT);
}

/* As libuv does it: who waits is taken and closed. */
static void no_descriptors_to_accept_with(void **state) {
    (void)state;
    begin(1);
    noted.accepted = 0;
    start(listener_main, NULL);
    net_fail_accepts("10.0.0.2:90", UV_EMFILE, 1);
    for (int i = 0; i < 2; i++) {
        sock_connect(NULL, "10.0.0.9", "10.0.0.2:90", &events, i == 0 ? &client : &server);
        sim_run((uint64_t)(i + 1) * SIM_SECOND);
    }
    assert_int_equal(noted.accepted, 1);
    assert_int_equal(client.ended, 1);
    assert_int_equal(server.ended, 0);
}

/* --- the seed --- */

static char *story_of(uint64_t seed) {
    char *text = NULL;
    size_t len;
    FILE *log = open_memstream(&text, &len);
    sim_begin(seed, log);
    net_begin();
    memset(&client, 0, sizeof(client));
    memset(&server, 0, sizeof(server));
    struct process *p = process_new("server", "10.0.0.1", NULL, NULL);
    process_start(p);
    sock_listen(p, SERVER, &events, NULL);
    client.to_send = server.to_send = MUCH;
    connect_client();
    for (int i = 0; i < 20; i++) {
        sim_run(sim_now_us() + dice_below(sim_dice(), SIM_MS));
        sim_log("test", "%zu %zu %zu", client.sent, client.got, server.got);
    }
    net_reset_all("*", "*");
    fclose(log);
    return text;
}

static void a_seed_is_a_story(void **state) {
    (void)state;
    char *first = story_of(1), *again = story_of(1), *other = story_of(2);
    assert_string_equal(first, again);
    assert_string_not_equal(first, other);
    free(first);
    free(again);
    free(other);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_arrives_in_order),
        cmocka_unit_test(who_does_not_read_holds_up_the_writer),
        cmocka_unit_test(a_close_is_an_end_or_a_reset),
        cmocka_unit_test(nobody_is_there),
        cmocka_unit_test(one_direction_stalls),
        cmocka_unit_test(a_reset_in_the_middle),
        cmocka_unit_test(all_between_two_hosts_are_reset),
        cmocka_unit_test(who_is_stopped_hears_later),
        cmocka_unit_test(a_death_is_heard_unless_the_host_dies),
        cmocka_unit_test(keep_alive_finds_the_dead),
        cmocka_unit_test(clocks_go_at_their_own_rate),
        cmocka_unit_test(who_is_stopped_gets_no_turn),
        cmocka_unit_test(each_has_its_own_globals),
        cmocka_unit_test(killed_or_stopped_at_a_write),
        cmocka_unit_test(a_signal_is_caught_or_kills),
        cmocka_unit_test(no_descriptors_to_accept_with),
        cmocka_unit_test(a_seed_is_a_story),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
