/* test_pressure.c - who waits, who goes on and who is closed when memory is short. The budget gives
 * 1 MiB to unfinished input and 2 MiB to what waits to be written; times are set into the past. */
#include "gateway/conn/pressure.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <cmocka.h>

#include "common/base/memory_budget.h"
#include "gateway/conn/conn.h"
#include "gateway/conn/turn.h"
#include "tests/gateway/conn/loopback.h"

enum { CONNS = 3, MIB = 1024 * 1024, SHARE = MIB };

struct fixture {
    uv_loop_t loop;
    uv_tcp_t servers[CONNS];
    int peers[CONNS];
    struct conns set;
    struct conn *conns[CONNS];
    size_t accepted;
    char shed[16]; /* the numbers of the connections, in their order; "o" before one: its output */
    uint64_t unread_ms;
};

static struct fixture *fixture;

static void ignore_bytes(struct conn *c, struct bytes in) {
    (void)c;
    (void)in;
}

static void ignore_sweep(struct conn *c, uint64_t now_ms) {
    (void)c;
    (void)now_ms;
}

/* Gives back what it keeps. */
static void on_pressure(struct conn *c, enum pressure why) {
    char text[3] = {why == PRESSURE_OUT ? 'o' : ' '};
    for (int i = 0; i < CONNS; i++)
        if (fixture->conns[i] == c)
            text[1] = (char)('0' + i);
    strcat(fixture->shed, text);
    if (why == PRESSURE_OUT)
        conn_drop(c);
    else
        conn_set_input(c, false, 0);
}

static void on_unread(struct conn *c, uint64_t ms) {
    (void)c;
    fixture->unread_ms += ms;
}

static const struct conn_proto proto = {.name = "test",
                                        .on_bytes = ignore_bytes,
                                        .on_sweep = ignore_sweep,
                                        .on_pressure = on_pressure,
                                        .on_unread = on_unread};

static void on_connection(uv_stream_t *server, int status) {
    assert_int_equal(status, 0);
    fixture->conns[fixture->accepted++] = conn_accept(&fixture->set, server, NULL, NULL, &proto);
}

static void turn(struct fixture *f, int times) {
    loopback_turn(&f->loop, times);
}

static int setup(void **state) {
    struct fixture *f = fixture = calloc(1, sizeof(*f));
    memory_init(8 * MIB);
    uv_loop_init(&f->loop);
    conns_init(&f->set, &f->loop, MIB, 600000); /* no tick comes by itself */
    turn_start(&f->set);
    for (size_t i = 0; i < CONNS; i++) {
        f->peers[i] = loopback_connect(&f->loop, &f->servers[i], on_connection);
        while (f->accepted == i || f->conns[i]->state != CONN_OPEN)
            turn(f, 1);
    }
    *state = f;
    return 0;
}

static int teardown(void **state) {
    struct fixture *f = *state;
    for (size_t i = 0; i < CONNS; i++) {
        close(f->peers[i]);
        if (f->set.count > 0)
            conn_drop(f->set.all[0]);
        uv_close((uv_handle_t *)&f->servers[i], NULL);
    }
    while (f->set.unfreed > 0)
        turn(f, 1);
    assert_int_equal(f->set.starved, 0);
    turn_stop(&f->set);
    conns_deinit(&f->set);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&f->loop), 0);
    assert_int_equal(memory_of(MEMORY_incoming), 0);
    assert_int_equal(memory_of(MEMORY_outgoing), 0);
    memory_init(0);
    free(f);
    return 0;
}

/* The i-th connection keeps so much, since so long. */
static void keep(struct fixture *f, int i, size_t bytes, uint64_t for_ms) {
    conn_set_input(f->conns[i], true, bytes);
    f->conns[i]->input_since_ms = conns_now(&f->set) - for_ms;
}

static bool is_waiting(struct fixture *f, int i) {
    return conn_is_paused(f->conns[i], CONN_PAUSED_MEMORY);
}

static void input_is_counted_while_it_is_kept(void **state) {
    struct fixture *f = *state;
    keep(f, 0, 1000, 0);
    keep(f, 1, 500, 0);
    assert_int_equal(memory_of(MEMORY_incoming), 1500);
    conn_set_input(f->conns[0], false, 0);
    assert_int_equal(memory_of(MEMORY_incoming), 500);
    assert_int_equal(f->conns[0]->input_since_ms, 0);
    conn_drop(f->conns[1]);
    assert_int_equal(memory_of(MEMORY_incoming), 0);
}

static void much_input_waits_and_little_does_not(void **state) {
    struct fixture *f = *state;
    keep(f, 0, SHARE, 0);
    keep(f, 1, CONN_INPUT_SMALL_MAX, 0);
    assert_false(is_waiting(f, 1));
    keep(f, 1, CONN_INPUT_SMALL_MAX + 1, 0);
    assert_true(is_waiting(f, 1));
    keep(f, 2, 1000, 0);
    assert_false(is_waiting(f, 2));
    keep(f, 0, SHARE / 4 * 5, 0); /* flooded with the others */
    keep(f, 2, 1001, 0);
    assert_true(is_waiting(f, 2));
    conn_set_input(f->conns[0], false, 0);
    pressure_relieve(&f->set, true);
    assert_false(is_waiting(f, 1));
    assert_false(is_waiting(f, 2));
    assert_string_equal(f->shed, "");
}

static void time_in_which_nobody_read_is_told(void **state) {
    struct fixture *f = *state;
    keep(f, 0, SHARE + 1, 0);
    assert_true(is_waiting(f, 0));
    f->conns[0]->paused_ms -= 700;
    conn_set_input(f->conns[0], false, 0);
    assert_false(is_waiting(f, 0));
    assert_true(f->unread_ms >= 700);
}

static void what_protocol_paused_stays_paused(void **state) {
    struct fixture *f = *state;
    conn_pause(f->conns[0], CONN_PAUSED_PROTO);
    keep(f, 0, SHARE + 1, 0);
    conn_set_input(f->conns[0], false, 0);
    assert_true(f->conns[0]->stream.is_paused);
    conn_resume(f->conns[0], CONN_PAUSED_PROTO);
    assert_false(f->conns[0]->stream.is_paused);
}

static void the_costliest_waits_for_the_least(void **state) {
    struct fixture *f = *state;
    keep(f, 0, SHARE, 0);
    keep(f, 1, 200000, 100);
    keep(f, 2, 250000, 200);
    assert_true(is_waiting(f, 1) && is_waiting(f, 2));
    pressure_relieve(&f->set, true); /* up to 7/4 of the share: for one of them */
    assert_true(is_waiting(f, 1));
    assert_false(is_waiting(f, 2));
    keep(f, 2, 500000, 200);
    assert_false(is_waiting(f, 2)); /* as much as it was granted */
    keep(f, 2, 500001, 200);
    assert_true(is_waiting(f, 2));
}

static void the_costliest_are_closed_first(void **state) {
    struct fixture *f = *state;
    keep(f, 0, SHARE / 2, 5000);
    keep(f, 1, SHARE / 2, 6000);
    keep(f, 2, SHARE / 8, 7000);
    assert_true(memory_is_full(MEMORY_incoming) && !memory_is_flooded(MEMORY_incoming));
    pressure_relieve(&f->set, false); /* this is no emergency */
    assert_string_equal(f->shed, "");
    pressure_relieve(&f->set, true);
    assert_string_equal(f->shed, " 1");
}

/* Down to seven eighths of the share, so that the next message does not fill it again. */
static void some_room_is_made(void **state) {
    struct fixture *f = *state;
    keep(f, 0, SHARE / 8 + 1000, 60000);
    keep(f, 1, SHARE / 8 * 7 - 500, 6000);
    pressure_relieve(&f->set, true);
    assert_string_equal(f->shed, " 0");
    f->shed[0] = '\0';
    keep(f, 2, SHARE / 8 + 1000, 60000);
    keep(f, 1, SHARE / 8 * 7 + 500, 6000);
    pressure_relieve(&f->set, true);
    assert_string_equal(f->shed, " 2 1");
}

static void there_is_patience_at_first(void **state) {
    struct fixture *f = *state;
    keep(f, 0, SHARE / 8 * 9, 4999);
    pressure_relieve(&f->set, true);
    assert_string_equal(f->shed, "");
    keep(f, 0, SHARE / 8 * 11, 999);
    pressure_relieve(&f->set, true);
    assert_string_equal(f->shed, "");
    keep(f, 0, SHARE / 8 * 11, 1000);
    pressure_relieve(&f->set, true);
    assert_string_equal(f->shed, " 0");
}

static void at_twice_the_share_there_is_none(void **state) {
    struct fixture *f = *state;
    keep(f, 0, SHARE, 0);
    keep(f, 1, SHARE / 2, 0);
    keep(f, 2, SHARE / 2 + 1, 0);
    f->set.relieved_ms = 0;
    pressure_relieve(&f->set, false);
    assert_string_equal(f->shed, " 0 2"); /* then the share is kept */
    assert_int_equal(memory_of(MEMORY_incoming), SHARE / 2);
}

static void queues_that_nobody_reads_go(void **state) {
    struct fixture *f = *state;
    char piece[MIB] = {0};
    for (int i = 0; i < 16; i++)
        conn_send_bytes(f->conns[1], bytes_of(piece, sizeof(piece)));
    conn_send_bytes(f->conns[0], bytes_of(piece, 1000));
    turn(f, 2);
    assert_string_equal(f->shed, "o1");
    assert_int_equal(f->conns[1]->state, CONN_CLOSED);
    assert_int_equal(f->conns[0]->state, CONN_OPEN);
}

int main(void) {
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(input_is_counted_while_it_is_kept),
        TEST(much_input_waits_and_little_does_not),
        TEST(time_in_which_nobody_read_is_told),
        TEST(what_protocol_paused_stays_paused),
        TEST(the_costliest_waits_for_the_least),
        TEST(the_costliest_are_closed_first),
        TEST(some_room_is_made),
        TEST(there_is_patience_at_first),
        TEST(at_twice_the_share_there_is_none),
        TEST(queues_that_nobody_reads_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
