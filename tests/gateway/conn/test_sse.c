/* test_sse.c - an event stream over a real socket, with a recorded client: its ends, its pings, a
 * slow reader. What takes time is made due by setting it into the past. */
#include "gateway/conn/sse.h"

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

#include "common/base/metrics.h"
#include "common/base/settings.h"
#include "gateway/codec/sse_codec.h"
#include "gateway/conn/conn.h"
#include "gateway/conn/v1.h"
#include "gateway/conn/turn.h"
#include "tests/gateway/conn/loopback.h"

struct fixture {
    uv_loop_t loop;
    uv_tcp_t server;
    struct conns set;
    struct conn *conn; /* NULL when it is gone */
    struct sse *sse;
    struct settings settings;
    int peer;
    unsigned left; /* calls */
    bool is_gone;
    char cause[64]; /* the first one */
};

static struct fixture *fixture;

/* ---- the client */

static void on_ending(void *client, enum ended_by by, int code, struct bytes reason) {
    struct fixture *f = client;
    if (f->cause[0] == '\0')
        snprintf(f->cause, sizeof(f->cause), "%c %d %.*s", "csl"[by], code, BYTES_FMT(reason));
}

static void on_leaving(void *client) {
    struct fixture *f = client;
    assert_string_not_equal(f->cause, ""); /* its Disconnect says it */
    f->left++;
}

static void position(void *client, uint64_t since_ms, struct buf *out) {
    struct fixture *f = client;
    (void)since_ms;
    assert_int_equal(f->left, 0); /* then it has none any more */
    buf_append_str(out, "5-7");
}

static void on_gone(void *client) {
    struct fixture *f = client;
    f->is_gone = true;
    f->conn = NULL;
    f->sse = NULL;
}

static const struct transport_events events = {
    .on_ending = on_ending, .on_leaving = on_leaving, .position = position, .on_gone = on_gone};

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

static void open_sse(struct fixture *f, bool is_chunked, bool is_v1) {
    struct sse_options options = {.settings = &f->settings,
                                  .events = &events,
                                  .client = f,
                                  .client_id = BYTES_LIT("id"),
                                  .name = BYTES_LIT("N"),
                                  .is_chunked = is_chunked,
                                  .is_v1 = is_v1};
    f->sse = sse_open(f->conn, &options);
}

static int connect_only(void **state) {
    struct fixture *f = fixture = calloc(1, sizeof(*f));
    f->settings = (struct settings){.ping_ms = 60000, .pong_timeout_ms = 60000};
    uv_loop_init(&f->loop);
    conns_init(&f->set, &f->loop, 4096, 1000);
    turn_start(&f->set);
    f->peer = loopback_connect(&f->loop, &f->server, on_connection);
    while (f->conn == NULL || f->conn->state != CONN_OPEN)
        turn(f, 1);
    *state = f;
    return 0;
}

static int setup(void **state) {
    int status = connect_only(state);
    open_sse(*state, true, false);
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

/* All that has come, up to `end`; static. */
static const char *hear(struct fixture *f, const char *end) {
    static char got[8192];
    size_t len = 0;
    for (int i = 0; i < 2000; i++) {
        ssize_t n = recv(f->peer, got + len, sizeof(got) - 1 - len, MSG_DONTWAIT);
        len += n > 0 ? (size_t)n : 0;
        got[len] = '\0';
        if (n == 0 || (end != NULL && strstr(got, end) != NULL))
            return got;
        turn(f, 1);
    }
    fail_msg("%s did not come, but %s", end, got);
    return got;
}

static void end_with(struct fixture *f, int code, bool is_for_good) {
    struct transport_end end = {code, BYTES_LIT("why"), is_for_good};
    sse_transport.close(f->sse, &end);
}

static void sweep(struct fixture *f, uint64_t later_ms) {
    f->conn->proto->on_sweep(f->conn, conns_now(&f->set) + later_ms);
    if (f->conn != NULL)
        turn(f, 2);
}

/* ---- our end */

static void an_end_that_may_be_followed_by_another_begin(void **state) {
    struct fixture *f = *state;
    unsigned retry_ms = 0;
    char rest[128];
    end_with(f, 1013, false);
    end_with(f, 1013, true); /* the first one counts */
    assert_int_equal(f->left, 1);
    const char *got = hear(f, NULL);
    assert_int_equal(sscanf(got, "%*x\r\nevent: close\nretry: %u\n%127[^\r]", &retry_ms, rest), 2);
    assert_string_equal(rest, "data: {\"code\":1013,\"reason\":\"why\"}\n\n");
    assert_non_null(strstr(got, "\n\n\r\n0\r\n\r\n"));
    assert_true(retry_ms >= 1000 && retry_ms < 3000);
    assert_string_equal(f->cause, "s 1013 why");
}

static void an_end_for_good_leaves_an_id_that_says_so(void **state) {
    struct fixture *f = *state;
    end_with(f, 4321, true);
    const char *got = hear(f, NULL);
    assert_non_null(strstr(got, "\r\nevent: close\nid: 5-7!end\ndata: {\"code\":4321,"));
    assert_null(strstr(got, "retry:"));
}

static void on_http_1_0_nothing_is_chunked(void **state) {
    struct fixture *f = *state;
    open_sse(f, false, false);
    end_with(f, 4321, true);
    assert_string_equal(hear(f, NULL),
                        "event: close\nid: 5-7!end\ndata: {\"code\":4321,\"reason\":\"why\"}\n\n");
}

static void in_v1_the_end_is_its_frame(void **state) {
    struct fixture *f = *state;
    open_sse(f, false, true);
    end_with(f, 1001, false);
    const char *got = hear(f, NULL), *data = strstr(got, "data: ");
    unsigned retry_ms = 0, told_ms = 0;
    assert_int_equal(sscanf(got, "event: close\nretry: %u", &retry_ms), 1);
    assert_int_equal(
        sscanf(data, "data: {\"type\":\"closed\",\"code\":1001,\"reason\":\"why\",\"retryMs\":%u}",
               &told_ms),
        1);
    assert_int_equal(told_ms, retry_ms);
}

static void the_end_of_the_process_is_told(void **state) {
    struct fixture *f = *state;
    assert_true(f->conn->proto->on_shutdown(f->conn));
    assert_non_null(strstr(hear(f, NULL), "{\"code\":1001,\"reason\":\"restart\"}"));
}

/* ---- the peer's end */

static void a_peer_that_ends_its_side_has_left(void **state) {
    struct fixture *f = *state;
    shutdown(f->peer, SHUT_WR);
    for (int i = 0; i < 500 && !f->is_gone; i++)
        turn(f, 1);
    assert_true(f->is_gone);
    assert_string_equal(f->cause, "c 1000 ");
}

static void a_broken_connection_is_reported(void **state) {
    struct fixture *f = *state;
    struct linger linger = {1, 0};
    setsockopt(f->peer, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
    close(f->peer); /* a reset */
    f->peer = dup(0);
    for (int i = 0; i < 500 && !f->is_gone; i++)
        turn(f, 1);
    assert_true(f->is_gone);
    assert_string_equal(f->cause, ""); /* the client knows what that means */
}

static void what_the_peer_says_is_thrown_away_up_to_a_bound(void **state) {
    static char text[SSE_INPUT_MAX];
    struct fixture *f = *state;
    f->conn->proto->on_bytes(f->conn, bytes_of(text, SSE_INPUT_MAX));
    assert_int_equal(f->left, 0);
    int64_t errors = metrics_get(METRIC_protocol_errors);
    f->conn->proto->on_bytes(f->conn, bytes_of(text, 1));
    assert_int_equal(metrics_get(METRIC_protocol_errors), errors + 1);
    assert_string_equal(f->cause, "s 1002 protocol error");
    assert_int_equal(f->left, 1);
    assert_true(f->conn->is_cut); /* it is not read on, be it to be thrown away */
}

/* ---- pings */

static void an_idle_stream_is_pinged(void **state) {
    struct fixture *f = *state;
    sweep(f, SILENCE_MAX_MS - 1);
    assert_int_equal(f->conn->stream.taken, 0);
    sweep(f, SILENCE_MAX_MS);
    assert_string_equal(hear(f, "\n\n\r\n"), "1c\r\nevent: ping\nid: 5-7\ndata: \n\n\r\n");
}

static void no_ping_is_later_than_the_setting_says(void **state) {
    struct fixture *f = *state;
    f->settings.ping_ms = 100;
    open_sse(f, false, true);
    sweep(f, 100);
    assert_string_equal(hear(f, "\n\n"),
                        "event: ping\nid: 5-7\ndata: {\"type\":\"position\",\"id\":\"5-7\"}\n\n");
}

/* ---- a peer that does not read */

static void fill(struct fixture *f) {
    static char text[1 << 16];
    memset(text, 'x', sizeof(text));
    for (int i = 0; i < 1000 && !f->conn->is_blocked; i++) {
        conn_send_bytes(f->conn, bytes_of(text, sizeof(text)));
        turn(f, 1);
    }
    assert_true(f->conn->is_blocked);
}

static void one_that_takes_nothing_times_out(void **state) {
    struct fixture *f = *state;
    f->settings.ping_ms = f->settings.pong_timeout_ms = 100;
    fill(f);
    f->conn->acked = UINT64_MAX; /* it acknowledges nothing more */
    f->conn->acked_ms = conns_now(&f->set) - 10000;
    sweep(f, 0);
    assert_int_equal(f->left, 0); /* a reader needs ten seconds for a step, and the ping its time */
    f->conn->acked_ms = conns_now(&f->set) - 10100;
    sweep(f, 0);
    assert_string_equal(f->cause, "s 4003 timeout");
}

/* An event that was begun is written to its end; others that wait are dropped. */
static void a_slow_client_gets_no_more_messages(void **state) {
    struct fixture *f = *state;
    struct frame_arena arena;
    frame_arena_init(&arena, 1024);
    char event[1000];
    memset(event, 'x', sizeof(event));
    struct frame first = frame_make(&arena, BYTES_LIT("3e6\r\n"), bytes_of(event, 1000));
    struct frame second = frame_make(&arena, BYTES_LIT("3e6\r\n"), bytes_of(event, 1000));
    fill(f);
    conn_send_initial(f->conn, first);
    conn_send_initial(f->conn, second);
    size_t full = f->conn->out.bytes;
    int64_t closed = metrics_get(METRIC_slow_closed);
    sse_transport.close_slow(f->sse);
    assert_int_equal(metrics_get(METRIC_slow_closed), closed + 1);
    assert_true(f->conn->out.bytes > full - first.len - second.len &&
                f->conn->out.bytes < full - first.len - second.len + 200); /* the event close */
    assert_string_equal(f->cause, "s 4002 slow");
    frame_unref(first);
    frame_unref(second);
    frame_arena_deinit(&arena);
    conn_drop(f->conn);
}

static void short_memory_takes_what_the_policy_allows(void **state) {
    struct fixture *f = *state;
    f->conn->proto->on_pressure(f->conn, PRESSURE_IN); /* it keeps nothing of its input */
    f->conn->policy = SLOW_DROP_NEWEST;
    f->conn->proto->on_pressure(f->conn, PRESSURE_OUT);
    assert_int_equal(f->left, 0);
    f->conn->policy = SLOW_CLOSE;
    f->conn->proto->on_pressure(f->conn, PRESSURE_OUT);
    assert_string_equal(f->cause, "s 4002 slow");
}

enum { MESSAGE_BYTES = 20000 };

/* Chunked or not, as gateway/session/message_frames.c makes it. */
static struct frame message(struct frame_arena *arena, bool is_chunked) {
    static char text[MESSAGE_BYTES + 2];
    memset(text, 'x', sizeof(text));
    memcpy(text, "data: ", 6);
    memcpy(text + sizeof(text) - 4, "\n\n\r\n", 4);
    return is_chunked ? frame_make(arena, BYTES_LIT("4e20\r\n"), bytes_of(text, MESSAGE_BYTES + 2))
                      : frame_make(arena, BYTES_NONE, bytes_of(text, MESSAGE_BYTES));
}

static void read_some(struct fixture *f, struct buf *got, size_t most) {
    char some[7000];
    ssize_t n = recv(f->peer, some, most, MSG_DONTWAIT);
    if (n > 0)
        buf_append(got, bytes_of(some, (size_t)n));
}

static void read_all(struct fixture *f, struct buf *got) {
    static char some[1 << 16];
    for (int i = 0; i < 5000; i++) {
        ssize_t n = recv(f->peer, some, sizeof(some), MSG_DONTWAIT);
        if (n == 0)
            return;
        if (n > 0)
            buf_append(got, bytes_of(some, (size_t)n));
        else
            turn(f, 1);
    }
    fail_msg("no end after %zu bytes", got->len);
}

/* Takes the chunk at the front of the rest. */
static struct bytes take_chunk(struct bytes *rest) {
    size_t len = strtoul(rest->ptr, NULL, 16), at = (size_t)bytes_find(*rest, '\n') + 1;
    assert_true(at + len + 2 <= rest->len);
    struct bytes chunk = bytes_head(bytes_from(*rest, at), len);
    assert_memory_equal(rest->ptr + at + len, "\r\n", 2);
    *rest = bytes_from(*rest, at + len + 2);
    return chunk;
}

/* What was begun is whole, and then comes the end: a reader sees no torn event, nor a chunk. */
static void what_a_slow_client_gets_is_whole(void **state) {
    for (int is_chunked = 0; is_chunked <= 1; is_chunked++) {
        struct frame_arena arena;
        struct buf got = {0};
        unsigned sent = 0, whole = 0;
        connect_only(state);
        struct fixture *f = *state;
        open_sse(f, is_chunked, false);
        f->set.max_queue_bytes = 1 << 24;
        frame_arena_init(&arena, 1 << 17);
        for (; sent < 1000 && !(f->conn->out.is_begun && f->conn->out.count > 1); sent++) {
            struct frame m = message(&arena, is_chunked);
            assert_int_not_equal(conn_send_message(f->conn, m), CONN_OVER);
            frame_unref(m);
            turn(f, sent % 4 == 3); /* a few of them are one range */
            read_some(f, &got, f->conn->is_blocked ? 7000 : 0);
        }
        assert_true(f->conn->out.is_begun);
        sse_transport.close_slow(f->sse);
        read_all(f, &got);
        for (struct bytes rest = buf_bytes(&got); rest.len > 0;) {
            struct bytes event = bytes_head(rest, sse_event_len(rest));
            if (is_chunked)
                event = take_chunk(&rest);
            else
                rest = bytes_from(rest, event.len);
            if (event.len == 0)
                break; /* the last chunk */
            assert_true(bytes_ends_with(event, BYTES_LIT("\n\n")));
            whole += event.len == MESSAGE_BYTES;
            if (rest.len > 5)
                assert_int_equal(event.len, MESSAGE_BYTES);
            else
                assert_true(bytes_starts_with(event, BYTES_LIT("event: close\n")));
        }
        assert_in_range(whole, 1, sent - 1);
        buf_deinit(&got);
        frame_arena_deinit(&arena);
        teardown(state);
    }
}

static void what_short_memory_takes_is_counted(void **state) {
    struct fixture *f = *state;
    struct frame_arena arena;
    int64_t dropped = metrics_get(METRIC_slow_dropped);
    frame_arena_init(&arena, 1 << 17);
    struct frame m = message(&arena, true);
    fill(f);
    f->conn->policy = SLOW_DROP_NEWEST;
    conn_send_initial(f->conn, m);
    conn_send_initial(f->conn, m);
    f->conn->proto->on_pressure(f->conn, PRESSURE_OUT);
    assert_int_equal(metrics_get(METRIC_slow_dropped), dropped + 2);
    assert_int_equal(f->left, 0);
    frame_unref(m);
    frame_arena_deinit(&arena);
    conn_drop(f->conn);
}

static void one_that_was_over_its_bound_for_long_is_slow(void **state) {
    struct fixture *f = *state;
    f->conn->policy = SLOW_CLOSE;
    f->conn->over_ms = conns_now(&f->set);
    sweep(f, 0);
    assert_int_equal(f->left, 0);
    f->conn->over_ms -= 100000;
    sweep(f, 0);
    assert_string_equal(f->cause, "s 4002 slow");
}

static void streams_are_counted(void **state) {
    int64_t open = metrics_get(METRIC_event_streams),
            all = metrics_get(METRIC_event_streams_opened);
    setup(state);
    assert_int_equal(metrics_get(METRIC_event_streams), open + 1);
    assert_int_equal(metrics_get(METRIC_event_streams_opened), all + 1);
    teardown(state);
    assert_int_equal(metrics_get(METRIC_event_streams), open);
    assert_int_equal(metrics_get(METRIC_event_streams_opened), all + 1);
}

int main(void) {
#define TEST(fn)  cmocka_unit_test_setup_teardown(fn, setup, teardown)
#define OTHER(fn) cmocka_unit_test_setup_teardown(fn, connect_only, teardown)
    const struct CMUnitTest tests[] = {
        TEST(an_end_that_may_be_followed_by_another_begin),
        TEST(an_end_for_good_leaves_an_id_that_says_so),
        OTHER(on_http_1_0_nothing_is_chunked),
        OTHER(in_v1_the_end_is_its_frame),
        TEST(the_end_of_the_process_is_told),
        TEST(a_peer_that_ends_its_side_has_left),
        TEST(a_broken_connection_is_reported),
        TEST(what_the_peer_says_is_thrown_away_up_to_a_bound),
        TEST(an_idle_stream_is_pinged),
        OTHER(no_ping_is_later_than_the_setting_says),
        TEST(one_that_takes_nothing_times_out),
        TEST(a_slow_client_gets_no_more_messages),
        TEST(short_memory_takes_what_the_policy_allows),
        TEST(what_short_memory_takes_is_counted),
        TEST(one_that_was_over_its_bound_for_long_is_slow),
        cmocka_unit_test(what_a_slow_client_gets_is_whole),
        cmocka_unit_test(streams_are_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
