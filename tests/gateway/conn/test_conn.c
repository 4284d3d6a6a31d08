/* test_conn.c - a connection over a real socket pair of the loop: one gathered write a turn, the
 * states, deadlines, the end. */
#include "gateway/conn/conn.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <cmocka.h>

#include "common/base/metrics.h"
#include "gateway/conn/turn.h"
#include "tests/gateway/conn/loopback.h"

struct fixture {
    uv_loop_t loop;
    uv_tcp_t server;
    struct conns set;
    struct conn *conn;
    int peer;
    unsigned bytes, ends, drained, deadlines, gone;
};

static struct fixture *fixture;

static void on_bytes(struct conn *c, struct bytes in) {
    (void)c;
    fixture->bytes += (unsigned)in.len;
}

static void on_end(struct conn *c, int status) {
    (void)status;
    fixture->ends++;
    conn_drop(c);
}

static void on_drained(struct conn *c) {
    (void)c;
    fixture->drained++;
}

static void on_deadline(struct conn *c) {
    (void)c;
    fixture->deadlines++;
}

static void on_sweep(struct conn *c, uint64_t now_ms) {
    (void)c;
    (void)now_ms;
}

static void on_gone(struct conn *c) {
    (void)c;
    fixture->gone++;
    fixture->conn = NULL;
}

static const struct conn_proto proto = {.name = "test",
                                        .on_bytes = on_bytes,
                                        .on_end = on_end,
                                        .on_drained = on_drained,
                                        .on_deadline = on_deadline,
                                        .on_sweep = on_sweep,
                                        .on_gone = on_gone};

static void on_connection(uv_stream_t *server, int status) {
    assert_int_equal(status, 0);
    fixture->conn = conn_accept(&fixture->set, server, NULL, NULL, &proto);
}

static void turn(struct fixture *f, int times) {
    loopback_turn(&f->loop, times);
}

static int setup(void **state) {
    struct fixture *f = fixture = calloc(1, sizeof(*f));
    uv_loop_init(&f->loop);
    conns_init(&f->set, &f->loop, 1024, 1000);
    turn_start(&f->set);
    f->peer = loopback_connect(&f->loop, &f->server, on_connection);
    while (f->conn == NULL || f->conn->state != CONN_OPEN)
        turn(f, 1);
    *state = f;
    return 0;
}

static int teardown(void **state) {
    struct fixture *f = *state;
    if (f->conn != NULL)
        conn_drop(f->conn);
    close(f->peer);
    while (f->set.unfreed > 0)
        turn(f, 1);
    uv_close((uv_handle_t *)&f->server, NULL);
    turn_stop(&f->set);
    conns_deinit(&f->set);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&f->loop), 0);
    free(f);
    return 0;
}

/* ---- a crowd: connections without a socket, of which only the flush is seen */

enum { CROWD = 5000 };
static unsigned flushed_count, ends_of_flush, flushed_in_turn[CROWD];

static void on_crowd_drained(struct conn *c) {
    flushed_in_turn[c->slot] = ends_of_flush * 1000 + flushed_count++ / 1024;
}

static void on_flushed(struct conns *set) {
    (void)set;
    ends_of_flush++;
}

/* A turn writes a part of them, and so the loop hears others in between; whoever is marked in
 * between, as the last, does not wait for all. on_flushed comes when all are written. */
static void a_crowd_is_written_in_parts(void **state) {
    static const struct conn_proto crowd_proto = {.name = "crowd", .on_drained = on_crowd_drained};
    static struct conn crowd[CROWD];
    struct fixture *f = *state;
    turn(f, 1);
    f->set.on_flushed = on_flushed;
    flushed_count = ends_of_flush = 0;
    for (uint32_t i = 0; i < CROWD; i++) {
        crowd[i] =
            (struct conn){.state = CONN_OPEN, .set = &f->set, .proto = &crowd_proto, .slot = i};
        outq_init(&crowd[i].out);
        if (i < CROWD - 1)
            conns_mark_dirty(&f->set, &crowd[i]);
    }
    uv_run(&f->loop, UV_RUN_NOWAIT);
    assert_int_equal(flushed_count, 1024);
    conns_mark_dirty(&f->set, &crowd[CROWD - 1]);
    uv_run(&f->loop, UV_RUN_ONCE); /* does not sleep */
    assert_int_equal(flushed_count, 2048);
    assert_int_equal(flushed_in_turn[CROWD - 1], 1);
    assert_int_equal(flushed_in_turn[0], 0);
    assert_int_equal(ends_of_flush, 0);
    for (int i = 0; i < 3; i++)
        uv_run(&f->loop, UV_RUN_ONCE);
    assert_int_equal(flushed_count, CROWD);
    assert_int_equal(ends_of_flush, 1);
    assert_true(TAILQ_EMPTY(&f->set.dirty));
}

static void sending_queues_and_the_turn_writes(void **state) {
    struct fixture *f = *state;
    char text[16] = "";
    conn_send_bytes(f->conn, BYTES_LIT("abc"));
    conn_send_bytes(f->conn, BYTES_LIT("def"));
    assert_int_equal(f->conn->out.count, 1); /* side by side: one range */
    assert_int_equal(recv(f->peer, text, sizeof(text), MSG_DONTWAIT), -1);
    f->drained = 0;
    turn(f, 2);
    assert_int_equal(recv(f->peer, text, sizeof(text), 0), 6);
    assert_memory_equal(text, "abcdef", 6);
    assert_int_equal(f->conn->out.count, 0);
    assert_int_equal(f->drained, 1);
}

/* As long as TLS is not agreed, the connection is not open. */
static void a_silent_handshake_ends(void **state) {
    struct fixture *f = *state;
    struct conn *c = f->conn;
    c->state = CONN_OPENING;
    conn_sweep(c, c->opened_ms + 10000);
    assert_int_equal(f->gone, 0);
    conn_sweep(c, c->opened_ms + 10001);
    assert_int_equal(f->gone, 1);
}

static void finishing_writes_first(void **state) {
    struct fixture *f = *state;
    char text[16];
    conn_send_bytes(f->conn, BYTES_LIT("bye"));
    conn_finish(f->conn, 1000);
    assert_int_equal(f->conn->state, CONN_FINISHING);
    conn_send_bytes(f->conn, BYTES_LIT("too late"));
    turn(f, 3);
    assert_int_equal(f->gone, 1);
    assert_int_equal(recv(f->peer, text, sizeof(text), 0), 3);
    assert_int_equal(recv(f->peer, text, sizeof(text), 0), 0);
}

static void the_socket_is_tried_at_the_bound(void **state) {
    struct fixture *f = *state;
    static const enum slow_policy policies[] = {SLOW_CLOSE, SLOW_DROP_OLDEST, SLOW_DROP_NEWEST,
                                                SLOW_LATEST};
    struct frame frame = frame_make(&f->set.arena, BYTES_NONE, bytes_of((char[600]){0}, 600));
    int64_t dropped = metrics_get(METRIC_slow_dropped);
    for (size_t i = 0; i < 4; i++) {
        f->conn->policy = policies[i];
        for (int n = 0; n < 20; n++) /* within one turn, and many times the bound */
            assert_int_equal(conn_send_message(f->conn, frame), CONN_QUEUED);
        assert_true(f->conn->out.bytes <= 1024);
        turn(f, 2);
    }
    assert_int_equal(metrics_get(METRIC_slow_dropped), dropped);
    frame_unref(frame);
}

/* Until the socket takes no more: what then waits is less than max_bytes. */
static void fill(struct fixture *f, struct frame frame, size_t max_bytes) {
    for (int i = 0; i < 100000 && f->conn->out.bytes + frame.len <= max_bytes; i++) {
        assert_int_equal(conn_send_message(f->conn, frame), CONN_QUEUED);
        conn_flush(f->conn);
    }
    assert_true(f->conn->is_blocked);
}

static void a_queue_over_its_bound_has_a_second(void **state) {
    struct fixture *f = *state;
    struct frame frame = frame_make(&f->set.arena, BYTES_NONE, bytes_of((char[600]){0}, 600));
    fill(f, frame, 2048);
    assert_false(conn_is_slow(f->conn));
    for (int i = 0; i < 10000 && !conn_is_slow(f->conn); i++)
        turn(f, 1);
    assert_true(conn_is_slow(f->conn));
    assert_int_equal(conn_send_message(f->conn, frame), CONN_OVER);
    frame_unref(frame);
}

static void four_times_the_bound_are_the_end(void **state) {
    struct fixture *f = *state;
    struct frame frame = frame_make(&f->set.arena, BYTES_NONE, bytes_of((char[600]){0}, 600));
    fill(f, frame, 3600);
    assert_int_equal(conn_send_message(f->conn, frame), CONN_OVER);
    f->conn->policy = SLOW_DROP_NEWEST;
    assert_int_equal(conn_send_message(f->conn, frame), CONN_DROPPED);
    assert_true(f->conn->out.bytes <= 4096);
    frame_unref(frame);
}

static size_t read_some(struct fixture *f, size_t at_most) {
    static char text[65536];
    ssize_t n = recv(f->peer, text, at_most < sizeof(text) ? at_most : sizeof(text), MSG_DONTWAIT);
    return n > 0 ? (size_t)n : 0;
}

/* Four times as long as the time within which it may take nothing. */
static void a_reader_has_its_time_to_the_end(void **state) {
    struct fixture *f = *state;
    enum { MUCH = 8 << 20, STALL_MS = 500 };
    char *much = calloc(1, MUCH);
    size_t had = 0;
    conn_send_bytes(f->conn, bytes_of(much, MUCH));
    conn_finish(f->conn, STALL_MS);
    uint64_t from_ms = uv_now(&f->loop);
    while (had < MUCH && uv_now(&f->loop) - from_ms < 30000) {
        uint64_t due = (uv_now(&f->loop) - from_ms) * MUCH / (4 * STALL_MS);
        had += had < due ? read_some(f, due - had) : 0;
        turn(f, 1);
    }
    assert_int_equal(had, MUCH);
    turn(f, 5);
    assert_int_equal(f->gone, 1);
    free(much);
}

static void who_takes_nothing_is_dropped(void **state) {
    struct fixture *f = *state;
    char *much = calloc(1, 16 << 20);
    conn_send_bytes(f->conn, bytes_of(much, 16 << 20));
    conn_finish(f->conn, 100);
    for (int i = 0; i < 20000 && f->gone == 0; i++)
        turn(f, 1);
    assert_int_equal(f->gone, 1);
    while (read_some(f, 65536) > 0) /* so that the teardown need not wait */
        turn(f, 1);
    free(much);
}

/* However steadily it reads: five minutes after the end began. */
static void the_end_has_an_end(void **state) {
    struct fixture *f = *state;
    struct frame frame = frame_make(&f->set.arena, BYTES_NONE, bytes_of((char[600]){0}, 600));
    fill(f, frame, 2048);
    conn_begin_end(f->conn, UINT64_MAX);
    f->conn->ending_ms = conns_now(&f->set) - 299999;
    assert_true(conn_is_taking(f->conn));
    f->conn->ending_ms = conns_now(&f->set) - 300000;
    assert_false(conn_is_taking(f->conn));
    frame_unref(frame);
}

static void deadlines_fire_once(void **state) {
    struct fixture *f = *state;
    conn_set_deadline(f->conn, 1);
    for (int i = 0; i < 200 && f->deadlines == 0; i++)
        turn(f, 1);
    turn(f, 100);
    assert_int_equal(f->deadlines, 1);
    conn_set_deadline(f->conn, 1);
    conn_clear_deadline(f->conn);
    turn(f, 100);
    assert_int_equal(f->deadlines, 1);
}

static void dropping_twice_is_dropping_once(void **state) {
    struct fixture *f = *state;
    struct conn *c = f->conn;
    conn_send_bytes(c, BYTES_LIT("x"));
    conn_drop(c);
    conn_drop(c);
    assert_int_equal(f->gone, 1);
    assert_int_equal(f->set.count, 0);
}

static void the_peers_end_is_told(void **state) {
    struct fixture *f = *state;
    assert_int_equal(send(f->peer, "hello", 5, 0), 5);
    turn(f, 3);
    assert_int_equal(f->bytes, 5);
    shutdown(f->peer, SHUT_WR);
    turn(f, 3);
    assert_int_equal(f->ends, 1);
    assert_int_equal(f->gone, 1);
}

int main(void) {
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_crowd_is_written_in_parts),
        TEST(sending_queues_and_the_turn_writes),
        TEST(a_silent_handshake_ends),
        TEST(finishing_writes_first),
        TEST(the_socket_is_tried_at_the_bound),
        TEST(a_queue_over_its_bound_has_a_second),
        TEST(four_times_the_bound_are_the_end),
        TEST(a_reader_has_its_time_to_the_end),
        TEST(who_takes_nothing_is_dropped),
        TEST(the_end_has_an_end),
        TEST(deadlines_fire_once),
        TEST(dropping_twice_is_dropping_once),
        TEST(the_peers_end_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
