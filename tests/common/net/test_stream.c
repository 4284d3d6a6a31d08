/* The plain stream: both ends over loopback. TLS is in test_tls.c. */
#include "common/net/stream.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/base/metrics.h"
#include "common/base/must.h"
#include "tests/common/net/peers.h"

enum { MUCH = 16 * 1024 * 1024 };

static char *make_pattern(size_t len) {
    char *text = mem_alloc(len);
    for (size_t i = 0; i < len; i++)
        text[i] = (char)(i * 31 + (i >> 13));
    return text;
}

static void says_both_ways(void **state) {
    (void)state;
    struct peers p;
    peers_init(&p);
    p.server.to_say = "welcome"; /* said within on_open */
    p.server.to_say_len = 7;
    peers_meet(&p, NULL);
    peer_say(&p.client, "hello", 5);
    peers_until_heard(&p, &p.server, 5, 5000);
    peers_until_heard(&p, &p.client, 7, 5000);
    assert_memory_equal(p.server.heard.ptr, "hello", 5);
    assert_memory_equal(p.client.heard.ptr, "welcome", 7);
    assert_false(stream_is_blocked(&p.client.stream));
    assert_int_equal(p.client.writables, 0);
    peers_deinit(&p);
}

static void idle_stream_owns_nothing(void **state) {
    (void)state;
    struct peers p;
    peers_init(&p);
    peers_meet(&p, NULL);
    assert_null(p.server.stream.priv);
    assert_null(p.server.stream.tls);
    assert_int_equal(p.server.stream.writes, 0);
    peers_deinit(&p);
}

static void knows_addresses(void **state) {
    (void)state;
    struct peers p;
    char text[IP_TEXT_SIZE];
    peers_init(&p);
    peers_meet(&p, NULL);
    ip_show(stream_remote_ip(&p.server.stream), text);
    assert_string_equal(text, "127.0.0.1");
    peers_deinit(&p);
}

static int option_of(struct stream *s, int level, int name) {
    int value = -1;
    socklen_t len = sizeof(value);
    uv_os_fd_t fd;
    assert_int_equal(uv_fileno(&s->uv.handle, &fd), 0);
    assert_int_equal(getsockopt(fd, level, name, &value, &len), 0);
    return value;
}

/* Small messages go at once, and a peer that vanished is noticed some day. */
static void sockets_are_tuned_on_both_ends(void **state) {
    (void)state;
    struct peers p;
    peers_init(&p);
    peers_meet(&p, NULL);
    struct stream *const ends[] = {&p.server.stream, &p.client.stream};
    for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
        assert_int_equal(option_of(ends[i], IPPROTO_TCP, TCP_NODELAY), 1);
        assert_int_equal(option_of(ends[i], SOL_SOCKET, SO_KEEPALIVE), 1);
        assert_int_equal(option_of(ends[i], IPPROTO_TCP, TCP_KEEPIDLE), 30);
    }
    assert_false(stream_tls_peer(&p.server.stream, &(struct tls_peer){0}));
    peers_deinit(&p);
}

/* Nothing is written, and nobody waits; what is said before the stream is open is not taken. */
static void nothing_is_nothing(void **state) {
    (void)state;
    struct peers p;
    uv_buf_t none[2] = {uv_buf_init(NULL, 0), uv_buf_init(NULL, 0)};
    uv_buf_t word = uv_buf_init((char[]){'x'}, 1);
    peers_init(&p);
    peers_connect(&p, NULL);
    assert_int_equal(stream_write(&p.client.stream, &word, 1), UV_ENOTCONN);
    peers_until(&p, &p.server.opens, 1, 5000);
    peers_until(&p, &p.client.opens, 1, 5000);
    assert_int_equal(stream_write(&p.client.stream, none, 2), 0);
    assert_int_equal(stream_write(&p.client.stream, none, 0), 0);
    assert_false(stream_is_blocked(&p.client.stream));
    stream_close(&p.client.stream);
    assert_int_equal(stream_write(&p.client.stream, &word, 1), UV_ENOTCONN);
    peers_deinit(&p);
}

/* Whom a proxy names is known before the stream is open, and what follows is what was said. */
static void a_proxy_says_who_asks(void **state) {
    static const struct {
        const char *said;
        enum proxy_versions versions;
        bool closes;
        unsigned proxied;
        int opened;
    } rows[] = {
        {"PROXY TCP4 1.2.3.4 5.6.7.8 9 10\r\nhello", PROXY_V1, false, 1, 0},
        {"PROXY TCP4 1.2.3.4 5.6.7.8 9 10\r\nhello", PROXY_V2, false, 0, UV_EPROTO},
        {"PROXY TCP5 1.2.3.4 5.6.7.8 9 10\r\nhello", PROXY_V1, false, 0, UV_EPROTO},
        {"PROXY TCP4 1.2.3.4 5.6.7.8 9 10\r\nhello", PROXY_V1, true, 1, UNSET},
        {"PROXY TCP4 1.2", PROXY_V1, false, 0, UV_EOF},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct peers p;
        char text[IP_TEXT_SIZE];
        int64_t refused = metrics_get(METRIC_refused_proxy);
        peers_init(&p);
        p.proxy = rows[i].versions;
        p.closes_when_proxied = rows[i].closes;
        peers_connect(&p, NULL);
        peers_until(&p, &p.client.opens, 1, 5000);
        peer_say(&p.client, rows[i].said, strlen(rows[i].said));
        if (rows[i].opened == UV_EOF)
            stream_close(&p.client.stream);
        peers_until(&p, rows[i].closes ? &p.proxied : &p.server.opens, 1, 5000);
        peers_turn(&p, 20);
        assert_int_equal(p.server.opened, rows[i].opened);
        assert_int_equal(p.proxied, rows[i].proxied);
        assert_int_equal(metrics_get(METRIC_refused_proxy) - refused, rows[i].opened == UV_EPROTO);
        if (rows[i].opened == 0) {
            peers_until_heard(&p, &p.server, 5, 5000);
            assert_memory_equal(p.server.heard.ptr, "hello", 5);
        }
        if (rows[i].proxied) {
            ip_show(p.source, text);
            assert_string_equal(text, "1.2.3.4");
        }
        peers_deinit(&p);
    }
}

static void much_goes_through(void **state) {
    (void)state;
    struct peers p;
    char *much = make_pattern(MUCH);
    peers_init(&p);
    peers_meet(&p, NULL);
    peer_say(&p.client, much, MUCH);
    peers_until_heard(&p, &p.server, MUCH, 20000);
    assert_int_equal(p.server.heard.len, MUCH);
    assert_memory_equal(p.server.heard.ptr, much, MUCH);
    assert_int_equal(p.client.said, MUCH);
    peers_deinit(&p);
    free(much);
}

/* The reader pauses: the writer gets so far and no further, keeps at most 64 KiB, and goes on. */
static void slow_reader_blocks_writer(void **state) {
    (void)state;
    struct peers p;
    char *much = make_pattern(MUCH);
    peers_init(&p);
    peers_meet(&p, NULL);
    stream_pause(&p.server.stream);
    stream_pause(&p.server.stream);
    peer_say(&p.client, much, MUCH);
    peers_turn(&p, 200);
    size_t stuck_at = p.client.said;
    assert_true(stuck_at < MUCH);
    assert_true(stream_is_blocked(&p.client.stream));
    assert_true(uv_stream_get_write_queue_size(&p.client.stream.uv.stream) <= 65536);
    uv_buf_t more = uv_buf_init(much, 10);
    assert_int_equal(stream_write(&p.client.stream, &more, 1), 0);
    assert_int_equal(p.server.heard.len, 0);
    stream_resume(&p.server.stream);
    stream_resume(&p.server.stream);
    peers_until_heard(&p, &p.server, MUCH, 20000);
    assert_memory_equal(p.server.heard.ptr, much, MUCH);
    assert_true(p.client.writables > 0);
    peers_deinit(&p);
    free(much);
}

/* The socket stops within any one of many buffers, some of them empty. */
static void many_buffers_are_cut_anywhere(void **state) {
    (void)state;
    struct peers p;
    char *much = make_pattern(MUCH);
    size_t said = 0;
    peers_init(&p);
    peers_meet(&p, NULL);
    stream_pause(&p.server.stream);
    for (bool is_blocked = false; !is_blocked;) {
        uv_buf_t bufs[STREAM_BUFS_MAX];
        size_t total = 0;
        for (unsigned i = 0; i < STREAM_BUFS_MAX; i++) {
            size_t len = i % 3 == 0 ? 0 : 1000 + 7 * i;
            bufs[i] = uv_buf_init(len > 0 ? much + said + total : NULL, (unsigned)len);
            total += len;
        }
        ssize_t n = stream_write(&p.client.stream, bufs, STREAM_BUFS_MAX);
        assert_true(n > 0 || stream_is_blocked(&p.client.stream));
        is_blocked = (size_t)n < total;
        said += (size_t)n;
    }
    stream_resume(&p.server.stream);
    peers_until_heard(&p, &p.server, said, 5000);
    assert_int_equal(p.server.heard.len, said);
    assert_memory_equal(p.server.heard.ptr, much, said);
    peers_until(&p, &p.client.writables, 1, 1000);
    peers_deinit(&p);
    free(much);
}

/* Paused before it is open. */
static void pause_counts_from_the_start(void **state) {
    (void)state;
    struct peers p;
    peers_init(&p);
    stream_pause(&p.client.stream);
    p.server.to_say = "early";
    p.server.to_say_len = 5;
    peers_meet(&p, NULL);
    peers_turn(&p, 50);
    assert_int_equal(p.client.heard.len, 0);
    stream_resume(&p.client.stream);
    peers_until_heard(&p, &p.client, 5, 5000);
    peers_deinit(&p);
}

static void end_comes_once(void **state) {
    (void)state;
    struct peers p;
    peers_init(&p);
    peers_meet(&p, NULL);
    stream_close(&p.client.stream);
    stream_close(&p.client.stream);
    peers_until(&p, &p.server.ends, 1, 5000);
    assert_int_equal(p.server.ended, 0);
    /* We may still answer a peer that has only ended its half. */
    peer_say(&p.server, "late", 4);
    assert_int_equal(p.server.said, 4);
    peers_turn(&p, 50);
    assert_int_equal(p.server.ends, 1);
    assert_int_equal(p.client.ends, 0); /* after stream_close only on_closed fires */
    peers_deinit(&p);
}

/* What was said last arrives, though the peer had sent what nobody read. */
static void last_words_survive_unread_input(void **state) {
    (void)state;
    struct peers p;
    char *much = make_pattern(MUCH);
    peers_init(&p);
    p.server.closes_at_end = true;
    peers_meet(&p, NULL);
    stream_pause(&p.client.stream);
    peer_say(&p.server, much, MUCH); /* lies unread at the client */
    peers_turn(&p, 50);
    peer_say(&p.client, "goodbye", 7);
    stream_close(&p.client.stream);
    peers_until(&p, &p.server.ends, 1, 5000);
    assert_int_equal(p.server.ended, 0);
    assert_int_equal(p.server.heard.len, 7);
    assert_memory_equal(p.server.heard.ptr, "goodbye", 7);
    peers_deinit(&p);
    free(much);
}

/* Taken but not yet written when stream_close comes. */
static void close_waits_for_what_was_taken(void **state) {
    (void)state;
    struct peers p;
    char *much = make_pattern(MUCH);
    peers_init(&p);
    p.server.closes_at_end = true;
    peers_meet(&p, NULL);
    stream_pause(&p.server.stream);
    peer_say(&p.client, much, MUCH);
    peers_turn(&p, 100);
    size_t taken = p.client.said;
    assert_true(stream_is_blocked(&p.client.stream));
    stream_close(&p.client.stream);
    peers_turn(&p, 300);
    assert_int_equal(p.client.closes, 0);
    stream_resume(&p.server.stream);
    peers_until(&p, &p.server.ends, 1, 5000);
    assert_int_equal(p.server.ended, 0);
    assert_int_equal(p.server.heard.len, taken);
    assert_memory_equal(p.server.heard.ptr, much, taken);
    peers_deinit(&p);
    free(much);
}

/* Monotonic time is ahead by so much. In place of libc's, for libuv. */
static uint64_t ahead_ms;

int clock_gettime(clockid_t clock, struct timespec *at) {
    int r = (int)syscall(SYS_clock_gettime, clock, at);
    if (clock == CLOCK_MONOTONIC || clock == CLOCK_MONOTONIC_COARSE)
        at->tv_sec += (time_t)(ahead_ms / 1000);
    return r;
}

/* A peer that takes nothing: ten seconds. */
static void close_does_not_wait_for_ever(void **state) {
    (void)state;
    struct peers p;
    char *much = make_pattern(MUCH);
    peers_init(&p);
    peers_meet(&p, NULL);
    stream_pause(&p.server.stream);
    peer_say(&p.client, much, MUCH);
    stream_close(&p.client.stream);
    peers_turn(&p, 1100); /* the kernels have taken what they take */
    ahead_ms += 8000;
    peers_turn(&p, 1100);
    assert_int_equal(p.client.closes, 0);
    ahead_ms += 1000;
    peers_until(&p, &p.client.closes, 1, 3000);
    stream_abort(&p.server.stream);
    peers_deinit(&p);
    free(much);
}

/* The server takes a bit of what it was sent, past libuv, until the client's kernel knows it. */
static void take_some(struct peers *p) {
    char room[8192];
    uint64_t acked = stream_acked(&p->client.stream);
    uv_os_fd_t fd;
    assert_int_equal(uv_fileno(&p->server.stream.uv.handle, &fd), 0);
    for (int i = 0; i < 1000 && stream_acked(&p->client.stream) == acked; i++) {
        (void)!recv(fd, room, sizeof(room), MSG_DONTWAIT);
        peers_turn(p, 1);
    }
}

/* However steadily the peer takes what it is owed: five minutes. */
static void a_close_has_an_end(void **state) {
    (void)state;
    enum { STEP_MS = 4000, BOUND_MS = 300000 };
    struct peers p;
    char *much = make_pattern(MUCH);
    int window = 16 * 1024;
    peers_init(&p);
    peers_meet(&p, NULL);
    stream_pause(&p.server.stream);
    assert_int_equal(uv_recv_buffer_size(&p.server.stream.uv.handle, &window), 0);
    peer_say(&p.client, much, MUCH);
    stream_close(&p.client.stream);
    for (unsigned passed = STEP_MS; passed < BOUND_MS; passed += STEP_MS) {
        take_some(&p);
        ahead_ms += STEP_MS;
        peers_turn(&p, 1);
        assert_int_equal(p.client.closes, 0);
    }
    take_some(&p);
    ahead_ms += STEP_MS;
    peers_until(&p, &p.client.closes, 1, 2000);
    stream_abort(&p.server.stream);
    peers_deinit(&p);
    free(much);
}

static void abort_ends_a_close(void **state) {
    (void)state;
    struct peers p;
    peers_init(&p);
    peers_meet(&p, NULL);
    stream_pause(&p.server.stream);
    stream_close(&p.client.stream);
    peers_turn(&p, 50);
    assert_int_equal(p.client.closes, 0);
    stream_abort(&p.client.stream);
    stream_abort(&p.client.stream);
    peers_until(&p, &p.client.closes, 1, 20);
    peers_deinit(&p);
}

static void reset_is_an_error(void **state) {
    (void)state;
    struct peers p;
    struct linger hard = {.l_onoff = 1, .l_linger = 0};
    uv_os_fd_t fd;
    peers_init(&p);
    p.server.closes_at_end = true;
    peers_meet(&p, NULL);
    assert_int_equal(uv_fileno(&p.client.stream.uv.handle, &fd), 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard)), 0);
    stream_abort(&p.client.stream);
    peers_until(&p, &p.server.ends, 1, 5000);
    assert_int_equal(p.server.ended, UV_ECONNRESET);
    peers_turn(&p, 20);
    assert_int_equal(p.server.ends, 1);
    peers_deinit(&p);
}

/* The write finds out: its caller is told, on_end is not called besides. */
static void broken_write_tells_its_caller(void **state) {
    (void)state;
    struct peers p;
    struct linger hard = {.l_onoff = 1, .l_linger = 0};
    uv_os_fd_t fd;
    peers_init(&p);
    peers_meet(&p, NULL);
    stream_pause(&p.server.stream);
    assert_int_equal(uv_fileno(&p.client.stream.uv.handle, &fd), 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard)), 0);
    stream_abort(&p.client.stream);
    peers_until(&p, &p.client.closes, 1, 1000);
    uv_buf_t word = uv_buf_init((char[]){'x'}, 1);
    assert_true(stream_write(&p.server.stream, &word, 1) < 0);
    assert_true(stream_write(&p.server.stream, &word, 1) < 0);
    stream_resume(&p.server.stream);
    peers_turn(&p, 50);
    assert_int_equal(p.server.ends, 0);
    peers_deinit(&p);
}

/* It breaks while a copy waits. */
static void reset_while_blocked(void **state) {
    (void)state;
    struct peers p;
    char *much = make_pattern(MUCH);
    struct linger hard = {.l_onoff = 1, .l_linger = 0};
    uv_os_fd_t fd;
    peers_init(&p);
    p.server.closes_at_end = true;
    peers_meet(&p, NULL);
    stream_pause(&p.client.stream);
    stream_pause(&p.server.stream);
    peer_say(&p.server, much, MUCH);
    peers_turn(&p, 50);
    assert_true(stream_is_blocked(&p.server.stream));
    assert_int_equal(uv_fileno(&p.client.stream.uv.handle, &fd), 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard)), 0);
    stream_abort(&p.client.stream);
    peers_until(&p, &p.server.ends, 1, 5000);
    assert_true(p.server.ended < 0);
    peers_deinit(&p);
    free(much);
}

static void refused_connect(void **state) {
    (void)state;
    struct peers p;
    peers_init(&p);
    uv_close((uv_handle_t *)&p.listener, NULL);
    peers_turn(&p, 20);
    peers_connect(&p, NULL);
    peers_until(&p, &p.client.opens, 1, 5000);
    assert_int_equal(p.client.opened, UV_ECONNREFUSED);
    assert_string_equal(p.client.open_text, "connection refused");
    uv_buf_t word = uv_buf_init((char[]){'x'}, 1);
    assert_true(stream_write(&p.client.stream, &word, 1) < 0);
    uv_tcp_init(&p.loop, &p.listener);
    peers_deinit(&p);
}

static void close_at_any_time(void **state) {
    (void)state;
    struct peers p;
    peers_init(&p); /* both only initialised */
    peers_deinit(&p);
    peers_init(&p); /* within the connect, and never accepted */
    peers_connect(&p, NULL);
    peers_deinit(&p);
    assert_int_equal(p.client.opens, 0);
    peers_init(&p); /* accepted, not yet open */
    p.closes_at_accept = true;
    peers_connect(&p, NULL);
    peers_until(&p, &p.server.closes, 1, 5000);
    peers_deinit(&p);
    assert_int_equal(p.server.opens, 0);
}

static void unix_socket_path(void **state) {
    (void)state;
    struct peers p;
    char path[200];
    peers_init(&p);
    memset(path, 'x', sizeof(path));
    path[sizeof(path) - 1] = '\0';
    assert_int_equal(stream_connect_pipe(&p.client.stream, path), UV_ENAMETOOLONG);
    peers_deinit(&p);
    peers_init(&p);
    assert_int_equal(stream_connect_pipe(&p.client.stream, "/nonexistent/socket"), 0);
    peers_until(&p, &p.client.opens, 1, 1000);
    assert_int_equal(p.client.opened, UV_ENOENT);
    peers_deinit(&p);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(says_both_ways),
                                       cmocka_unit_test(idle_stream_owns_nothing),
                                       cmocka_unit_test(knows_addresses),
                                       cmocka_unit_test(sockets_are_tuned_on_both_ends),
                                       cmocka_unit_test(nothing_is_nothing),
                                       cmocka_unit_test(a_proxy_says_who_asks),
                                       cmocka_unit_test(much_goes_through),
                                       cmocka_unit_test(slow_reader_blocks_writer),
                                       cmocka_unit_test(many_buffers_are_cut_anywhere),
                                       cmocka_unit_test(pause_counts_from_the_start),
                                       cmocka_unit_test(end_comes_once),
                                       cmocka_unit_test(last_words_survive_unread_input),
                                       cmocka_unit_test(close_waits_for_what_was_taken),
                                       cmocka_unit_test(close_does_not_wait_for_ever),
                                       cmocka_unit_test(a_close_has_an_end),
                                       cmocka_unit_test(abort_ends_a_close),
                                       cmocka_unit_test(reset_is_an_error),
                                       cmocka_unit_test(broken_write_tells_its_caller),
                                       cmocka_unit_test(reset_while_blocked),
                                       cmocka_unit_test(refused_connect),
                                       cmocka_unit_test(close_at_any_time),
                                       cmocka_unit_test(unix_socket_path)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
