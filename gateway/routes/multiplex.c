/* multiplex.c - see multiplex.h. Read on_open, start, on_answer and carry. */
#include "gateway/routes/multiplex.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/queue.h>
#include <time.h>

#include "common/base/close_reason.h"
#include "common/base/memory_budget.h"
#include "common/base/metrics.h"
#include "common/base/settings.h"
#include "common/http/http_reply.h"
#include "gateway/codec/ws_handshake.h"
#include "gateway/conn/conn.h"
#include "gateway/conn/endpoints.h"
#include "gateway/conn/http.h"
#include "gateway/conn/peers.h"
#include "gateway/conn/request.h"
#include "gateway/conn/v1.h"
#include "gateway/routes/routes.h"
#include "gateway/routes/upgrade.h"
#include "gateway/session/channel_frame.h"
#include "gateway/session/channels.h"
#include "gateway/session/wire.h"

enum {
    STARTS_PER_TURN = 16,
    RETRY_TURN_MS = 20, /* so long until the queue is looked at again */
    RETRY_MS = 1000,
    NO_TURN = -1,
    REFUSAL_BYTES = 1024 /* of an answer's text in an error */
};

struct multiplex {
    struct conn *conn;
    struct routes *routes;
    struct channels *channels;
    void (*run)(struct request *r);
    struct buf fields;        /* of the handshake but Authorization, each with its CRLF */
    struct buf authorization; /* that field likewise, or nothing */
    TAILQ_HEAD(, opening) openings;
    size_t count, running, catching_up, waiting_bytes;
    bool is_over;
};

/* An open: it waits, or its request runs. */
struct opening {
    TAILQ_ENTRY(opening) link;
    struct multiplex *owner;
    struct bytes ref; /* behind the struct */
    bool catches_up, is_answered;
    struct buf target, token;
    struct request *request; /* NULL: it waits */
    char text[];
};

/* ---- its end */

static size_t size_of(const struct opening *o) {
    return sizeof(*o) + o->ref.len + o->target.cap + o->token.cap;
}

static void stop_waiting(struct opening *o) {
    size_t bytes = size_of(o);
    o->owner->waiting_bytes -= bytes;
    memory_add(MEMORY_incoming, -(int64_t)bytes);
    buf_deinit(&o->target);
    buf_deinit(&o->token);
}

static void forget(struct opening *o) {
    struct multiplex *m = o->owner;
    struct request *r = o->request;
    if (r == NULL) {
        stop_waiting(o);
    } else {
        m->running--;
        m->catching_up -= o->catches_up;
        r->conn = NULL;
        request_unref(r);
    }
    TAILQ_REMOVE(&m->openings, o, link);
    m->count--;
    free(o);
    if (!m->is_over && m->count > m->running)
        channels_wake(m->channels, 0);
}

/* Nobody waits for it any more. */
static void cancel(struct opening *o) {
    struct request *r = o->request;
    if (r != NULL) {
        request_ref(r);
        r->conn = NULL;
        if (r->worker != NULL && r->worker->on_gone != NULL)
            r->worker->on_gone(r);
        request_unref(r);
    }
    forget(o);
}

static void on_progress(struct request *r) {
    struct opening *o = r->sink_ctx;
    if (request_is_answered(r) && r->working == 0)
        forget(o);
}

/* ---- its answer */

static void refuse(struct multiplex *m, struct bytes ref, const char *code, int status,
                   struct bytes why, unsigned retry_ms) {
    struct channels_error e = {
        .ref = ref, .code = code, .status = status, .message = why, .retry_ms = retry_ms};
    channels_refuse(m->channels, &e);
}

/* What the field Retry-After says, in ms; 0: nothing. */
static unsigned retry_of(struct bytes lines) {
    static const struct bytes name = BYTES_LIT("Retry-After");
    uint64_t seconds;
    while (lines.len > 0) {
        struct bytes value = bytes_split(&lines, '\n');
        struct bytes key = bytes_split(&value, ':');
        if (bytes_equal_nocase(key, name) &&
            bytes_to_u64(bytes_trim(bytes_split(&value, '\r')), &seconds) &&
            seconds <= UINT32_MAX / 1000)
            return (unsigned)seconds * 1000;
    }
    return 0;
}

static struct bytes first_line(struct bytes body) {
    struct bytes line = bytes_trim(bytes_split(&body, '\n'));
    return bytes_of(line.ptr, line.len < REFUSAL_BYTES ? line.len : REFUSAL_BYTES);
}

static void on_answer(struct request *r, int status, struct bytes body) {
    struct opening *o = r->sink_ctx;
    struct bytes why = first_line(body);
    if (why.len == 0)
        why = bytes_str(http_status_text(status));
    o->is_answered = true;
    refuse(o->owner, o->ref, "refused", status, why, retry_of(buf_bytes(&r->extra)));
}

static void carry(struct request *r, struct client *client) {
    struct opening *o = r->sink_ctx;
    channels_carry(o->owner->channels, client, o->ref);
    forget(o);
}

static const struct request_sink sink = {.on_answer = on_answer, .carry = carry};

/* ---- its begin */

/* False: it was refused. */
static bool append_head(struct opening *o, struct buf *raw, struct http_head *head) {
    struct multiplex *m = o->owner;
    int status = 431;
    const char *why = "the path is too long";
    buf_printf(raw, "GET %.*s HTTP/1.1\r\n", BYTES_FMT(buf_bytes(&o->target)));
    buf_append(raw, buf_bytes(&m->fields));
    if (o->token.len > 0)
        buf_printf(raw, "Authorization: Bearer %.*s\r\n", BYTES_FMT(buf_bytes(&o->token)));
    else
        buf_append(raw, buf_bytes(&m->authorization));
    buf_append_str(raw, "\r\n");
    if (http_head_parse(buf_bytes(raw), (size_t)m->routes->settings->max_head_bytes, head, &status,
                        &why) == PARSE_OK)
        return true;
    refuse(m, o->ref, "refused", status, bytes_str(why), 0);
    return false;
}

static void start(struct opening *o) {
    struct multiplex *m = o->owner;
    struct buf raw = {0};
    struct http_head head;
    bool is_right = append_head(o, &raw, &head);
    if (!is_right) {
        buf_deinit(&raw);
        forget(o);
        return;
    }
    stop_waiting(o);
    struct request *r = request_new_within(m->conn, &raw, &head, m->routes->proxies);
    r->routes = m->routes;
    r->on_progress = on_progress;
    r->sink = &sink;
    r->sink_ctx = o;
    o->request = request_ref(r);
    m->running++;
    m->catching_up += o->catches_up;
    request_work(r); /* so that it is not forgotten within */
    m->run(r);
    request_worked(r);
    request_unref(r);
}

static struct opening *first_waiting(const struct multiplex *m) {
    struct opening *o;
    TAILQ_FOREACH (o, &m->openings, link)
        if (o->request == NULL)
            return o;
    return NULL;
}

static bool may_start(const struct multiplex *m, const struct opening *o) {
    return m->running < OPENS_RUNNING_MAX &&
           (!o->catches_up || m->catching_up < OPENS_CATCHING_UP_MAX) &&
           m->conn->out.bytes <= m->conn->set->max_queue_bytes / 4;
}

/* When one of those under way ends, the next turn comes by itself. */
static int on_turn(void *ctx) {
    struct multiplex *m = ctx;
    struct opening *o = NULL;
    for (int n = 0; n < STARTS_PER_TURN && (o = first_waiting(m)) != NULL; n++) {
        if (!may_start(m, o))
            return RETRY_TURN_MS;
        start(o);
        if (m->is_over)
            return NO_TURN;
    }
    return o != NULL ? 0 : NO_TURN;
}

/* ---- what the client says */

static struct opening *find(const struct multiplex *m, struct bytes ref) {
    struct opening *o;
    TAILQ_FOREACH (o, &m->openings, link)
        if (!o->is_answered && bytes_equal(o->ref, ref))
            return o;
    return NULL;
}

/* A target that cannot end its line, and begins a path. */
static bool is_target(struct bytes path) {
    for (size_t i = 0; i < path.len; i++)
        if ((unsigned char)path.ptr[i] <= 0x20 || (unsigned char)path.ptr[i] >= 0x7f)
            return false;
    return path.len > 0 && path.ptr[0] == '/' && bytes_find(path, '#') < 0;
}

static bool is_unreserved(struct bytes text) {
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!is_letter && !(c >= '0' && c <= '9') && c != '-' && c != '.' && c != '_' && c != '~')
            return false;
    }
    return true;
}

static void append_parameter(struct buf *target, const char *name, struct bytes value) {
    bool has_query = bytes_find(buf_bytes(target), '?') >= 0;
    buf_printf(target, "%c%s=%.*s", has_query ? '&' : '?', name, BYTES_FMT(value));
}

/* The texts of an open. NULL, or what is wrong. */
static const char *read_texts(const struct channel_frame *f, struct buf *target,
                              struct buf *token) {
    struct buf resume = {0};
    json_append_text(target, f->path);
    json_append_text(&resume, f->resume);
    json_append_text(token, f->token);
    bool is_plain = is_unreserved(buf_bytes(&resume));
    if (is_plain && resume.len > 0)
        append_parameter(target, "signalbox-resume", buf_bytes(&resume));
    buf_deinit(&resume);
    if (f->last.kind == JSON_KIND_NUMBER)
        append_parameter(target, "signalbox-last", f->last.text);
    if (!is_plain)
        return "resume: it is no token, and no id of a message";
    if (!is_target(buf_bytes(target)))
        return "path: it must begin with a slash, percent-encoded as in a URL, without a fragment";
    return http_is_field_value(buf_bytes(token)) ? NULL : "token: it holds a control character";
}

/* Takes the texts. */
static void add(struct multiplex *m, const struct channel_frame *f, struct buf *target,
                struct buf *token) {
    struct opening *o = mem_zalloc(sizeof(*o) + f->ref.len);
    memcpy(o->text, f->ref.ptr, f->ref.len);
    o->owner = m;
    o->ref = bytes_of(o->text, f->ref.len);
    o->target = *target;
    o->token = *token;
    o->catches_up = f->resume.kind == JSON_KIND_STRING || f->last.kind == JSON_KIND_NUMBER;
    buf_init(target);
    buf_init(token);
    TAILQ_INSERT_TAIL(&m->openings, o, link);
    m->count++;
    m->waiting_bytes += size_of(o);
    memory_add(MEMORY_incoming, (int64_t)size_of(o));
    channels_wake(m->channels, 0);
}

/* False: it was refused, since there are too many. */
static bool has_room(struct multiplex *m, struct bytes ref) {
    size_t most = (size_t)m->routes->settings->max_channels_per_socket;
    const struct refusal *why = NULL;
    if (channels_count(m->channels) + m->count >= most) {
        refuse(m, ref, "refused", 429, BYTES_LIT("this socket has as many channels as it may have"),
               0);
        return false;
    }
    if (m->waiting_bytes >= OPENS_WAITING_MAX) {
        refuse(m, ref, "busy", 503, BYTES_LIT("too many opens of this socket wait"), RETRY_MS);
        return false;
    }
    why = peers_spend(m->routes->peers, &m->conn->hold, PEER_REQUESTING, conns_now(m->conn->set));
    if (why != NULL)
        refuse(m, ref, "refused", why->status, bytes_str(why->text), RETRY_MS);
    return why == NULL;
}

static void on_open(void *ctx, const struct channel_frame *f) {
    struct multiplex *m = ctx;
    struct buf target = {0}, token = {0};
    const char *fault = read_texts(f, &target, &token);
    if (fault == NULL && find(m, f->ref) != NULL)
        fault = "ref: an open with this one is under way";
    if (fault != NULL)
        refuse(m, f->ref, "bad_request", 400, bytes_str(fault), 0);
    else if (has_room(m, f->ref))
        add(m, f, &target, &token);
    buf_deinit(&target);
    buf_deinit(&token);
}

static void on_token(void *ctx, const struct channel_frame *f) {
    struct multiplex *m = ctx;
    struct buf token = {0};
    json_append_text(&token, f->token);
    if (token.len == 0 || token.len > (size_t)m->routes->settings->max_head_bytes ||
        !http_is_field_value(buf_bytes(&token))) {
        refuse(m, f->ref, "bad_request", 400,
               BYTES_LIT("token: it is empty, too long, or holds a control character"), 0);
    } else {
        buf_clear(&m->authorization);
        buf_printf(&m->authorization, "Authorization: Bearer %.*s\r\n",
                   BYTES_FMT(buf_bytes(&token)));
    }
    buf_deinit(&token);
}

static bool on_cancel(void *ctx, struct bytes ref) {
    struct multiplex *m = ctx;
    struct opening *o = find(m, ref);
    if (o == NULL)
        return false;
    struct buf text = {0};
    v1_closed(&text, close_reason_code(CLOSE_NORMAL), BYTES_NONE, 0);
    channels_say(m->channels, ref, buf_bytes(&text));
    buf_deinit(&text);
    cancel(o);
    return true;
}

/* ---- the socket */

static void on_leaving(void *ctx) {
    struct multiplex *m = ctx;
    m->is_over = true;
    while (!TAILQ_EMPTY(&m->openings))
        cancel(TAILQ_FIRST(&m->openings));
}

static void on_gone(void *ctx) {
    struct multiplex *m = ctx;
    buf_deinit(&m->fields);
    buf_deinit(&m->authorization);
    free(m);
}

static const struct channels_host host = {.on_open = on_open,
                                          .on_token = on_token,
                                          .on_cancel = on_cancel,
                                          .on_turn = on_turn,
                                          .on_leaving = on_leaving,
                                          .on_gone = on_gone};

static void keep_fields(struct multiplex *m, const struct http_head *head) {
    for (size_t i = 0; i < head->header_count; i++) {
        const struct http_header *h = &head->headers[i];
        bool is_authorization = bytes_equal_nocase(h->name, BYTES_LIT("Authorization"));
        buf_printf(is_authorization ? &m->authorization : &m->fields, "%.*s: %.*s\r\n",
                   BYTES_FMT(h->name), BYTES_FMT(h->value));
    }
}

static void welcome(struct multiplex *m) {
    struct buf text = {0};
    const struct settings *s = m->routes->settings;
    buf_append_str(&text, "{\"type\":\"welcome\",\"limits\":{");
    wire_limits(&text, s);
    buf_printf(&text, ",\"maxChannels\":%" PRId64 "}", s->max_channels_per_socket);
    buf_append_str(&text, ",\"features\":[\"resume\",\"last\",\"token\",\"groups\"]}");
    channels_say(m->channels, BYTES_NONE, buf_bytes(&text));
    buf_deinit(&text);
}

bool multiplex_is_path(const struct request *r) {
    const char *path = routes_registrations(r->routes)->multiplex;
    return path != NULL && r->path != NULL && r->endpoint->is_ws && strcasecmp(r->path, path) == 0;
}

bool multiplex_is(const struct request *r) {
    return multiplex_is_path(r) && ws_handshake_is_request(&r->head) &&
           ws_handshake_offers(&r->head, WIRE_V1_SUBPROTOCOL);
}

void multiplex_take(struct request *r, void (*run)(struct request *r)) {
    struct conn *c = r->conn;
    struct buf head = {0};
    if (r->sink != NULL) {
        request_refuse(r, 400, "a channel has no channels of its own");
        return;
    }
    if (upgrade_is_refused(r))
        return;
    struct multiplex *m = mem_zalloc(sizeof(*m));
    *m = (struct multiplex){.conn = c, .routes = r->routes, .run = run};
    TAILQ_INIT(&m->openings);
    keep_fields(m, &r->head);
    request_set_state(r, REQUEST_CONVERTING);
    request_set_state(r, REQUEST_CONVERTED);
    upgrade_append_101(&head, r,
                       &(struct ws_reply_fields){.subprotocol = BYTES_LIT(WIRE_V1_SUBPROTOCOL)});
    struct buf rest = http_leave(c);
    conn_send_bytes(c, buf_bytes(&head));
    buf_deinit(&head);
    struct channels_options options = {
        .settings = m->routes->settings, .host = &host, .ctx = m, .rest = &rest};
    m->channels = channels_open(c, &options);
    welcome(m);
}
