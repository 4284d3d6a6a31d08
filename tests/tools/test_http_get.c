/* test_http_get.c - what comes of a GET: what is answered, in pieces, too much, not at all. */
#include "tools/http_get.h"

#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/base/buf.h"

enum { ANSWER_MAX = 1024 * 1024 };

static struct {
    uv_loop_t loop;
    uv_tcp_t server;
    int port;
    struct {
        uv_tcp_t tcp;
        uv_write_t write;
    } peer;
    struct bytes answer;
    bool is_silent; /* never ends */
    struct buf request;
    unsigned answers;
    int status;
    char body[100];
    size_t body_len;
} t;

static void give_room(uv_handle_t *handle, size_t size, uv_buf_t *out) {
    static char room[4096];
    (void)handle;
    (void)size;
    *out = uv_buf_init(room, sizeof(room));
}

static void on_written(uv_write_t *write, int status) {
    (void)write;
    (void)status;
    if (!uv_is_closing((uv_handle_t *)&t.peer.tcp))
        uv_close((uv_handle_t *)&t.peer.tcp, NULL);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *in) {
    if (n < 0) {
        if (!uv_is_closing((uv_handle_t *)stream))
            uv_close((uv_handle_t *)stream, NULL);
        return;
    }
    buf_append(&t.request, bytes_of(in->base, (size_t)n));
    if (!bytes_ends_with(buf_bytes(&t.request), BYTES_LIT("\r\n\r\n")) || t.is_silent)
        return;
    uv_buf_t out = uv_buf_init((char *)(uintptr_t)t.answer.ptr, (unsigned)t.answer.len);
    assert_int_equal(uv_write(&t.peer.write, stream, &out, 1, on_written), 0);
}

static void on_connection(uv_stream_t *server, int status) {
    assert_int_equal(status, 0);
    assert_int_equal(uv_tcp_init(&t.loop, &t.peer.tcp), 0);
    assert_int_equal(uv_accept(server, (uv_stream_t *)&t.peer.tcp), 0);
    assert_int_equal(uv_read_start((uv_stream_t *)&t.peer.tcp, give_room, on_read), 0);
}

static int setup(void **state) {
    struct sockaddr_in address;
    int len = sizeof(address);
    (void)state;
    memset(&t, 0, sizeof(t));
    assert_int_equal(uv_loop_init(&t.loop), 0);
    uv_tcp_init(&t.loop, &t.server);
    uv_ip4_addr("127.0.0.1", 0, &address);
    assert_int_equal(uv_tcp_bind(&t.server, (struct sockaddr *)&address, 0), 0);
    assert_int_equal(uv_listen((uv_stream_t *)&t.server, 8, on_connection), 0);
    uv_tcp_getsockname(&t.server, (struct sockaddr *)&address, &len);
    t.port = ntohs(address.sin_port);
    uv_unref((uv_handle_t *)&t.server);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    uv_close((uv_handle_t *)&t.server, NULL);
    uv_run(&t.loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&t.loop), 0);
    buf_deinit(&t.request);
    return 0;
}

static void on_answer(void *ctx, int status, struct bytes body) {
    assert_ptr_equal(ctx, &t);
    t.answers++;
    t.status = status;
    t.body_len = body.len;
    snprintf(t.body, sizeof(t.body), "%.*s", BYTES_FMT(bytes_head(body, sizeof(t.body) - 1)));
}

/* Until all is over; the answer came once, and not within the call. */
static void get(const char *host, int port, uint64_t patience_ms) {
    t.answers = 0;
    buf_clear(&t.request);
    http_get(&t.loop, host, port, "/readyz?a", patience_ms, on_answer, &t);
    assert_int_equal(t.answers, 0);
    uv_run(&t.loop, UV_RUN_DEFAULT);
    assert_int_equal(t.answers, 1);
}

static void what_is_answered(void **state) {
    static const struct {
        const char *answer;
        int status;
        const char *body;
    } rows[] = {
        {"HTTP/1.0 200 OK\r\n\r\nready\n", 200, "ready\n"},
        {"HTTP/1.1 503 Service Unavailable\r\nA: b\r\n\r\nnot\r\n\r\nyet", 503, "not\r\n\r\nyet"},
        {"HTTP/1.1 200\r\n\r\n", 200, ""},
        {"HTTP/1.1 200 OK\r\n", 0, "the answer is not HTTP"},
        {"HTTP/1.1 2x0 OK\r\n\r\nready", 0, "the answer is not HTTP"},
        {"HTTP/2.0 200 OK\r\n\r\nready", 0, "the answer is not HTTP"},
        {"HTTP/1.\r\n\r\n", 0, "the answer is not HTTP"},
        {"\r\n\r\n", 0, "the answer is not HTTP"},
        {"", 0, "the answer is not HTTP"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        t.answer = bytes_str(rows[i].answer);
        get("127.0.0.1", t.port, 60000);
        assert_int_equal(t.status, rows[i].status);
        assert_string_equal(t.body, rows[i].body);
        assert_true(bytes_equal_str(buf_bytes(&t.request),
                                    "GET /readyz?a HTTP/1.0\r\nHost: localhost\r\n\r\n"));
    }
}

static void an_answer_has_a_bound(void **state) {
    static const char head[] = "HTTP/1.0 200 OK\r\n\r\n";
    char *text = malloc(ANSWER_MAX + 1);
    (void)state;
    memset(text, 'x', ANSWER_MAX + 1);
    memcpy(text, head, strlen(head));
    t.answer = bytes_of(text, ANSWER_MAX);
    get("localhost", t.port, 60000);
    assert_int_equal(t.status, 200);
    assert_int_equal(t.body_len, ANSWER_MAX - strlen(head));
    t.answer = bytes_of(text, ANSWER_MAX + 1);
    get("localhost", t.port, 60000);
    assert_int_equal(t.status, 0);
    assert_string_equal(t.body, "the answer is too long");
    free(text);
}

static void nobody_answers(void **state) {
    char path[60];
    (void)state;
    t.is_silent = true;
    get("127.0.0.1", t.port, 30);
    assert_int_equal(t.status, 0);
    assert_string_equal(t.body, "no answer came in time");
    snprintf(path, sizeof(path), "/tmp/test_http_get_%d", (int)getpid());
    get(path, 0, 60000);
    assert_int_equal(t.status, 0);
    assert_non_null(strstr(t.body, "no such file"));
    get("no-such-host.invalid", 80, 60000);
    assert_int_equal(t.status, 0);
    assert_non_null(strstr(t.body, "no-such-host.invalid: "));
    get("127.0.0.1", 1, 60000);
    assert_int_equal(t.status, 0);
    assert_non_null(strstr(t.body, "refused"));
}

int main(void) {
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(what_is_answered),
        TEST(an_answer_has_a_bound),
        TEST(nobody_answers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
