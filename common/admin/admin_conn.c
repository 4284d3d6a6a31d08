/* admin_conn.c - see admin_conn.h. Read advance. */
#include "common/admin/admin_conn.h"

#include <stdlib.h>
#include <string.h>

#include "common/admin/admin_private.h"
#include "common/admin/listing.h"
#include "common/admin/roster.h"
#include "common/json/json_text.h"
#include "common/base/clock.h"
#include "common/http/http_chunked.h"
#include "common/http/http_head.h"
#include "common/http/http_reply.h"
#include "common/net/stream.h"

enum { STILL_MS = 30000 };
enum state { READING, HANDLING, WRITING, CLOSED };

struct admin_conn {
    struct stream stream;
    struct admin *admin;
    struct admin_conn *next;
    enum state state;
    struct buf in; /* what was received and is not answered yet */
    struct http_head head;
    struct bytes body;
    struct http_chunked chunked; /* takes the body while is_decoding */
    struct buf out;
    size_t out_at;
    struct admin_job *job;
    const char *allow;
    uint64_t moved_ms;
    bool keeps_alive, said_continue, is_advancing, is_decoding, has_ended;
};

static void set_state(struct admin_conn *c, enum state to) {
    static const unsigned may_follow[] = {
        [READING] = 1 << HANDLING | 1 << WRITING | 1 << CLOSED,
        [HANDLING] = 1 << WRITING | 1 << CLOSED,
        [WRITING] = 1 << READING | 1 << CLOSED,
        [CLOSED] = 0,
    };
    MUST(may_follow[c->state] >> to & 1);
    c->state = to;
    c->moved_ms = clock_ms();
}

/* --- the end --- */

static void on_closed(struct stream *s) {
    struct admin_conn *c = container_of(s, struct admin_conn, stream);
    admin_on_closed(c->admin, c);
    buf_deinit(&c->in);
    buf_deinit(&c->out);
    free(c);
}

static void free_job(struct admin_job *job) {
    buf_deinit(&job->out);
    free(job);
}

static void leave_job(struct admin_job *job) {
    job->conn = NULL;
    roster_cancel(job->roster);
    listing_forget(job->listing);
    if (job->roster != NULL || job->listing != NULL)
        free_job(job);
}

static void leave(struct admin_conn *c) {
    if (c->state == CLOSED)
        return;
    set_state(c, CLOSED);
    if (c->job != NULL)
        leave_job(c->job);
    c->job = NULL;
}

static void close_conn(struct admin_conn *c) {
    leave(c);
    stream_close(&c->stream);
}

void admin_conn_abort(struct admin_conn *c) {
    leave(c);
    stream_abort(&c->stream);
}

void admin_conn_check(struct admin_conn *c, uint64_t now_ms) {
    if (c->state != CLOSED && now_ms - c->moved_ms > STILL_MS)
        admin_conn_abort(c);
}

/* --- writing --- */

static void advance(struct admin_conn *c);

static void answered(struct admin_conn *c) {
    buf_release(&c->out);
    c->out_at = 0;
    if (!c->keeps_alive || c->has_ended) {
        close_conn(c);
        return;
    }
    buf_consume(&c->in, c->head.length + c->body.len);
    if (c->in.len == 0)
        buf_release(&c->in);
    c->said_continue = false;
    set_state(c, READING);
    stream_resume(&c->stream);
    advance(c);
}

static bool flush(struct admin_conn *c) {
    while (c->out_at < c->out.len) {
        size_t len = c->out.len - c->out_at;
        uv_buf_t buf = uv_buf_init(c->out.ptr + c->out_at, (unsigned)len);
        ssize_t n = stream_write(&c->stream, &buf, 1);
        if (n < 0) {
            admin_conn_abort(c);
            return false;
        }
        c->out_at += (size_t)n;
        c->moved_ms = clock_ms();
        if ((size_t)n < len)
            return false;
    }
    return true;
}

static void on_writable(struct stream *s) {
    struct admin_conn *c = container_of(s, struct admin_conn, stream);
    if (flush(c) && c->state == WRITING)
        answered(c);
}

static void write_reply(struct admin_conn *c, int status, const char *content_type,
                        struct bytes body) {
    bool has_head = c->state == HANDLING;
    bool is_head = has_head && bytes_equal(c->head.method, BYTES_LIT("HEAD"));
    http_reply_begin(&c->out, has_head ? c->head.minor_version : 1, status);
    (void)http_reply_header(&c->out, BYTES_LIT("Content-Type"), bytes_str(content_type));
    (void)http_reply_header(&c->out, BYTES_LIT("Cache-Control"), BYTES_LIT("no-store"));
    if (status == 401)
        (void)http_reply_header(&c->out, BYTES_LIT("WWW-Authenticate"), BYTES_LIT("Bearer"));
    if (status == 405)
        (void)http_reply_header(&c->out, BYTES_LIT("Allow"), bytes_str(c->allow));
    if (status == 503)
        (void)http_reply_header(&c->out, BYTES_LIT("Retry-After"), BYTES_LIT("1"));
    http_reply_end(&c->out, (int64_t)body.len, c->keeps_alive, is_head ? BYTES_NONE : body);
    set_state(c, WRITING);
    if (flush(c))
        answered(c);
}

void admin_conn_reply(struct admin_conn *c, int status, const char *content_type,
                      struct bytes body) {
    if (c->state != CLOSED)
        write_reply(c, status, content_type, body);
}

void admin_conn_set_allow(struct admin_conn *c, const char *method) {
    c->allow = method;
}

void admin_conn_error(struct admin_conn *c, int status, const char *text) {
    struct buf body = {0};
    buf_append_str(&body, "{\"error\":");
    json_append_string(&body, bytes_str(text));
    buf_append_str(&body, "}\n");
    c->keeps_alive = false;
    admin_conn_reply(c, status, "application/json", buf_bytes(&body));
    buf_deinit(&body);
}

/* --- reading --- */

static void say_continue(struct admin_conn *c) {
    if (c->said_continue || !c->head.expects_continue)
        return;
    c->said_continue = true;
    buf_append_str(&c->out, "HTTP/1.1 100 Continue\r\n\r\n");
    (void)flush(c);
}

static bool has_plain_body(struct admin_conn *c) {
    c->body = bytes_of(c->in.ptr + c->head.length, (size_t)c->head.content_length);
    return c->in.len - c->head.length >= c->head.content_length;
}

static bool has_chunked_body(struct admin_conn *c) {
    int status = 0;
    const char *reason = "";
    if (!c->is_decoding)
        http_chunked_init(&c->chunked, c->head.length);
    c->is_decoding = true;
    switch (http_chunked_feed(&c->chunked, &c->in, admin_body_max(c->admin), &status, &reason)) {
    case PARSE_MORE: return false;
    case PARSE_BAD: admin_conn_error(c, status, reason); return false;
    case PARSE_OK: break;
    }
    c->is_decoding = false;
    c->body = bytes_of(c->in.ptr + c->head.length, c->chunked.at - c->head.length);
    return true;
}

/* True when a whole request is there. */
static bool has_request(struct admin_conn *c) {
    int status = 0;
    const char *reason = "";
    switch (http_head_parse(buf_bytes(&c->in), ADMIN_HEAD_MAX, &c->head, &status, &reason)) {
    case PARSE_MORE: return false;
    case PARSE_BAD: admin_conn_error(c, status, reason); return false;
    case PARSE_OK: break;
    }
    if (c->head.content_length > admin_body_max(c->admin)) {
        admin_conn_error(c, 413, "the body is too large");
        return false;
    }
    if (c->head.is_chunked ? !has_chunked_body(c) : !has_plain_body(c)) {
        if (c->state == READING)
            say_continue(c);
        return false;
    }
    return true;
}

/* Answers what is complete. A reply may come at once, so requests that lie behind one another are a
 * loop, not a recursion. */
static void advance(struct admin_conn *c) {
    if (c->is_advancing)
        return;
    c->is_advancing = true;
    while (c->state == READING && c->in.len > 0 && has_request(c)) {
        c->keeps_alive = c->head.wants_keep_alive;
        set_state(c, HANDLING);
        stream_pause(&c->stream);
        admin_api_handle(c);
    }
    c->is_advancing = false;
}

static void on_bytes(struct stream *s, struct bytes in) {
    struct admin_conn *c = container_of(s, struct admin_conn, stream);
    if (c->state == CLOSED)
        return;
    c->moved_ms = clock_ms();
    buf_append(&c->in, in);
    advance(c);
}

/* A client that shut its half down still gets its answer. */
static void on_end(struct stream *s, int status) {
    struct admin_conn *c = container_of(s, struct admin_conn, stream);
    c->has_ended = true;
    if (status < 0)
        admin_conn_abort(c);
    else if (c->state == READING)
        close_conn(c);
}

static void on_open(struct stream *s, int status) {
    if (status < 0)
        admin_conn_abort(container_of(s, struct admin_conn, stream));
}

struct admin_conn *admin_conn_accept(struct admin *a, uv_stream_t *listener) {
    static const struct stream_events events = {.on_open = on_open,
                                                .on_bytes = on_bytes,
                                                .on_end = on_end,
                                                .on_writable = on_writable,
                                                .on_closed = on_closed};
    struct admin_conn *c = mem_zalloc(sizeof(*c));
    c->admin = a;
    c->moved_ms = clock_ms();
    stream_init(&c->stream, admin_host_of(a)->loop, &events);
    if (stream_accept(&c->stream, listener, NULL) < 0)
        admin_conn_abort(c);
    return c;
}

/* --- questions --- */

struct admin_conn *admin_conn_next(const struct admin_conn *c) {
    return c->next;
}

void admin_conn_set_next(struct admin_conn *c, struct admin_conn *next) {
    c->next = next;
}

const struct http_head *admin_conn_head(const struct admin_conn *c) {
    return &c->head;
}

struct bytes admin_conn_body(const struct admin_conn *c) {
    return c->body;
}

struct admin *admin_conn_admin(const struct admin_conn *c) {
    return c->admin;
}

bool admin_conn_is_loopback(const struct admin_conn *c) {
    char address[64];
    stream_remote_address(&c->stream, address);
    return strncmp(address, "127.", 4) == 0 || strcmp(address, "::1") == 0;
}

/* --- jobs --- */

struct admin_job *admin_conn_wait(struct admin_conn *c) {
    struct admin_job *job = mem_zalloc(sizeof(*job));
    job->conn = c;
    c->job = job;
    return job;
}

static struct admin_conn *end_job(struct admin_job *job) {
    struct admin_conn *c = job->conn;
    if (c != NULL)
        c->job = NULL;
    return c;
}

void admin_job_reply(struct admin_job *job, int status) {
    struct admin_conn *c = end_job(job);
    buf_append_char(&job->out, '\n');
    if (c != NULL)
        admin_conn_reply(c, status, "application/json", buf_bytes(&job->out));
    free_job(job);
}

void admin_job_error(struct admin_job *job, int status, const char *text) {
    struct admin_conn *c = end_job(job);
    if (c != NULL)
        admin_conn_error(c, status, text);
    free_job(job);
}
