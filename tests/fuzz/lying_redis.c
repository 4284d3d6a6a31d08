/* lying_redis.c - see lying_redis.h. Read answer, then make_up and tell_truth. */
#include "tests/fuzz/lying_redis.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/must.h"

/* ---- the input */

unsigned input_byte(struct input *in) {
    if (in->left == 0)
        return 0;
    in->left--;
    return *in->at++;
}

struct bytes input_bytes(struct input *in, size_t most) {
    size_t len = input_byte(in);
    len = len > in->left ? in->left : len;
    len = len > most ? most : len;
    struct bytes b = bytes_of((const char *)in->at, len);
    in->at += len;
    in->left -= len;
    return b;
}

/* ---- answers */

static void bulk(struct buf *out, struct bytes text) {
    buf_printf(out, "$%zu\r\n", text.len);
    buf_append(out, text);
    buf_append_str(out, "\r\n");
}

/* Any reply, made of the input; rarely none that can be read. */
static void make_up(struct lying_redis *r, struct buf *out, unsigned depth) {
    static const char *const fixed[] = {
        "$-1\r\n",          "*-1\r\n",         ":0\r\n",
        ":1\r\n",           ":-1\r\n",         ":9223372036854775807\r\n",
        "+OK\r\n",          "-ERR x\r\n",      "-OOM x\r\n",
        "-BUSY x\r\n",      "-FENCED x\r\n",   "-NOPERM x\r\n",
        "-WRONGTYPE x\r\n", "-DEAD x\r\n",     "$3\r\n5-1\r\n",
        "$3\r\n5-0\r\n",    "$1\r\n0\r\n",     "$1\r\n5\r\n",
        "$1\r\nm\r\n",      "$1\r\nC\r\n",     "$20\r\n18446744073709551615\r\n",
        "$1\r\n:\r\n",      "-NOSCRIPT x\r\n", "$3\r\n7-9\r\n"};
    unsigned kind = input_byte(r->input);
    if (kind < 128) {
        buf_append_str(out, fixed[kind % ARRAY_LEN(fixed)]);
    } else if (kind < 170) {
        bulk(out, input_bytes(r->input, 255));
    } else if (kind < 250 && depth < 6) {
        unsigned count = kind % 8;
        buf_printf(out, "*%u\r\n", count);
        for (unsigned i = 0; i < count; i++)
            make_up(r, out, depth + 1);
    } else {
        struct bytes raw = input_bytes(r->input, 40);
        buf_append(out, raw);
        buf_append_str(out, "\r\n");
    }
}

static struct bytes argument(const redisReply *command, size_t i) {
    return i < command->elements ? bytes_of(command->element[i]->str, command->element[i]->len)
                                 : BYTES_NONE;
}

static void tell_subscriptions(struct side *s, struct buf *out, const redisReply *command,
                               const char *kind) {
    s->is_feed = true;
    for (size_t i = 1; i < command->elements; i++) {
        struct bytes channel = argument(command, i);
        buf_printf(out, "*3\r\n$%zu\r\n%s\r\n", strlen(kind), kind);
        bulk(out, channel);
        buf_append_str(out, ":1\r\n");
        snprintf(s->channel, sizeof(s->channel), "%.*s", BYTES_FMT(channel));
    }
}

/* HMGET of the configuration, of a lineage … */
static void tell_fields(struct buf *out, const redisReply *command) {
    buf_printf(out, "*%zu\r\n", command->elements - 2);
    for (size_t i = 2; i < command->elements; i++) {
        bool is_one = bytes_equal_str(argument(command, i), "version") ||
                      bytes_equal_str(argument(command, i), "partitions");
        buf_append_str(out, is_one ? "$1\r\n1\r\n" : "$-1\r\n");
    }
}

#define INFO_TEXT                                                                                  \
    "run_id:0123456789012345678901234567890123456789\r\nrole:master\r\n"                           \
    "master_replid:0123456789012345678901234567890123456789\r\nmaster_repl_offset:0\r\n"

static void tell_truth(struct side *s, struct buf *out, const redisReply *command) {
    struct bytes name = argument(command, 0);
    if (bytes_equal_str(name, "ROLE"))
        buf_append_str(out, "*3\r\n$6\r\nmaster\r\n:0\r\n*0\r\n");
    else if (bytes_equal_str(name, "INFO"))
        bulk(out, BYTES_LIT(INFO_TEXT));
    else if (bytes_equal_str(name, "PING") && s->is_feed)
        buf_append_str(out, "*2\r\n$4\r\npong\r\n"), bulk(out, argument(command, 1));
    else if (bytes_equal_str(name, "PING"))
        bulk(out, argument(command, 1));
    else if (bytes_equal_str(name, "SUBSCRIBE"))
        tell_subscriptions(s, out, command, "subscribe");
    else if (bytes_equal_str(name, "UNSUBSCRIBE"))
        tell_subscriptions(s, out, command, "unsubscribe");
    else if (bytes_equal_str(name, "HMGET"))
        tell_fields(out, command);
    else if (bytes_equal_str(name, "TIME"))
        buf_append_str(out, "*2\r\n$4\r\n1000\r\n$1\r\n0\r\n");
    else if (bytes_equal_str(name, "HGETALL") || bytes_equal_str(name, "XRANGE"))
        buf_append_str(out, "*0\r\n");
    else if (bytes_equal_str(name, "XREAD"))
        buf_append_str(out, "*-1\r\n");
    else
        buf_append_str(out, ":1\r\n");
}

static void answer(struct lying_redis *r, struct side *s, struct buf *out,
                   const redisReply *command) {
    struct bytes name = argument(command, 0);
    bool is_exec = bytes_equal_str(name, "EXEC"), is_honest = r->honest > 0;
    struct buf *to = s->is_in_multi && !is_exec ? &s->multi : out;
    r->honest -= is_honest;
    if (bytes_equal_str(name, "MULTI")) {
        s->is_in_multi = true;
        buf_append_str(out, "+OK\r\n");
        return;
    }
    if (to == &s->multi) {
        s->queued++;
        buf_append_str(out, "+QUEUED\r\n");
    }
    if (!is_honest && input_byte(r->input) >= 64) {
        make_up(r, to, 0);
    } else if (is_exec) {
        buf_printf(out, "*%u\r\n", s->queued);
        buf_append(out, buf_bytes(&s->multi));
    } else {
        tell_truth(s, to, command);
    }
    if (is_exec) {
        buf_clear(&s->multi);
        s->is_in_multi = false;
        s->queued = 0;
    }
}

/* ---- connections */

struct writing {
    uv_write_t req;
    struct buf text;
};

static void on_written(uv_write_t *req, int status) {
    struct writing *writing = container_of(req, struct writing, req);
    (void)status;
    buf_deinit(&writing->text);
    free(writing);
}

static void send_take(struct side *s, struct buf text) {
    struct writing *writing = mem_zalloc(sizeof(*writing));
    writing->text = text;
    uv_buf_t buf = uv_buf_init(text.ptr, (unsigned)text.len);
    if (text.len == 0 || uv_write(&writing->req, (uv_stream_t *)&s->pipe, &buf, 1, on_written) < 0)
        on_written(&writing->req, 0);
}

static void on_side_closed(uv_handle_t *handle) {
    struct side *s = container_of((uv_pipe_t *)handle, struct side, pipe);
    redisReaderFree(s->reader);
    buf_deinit(&s->multi);
    *s = (struct side){.is_open = false};
}

static void end_side(struct side *s) {
    if (s->is_open && !uv_is_closing((uv_handle_t *)&s->pipe))
        uv_close((uv_handle_t *)&s->pipe, on_side_closed);
}

static void on_alloc(uv_handle_t *handle, size_t size, uv_buf_t *buf) {
    static char room[65536];
    (void)handle;
    (void)size;
    *buf = uv_buf_init(room, sizeof(room));
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf) {
    struct side *s = container_of((uv_pipe_t *)stream, struct side, pipe);
    struct buf out = {0};
    void *command = NULL;
    if (n < 0) {
        end_side(s);
        return;
    }
    MUST(redisReaderFeed(s->reader, buf->base, (size_t)n) == REDIS_OK);
    while (redisReaderGetReply(s->reader, &command) == REDIS_OK && command != NULL) {
        answer(s->redis, s, &out, command);
        freeReplyObject(command);
        command = NULL;
    }
    MUST(s->reader->err == 0); /* what we send can be read */
    send_take(s, out);
}

static void on_connection(uv_stream_t *server, int status) {
    struct lying_redis *r = container_of((uv_pipe_t *)server, struct lying_redis, server);
    struct side *s = r->sides;
    MUST(status == 0);
    while (s < r->sides + LYING_CONNS - 1 && s->is_open)
        s++;
    if (s->is_open) { /* the last one makes room */
        uv_pipe_t *extra = mem_alloc(sizeof(*extra));
        MUST(uv_pipe_init(server->loop, extra, 0) == 0);
        (void)uv_accept(server, (uv_stream_t *)extra);
        uv_close((uv_handle_t *)extra, (uv_close_cb)free);
        return;
    }
    s->is_open = true;
    s->redis = r;
    s->reader = redisReaderCreate();
    MUST(uv_pipe_init(server->loop, &s->pipe, 0) == 0);
    MUST(uv_accept(server, (uv_stream_t *)&s->pipe) == 0);
    MUST(uv_read_start((uv_stream_t *)&s->pipe, on_alloc, on_read) == 0);
}

void lying_redis_push(struct lying_redis *r) {
    struct buf out = {0};
    for (int i = 0; i < LYING_CONNS; i++) {
        struct side *s = &r->sides[i];
        if (!s->is_open || !s->is_feed || uv_is_closing((uv_handle_t *)&s->pipe))
            continue;
        if (input_byte(r->input) < 200) {
            buf_append_str(&out, "*3\r\n$7\r\nmessage\r\n");
            bulk(&out, bytes_str(s->channel));
            bulk(&out, input_bytes(r->input, 255));
        } else {
            make_up(r, &out, 0);
        }
        send_take(s, out);
        return;
    }
}

/* ---- life */

void lying_redis_open(struct lying_redis *r, uv_loop_t *loop, struct input *input) {
    *r = (struct lying_redis){.input = input, .honest = input_byte(input)};
    snprintf(r->path, sizeof(r->path), "/tmp/fuzz_bus_%d", (int)getpid());
    unlink(r->path);
    MUST(uv_pipe_init(loop, &r->server, 0) == 0);
    MUST(uv_pipe_bind(&r->server, r->path) == 0);
    MUST(uv_listen((uv_stream_t *)&r->server, 16, on_connection) == 0);
    snprintf(r->url, sizeof(r->url), "unix://%s", r->path);
}

void lying_redis_drop(struct lying_redis *r, unsigned i) {
    end_side(&r->sides[i % LYING_CONNS]);
}

void lying_redis_close(struct lying_redis *r) {
    uv_close((uv_handle_t *)&r->server, NULL);
    for (unsigned i = 0; i < LYING_CONNS; i++)
        end_side(&r->sides[i]);
    unlink(r->path);
}
