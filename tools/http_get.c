/* http_get.c - see http_get.h. HTTP/1.0: the answer ends with the connection. */
#include "tools/http_get.h"

#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/net/stream.h"

enum { ANSWER_MAX = 1024 * 1024 };

struct get {
    struct stream stream;
    uv_timer_t timer;
    struct buf request, answer;
    size_t sent;
    http_get_fn *fn;
    void *ctx;
    char error[200];
    unsigned handles;
};

static void on_handle_closed(struct get *g) {
    if (--g->handles > 0)
        return;
    buf_deinit(&g->request);
    buf_deinit(&g->answer);
    free(g);
}

static void on_timer_closed(uv_handle_t *handle) {
    on_handle_closed(container_of((uv_timer_t *)handle, struct get, timer));
}

static void on_stream_closed(struct stream *s) {
    on_handle_closed(container_of(s, struct get, stream));
}

static void end(struct get *g, int status, struct bytes body) {
    http_get_fn *fn = g->fn;
    if (fn == NULL)
        return;
    g->fn = NULL;
    fn(g->ctx, status, body);
    stream_abort(&g->stream);
    uv_close((uv_handle_t *)&g->timer, on_timer_closed);
}

static void fail(struct get *g, const char *why) {
    end(g, 0, bytes_str(why));
}

/* "HTTP/1.1 200 OK …", fields, an empty line, the body. */
static void read_answer(struct get *g) {
    struct bytes all = buf_bytes(&g->answer);
    uint64_t status = 0;
    size_t head = 0;
    for (size_t i = 0; i + 4 <= all.len && head == 0; i++)
        if (memcmp(all.ptr + i, "\r\n\r\n", 4) == 0)
            head = i + 4;
    if (head == 0 || !bytes_starts_with(all, BYTES_LIT("HTTP/1.")) ||
        !bytes_to_u64(bytes_head(bytes_from(all, 9), 3), &status))
        fail(g, "the answer is not HTTP");
    else
        end(g, (int)status, bytes_from(all, head));
}

static void flush(struct get *g) {
    uv_buf_t buf = uv_buf_init(g->request.ptr + g->sent, (unsigned)(g->request.len - g->sent));
    ssize_t n = buf.len > 0 ? stream_write(&g->stream, &buf, 1) : 0;
    if (n < 0)
        fail(g, stream_error_text(&g->stream, (int)n));
    else
        g->sent += (size_t)n;
}

static void on_open(struct stream *s, int status) {
    struct get *g = container_of(s, struct get, stream);
    if (status < 0)
        fail(g, stream_error_text(s, status));
    else
        flush(g);
}

static void on_writable(struct stream *s) {
    flush(container_of(s, struct get, stream));
}

static void on_bytes(struct stream *s, struct bytes in) {
    struct get *g = container_of(s, struct get, stream);
    buf_append(&g->answer, in);
    if (g->answer.len > ANSWER_MAX)
        fail(g, "the answer is too long");
}

static void on_end(struct stream *s, int status) {
    struct get *g = container_of(s, struct get, stream);
    if (status < 0)
        fail(g, stream_error_text(s, status));
    else
        read_answer(g);
}

/* The time is over, or the connection could not be made; then g->error is set. */
static void on_timer(uv_timer_t *timer) {
    struct get *g = container_of(timer, struct get, timer);
    fail(g, g->error[0] != '\0' ? g->error : "no answer came in time");
}

static int connect_tcp(struct get *g, const char *host, int port) {
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found = NULL;
    char service[16];
    snprintf(service, sizeof(service), "%d", port);
    int result = getaddrinfo(host, service, &hints, &found);
    if (result != 0) {
        snprintf(g->error, sizeof(g->error), "%s: %s", host, gai_strerror(result));
        return 0;
    }
    result = stream_connect_tcp(&g->stream, found->ai_addr, NULL, NULL);
    freeaddrinfo(found);
    return result;
}

static void connect_to(struct get *g, const char *host, int port) {
    int result = port == 0 ? stream_connect_pipe(&g->stream, host) : connect_tcp(g, host, port);
    if (result < 0)
        snprintf(g->error, sizeof(g->error), "%s", uv_strerror(result));
}

void http_get(uv_loop_t *loop, const char *host, int port, const char *path, uint64_t patience_ms,
              http_get_fn *fn, void *ctx) {
    static const struct stream_events events = {.on_open = on_open,
                                                .on_bytes = on_bytes,
                                                .on_end = on_end,
                                                .on_writable = on_writable,
                                                .on_closed = on_stream_closed};
    struct get *g = mem_zalloc(sizeof(*g));
    g->fn = fn;
    g->ctx = ctx;
    g->handles = 2;
    buf_printf(&g->request, "GET %s HTTP/1.0\r\nHost: localhost\r\n\r\n", path);
    stream_init(&g->stream, loop, &events);
    MUST(uv_timer_init(loop, &g->timer) == 0);
    connect_to(g, host, port);
    MUST(uv_timer_start(&g->timer, on_timer, g->error[0] != '\0' ? 0 : patience_ms, 0) == 0);
}
