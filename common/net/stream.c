/*
 * stream.c - see stream.h.
 *
 * Read first: on_read (the way in), stream_write (the way out), stream_close (the way to the end).
 *
 *   in,  plain:  socket ─▶ read_buffer ─▶ owner
 *   in,  TLS:    socket ─▶ read_buffer ─▶ TLS ─▶ open_buffer ─▶ owner
 *   out, plain:  bufs ─▶ uv_try_write ─▶ socket
 *   out, TLS:    bufs ─▶ TLS ─▶ tls_output ─▶ uv_try_write ─▶ socket
 *
 * What uv_try_write leaves is copied into a `struct kept`, which uv_write owns until it is gone.
 * A stream has a `struct stream_private` only while something waits: a connect, the first on_open,
 * the end.
 */
#include "common/net/stream.h"

#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "common/base/memory_budget.h"
#include "common/base/metrics.h"
#include "common/net/handshakes.h"
#include "common/net/read_turns.h"
#include "common/net/tls.h"
#include "common/net/tls_session.h"

enum {
    READ_MAX = READ_TURNS_LARGEST,
    KEEP_MAX = 65536,       /* of one stream_write */
    KEEP_TLS_MAX = 1 << 20, /* what TLS may say by itself while the peer does not read */
    KEEPALIVE_S = 30,
    CLOSE_TICK_MS = 1000,
    CLOSE_STALL_MS = 10000,
    CLOSE_MAX_MS = 300000
};

struct stream_private {
    uv_timer_t timer;
    struct stream *stream;
    struct handshake handshake;    /* under way while an accepted stream agrees on TLS, … */
    struct handshakes *handshakes; /* … among these */
    uint64_t closing_ms;           /* since when it is being closed */
    uint64_t acked;                /* how many bytes the peer has acknowledged, */
    uint64_t moved_ms;             /* and when that number last grew */
    union {
        uv_connect_t connect;
        uv_shutdown_t shutdown;
        struct proxy_reader proxy;
    } req;
};

struct kept {
    uv_write_t req;
    struct stream *stream;
    size_t len;
    char data[];
};

/* One of each for the process: callbacks are done with them before they return. */
static char read_buffer[READ_MAX];
static char open_buffer[READ_MAX + TLS_RECORD_MAX];
static char gather_buffer[TLS_RECORD_MAX];

static void set_state(struct stream *s, enum stream_state to) {
    MUST(s->state < to);
    s->state = (unsigned char)to;
}

static struct stream *owner_of(uv_stream_t *handle) {
    return container_of(handle, struct stream, uv);
}

/* ---- waiting ---- */

static void on_private_closed(uv_handle_t *timer) {
    free(container_of(timer, struct stream_private, timer));
}

static struct stream_private *need_private(struct stream *s) {
    if (s->priv == NULL) {
        s->priv = mem_zalloc(sizeof(*s->priv));
        s->priv->stream = s;
        MUST(uv_timer_init(s->loop, &s->priv->timer) == 0);
    }
    return s->priv;
}

static void drop_private(struct stream *s) {
    if (s->priv == NULL)
        return;
    handshake_end(&s->priv->handshake);
    uv_close((uv_handle_t *)&s->priv->timer, on_private_closed);
    s->priv = NULL;
}

/* ---- reading ---- */

static void on_read(uv_stream_t *handle, ssize_t n, const uv_buf_t *buf);

/* Whether a handshake must not be read in this turn. */
static bool is_held_back(const struct stream *s) {
    return s->priv != NULL && s->priv->handshake.all != NULL &&
           !handshake_may_go_on(&s->priv->handshake);
}

/* Without a buffer libuv reads nothing and calls on_read with UV_ENOBUFS. */
static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf_out) {
    (void)suggested;
    struct stream *s = owner_of((uv_stream_t *)handle);
    size_t room = s->state != STREAM_OPENING ? read_turns_room(s, s->is_accepted, uv_now(s->loop))
                  : is_held_back(s)          ? 0
                                             : READ_MAX;
    *buf_out = uv_buf_init(read_buffer, (unsigned)room);
}

static void start_reading(struct stream *s) {
    int r = uv_read_start(&s->uv.stream, on_alloc, on_read);
    MUST(r == 0 || r == UV_EALREADY);
}

static void opened(struct stream *s, int status) {
    drop_private(s);
    set_state(s, status == 0 ? STREAM_OPEN : STREAM_ENDED);
    if (status == 0 && !s->is_paused)
        start_reading(s);
    else
        uv_read_stop(&s->uv.stream);
    s->events->on_open(s, status);
}

/* The socket or TLS gives no more. A handshake that fails ends before it began. */
static void ended(struct stream *s, int status) {
    uv_read_stop(&s->uv.stream);
    if (s->state == STREAM_OPENING) {
        opened(s, status == 0 ? UV_EOF : status);
        return;
    }
    if (s->state != STREAM_OPEN)
        return;
    set_state(s, STREAM_ENDED);
    s->events->on_end(s, status);
}

static int send_sealed(struct stream *s);

static void deliver_opened(struct stream *s) {
    size_t len = 0;
    enum tls_step step = tls_session_open(s->tls, open_buffer, sizeof(open_buffer), &len);
    int sent = send_sealed(s);
    if (len > 0)
        s->events->on_bytes(s, bytes_of(open_buffer, len));
    if (s->state != STREAM_OPEN)
        return;
    if (step == TLS_FAILED)
        ended(s, UV_EPROTO);
    else if (step == TLS_ENDED)
        ended(s, 0);
    else if (sent < 0)
        ended(s, sent);
}

static enum tls_step take_step(struct stream *s) {
    struct handshake *h = &s->priv->handshake;
    uint64_t since_ns = uv_hrtime();
    enum tls_step step = tls_session_handshake(s->tls);
    if (h->all == NULL)
        return step;
    handshake_worked(h, uv_hrtime() - since_ns);
    metrics_add(METRIC_tls_failed, step == TLS_FAILED);
    metrics_add(METRIC_tls_handshakes, step == TLS_DONE);
    metrics_add(METRIC_tls_resumed, step == TLS_DONE && tls_session_is_resumed(s->tls));
    return step;
}

static void shake_hands(struct stream *s) {
    enum tls_step step = take_step(s);
    int sent = send_sealed(s);
    if (step == TLS_FAILED)
        ended(s, UV_EPROTO);
    else if (sent < 0)
        ended(s, sent);
    else if (step == TLS_DONE)
        opened(s, 0);
}

static void on_sealed_bytes(struct stream *s, struct bytes in) {
    tls_session_feed(s->tls, in);
    if (s->state == STREAM_OPENING)
        shake_hands(s);
    if (s->state == STREAM_OPEN)
        deliver_opened(s);
}

/* After stream_close. */
static void on_late_read(struct stream *s, ssize_t n) {
    if (n >= 0)
        return;
    s->has_eof = n == UV_EOF;
    if (s->has_eof && s->state == STREAM_DRAINING)
        uv_read_stop(&s->uv.stream);
    else
        stream_abort(s);
}

static void on_read(uv_stream_t *handle, ssize_t n, const uv_buf_t *buf) {
    struct stream *s = owner_of(handle);
    if (n == UV_ENOBUFS) {
        if (s->state == STREAM_OPENING)
            uv_read_stop(handle);
        return;
    }
    if (n > 0)
        read_turns_took(s, (size_t)n, buf->len);
    if (s->state >= STREAM_DRAINING) {
        on_late_read(s, n);
    } else if (n < 0) {
        s->has_eof = n == UV_EOF;
        s->is_broken = n != UV_EOF;
        ended(s, n == UV_EOF ? 0 : (int)n);
    } else if (n > 0 && s->tls != NULL) {
        on_sealed_bytes(s, bytes_of(buf->base, (size_t)n));
    } else if (n > 0) {
        s->events->on_bytes(s, bytes_of(buf->base, (size_t)n));
    }
}

void stream_pause(struct stream *s) {
    s->is_paused = 1;
    if (s->state == STREAM_OPEN)
        uv_read_stop(&s->uv.stream);
}

void stream_resume(struct stream *s) {
    s->is_paused = 0;
    if (s->state == STREAM_OPEN)
        start_reading(s);
}

/* ---- writing ---- */

static void on_written(uv_write_t *req, int status) {
    struct kept *kept = container_of(req, struct kept, req);
    struct stream *s = kept->stream;
    memory_add(MEMORY_outgoing, -(int64_t)kept->len);
    free(kept);
    s->writes--;
    if (s->state >= STREAM_DRAINING)
        return;
    if (status < 0) {
        s->is_broken = 1;
        ended(s, status);
    }
    if (s->writes > 0 || !s->wants_writable || s->state >= STREAM_DRAINING)
        return;
    /* Also when it broke after the peer's end: the next stream_write says so. */
    s->wants_writable = 0;
    s->events->on_writable(s);
}

/* Leaves a copy of `len` bytes from `skip` on with libuv. */
static int keep(struct stream *s, const uv_buf_t *bufs, unsigned count, size_t skip, size_t len) {
    struct kept *kept = mem_alloc(sizeof(*kept) + len);
    size_t at = 0;
    for (unsigned i = 0; i < count && at < len; i++) {
        size_t from = skip < bufs[i].len ? skip : bufs[i].len;
        size_t n = bufs[i].len - from < len - at ? bufs[i].len - from : len - at;
        if (n > 0)
            memcpy(kept->data + at, bufs[i].base + from, n);
        skip -= from;
        at += n;
    }
    MUST(at == len);
    kept->stream = s;
    uv_buf_t all = uv_buf_init(kept->data, (unsigned)len);
    int r = uv_write(&kept->req, &s->uv.stream, &all, 1, on_written);
    if (r < 0) {
        free(kept);
        return r;
    }
    kept->len = len;
    memory_add(MEMORY_outgoing, (int64_t)len);
    s->writes++;
    s->taken += len;
    return 0;
}

/* How many bytes the socket took, 0 when it takes none now. */
static ssize_t try_write(struct stream *s, const uv_buf_t *bufs, unsigned count) {
    if (s->writes > 0)
        return 0;
    int n = uv_try_write(&s->uv.stream, bufs, count);
    s->taken += n > 0 ? (unsigned)n : 0;
    return n == UV_EAGAIN ? 0 : n;
}

static ssize_t write_plain(struct stream *s, const uv_buf_t *bufs, unsigned count, size_t total) {
    ssize_t n = try_write(s, bufs, count);
    if (n < 0 || (size_t)n == total)
        return n;
    size_t len = total - (size_t)n < KEEP_MAX ? total - (size_t)n : KEEP_MAX;
    int r = keep(s, bufs, count, (size_t)n, len);
    return r < 0 ? r : n + (ssize_t)len;
}

/* What TLS wants to say goes to the socket, or behind what already waits for it. */
static int send_sealed(struct stream *s) {
    struct bytes out = tls_output();
    if (bytes_is_empty(out))
        return 0;
    uv_buf_t buf = uv_buf_init((char *)(uintptr_t)out.ptr, (unsigned)out.len);
    ssize_t n = try_write(s, &buf, 1);
    int r = n < 0 ? (int)n : 0;
    if (n >= 0 && (size_t)n < out.len) {
        bool is_too_much = uv_stream_get_write_queue_size(&s->uv.stream) > KEEP_TLS_MAX;
        r = is_too_much ? UV_ENOBUFS : keep(s, &buf, 1, (size_t)n, out.len - (size_t)n);
    }
    tls_output_clear();
    if (r < 0)
        s->is_broken = 1;
    return r;
}

/* The next record's worth from `at` on: straight from its buffer when that is enough, else
 * gathered.
 */
static struct bytes next_piece(const uv_buf_t *bufs, unsigned count, size_t at) {
    while (at >= bufs->len) {
        at -= bufs->len;
        bufs++;
        count--;
    }
    if (count == 1 || bufs->len - at >= TLS_RECORD_MAX)
        return bytes_head(bytes_of(bufs->base + at, bufs->len - at), TLS_RECORD_MAX);
    size_t len = 0;
    for (; count > 0 && len < TLS_RECORD_MAX; bufs++, count--, at = 0) {
        size_t n = bufs->len - at;
        if (n > TLS_RECORD_MAX - len)
            n = TLS_RECORD_MAX - len;
        if (n > 0)
            memcpy(gather_buffer + len, bufs->base + at, n);
        len += n;
    }
    return bytes_of(gather_buffer, len);
}

static ssize_t write_tls(struct stream *s, const uv_buf_t *bufs, unsigned count, size_t total) {
    size_t taken = 0;
    while (taken < total && s->writes == 0) {
        for (size_t end = taken + KEEP_MAX; taken < total && taken < end;) {
            struct bytes piece = next_piece(bufs, count, taken);
            if (!tls_session_seal(s->tls, piece))
                return UV_EPROTO;
            taken += piece.len;
        }
        int r = send_sealed(s);
        if (r < 0)
            return r;
    }
    return (ssize_t)taken;
}

ssize_t stream_write(struct stream *s, const uv_buf_t *bufs, unsigned count) {
    MUST(count <= STREAM_BUFS_MAX);
    if (s->state != STREAM_OPEN && s->state != STREAM_ENDED)
        return UV_ENOTCONN;
    if (s->is_broken)
        return UV_EPIPE;
    size_t total = 0;
    for (unsigned i = 0; i < count; i++)
        total += bufs[i].len;
    ssize_t n = 0;
    if (s->writes == 0 && total > 0)
        n = s->tls != NULL ? write_tls(s, bufs, count, total) : write_plain(s, bufs, count, total);
    if (n >= 0) {
        s->wants_writable = (size_t)n < total;
        return n;
    }
    s->is_broken = 1;
    uv_read_stop(&s->uv.stream);
    if (s->state == STREAM_OPEN)
        set_state(s, STREAM_ENDED);
    return n;
}

/* ---- beginning ---- */

void stream_init(struct stream *s, uv_loop_t *loop, const struct stream_events *events) {
    memset(s, 0, sizeof(*s));
    s->loop = loop;
    s->events = events;
}

static void on_first_turn(uv_timer_t *timer) {
    opened(container_of(timer, struct stream_private, timer)->stream, 0);
}

static int init_handle(struct stream *s, uv_handle_type type) {
    int r = type == UV_NAMED_PIPE ? uv_pipe_init(s->loop, &s->uv.pipe, 0)
                                  : uv_tcp_init(s->loop, &s->uv.tcp);
    s->has_handle = r == 0;
    return r;
}

/* Both only make things better: a failure (the peer is gone already) shows soon enough. */
static void tune(struct stream *s) {
    if (s->uv.handle.type != UV_TCP)
        return;
    (void)uv_tcp_nodelay(&s->uv.tcp, 1);
    (void)uv_tcp_keepalive(&s->uv.tcp, 1, KEEPALIVE_S);
}

static void on_handshake_s_turn(struct handshake *h) {
    start_reading(container_of(h, struct stream_private, handshake)->stream);
}

static void on_given_up(struct handshake *h) {
    struct stream *s = container_of(h, struct stream_private, handshake)->stream;
    s->is_broken = 1; /* nobody waits for its goodbye */
    ended(s, UV_ETIMEDOUT);
}

static void begin(struct stream *s) {
    struct stream_private *p = s->priv;
    if (s->tls == NULL) {
        uv_timer_start(&p->timer, on_first_turn, 0, 0);
        return;
    }
    p->handshake.go_on = on_handshake_s_turn;
    p->handshake.give_up = on_given_up;
    if (p->handshakes != NULL)
        handshake_begin(&p->handshake, p->handshakes);
    start_reading(s);
}

static void on_proxied(void *ctx, int status, struct ip source) {
    struct stream *s = ctx;
    metrics_add(METRIC_refused_proxy, status == UV_EPROTO);
    if (status < 0) {
        ended(s, status);
        return;
    }
    s->events->on_proxied(s, source);
    if (s->state == STREAM_OPENING)
        begin(s);
}

int stream_accept(struct stream *s, uv_stream_t *server, const struct stream_opening *opening) {
    int r = init_handle(s, server->type);
    if (r == 0)
        r = uv_accept(server, &s->uv.stream);
    if (r < 0)
        return r;
    s->is_accepted = 1;
    tune(s);
    set_state(s, STREAM_OPENING);
    if (opening->tls != NULL)
        s->tls = tls_session_new(opening->tls, NULL);
    need_private(s)->handshakes = opening->handshakes;
    if (opening->proxy == PROXY_NONE)
        begin(s);
    else
        proxy_reader_start(&s->priv->req.proxy, &s->uv.stream, opening->proxy, on_proxied, s);
    return 0;
}

static void on_connected(uv_connect_t *req, int status) {
    struct stream *s = owner_of(req->handle);
    if (s->state != STREAM_OPENING)
        return;
    if (status < 0)
        s->is_broken = 1;
    else
        tune(s);
    if (status < 0 || s->tls == NULL) {
        opened(s, status);
        return;
    }
    start_reading(s);
    shake_hands(s);
}

int stream_connect_tcp(struct stream *s, const struct sockaddr *address, struct tls_context *tls,
                       const char *server_name) {
    int r = init_handle(s, UV_TCP);
    if (r == 0)
        r = uv_tcp_connect(&need_private(s)->req.connect, &s->uv.tcp, address, on_connected);
    if (r < 0)
        return r;
    if (tls != NULL)
        s->tls = tls_session_new(tls, server_name);
    set_state(s, STREAM_OPENING);
    return 0;
}

int stream_connect_pipe(struct stream *s, const char *path) {
    if (strlen(path) >= sizeof(((struct sockaddr_un *)0)->sun_path))
        return UV_ENAMETOOLONG; /* libuv would cut it */
    int r = init_handle(s, UV_NAMED_PIPE);
    if (r < 0)
        return r;
    uv_pipe_connect(&need_private(s)->req.connect, &s->uv.pipe, path, on_connected);
    set_state(s, STREAM_OPENING);
    return 0;
}

/* ---- the end ---- */

/* Whether the peer still takes what it is owed. */
static bool is_worth_waiting(struct stream_private *p) {
    uint64_t now_ms = uv_now(p->stream->loop), acked = stream_acked(p->stream);
    if (acked > p->acked) {
        p->acked = acked;
        p->moved_ms = now_ms;
    }
    return now_ms - p->moved_ms < CLOSE_STALL_MS && now_ms - p->closing_ms < CLOSE_MAX_MS;
}

static void on_close_tick(uv_timer_t *timer) {
    struct stream_private *p = container_of(timer, struct stream_private, timer);
    bool is_owed = p->stream->state == STREAM_DRAINING || stream_unsent(p->stream) > 0;
    if (!is_owed || !is_worth_waiting(p))
        stream_abort(p->stream);
}

static void on_shut(uv_shutdown_t *req, int status) {
    struct stream *s = owner_of(req->handle);
    if (s->state != STREAM_DRAINING)
        return;
    if (status < 0 || s->has_eof) {
        stream_abort(s);
        return;
    }
    set_state(s, STREAM_LINGERING);
    uv_timer_start(&s->priv->timer, on_close_tick, CLOSE_TICK_MS, CLOSE_TICK_MS);
}

static bool can_say_goodbye(struct stream *s) {
    if ((s->state != STREAM_OPEN && s->state != STREAM_ENDED) || s->is_broken)
        return false;
    if (s->tls == NULL)
        return true;
    tls_session_end(s->tls);
    return send_sealed(s) == 0;
}

void stream_close(struct stream *s) {
    if (s->state >= STREAM_DRAINING)
        return;
    struct stream_private *p = can_say_goodbye(s) ? need_private(s) : NULL;
    if (p == NULL || uv_shutdown(&p->req.shutdown, &s->uv.stream, on_shut) < 0) {
        stream_abort(s);
        return;
    }
    set_state(s, STREAM_DRAINING);
    p->closing_ms = p->moved_ms = uv_now(s->loop);
    p->acked = stream_acked(s);
    uv_timer_start(&s->priv->timer, on_close_tick, CLOSE_TICK_MS, CLOSE_TICK_MS);
    if (!s->has_eof)
        start_reading(s);
}

static void on_handle_closed(uv_handle_t *handle) {
    struct stream *s = container_of(handle, struct stream, uv);
    drop_private(s);
    tls_session_free(s->tls);
    s->tls = NULL;
    set_state(s, STREAM_CLOSED);
    s->events->on_closed(s);
}

void stream_abort(struct stream *s) {
    if (s->state >= STREAM_CLOSING)
        return;
    if (!s->has_handle)
        MUST(init_handle(s, UV_TCP) == 0);
    set_state(s, STREAM_CLOSING);
    if (s->priv != NULL) {
        uv_timer_stop(&s->priv->timer);
        handshake_end(&s->priv->handshake);
    }
    uv_close(&s->uv.handle, on_handle_closed);
}

/* ---- questions ---- */

const char *stream_error_text(const struct stream *s, int status) {
    if (status == UV_EPROTO && s->tls != NULL && tls_session_error(s->tls)[0] != '\0')
        return tls_session_error(s->tls);
    if (status == UV_EOF || status == 0)
        return "closed by the peer";
    return uv_strerror(status);
}

bool stream_tls_peer(const struct stream *s, struct tls_peer *out) {
    if (s->tls == NULL)
        return false;
    tls_session_peer(s->tls, out);
    return out->version != NULL;
}
