/* test_ws.c - a WebSocket over a real socket, with a recorded client: back-pressure, both ends, and
 * what is reported when. Deadlines are made due by setting them into the past. */
#include "gateway/conn/ws.h"

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
#include "common/base/metrics.h"
#include "common/base/settings.h"
#include "gateway/codec/deflate.h"
#include "gateway/conn/conn.h"
#include "gateway/conn/turn.h"
#include "tests/gateway/conn/loopback.h"

struct fixture {
    uv_loop_t loop;
    uv_tcp_t server;
    struct conns set;
    struct conn *conn; /* NULL when it is gone */
    struct ws *ws;
    struct settings settings;
    int peer;
    /* the client */
    char heard[256]; /* its messages, each with a space after it */
    unsigned holds;  /* set within on_message */
    bool deflates;
    bool is_v1;
    bool gets_bye;        /* what ask_for_bye answers */
    bool is_ignored;      /* what on_message answers */
    unsigned asked, left; /* calls */
    bool is_gone;
    char cause[64]; /* the first one */
};

static struct fixture *fixture;

/* ---- the client */

static bool on_message(void *client, bool is_binary, struct bytes body) {
    struct fixture *f = client;
    assert_false(is_binary);
    size_t len = strlen(f->heard);
    if (body.len < 20)
        snprintf(f->heard + len, sizeof(f->heard) - len, "%.*s ", BYTES_FMT(body));
    else
        snprintf(f->heard + len, sizeof(f->heard) - len, "<%zu> ", body.len);
    for (enum hold why = HOLD_ROOM; why <= HOLD_SHARE; why = (enum hold)(why << 1))
        if ((f->holds & (unsigned)why) != 0)
            ws_transport.hold(f->ws, why);
    f->holds = 0;
    return !f->is_ignored;
}

static bool ask_for_bye(void *client) {
    struct fixture *f = client;
    f->asked++;
    return f->gets_bye;
}

static void on_ending(void *client, enum ended_by by, int code, struct bytes reason) {
    struct fixture *f = client;
    if (f->cause[0] == '\0')
        snprintf(f->cause, sizeof(f->cause), "%c %d %.*s", "csl"[by], code, BYTES_FMT(reason));
}

static void on_leaving(void *client) {
    struct fixture *f = client;
    f->left++;
}

static void on_gone(void *client) {
    struct fixture *f = client;
    f->is_gone = true;
    f->conn = NULL;
    f->ws = NULL;
}

static const struct transport_events events = {.on_message = on_message,
                                               .ask_for_bye = ask_for_bye,
                                               .on_ending = on_ending,
                                               .on_leaving = on_leaving,
                                               .on_gone = on_gone};

/* ---- the connection */

static void ignore_bytes(struct conn *c, struct bytes in) {
    (void)c;
    (void)in;
}

static const struct conn_proto before = {.name = "before", .on_bytes = ignore_bytes};

static void on_connection(uv_stream_t *server, int status) {
    assert_int_equal(status, 0);
    fixture->conn = conn_accept(&fixture->set, server, NULL, NULL, &before);
}

static void turn(struct fixture *f, int times) {
    loopback_turn(&f->loop, times);
}

static void open_ws(struct fixture *f, struct bytes read) {
    struct buf rest = {0};
    buf_append(&rest, read);
    struct ws_options options = {.settings = &f->settings,
                                 .events = &events,
                                 .client = f,
                                 .client_id = BYTES_LIT("id"),
                                 .name = BYTES_LIT("N"),
                                 .deflates = f->deflates,
                                 .is_v1 = f->is_v1,
                                 .rest = &rest};
    f->ws = ws_open(f->conn, &options);
    assert_null(rest.ptr);
}

static int connect_only(void **state) {
    struct fixture *f = fixture = calloc(1, sizeof(*f));
    f->settings = (struct settings){.max_message_bytes = 1000,
                                    .message_timeout_ms = 60000,
                                    .ping_ms = 60000,
                                    .pong_timeout_ms = 60000};
    uv_loop_init(&f->loop);
    conns_init(&f->set, &f->loop, 4096, 1000);
    turn_start(&f->set);
    f->peer = loopback_connect(&f->loop, &f->server, on_connection);
    while (f->conn == NULL || f->conn->state != CONN_OPEN)
        turn(f, 1);
    *state = f;
    return 0;
}

static void close_with(struct fixture *f, int code, struct bytes reason) {
    struct transport_end end = {.code = code, .reason = reason};
    ws_transport.close(f->ws, &end);
}

static int setup(void **state) {
    int status = connect_only(state);
    open_ws(*state, BYTES_NONE);
    return status;
}

static int setup_deflates(void **state) {
    int status = connect_only(state);
    struct fixture *f = *state;
    f->deflates = true;
    f->settings.max_message_bytes = 16 * 1024 * 1024;
    open_ws(f, BYTES_NONE);
    return status;
}

static int teardown(void **state) {
    struct fixture *f = *state;
    close(f->peer);
    if (f->conn != NULL)
        conn_drop(f->conn);
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

/* Frames with a mask of zeros, so that the payload stands as it is. */
#define SAY(f, frames)       say(f, frames, sizeof(frames) - 1)
#define A_MESSAGE(character) "\x81\x81\0\0\0\0" character
#define CLOSE_1000           "\x88\x82\0\0\0\0\x03\xe8"

static void say(struct fixture *f, const char *frames, size_t len) {
    assert_int_equal(send(f->peer, frames, len, 0), len);
    turn(f, 4);
}

static void assert_peer_has(struct fixture *f, const char *expected, size_t len) {
    char got[4096];
    turn(f, 3);
    ssize_t n = recv(f->peer, got, sizeof(got), MSG_DONTWAIT);
    assert_int_equal(n, len);
    assert_memory_equal(got, expected, len);
}
#define ASSERT_PEER_HAS(f, bytes) assert_peer_has(f, bytes, sizeof(bytes) - 1)

static void assert_peer_has_nothing(struct fixture *f) {
    char got[16];
    turn(f, 3);
    assert_int_equal(recv(f->peer, got, sizeof(got), MSG_DONTWAIT), -1);
}

static void make_deadline_due(struct fixture *f) {
    assert_true(f->conn->deadline_ms != 0);
    f->conn->deadline_ms = 1;
    for (int i = 0; i < 200 && f->conn != NULL && f->conn->deadline_ms == 1; i++)
        turn(f, 1);
    turn(f, 3);
}

/* ---- back-pressure */

static void a_held_client_is_not_read(void **state) {
    struct fixture *f = *state;
    f->holds = HOLD_ROOM;
    SAY(f, A_MESSAGE("a") A_MESSAGE("b"));
    SAY(f, A_MESSAGE("c"));
    assert_string_equal(f->heard, "a ");
    ws_transport.release(f->ws, HOLD_SHARE); /* not the hold that is set */
    turn(f, 3);
    assert_string_equal(f->heard, "a ");
}

static void reading_goes_on_in_a_turn_of_its_own(void **state) {
    struct fixture *f = *state;
    f->holds = HOLD_ROOM;
    SAY(f, A_MESSAGE("a") A_MESSAGE("b"));
    SAY(f, A_MESSAGE("c"));
    ws_transport.release(f->ws, HOLD_ROOM);
    assert_string_equal(f->heard, "a ");
    turn(f, 4);
    assert_string_equal(f->heard, "a b c ");
    assert_int_equal(f->conn->deadline_ms, 0);
}

static void every_hold_has_to_be_released(void **state) {
    struct fixture *f = *state;
    f->holds = HOLD_ROOM | HOLD_SHARE;
    SAY(f, A_MESSAGE("a") A_MESSAGE("b"));
    ws_transport.release(f->ws, HOLD_ROOM);
    turn(f, 4);
    assert_string_equal(f->heard, "a ");
    ws_transport.release(f->ws, HOLD_SHARE);
    turn(f, 4);
    assert_string_equal(f->heard, "a b ");
}

static void a_hold_may_follow_a_release(void **state) {
    struct fixture *f = *state;
    f->holds = HOLD_ROOM;
    SAY(f, A_MESSAGE("a") A_MESSAGE("b") A_MESSAGE("c"));
    f->holds = HOLD_SHARE;
    ws_transport.release(f->ws, HOLD_ROOM);
    turn(f, 4);
    assert_string_equal(f->heard, "a b ");
}

static void a_hold_that_lasts_too_long_is_the_end(void **state) {
    struct fixture *f = *state;
    f->holds = HOLD_ROOM;
    SAY(f, A_MESSAGE("a"));
    make_deadline_due(f);
    assert_string_equal(f->cause, "s 1013 try again later");
    ASSERT_PEER_HAS(f, "\x88\x11\x03\xf5try again later");
}

static void the_rate_holds_until_there_is_a_token(void **state) {
    struct fixture *f = *state;
    f->settings.max_messages_per_second = 1;
    for (int i = 0; i < 12; i++)
        SAY(f, A_MESSAGE("a"));
    assert_int_equal(strlen(f->heard), 2 * 10);
    make_deadline_due(f);
    assert_int_equal(strlen(f->heard), 2 * 11);
}

static void ignored_messages_are_not_paced(void **state) {
    struct fixture *f = *state;
    f->settings.max_messages_per_second = 1;
    f->is_ignored = true;
    for (int i = 0; i < 12; i++)
        SAY(f, A_MESSAGE("a"));
    assert_int_equal(strlen(f->heard), 2 * 12);
}

static void a_client_over_the_rate_for_too_long_is_cut_off(void **state) {
    struct fixture *f = *state;
    f->settings.max_messages_per_second = 1;
    f->settings.rate_patience_ms = 1;
    for (int i = 0; i < 12 && f->cause[0] == '\0'; i++) {
        SAY(f, A_MESSAGE("a"));
        if (f->conn != NULL && f->conn->deadline_ms != 0)
            make_deadline_due(f);
    }
    assert_string_equal(f->cause, "s 1008 rate limit");
}

static void what_came_with_the_handshake_is_read_later(void **state) {
    struct fixture *f = *state;
    open_ws(f, bytes_of(A_MESSAGE("a"), 7));
    assert_string_equal(f->heard, "");
    for (int i = 0; i < 100 && f->heard[0] == '\0'; i++)
        turn(f, 1);
    assert_string_equal(f->heard, "a ");
}

/* ---- the peer closes */

static void a_silent_client_gets_its_close_at_once(void **state) {
    struct fixture *f = *state;
    SAY(f, CLOSE_1000);
    ASSERT_PEER_HAS(f, "\x88\x02\x03\xe8");
    assert_string_equal(f->cause, "c 1000 ");
    assert_int_equal(f->asked, 0);
    assert_true(f->left > 0);
}

static void a_close_waits_for_what_the_client_caused(void **state) {
    struct fixture *f = *state;
    f->gets_bye = true;
    SAY(f, A_MESSAGE("a") CLOSE_1000 A_MESSAGE("b"));
    assert_string_equal(f->heard, "a ");
    assert_int_equal(f->asked, 1);
    assert_int_equal(f->left, 0);
    assert_peer_has_nothing(f);
    ws_transport.on_bye(f->ws);
    assert_int_equal(f->left, 1);
    ASSERT_PEER_HAS(f, "\x88\x02\x03\xe8");
}

static void a_bye_that_does_not_come_is_not_waited_for(void **state) {
    struct fixture *f = *state;
    f->gets_bye = true;
    SAY(f, A_MESSAGE("a") CLOSE_1000);
    make_deadline_due(f);
    ASSERT_PEER_HAS(f, "\x88\x02\x03\xe8");
}

static void a_release_does_not_stop_the_wait_for_a_bye(void **state) {
    struct fixture *f = *state;
    f->settings.max_messages_per_second = 1;
    f->settings.rate_patience_ms = 1;
    f->gets_bye = true;
    for (int i = 0; i < 12 && f->asked == 0; i++) {
        f->holds = HOLD_ROOM; /* the message that is too many waits for room, too */
        SAY(f, A_MESSAGE("a"));
        if (f->asked > 0)
            break;
        ws_transport.release(f->ws, HOLD_ROOM);
        turn(f, 3);
    }
    assert_int_equal(f->asked, 1);
    ws_transport.release(f->ws, HOLD_ROOM);
    assert_peer_has_nothing(f);
    make_deadline_due(f);
    ASSERT_PEER_HAS(f, "\x88\x0c\x03\xf0rate limit");
}

static void a_broken_protocol_is_the_end(void **state) {
    struct fixture *f = *state;
    SAY(f, "\x83\x80\0\0\0\0"); /* a reserved opcode */
    ASSERT_PEER_HAS(f, "\x88\x11\x03\xea"
                       "reserved opcode");
    assert_string_equal(f->cause, "s 1002 reserved opcode");
}

/* ---- we close */

static void after_our_close_messages_are_ignored(void **state) {
    struct fixture *f = *state;
    close_with(f, 4321, BYTES_LIT("why"));
    close_with(f, 4322, BYTES_LIT("again"));
    assert_int_equal(f->left, 1);
    assert_string_equal(f->cause, "s 4321 why");
    ASSERT_PEER_HAS(f, "\x88\x05\x10\xe1why");
    SAY(f, A_MESSAGE("a") "\x89\x80\0\0\0\0");
    assert_string_equal(f->heard, "");
    assert_peer_has_nothing(f);
    SAY(f, CLOSE_1000);
    assert_true(f->is_gone);
    assert_string_equal(f->cause, "s 4321 why");
}

static void a_held_client_can_be_closed(void **state) {
    struct fixture *f = *state;
    f->holds = HOLD_ROOM;
    SAY(f, A_MESSAGE("a"));
    close_with(f, 4321, BYTES_NONE);
    ASSERT_PEER_HAS(f, "\x88\x02\x10\xe1");
    SAY(f, CLOSE_1000); /* is read although the hold was never released */
    assert_true(f->is_gone);
}

static void a_slow_client_gets_no_more_messages(void **state) {
    struct fixture *f = *state;
    struct frame frame = frame_make(&f->set.arena, BYTES_NONE, BYTES_LIT("\x81\x02hi"));
    for (int i = 0; i < 3; i++)
        assert_int_equal(conn_send_message(f->conn, frame), CONN_QUEUED);
    frame_unref(frame);
    ws_transport.close_slow(f->ws);
    ASSERT_PEER_HAS(f, "\x88\x06\x0f\xa2slow");
    assert_string_equal(f->cause, "s 4002 slow");
}

/* ---- a message that does not come to its end */

static void sweep(struct fixture *f) {
    conn_sweep(f->conn, conns_now(&f->set));
    turn(f, 2);
}

static void an_unfinished_message_has_a_deadline(void **state) {
    struct fixture *f = *state;
    SAY(f, "\x01\x81\0\0\0\0"
           "a"
           "\x00\x80\0\0\0\0"); /* two fragments, the second one empty */
    assert_int_equal(f->conn->input_bytes, 64);
    sweep(f);
    assert_peer_has_nothing(f);
    f->conn->input_since_ms -= 59000;
    SAY(f, "\x00\x81\0\0\0\0b"); /* more of it is not its end */
    sweep(f);
    assert_peer_has_nothing(f);
    f->conn->input_since_ms -= 2000;
    sweep(f);
    ASSERT_PEER_HAS(f, "\x88\x14\x03\xf0unfinished message");
    assert_string_equal(f->cause, "s 1008 unfinished message");
    assert_int_equal(memory_of(MEMORY_incoming), 0);
    assert_string_equal(f->heard, "");
}

static void a_half_header_has_it_too(void **state) {
    struct fixture *f = *state;
    SAY(f, "\x81");
    f->conn->input_since_ms -= 60000;
    sweep(f);
    ASSERT_PEER_HAS(f, "\x88\x14\x03\xf0unfinished message");
}

static void the_next_message_begins_anew(void **state) {
    struct fixture *f = *state;
    SAY(f, "\x01\x81\0\0\0\0"
           "a");
    f->conn->input_since_ms -= 59999;
    SAY(f, "\x80\x81\0\0\0\0b\x01\x81\0\0\0\0c"); /* its end, and the beginning of the next */
    assert_string_equal(f->heard, "ab ");
    sweep(f);
    assert_peer_has_nothing(f);
}

static void the_costliest_is_told_to_come_again(void **state) {
    struct fixture *f = *state;
    SAY(f, "\x01\x81\0\0\0\0"
           "a");
    f->conn->proto->on_pressure(f->conn, PRESSURE_IN);
    assert_int_equal(memory_of(MEMORY_incoming), 0);
    ASSERT_PEER_HAS(f, "\x88\x2a\x03\xf5unfinished messages hold too much memory");
    SAY(f, "\x80\x81\0\0\0\0b"); /* is not even read, … */
    assert_false(f->is_gone);
    make_deadline_due(f);
    assert_true(f->is_gone); /* … and its own Close is not waited for */
}

/* ---- the rest */

static void pings_are_answered(void **state) {
    struct fixture *f = *state;
    SAY(f, "\x89\x82\0\0\0\0hi");
    ASSERT_PEER_HAS(f, "\x8a\x02hi");
}

static void pongs_that_nobody_reads_have_a_bound(void **state) {
    struct fixture *f = *state;
    for (int more = 0; more < 2; more++) {
        size_t wants = 16384 - 1 + (size_t)more;
        char *text = mem_zalloc(wants);
        while (f->conn->out.bytes > 0)
            turn(f, 1);
        conn_send_bytes(f->conn, bytes_of(text, wants));
        char ping[] = "\x89\x82\0\0\0\0hi"; /* it is unmasked where it is */
        f->conn->proto->on_bytes(f->conn, bytes_of(ping, sizeof(ping) - 1));
        assert_int_equal(f->conn->out.bytes, wants + (more == 0 ? 4 : 0));
        free(text);
    }
}

static void a_broken_connection_is_reported(void **state) {
    struct fixture *f = *state;
    shutdown(f->peer, SHUT_RDWR);
    for (int i = 0; i < 200 && !f->is_gone; i++)
        turn(f, 1);
    assert_true(f->is_gone);
    assert_string_equal(f->cause, ""); /* the client knows what that means */
}

/* ---- signalbox.v1 is told of the end in words, right before the Close */

/* code, reason, and whether to come back. The Close follows. */
static void assert_told(struct fixture *f, int code, const char *reason, bool may_return) {
    char got[4096], told[128], expected[256];
    unsigned retry_ms = 0;
    turn(f, 3);
    ssize_t n = recv(f->peer, got, sizeof(got) - 1, MSG_DONTWAIT);
    assert_true(n > 4 && got[0] == '\x81' && n > got[1] + 4);
    snprintf(told, sizeof(told), "%.*s", got[1], got + 2);
    const char *close_frame = got + 2 + got[1], *retry = strstr(told, ",\"retryMs\":");
    if (retry != NULL)
        assert_int_equal(sscanf(retry, ",\"retryMs\":%u}", &retry_ms), 1);
    assert_int_equal(retry_ms >= 1000 && retry_ms < 3000, may_return);
    int len = snprintf(expected, sizeof(expected),
                       "{\"type\":\"closed\",\"code\":%d,\"reason\":\"%s\"", code, reason);
    assert_memory_equal(told, expected, len);
    assert_memory_equal(close_frame, "\x88", 1);
    assert_int_equal((unsigned char)close_frame[2] << 8 | (unsigned char)close_frame[3], code);
}

static void v1_is_told_of_our_end(void **state) {
    static const enum close_reason reasons[] = {CLOSE_RESTART, CLOSE_REPLACED, CLOSE_GAP,
                                                CLOSE_EXPIRED, CLOSE_NORMAL,   CLOSE_TOO_BIG};
    for (size_t i = 0; i < ARRAY_LEN(reasons); i++) {
        if (i > 0) {
            teardown(state);
            connect_only(state);
        }
        struct fixture *f = *state;
        struct transport_end end = transport_end_for(reasons[i]);
        f->is_v1 = true;
        open_ws(f, BYTES_NONE);
        ws_transport.close(f->ws, &end);
        assert_told(f, end.code, close_reason_text(reasons[i]), !end.is_for_good);
    }
}

static void v1_is_told_of_its_mistake_after_what_it_caused(void **state) {
    struct fixture *f = *state;
    f->is_v1 = f->gets_bye = true;
    open_ws(f, BYTES_NONE);
    SAY(f, A_MESSAGE("a") "\x83\x80\0\0\0\0");
    assert_peer_has_nothing(f); /* its message may lead to something */
    ws_transport.on_bye(f->ws);
    assert_told(f, 1002, "reserved opcode", false);
}

static void v1_is_told_that_it_was_slow(void **state) {
    struct fixture *f = *state;
    f->is_v1 = true;
    open_ws(f, BYTES_NONE);
    ws_transport.close_slow(f->ws);
    assert_told(f, 4002, "slow", true);
}

static void v1_that_closes_itself_is_told_nothing(void **state) {
    struct fixture *f = *state;
    f->is_v1 = true;
    open_ws(f, BYTES_NONE);
    SAY(f, CLOSE_1000);
    ASSERT_PEER_HAS(f, "\x88\x02\x03\xe8");
}

/* ---- compression */

#define A_COMPRESSED_HELLO "\xc1\x87\0\0\0\0\xf2\x48\xcd\xc9\xc9\x07\x00"
#define A_DAMAGED_ONE      "\xc1\x82\0\0\0\0\x07\x00"

/* A text of four million zeros, and what follows it. */
static void say_large(struct fixture *f, const char *then, size_t len) {
    enum { BLOCKS = 16 };
    static char block[DEFLATE_BYTES_MAX];
    struct deflater deflater;
    struct buf payload = {0}, frame = {0};
    deflater_init(&deflater);
    for (int i = 0; i < BLOCKS; i++) {
        deflate_message(&deflater, 15, bytes_of(block, sizeof(block)), &payload);
        if (i + 1 < BLOCKS)
            buf_append(&payload, BYTES_LIT("\0\0\xff\xff"));
    }
    deflater_deinit(&deflater);
    char header[8] = {(char)0xc1, (char)(0x80 | 126), (char)(payload.len >> 8), (char)payload.len};
    assert_true(payload.len > 125 && payload.len < 65536);
    buf_append(&frame, bytes_of(header, sizeof(header)));
    buf_append(&frame, buf_bytes(&payload));
    buf_append(&frame, bytes_of(then, len));
    assert_int_equal(send(f->peer, frame.ptr, frame.len, 0), frame.len);
    buf_deinit(&payload);
    buf_deinit(&frame);
    for (int i = 0; i < 20 && !conn_is_paused(f->conn, CONN_PAUSED_PROTO); i++)
        turn(f, 1);
    assert_true(conn_is_paused(f->conn, CONN_PAUSED_PROTO));
    assert_int_equal(metrics_get(METRIC_inflations_waiting), 1);
}

static void assert_forgotten(struct fixture *f) {
    turn(f, 30);
    assert_int_equal(metrics_get(METRIC_inflations_waiting), 0);
    assert_string_equal(f->heard, "");
}

static void a_small_one_is_inflated_at_once(void **state) {
    struct fixture *f = *state;
    SAY(f, A_COMPRESSED_HELLO A_MESSAGE("a") A_COMPRESSED_HELLO);
    assert_string_equal(f->heard, "Hello a Hello ");
    assert_int_equal(f->conn->input_bytes, 0);
}

static void a_damaged_one_is_the_end(void **state) {
    struct fixture *f = *state;
    SAY(f, A_MESSAGE("a") A_DAMAGED_ONE A_MESSAGE("b"));
    assert_string_equal(f->heard, "a ");
    assert_string_equal(f->cause, "s 1007 compressed message is damaged");
}

static void a_large_one_is_inflated_in_steps(void **state) {
    struct fixture *f = *state;
    say_large(f, A_MESSAGE("b"), 7);
    size_t most = 0;
    for (unsigned steps = 0; f->heard[0] == '\0'; steps++) {
        most = f->conn->input_bytes > most ? f->conn->input_bytes : most;
        turn(f, 1);
        assert_true(steps < 30);
    }
    assert_in_range(most, 3000000, 10000000);
    turn(f, 4);
    assert_string_equal(f->heard, "<4194304> b ");
    assert_int_equal(f->conn->input_bytes, 0);
    assert_false(conn_is_paused(f->conn, CONN_PAUSED_PROTO));
    SAY(f, A_COMPRESSED_HELLO);
    assert_string_equal(f->heard, "<4194304> b Hello ");
}

static void what_is_behind_a_large_one_waits(void **state) {
    struct fixture *f = *state;
    f->holds = HOLD_ROOM;
    say_large(f, A_MESSAGE("b") CLOSE_1000, 7 + 8);
    turn(f, 30);
    assert_string_equal(f->heard, "<4194304> ");
    ws_transport.release(f->ws, HOLD_ROOM);
    turn(f, 4);
    assert_string_equal(f->heard, "<4194304> b ");
    assert_string_equal(f->cause, "c 1000 ");
}

static void a_large_one_that_is_damaged(void **state) {
    struct fixture *f = *state;
    f->settings.max_message_bytes = 4000000;
    say_large(f, A_MESSAGE("b"), 7);
    turn(f, 30);
    assert_string_equal(f->heard, "");
    assert_string_equal(f->cause, "s 1009 message over its limit");
    ASSERT_PEER_HAS(f, "\x88\x18\x03\xf1message over its limit");
}

static void a_large_one_counts_for_the_rate(void **state) {
    struct fixture *f = *state;
    f->settings.max_message_bytes_per_second = 1000000;
    say_large(f, A_MESSAGE("b"), 7);
    turn(f, 30);
    assert_string_equal(f->heard, "<4194304> ");
    assert_true(f->conn->deadline_ms > uv_now(&f->loop));
}

static void we_close_while_it_is_inflated(void **state) {
    struct fixture *f = *state;
    say_large(f, A_MESSAGE("b"), 7);
    ws_transport.close(f->ws, &(struct transport_end){.code = 1001});
    assert_forgotten(f);
    SAY(f, CLOSE_1000);
    assert_true(f->is_gone);
}

static void it_breaks_while_it_is_inflated(void **state) {
    struct fixture *f = *state;
    say_large(f, A_MESSAGE("b"), 7);
    conn_drop(f->conn);
    assert_forgotten(f);
    assert_true(f->is_gone);
}

static void memory_is_short_while_it_is_inflated(void **state) {
    struct fixture *f = *state;
    say_large(f, A_MESSAGE("b"), 7);
    f->conn->proto->on_pressure(f->conn, PRESSURE_IN);
    assert_int_equal(f->conn->input_bytes, 0);
    assert_forgotten(f);
    assert_string_equal(f->cause, "s 1013 unfinished messages hold too much memory");
}

int main(void) {
#define TEST(fn)         cmocka_unit_test_setup_teardown(fn, setup, teardown)
#define OTHER(fn)        cmocka_unit_test_setup_teardown(fn, connect_only, teardown)
#define DEFLATE_TEST(fn) cmocka_unit_test_setup_teardown(fn, setup_deflates, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_held_client_is_not_read),
        TEST(reading_goes_on_in_a_turn_of_its_own),
        TEST(every_hold_has_to_be_released),
        TEST(a_hold_may_follow_a_release),
        TEST(a_hold_that_lasts_too_long_is_the_end),
        TEST(the_rate_holds_until_there_is_a_token),
        TEST(ignored_messages_are_not_paced),
        TEST(a_client_over_the_rate_for_too_long_is_cut_off),
        DEFLATE_TEST(a_small_one_is_inflated_at_once),
        DEFLATE_TEST(a_damaged_one_is_the_end),
        DEFLATE_TEST(a_large_one_is_inflated_in_steps),
        DEFLATE_TEST(what_is_behind_a_large_one_waits),
        DEFLATE_TEST(a_large_one_that_is_damaged),
        DEFLATE_TEST(a_large_one_counts_for_the_rate),
        DEFLATE_TEST(we_close_while_it_is_inflated),
        DEFLATE_TEST(it_breaks_while_it_is_inflated),
        DEFLATE_TEST(memory_is_short_while_it_is_inflated),
        cmocka_unit_test_setup_teardown(what_came_with_the_handshake_is_read_later, connect_only,
                                        teardown),
        TEST(a_silent_client_gets_its_close_at_once),
        TEST(a_close_waits_for_what_the_client_caused),
        TEST(a_bye_that_does_not_come_is_not_waited_for),
        TEST(a_release_does_not_stop_the_wait_for_a_bye),
        TEST(a_broken_protocol_is_the_end),
        TEST(after_our_close_messages_are_ignored),
        TEST(a_held_client_can_be_closed),
        TEST(a_slow_client_gets_no_more_messages),
        TEST(an_unfinished_message_has_a_deadline),
        TEST(a_half_header_has_it_too),
        TEST(the_next_message_begins_anew),
        TEST(the_costliest_is_told_to_come_again),
        TEST(pings_are_answered),
        TEST(pongs_that_nobody_reads_have_a_bound),
        TEST(a_broken_connection_is_reported),
        OTHER(v1_is_told_of_our_end),
        OTHER(v1_is_told_of_its_mistake_after_what_it_caused),
        OTHER(v1_is_told_that_it_was_slow),
        OTHER(v1_that_closes_itself_is_told_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
