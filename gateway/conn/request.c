/* request.c - see request.h. */
#include "gateway/conn/request.h"

#include <stdlib.h>
#include <time.h>

#include "common/base/close_reason.h"
#include "common/base/memory_budget.h"
#include "common/base/metrics.h"
#include "common/http/http_accept.h"
#include "common/http/http_authority.h"
#include "common/http/http_conn.h"
#include "common/http/http_forwarded.h"
#include "common/http/http_path.h"
#include "common/http/http_reply.h"
#include "gateway/codec/sse_codec.h"
#include "gateway/codec/ws_handshake.h"
#include "gateway/conn/conn.h"
#include "gateway/conn/endpoints.h"
#include "gateway/conn/sse_end.h"

static void see_client(struct request *r, struct ip peer, const struct http_proxies *proxies) {
    struct http_forwarded f = http_forwarded_read(proxies, &r->head, peer, r->endpoint->is_tls);
    r->remote = f.client;
    r->is_proxied = f.is_proxied;
    r->is_secure = f.is_secure;
    r->host = f.host;
    ip_show(r->remote, r->remote_address);
    if (f.port == 0 || http_authority_split(f.host).port.ptr != NULL)
        return;
    buf_printf(&r->host_text, "%.*s:%u", BYTES_FMT(f.host), f.port);
    r->host = buf_bytes(&r->host_text);
}

/* Its raw, head and body are set. */
static void begin(struct request *r, struct conn *c, const struct http_proxies *proxies) {
    r->refs = 1;
    r->conn = c;
    r->endpoint = c->endpoint;
    memory_count(MEMORY_requests, &r->counted, r->raw.cap);
    r->keeps_alive = r->head.wants_keep_alive;
    struct buf path = {0};
    r->path_error = http_path_canonical(r->head.path, &path);
    if (r->path_error == NULL)
        r->path = buf_take(&path);
    buf_deinit(&path);
    see_client(r, c->ip, proxies);
}

struct request *request_new(struct conn *c, struct http_conn *http,
                            const struct http_proxies *proxies) {
    struct request *r = mem_zalloc(sizeof(*r));
    http_conn_take(http, &r->raw, &r->head, &r->body);
    begin(r, c, proxies);
    return r;
}

struct request *request_new_within(struct conn *c, struct buf *raw, const struct http_head *head,
                                   const struct http_proxies *proxies) {
    struct request *r = mem_zalloc(sizeof(*r));
    r->raw = *raw;
    r->head = *head;
    buf_init(raw);
    begin(r, c, proxies);
    return r;
}

void request_set_state(struct request *r, enum request_state to) {
    static const unsigned may_follow[] = {
        [REQUEST_OPEN] = 1 << REQUEST_CLAIMED | 1 << REQUEST_ANSWERED | 1 << REQUEST_CONVERTING,
        [REQUEST_CLAIMED] = 1 << REQUEST_ANSWERED,
        [REQUEST_ANSWERED] = 0,
        [REQUEST_CONVERTING] = 1 << REQUEST_CONVERTED | 1 << REQUEST_UNCONVERTED,
        [REQUEST_CONVERTED] = 0,
        [REQUEST_UNCONVERTED] = 0,
    };
    MUST(may_follow[r->state] >> to & 1);
    r->state = to;
}

void request_set_worker(struct request *r, const struct request_worker *worker, void *work) {
    r->worker = worker;
    r->work = work;
}

struct request *request_ref(struct request *r) {
    r->refs++;
    return r;
}

static void signal_free(struct signal_reference *s) {
    if (s == NULL)
        return;
    free(s->name);
    free(s->client_id);
    free(s->value);
    texts_deinit(&s->groups);
    free(s->data);
    free(s);
}

struct bytes signal_reference_group(const struct signal_reference *s) {
    return s->groups.count > 0 ? s->groups.items[0] : BYTES_NONE;
}

void request_unref(struct request *r) {
    if (--r->refs > 0)
        return;
    memory_count(MEMORY_requests, &r->counted, 0);
    buf_deinit(&r->raw);
    buf_deinit(&r->extra);
    buf_deinit(&r->cors);
    buf_deinit(&r->extensions);
    buf_deinit(&r->host_text);
    free(r->path);
    signal_free(r->signal);
    free(r);
}

void request_work(struct request *r) {
    request_ref(r);
    r->working++;
}

void request_worked(struct request *r) {
    MUST(r->working > 0);
    r->working--;
    if (r->conn != NULL)
        r->on_progress(r);
    request_unref(r);
}

bool request_header(struct request *r, struct bytes name, struct bytes value) {
    return http_reply_header(&r->extra, name, value);
}

bool request_is_head(const struct request *r) {
    return bytes_equal_str(r->head.method, "HEAD");
}

bool request_wants_events(const struct request *r) {
    return bytes_equal_str(r->head.method, "GET") && http_accepts(&r->head, SSE_MEDIA_TYPE) &&
           !ws_handshake_is_request(&r->head);
}

struct bytes request_query(const struct request *r, const char *name) {
    struct bytes rest = r->head.query, found = BYTES_NONE;
    while (rest.ptr != NULL) {
        struct bytes value = bytes_split(&rest, '&');
        struct bytes key = bytes_split(&value, '=');
        if (bytes_equal_str(key, name))
            found = value.ptr != NULL ? value : BYTES_LIT("");
    }
    return found;
}

bool request_wants_v1_events(const struct request *r) {
    return bytes_equal_str(request_query(r, "signalbox"), "v1");
}

static void write_answer(struct request *r, int status, struct bytes content_type, int64_t length,
                         struct bytes body) {
    struct buf out = {0};
    char date[HTTP_DATE_SIZE];
    http_reply_begin(&out, r->head.minor_version, status);
    http_date(time(NULL), date);
    http_reply_header(&out, BYTES_LIT("Date"), bytes_str(date));
    http_reply_header(&out, BYTES_LIT("Server"), BYTES_LIT("Signalbox"));
    if (content_type.len > 0)
        http_reply_header(&out, BYTES_LIT("Content-Type"), content_type);
    buf_append(&out, buf_bytes(&r->extra));
    buf_append(&out, buf_bytes(&r->cors));
    bool has_no_body = status == 204 || status == 304;
    http_reply_end(&out, has_no_body ? HTTP_NO_LENGTH : length, r->keeps_alive,
                   has_no_body || request_is_head(r) ? BYTES_NONE : body);
    conn_send_bytes(r->conn, buf_bytes(&out));
    buf_deinit(&out);
}

static void reply(struct request *r, int status, struct bytes content_type, int64_t length,
                  struct bytes body) {
    if (request_is_answered(r) || r->conn == NULL)
        return;
    request_set_state(r, request_is_converted(r) ? REQUEST_UNCONVERTED : REQUEST_ANSWERED);
    metrics_add(METRIC_http_requests, 1);
    if (r->sink != NULL)
        r->sink->on_answer(r, status, body);
    else
        write_answer(r, status, content_type, length, body);
    r->on_progress(r);
}

void request_reply(struct request *r, int status, struct bytes content_type, struct bytes body) {
    reply(r, status, content_type, (int64_t)body.len, body);
}

void request_reply_head(struct request *r, int status, struct bytes content_type, int64_t length) {
    reply(r, status, content_type, length, BYTES_NONE);
}

static void refuse_events(struct request *r, const char *reason) {
    struct buf text = {0};
    struct sse_end end = {.code = close_reason_code(CLOSE_UNAVAILABLE),
                          .reason = bytes_str(reason),
                          .is_v1 = request_wants_v1_events(r)};
    MUST(request_header(r, BYTES_LIT("Cache-Control"), BYTES_LIT(SSE_CACHE_CONTROL)));
    sse_end_append(&text, &end);
    request_reply(r, 200, BYTES_LIT(SSE_MEDIA_TYPE), buf_bytes(&text));
    buf_deinit(&text);
}

void request_refuse(struct request *r, int status, const char *reason) {
    struct buf text = {0};
    r->keeps_alive = r->keeps_alive && r->is_proxied;
    buf_clear(&r->extra);
    if ((status == 503 || status == 429) && request_wants_events(r)) {
        refuse_events(r, reason);
        return;
    }
    if (status == 426) {
        MUST(request_header(r, BYTES_LIT("Upgrade"), BYTES_LIT("websocket")));
        MUST(request_header(r, BYTES_LIT("Sec-WebSocket-Version"), BYTES_LIT("13")));
    }
    if (status == 503 || status == 429 || status == 409)
        MUST(request_header(r, BYTES_LIT("Retry-After"), BYTES_LIT("1")));
    buf_printf(&text, "%s\n", reason);
    request_reply(r, status, BYTES_LIT("text/plain; charset=utf-8"), buf_bytes(&text));
    buf_deinit(&text);
}

void request_set_signal(struct request *r, const struct signal_fields *fields) {
    signal_free(r->signal);
    r->signal = mem_zalloc(sizeof(*r->signal));
    *r->signal = (struct signal_reference){
        .name = bytes_dup(fields->name),
        .client_id = bytes_dup(fields->client_id),
        .value = fields->value.len > 0 ? bytes_dup(fields->value) : NULL,
        .data = fields->data.len > 0 ? bytes_dup(fields->data) : NULL,
        .is_local = fields->is_local,
    };
    for (size_t i = 0; i < fields->groups.count; i++)
        texts_add(&r->signal->groups, fields->groups.items[i]);
}
