/* admin_conn.c - see admin_conn.h. */
#include "common/admin/admin_conn.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/http/http_reply.h"
#include "common/json/json_text.h"

enum { STILL_MS = 30000 };

static struct admin_conn *conn_of(const struct http_conn *h) {
    return container_of(h, struct admin_conn, http);
}

/* ---- the end */

static void on_closed(struct stream *s) {
    struct admin_conn *c = container_of(s, struct admin_conn, stream);
    struct admin_conns *set = c->set;
    LIST_REMOVE(c, in_list);
    http_conn_deinit(&c->http);
    buf_deinit(&c->raw);
    buf_deinit(&c->out);
    free(c);
    if (--set->count == 0)
        set->on_empty(set->ctx);
}

static void free_job(struct admin_job *job) {
    buf_deinit(&job->out);
    free(job);
}

static void leave(struct admin_conn *c) {
    struct admin_job *job = c->job;
    c->is_closed = true;
    c->job = NULL;
    if (job == NULL)
        return;
    job->conn = NULL;
    if (job->cancel != NULL) {
        job->cancel(job->work);
        free_job(job);
    }
}

static void abort_conn(struct admin_conn *c) {
    leave(c);
    stream_abort(&c->stream);
}

void admin_conns_abort(struct admin_conns *set) {
    struct admin_conn *c;
    LIST_FOREACH (c, &set->list, in_list)
        abort_conn(c);
}

void admin_conns_check(struct admin_conns *set, uint64_t now_ms) {
    struct admin_conn *c;
    LIST_FOREACH (c, &set->list, in_list) {
        if (!c->is_closed && now_ms - c->moved_ms > STILL_MS)
            abort_conn(c);
    }
}

/* ---- writing */

/* Writes what is queued, as far as the socket takes it; closes once that was the last. */
static void flush(struct admin_conn *c) {
    while (!c->is_closed && c->out_at < c->out.len) {
        size_t len = c->out.len - c->out_at;
        uv_buf_t buf = uv_buf_init(c->out.ptr + c->out_at, (unsigned)len);
        ssize_t n = stream_write(&c->stream, &buf, 1);
        if (n < 0) {
            abort_conn(c);
            return;
        }
        c->out_at += (size_t)n;
        c->moved_ms = clock_ms();
        if ((size_t)n < len)
            return;
    }
    buf_release(&c->out);
    c->out_at = 0;
    if (!c->is_closed && c->http.state == HTTP_ENDING) {
        leave(c);
        stream_close(&c->stream);
    }
}

/* Writes, and goes on with requests that waited for that. */
static void advance(struct admin_conn *c) {
    flush(c);
    while (!c->is_closed && c->out.len == 0 && c->http.state == HTTP_FULL) {
        http_conn_drained(&c->http, clock_ms());
        flush(c);
    }
}

static void on_writable(struct stream *s) {
    advance(container_of(s, struct admin_conn, stream));
}

struct reply {
    int status;
    const char *content_type;
    struct bytes body;
    const char *allow; /* NULL, or what a 405 names */
    bool keeps_alive;
};

/* `request`: NULL when what came was none. */
static void queue_reply(struct admin_conn *c, const struct http_head *request,
                        const struct reply *r) {
    bool is_head = request != NULL && bytes_equal_str(request->method, "HEAD");
    http_reply_begin(&c->out, request != NULL ? request->minor_version : 1, r->status);
    (void)http_reply_header(&c->out, BYTES_LIT("Content-Type"), bytes_str(r->content_type));
    (void)http_reply_header(&c->out, BYTES_LIT("Cache-Control"), BYTES_LIT("no-store"));
    if (r->status == 401)
        (void)http_reply_header(&c->out, BYTES_LIT("WWW-Authenticate"), BYTES_LIT("Bearer"));
    if (r->allow != NULL)
        (void)http_reply_header(&c->out, BYTES_LIT("Allow"), bytes_str(r->allow));
    if (r->status == 503 || r->status == 429)
        (void)http_reply_header(&c->out, BYTES_LIT("Retry-After"), BYTES_LIT("1"));
    http_reply_end(&c->out, (int64_t)r->body.len, r->keeps_alive, is_head ? BYTES_NONE : r->body);
}

static void answer(struct admin_conn *c, const struct reply *r) {
    if (c->is_closed)
        return;
    queue_reply(c, &c->head, r);
    buf_deinit(&c->raw);
    c->moved_ms = clock_ms();
    http_conn_settle(&c->http, r->keeps_alive, c->moved_ms);
    advance(c);
}

static void append_error(struct buf *out, const char *text) {
    buf_append_str(out, "{\"error\":");
    json_append_string(out, bytes_str(text));
    buf_append_str(out, "}\n");
}

static void answer_error(struct admin_conn *c, int status, const char *text, const char *allow) {
    struct buf body = {0};
    append_error(&body, text);
    answer(c, &(struct reply){status, "application/json", buf_bytes(&body), allow, false});
    buf_deinit(&body);
}

void admin_conn_reply(struct admin_conn *c, int status, const char *content_type,
                      struct bytes body) {
    answer(c, &(struct reply){status, content_type, body, NULL, c->head.wants_keep_alive});
}

void admin_conn_error(struct admin_conn *c, int status, const char *text) {
    answer_error(c, status, text, NULL);
}

void admin_conn_not_allowed(struct admin_conn *c, const char *method) {
    answer_error(c, 405, "another method", method);
}

/* ---- reading */

static bool run(struct http_conn *h) {
    struct admin_conn *c = conn_of(h);
    if (c->is_closed)
        return false;
    c->moved_ms = clock_ms();
    http_conn_take(h, &c->raw, &c->head, &c->body);
    c->set->handle(c, c->set->ctx);
    return true;
}

static void say_continue(struct http_conn *h) {
    buf_append_str(&conn_of(h)->out, "HTTP/1.1 100 Continue\r\n\r\n");
}

static void refuse(struct http_conn *h, int status, const char *reason) {
    struct buf body = {0};
    append_error(&body, reason);
    queue_reply(conn_of(h), NULL,
                &(struct reply){status, "application/json", buf_bytes(&body), NULL, false});
    buf_deinit(&body);
}

static bool is_full(const struct http_conn *h) {
    return conn_of(h)->out.len > 0;
}

static void pause_reading(struct http_conn *h) {
    stream_pause(&conn_of(h)->stream);
}

static void resume_reading(struct http_conn *h) {
    stream_resume(&conn_of(h)->stream);
}

static const struct http_conn_events http_events = {
    .run = run,
    .say_continue = say_continue,
    .refuse = refuse,
    .end = pause_reading, /* flush closes it */
    .is_full = is_full,
    .pause = pause_reading,
    .resume = resume_reading,
};

static void on_bytes(struct stream *s, struct bytes in) {
    struct admin_conn *c = container_of(s, struct admin_conn, stream);
    if (c->is_closed)
        return;
    c->moved_ms = clock_ms();
    http_conn_feed(&c->http, in);
    advance(c);
}

/* A client that has shut its half down still gets its answer. */
static void on_end(struct stream *s, int status) {
    struct admin_conn *c = container_of(s, struct admin_conn, stream);
    if (status < 0) {
        abort_conn(c);
        return;
    }
    http_conn_on_end(&c->http);
    advance(c);
}

static void on_open(struct stream *s, int status) {
    if (status < 0)
        abort_conn(container_of(s, struct admin_conn, stream));
}

/* One too many: the one on which nothing has moved for longest goes, unless it waits for its
 * answer. Whoever opens connections and says nothing keeps nobody out. */
static struct admin_conn *least_missed(struct admin_conns *set) {
    struct admin_conn *c, *found = NULL;
    LIST_FOREACH (c, &set->list, in_list)
        if (!c->is_closed && c->job == NULL && (found == NULL || c->moved_ms < found->moved_ms))
            found = c;
    return found;
}

void admin_conn_accept(struct admin_conns *set, uv_stream_t *listener) {
    static const struct stream_events events = {.on_open = on_open,
                                                .on_bytes = on_bytes,
                                                .on_end = on_end,
                                                .on_writable = on_writable,
                                                .on_closed = on_closed};
    struct admin_conn *c = mem_zalloc(sizeof(*c));
    c->set = set;
    c->moved_ms = clock_ms();
    http_conn_init(&c->http, &http_events, ADMIN_HEAD_MAX, set->max_body_bytes, c->moved_ms);
    stream_init(&c->stream, set->loop, &events);
    struct admin_conn *surplus = set->count < ADMIN_CONNS_MAX ? NULL : least_missed(set);
    bool is_full = set->count >= ADMIN_CONNS_MAX && surplus == NULL;
    if (surplus != NULL)
        abort_conn(surplus);
    LIST_INSERT_HEAD(&set->list, c, in_list);
    set->count++;
    if (stream_accept(&c->stream, listener, &(struct stream_opening){0}) < 0 || is_full)
        abort_conn(c);
}

struct ip admin_conn_address(const struct admin_conn *c) {
    return stream_remote_ip(&c->stream);
}

/* ---- answers that come later */

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
