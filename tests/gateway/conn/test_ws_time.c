/* test_ws_time.c - a WebSocket and the clock: how fast a client may speak, for how long it is waited
 * for at each step, and when it counts as dead. Time passes only when a test says so, in steps that are no standstill. */
#include "gateway/conn/ws.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <cmocka.h>

#include "common/base/log.h"
#include "common/base/settings.h"
#include "gateway/conn/conn.h"
#include "gateway/conn/turn.h"
#include "gateway/conn/v1.h"
#include "tests/fuzz/still_clock.h"
#include "tests/gateway/conn/loopback.h"

enum { STEP_MS = 250 };

static struct world {
    uv_loop_t loop;
    uv_tcp_t server;
    struct conns set;
    struct conn *conn; /* NULL when it is gone */
    struct ws *ws;
    struct settings settings;
    int peer;
    unsigned heard; /* messages */
    bool holds;     /* at each of them */
    bool is_v1;
    bool gets_bye;
    unsigned asked; /* for a BYE */
    int code;       /* of the first end; 0: none */
} w;

/* ---- the client */

static bool on_message(void *client, bool is_binary, struct bytes body) {
    (void)client;
    (void)is_binary;
    (void)body;
    w.heard++;
    if (w.holds)
        ws_transport.hold(w.ws, HOLD_ROOM);
    return true;
}

static bool ask_for_bye(void *client) {
    (void)client;
    w.asked++;
    return w.gets_bye;
}

static void on_ending(void *client, enum ended_by by, int code, struct bytes reason) {
    (void)client;
    (void)by;
    (void)reason;
    if (w.code == 0)
        w.code = code;
}

static void on_leaving(void *client) {
    (void)client;
}

static void position(void *client, uint64_t since_ms, struct buf *out) {
    (void)client;
    (void)since_ms;
    buf_append_str(out, "5-7");
}

static void on_gone(void *client) {
    (void)client;
    w.conn = NULL;
    w.ws = NULL;
}

static const struct transport_events events = {.on_message = on_message,
                                               .ask_for_bye = ask_for_bye,
                                               .on_ending = on_ending,
                                               .on_leaving = on_leaving,
                                               .position = position,
                                               .on_gone = on_gone};

/* ---- the connection */

static void ignore_bytes(struct conn *c, struct bytes in) {
    (void)c;
    (void)in;
}

static const struct conn_proto before_ws = {.name = "before", .on_bytes = ignore_bytes};

static void on_connection(uv_stream_t *server, int status) {
    assert_int_equal(status, 0);
    w.conn = conn_accept(&w.set, server, NULL, NULL, &before_ws);
}

static void turn(int times) {
    loopback_turn(&w.loop, times);
}

static void pass(uint64_t ms) {
    while (ms > 0) {
        uint64_t step = ms < STEP_MS ? ms : STEP_MS;
        now_ms += step;
        ms -= step;
        turn(2);
    }
    turn(2);
}

static int open_world(void **state) {
    (void)state;
    memset(&w, 0, sizeof(w));
    log_set_level(LOG_ERROR + 1);
    w.settings = (struct settings){.max_message_bytes = 100000,
                                   .message_timeout_ms = 20000,
                                   .ping_ms = 30000,
                                   .pong_timeout_ms = 5000};
    uv_loop_init(&w.loop);
    conns_init(&w.set, &w.loop, 1 << 20, 100);
    turn_start(&w.set);
    w.peer = loopback_connect(&w.loop, &w.server, on_connection);
    while (w.conn == NULL || w.conn->state != CONN_OPEN)
        turn(1);
    return 0;
}

static void open_ws(void) {
    struct buf rest = {0};
    struct ws_options options = {.settings = &w.settings,
                                 .events = &events,
                                 .client = &w,
                                 .client_id = BYTES_LIT("id"),
                                 .name = BYTES_LIT("N"),
                                 .is_v1 = w.is_v1,
                                 .rest = &rest};
    w.ws = ws_open(w.conn, &options);
}

static int close_world(void **state) {
    (void)state;
    close(w.peer);
    if (w.conn != NULL)
        conn_drop(w.conn);
    while (w.set.unfreed > 0)
        turn(1);
    uv_close((uv_handle_t *)&w.server, NULL);
    turn_stop(&w.set);
    conns_deinit(&w.set);
    uv_run(&w.loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&w.loop), 0);
    return 0;
}

/* Frames with a mask of zeros, so that the payload stands as it is. */
static void say(const void *frames, size_t len) {
    assert_int_equal(send(w.peer, frames, len, 0), len);
    turn(4);
}
#define SAY(frames) say(frames, sizeof(frames) - 1)
#define A_MESSAGE   "\x81\x81\0\0\0\0a"
#define CLOSE_1000  "\x88\x82\0\0\0\0\x03\xe8"

static void say_messages(unsigned count) {
    for (unsigned i = 0; i < count; i++)
        assert_int_equal(send(w.peer, A_MESSAGE, 7, 0), 7);
    turn(6);
}

/* A binary frame of so many bytes. */
static void say_frame(unsigned char first, size_t bytes) {
    unsigned width = bytes < 126 ? 0 : bytes < 65536 ? 2 : 8;
    unsigned char *frame = mem_zalloc(2 + width + 4 + bytes);
    frame[0] = first;
    frame[1] = (unsigned char)(0x80 | (width == 0 ? bytes : width == 2 ? 126 : 127));
    for (unsigned i = 0; i < width; i++)
        frame[2 + i] = (unsigned char)(bytes >> 8 * (width - 1 - i));
    say(frame, 2 + width + 4 + bytes);
    free(frame);
}

static void say_large(size_t bytes) {
    say_frame(0x82, bytes);
}

/* Of a message that goes on. */
static void begin_message(size_t bytes) {
    say_frame(0x02, bytes);
}

/* What the peer has received since; static. */
static struct bytes heard_by_peer(void) {
    static char got[4096];
    turn(3);
    ssize_t n = recv(w.peer, got, sizeof(got), MSG_DONTWAIT);
    return bytes_of(got, n > 0 ? (size_t)n : 0);
}

static void assert_peer_hears(const char *bytes, size_t len) {
    struct bytes got = heard_by_peer();
    if (!bytes_equal(got, bytes_of(bytes, len)))
        fail_msg("%zu bytes, not %zu", got.len, len);
}
#define ASSERT_PEER_HEARS(bytes) assert_peer_hears(bytes, sizeof(bytes) - 1)

/* ---- a silent connection */

#define POSITION "\x81\x1e{\"type\":\"position\",\"id\":\"5-7\"}"

static void a_silent_connection_is_told_its_position(void **state) {
    (void)state;
    w.is_v1 = true;
    open_ws();
    pass(SILENCE_MAX_MS - 500);
    ASSERT_PEER_HEARS("");
    pass(1000);
    ASSERT_PEER_HEARS(POSITION);
    SAY(A_MESSAGE A_MESSAGE); /* what it says itself is nothing that it hears */
    pass(SILENCE_MAX_MS - 1000);
    ASSERT_PEER_HEARS("");
    pass(1500);
    ASSERT_PEER_HEARS(POSITION);
}

static void one_that_hears_something_is_not(void **state) {
    struct frame_arena arena;
    (void)state;
    w.is_v1 = true;
    open_ws();
    frame_arena_init(&arena, 1024);
    struct frame message = frame_make(&arena, BYTES_LIT("\x81\1"), BYTES_LIT("a"));
    for (int i = 0; i < 4; i++) {
        assert_int_equal(conn_send_message(w.conn, message), CONN_QUEUED);
        pass(SILENCE_MAX_MS - 1000);
        ASSERT_PEER_HEARS("\x81\1a");
        SAY("\x89\x80\0\0\0\0"); /* a pong is nothing that a script hears */
        ASSERT_PEER_HEARS("\x8a\0");
    }
    pass(2500);
    ASSERT_PEER_HEARS(POSITION);
    frame_unref(message);
    frame_arena_deinit(&arena);
}

/* Positions say nothing about whether the peer is there: it is pinged, and closed. */
static void positions_keep_no_dead_peer(void **state) {
    (void)state;
    w.is_v1 = true;
    open_ws();
    pass(27500);
    ASSERT_PEER_HEARS(POSITION POSITION);
    pass(4000);
    ASSERT_PEER_HEARS("\x89\0");
    pass(6000);
    assert_int_equal(w.code, 4003);
}

static void the_plain_format_has_no_positions(void **state) {
    (void)state;
    open_ws();
    pass(28000);
    ASSERT_PEER_HEARS("");
}

/* ---- how fast it may speak */

/* Twenty at once, and then twenty a second. */
static void so_many_messages_a_second(void **state) {
    (void)state;
    w.settings.max_messages_per_second = 20;
    open_ws();
    say_messages(60);
    assert_in_range(w.heard, 20, 22);
    unsigned before = w.heard;
    pass(500);
    assert_in_range(w.heard, before + 9, before + 12);
    pass(1000);
    assert_in_range(w.heard, before + 29, before + 33);
    pass(3000);
    assert_int_equal(w.heard, 60);
    say_messages(40); /* after a rest as many again */
    assert_in_range(w.heard, 80, 82);
    pass(3000);
    assert_int_equal(w.heard, 100);
    assert_int_equal(w.code, 0);
}

/* What came while the process stood still was not sent too fast. */
static void a_standstill_is_not_the_clients_fault(void **state) {
    (void)state;
    w.settings.max_messages_per_second = 20;
    open_ws();
    say_messages(20);
    assert_int_equal(w.heard, 20);
    now_ms += 3000; /* without a turn */
    say_messages(75);
    assert_in_range(w.heard, 93, 95);
    pass(3000);
    now_ms += 400; /* a turn may well take that */
    say_messages(60);
    assert_in_range(w.heard, 95 + 20, 95 + 26); /* with what is left of that time */
}

static void so_many_bytes_a_second(void **state) {
    (void)state;
    w.settings.max_message_bytes_per_second = 10000;
    open_ws();
    say_large(9000); /* a second's worth at once, and a message whole */
    say_large(9000);
    say_large(1);
    assert_int_equal(w.heard, 2);
    pass(600);
    assert_int_equal(w.heard, 2);
    pass(500);
    assert_int_equal(w.heard, 3);
}

/* The longer wait of the two counts. */
static void both_limits_hold(void **state) {
    (void)state;
    for (int which = 0; which <= 1; which++) {
        if (which == 1) {
            close_world(state);
            open_world(state);
        }
        w.settings.max_messages_per_second = which == 0 ? 1 : 100;
        w.settings.max_message_bytes_per_second = which == 0 ? 1000000 : 1000;
        open_ws();
        for (int i = 0; i < 10; i++)
            say_large(which == 0 ? 1 : 200);
        unsigned expected = which == 0 ? 10 : 6;
        assert_in_range(w.heard, expected, expected + 1);
        unsigned before = w.heard;
        say_messages(1);
        pass(500);
        assert_in_range(w.heard, before, before + (which == 0 ? 0 : 3));
    }
}

/* A limit that nobody has set spares those who are near; one that is set spares nobody. */
static void who_is_near_is_spared(void **state) {
    static char program[] = "test", messages[] = "--max-messages-per-second", few[] = "20",
                bytes[] = "--max-message-bytes-per-second", little[] = "1000";
    static const struct {
        bool has_messages, has_bytes, is_near, is_paced;
    } cases[] = {{true, false, true, true},   {true, false, false, true},
                 {false, true, true, true},   {false, true, false, true},
                 {false, false, true, false}, {false, false, false, true}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char *arguments[] = {program, cases[i].has_messages ? messages : bytes,
                             cases[i].has_messages ? few : little, NULL};
        int rest, count = cases[i].has_messages || cases[i].has_bytes ? 3 : 1;
        struct settings defaults = {0};
        close_world(state);
        open_world(state);
        arguments[count] = NULL;
        assert_int_equal(settings_parse(&w.settings, FOR_ALL, count, arguments, &rest),
                         SETTINGS_OK);
        arguments[1] = NULL;
        assert_int_equal(settings_parse(&defaults, FOR_ALL, 1, arguments, &rest), SETTINGS_OK);
        assert_true(ip_parse(cases[i].is_near ? BYTES_LIT("192.168.0.1") : BYTES_LIT("203.0.113.1"),
                             &w.conn->remote));
        open_ws();
        unsigned said = (unsigned)defaults.max_messages_per_second + 20;
        for (unsigned k = 0; k < said; k++)
            assert_int_equal(send(w.peer, A_MESSAGE A_MESSAGE, 14, 0), 14);
        for (int k = 0; k < 20 && w.heard < 2 * said; k++)
            turn(1);
        if ((w.heard < 2 * said) != cases[i].is_paced)
            fail_msg("case %zu: %u of %u", i, w.heard, 2 * said);
    }
}

/* Over the rate without a pause for longer than that. */
static void patience_has_an_end(void **state) {
    static const struct {
        int64_t patience_ms;
        bool pauses, is_cut;
    } cases[] = {
        {2000, false, true}, {0, false, false}, {2000, true, false}, {60000, false, false}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        close_world(state);
        open_world(state);
        w.settings.max_messages_per_second = 2;
        w.settings.rate_patience_ms = cases[i].patience_ms;
        open_ws();
        say_messages(13);
        pass(1500); /* three of them */
        assert_int_equal(w.code, 0);
        if (cases[i].pauses)
            pass(8000);
        say_messages(13);
        pass(1500);
        assert_int_equal(w.code, cases[i].is_cut ? 1008 : 0);
    }
}

/* ---- for how long it is waited for */

static void a_hold_lasts_ten_seconds(void **state) {
    (void)state;
    open_ws();
    w.holds = true;
    say_messages(2);
    pass(9500);
    assert_int_equal(w.code, 0);
    pass(700);
    assert_int_equal(w.code, 1013);
    assert_int_equal(w.heard, 1);
}

static void a_close_waits_half_a_second_for_what_it_caused(void **state) {
    (void)state;
    open_ws();
    w.gets_bye = true;
    say_messages(1);
    SAY(CLOSE_1000);
    assert_int_equal(w.asked, 1);
    assert_int_equal(heard_by_peer().len, 0);
    pass(400);
    assert_int_equal(heard_by_peer().len, 0);
    pass(200);
    ASSERT_PEER_HEARS("\x88\x02\x03\xe8");
}

/* What was said two seconds ago has caused all that it causes. */
static void a_close_after_a_while_waits_for_nothing(void **state) {
    (void)state;
    for (int is_late = 0; is_late <= 1; is_late++) {
        if (is_late == 1) {
            close_world(state);
            open_world(state);
        }
        open_ws();
        w.gets_bye = true;
        say_messages(1);
        pass(is_late ? 2000 : 1700);
        SAY(CLOSE_1000);
        assert_int_equal(w.asked, !is_late);
    }
}

static void our_close_is_answered_within_two_seconds(void **state) {
    (void)state;
    open_ws();
    ws_transport.close_slow(w.ws);
    assert_int_equal(w.code, 4002);
    pass(1500);
    assert_non_null(w.conn);
    pass(1200);
    assert_null(w.conn);
}

/* ---- is it alive? */

#define PING "\x89\x00"
#define PONG "\x8a\x80\0\0\0\0"

static void who_is_silent_is_pinged(void **state) {
    (void)state;
    open_ws();
    pass(29500);
    assert_int_equal(heard_by_peer().len, 0);
    pass(1000);
    ASSERT_PEER_HEARS(PING);
    pass(4000);
    assert_int_equal(w.code, 0);
    SAY(PONG); /* any word will do */
    pass(29000);
    assert_int_equal(heard_by_peer().len, 0);
    pass(1500);
    ASSERT_PEER_HEARS(PING);
    pass(4000);
    assert_int_equal(w.code, 0);
    assert_int_equal(heard_by_peer().len, 0); /* one is enough */
    pass(3000);
    assert_int_equal(w.code, 4003);
}

static void who_speaks_is_not_pinged(void **state) {
    (void)state;
    open_ws();
    for (int i = 0; i < 4; i++) {
        pass(20000);
        say_messages(1);
    }
    assert_int_equal(heard_by_peer().len, 0);
    assert_int_equal(w.code, 0);
}

/* What was written since may lie unread in its own buffers: 32 bytes a millisecond are alive. */
static void who_has_much_to_read_has_more_time(void **state) {
    (void)state;
    open_ws();
    char *text = mem_zalloc(32 * 4000);
    conn_send_bytes(w.conn, bytes_of(text, 32 * 4000));
    free(text);
    for (int i = 0; i < 50; i++)
        (void)heard_by_peer();
    pass(30500);
    (void)heard_by_peer();
    pass(8000);
    assert_int_equal(w.code, 0);
    pass(2000);
    assert_int_equal(w.code, 4003);
}

/* ---- a message that does not come to its end */

/* A byte a millisecond still comes. */
static void an_unfinished_message_has_time_for_its_length(void **state) {
    static const struct {
        size_t bytes;
        uint64_t lasts_ms;
    } cases[] = {{1, 19500}, {5000, 24500}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        close_world(state);
        open_world(state);
        open_ws();
        begin_message(cases[i].bytes);
        pass(cases[i].lasts_ms);
        assert_int_equal(w.code, 0);
        pass(1000);
        assert_int_equal(w.code, 1008);
    }
}

/* While memory is short it is not read, and that time is not its own. */
static void time_without_memory_does_not_count(void **state) {
    (void)state;
    open_ws();
    begin_message(1);
    pass(15000);
    w.conn->proto->on_unread(w.conn, 10000);
    pass(14500);
    assert_int_equal(w.code, 0);
    pass(1000);
    assert_int_equal(w.code, 1008);
}

int main(void) {
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, open_world, close_world)
    const struct CMUnitTest tests[] = {
        TEST(a_silent_connection_is_told_its_position),
        TEST(one_that_hears_something_is_not),
        TEST(positions_keep_no_dead_peer),
        TEST(the_plain_format_has_no_positions),
        TEST(so_many_messages_a_second),
        TEST(a_standstill_is_not_the_clients_fault),
        TEST(so_many_bytes_a_second),
        TEST(both_limits_hold),
        TEST(who_is_near_is_spared),
        TEST(patience_has_an_end),
        TEST(a_hold_lasts_ten_seconds),
        TEST(a_close_waits_half_a_second_for_what_it_caused),
        TEST(a_close_after_a_while_waits_for_nothing),
        TEST(our_close_is_answered_within_two_seconds),
        TEST(who_is_silent_is_pinged),
        TEST(who_speaks_is_not_pinged),
        TEST(who_has_much_to_read_has_more_time),
        TEST(an_unfinished_message_has_time_for_its_length),
        TEST(time_without_memory_does_not_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
