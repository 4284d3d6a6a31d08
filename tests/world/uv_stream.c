/*
 * uv_stream.c - see uv_world.h: TCP and pipe streams over the sockets of network.c. Read on_io.
 *
 * A stream keeps its wire in u.reserved[0]; write requests wait in write_queue and, once they are
 * done, in write_completed_queue, as in libuv, where callbacks run at the same places.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/world/uv_world.h"

enum { READS_MAX = 32, SUGGESTED = 65536 };

static struct wire *wire_of(const uv_stream_t *s) {
    return s->u.reserved[0];
}

static struct node *queue_of(uv_stream_t *s) {
    return (struct node *)s->write_queue;
}

static struct node *done_of(uv_stream_t *s) {
    return (struct node *)s->write_completed_queue;
}

static void want(uv_stream_t *s, unsigned ready) {
    struct wire *w = wire_of(s);
    w->interest |= ready;
    if (w->sock != NULL && (sock_ready(w->sock) & w->interest) != 0)
        wire_make_ready(w);
}

static void want_no_more(uv_stream_t *s, unsigned ready) {
    if (wire_of(s) != NULL)
        wire_of(s)->interest &= ~ready;
}

/* Its turn comes in the pending phase. */
static void feed(uv_stream_t *s) {
    struct node *n = (struct node *)s->io_watcher.pending_queue;
    if (list_is_empty(n))
        list_insert(&loop_of(s->loop)->pending, n);
}

static void count_request(uv_stream_t *s, int by) {
    s->loop->active_reqs.count += (unsigned)by;
}

/* --- reading --- */

static void stop_reading(uv_stream_t *s) {
    s->flags &= ~(unsigned)STREAM_FLAG_READING;
    want_no_more(s, SOCK_READABLE);
    handle_stop(s);
}

int uv_read_start(uv_stream_t *s, uv_alloc_cb alloc_cb, uv_read_cb read_cb) {
    if (alloc_cb == NULL || read_cb == NULL || handle_has(s, HANDLE_CLOSING))
        return UV_EINVAL;
    if (handle_has(s, STREAM_FLAG_READING))
        return UV_EALREADY;
    if (!handle_has(s, STREAM_FLAG_READABLE))
        return UV_ENOTCONN;
    s->flags |= STREAM_FLAG_READING;
    s->alloc_cb = alloc_cb;
    s->read_cb = read_cb;
    handle_start(s);
    want(s, SOCK_READABLE);
    return 0;
}

int uv_read_stop(uv_stream_t *s) {
    if (handle_has(s, STREAM_FLAG_READING))
        stop_reading(s);
    return 0;
}

static void read_ended(uv_stream_t *s, long status, const uv_buf_t *buf) {
    if (status == UV_EOF) {
        stop_reading(s);
        s->read_cb(s, UV_EOF, buf);
        return;
    }
    s->flags &= ~(unsigned)(STREAM_FLAG_READABLE | STREAM_FLAG_WRITABLE);
    s->read_cb(s, status, buf);
    if (handle_has(s, STREAM_FLAG_READING))
        stop_reading(s);
}

static void read_some(uv_stream_t *s) {
    for (int i = 0; i < READS_MAX && handle_has(s, STREAM_FLAG_READING); i++) {
        uv_buf_t buf = {0};
        s->alloc_cb((uv_handle_t *)s, SUGGESTED, &buf);
        if (buf.base == NULL || buf.len == 0) {
            s->read_cb(s, UV_ENOBUFS, &buf);
            return;
        }
        long n = sock_read(wire_of(s)->sock, buf.base, buf.len);
        if (n == UV_EAGAIN) {
            s->read_cb(s, 0, &buf);
            return;
        }
        if (n <= 0) {
            read_ended(s, n == 0 ? UV_EOF : n, &buf);
            return;
        }
        size_t room = buf.len;
        s->read_cb(s, n, &buf);
        if ((size_t)n < room)
            return;
    }
}

/* --- writing --- */

/* Bytes, or UV_EAGAIN, or what is wrong. */
static long write_bufs(uv_stream_t *s, const uv_buf_t *bufs, unsigned count) {
    long total = 0;
    for (unsigned i = 0; i < count; i++) {
        long n = bufs[i].len == 0 ? 0 : sock_write(wire_of(s)->sock, bufs[i].base, bufs[i].len);
        if (n < 0)
            return total > 0 ? total : n;
        total += n;
        if ((size_t)n < bufs[i].len)
            return total == 0 ? UV_EAGAIN : total;
    }
    return total;
}

static int may_write(const uv_stream_t *s) {
    if (wire_of(s) == NULL || wire_of(s)->sock == NULL)
        return UV_EBADF;
    return handle_has(s, STREAM_FLAG_WRITABLE) ? 0 : UV_EPIPE;
}

int uv_try_write(uv_stream_t *s, const uv_buf_t bufs[], unsigned count) {
    if (s->connect_req != NULL || s->write_queue_size != 0)
        return UV_EAGAIN;
    int status = may_write(s);
    return status < 0 ? status : (int)write_bufs(s, bufs, count);
}

static uv_write_t *request_of(struct node *n) {
    return container_of((void *)n, uv_write_t, queue);
}

static void finish_write(uv_stream_t *s, uv_write_t *req, int status) {
    list_remove((struct node *)req->queue);
    req->error = status;
    list_insert(done_of(s), (struct node *)req->queue);
    feed(s);
}

static size_t left_of(const uv_write_t *req) {
    size_t left = 0;
    for (unsigned i = req->write_index; i < req->nbufs; i++)
        left += req->bufs[i].len;
    return left;
}

static bool advance(uv_write_t *req, size_t n) {
    req->handle->write_queue_size -= n;
    while (n > 0) {
        uv_buf_t *buf = &req->bufs[req->write_index];
        size_t part = n < buf->len ? n : buf->len;
        buf->base += part;
        buf->len -= part;
        n -= part;
        req->write_index += buf->len == 0;
    }
    return left_of(req) == 0;
}

/* One request at a time; the next when its turn comes. */
static void write_some(uv_stream_t *s) {
    if (list_is_empty(queue_of(s)))
        return;
    uv_write_t *req = request_of(queue_of(s)->next);
    long n = write_bufs(s, req->bufs + req->write_index, req->nbufs - req->write_index);
    if (n < 0 && n != UV_EAGAIN) {
        want_no_more(s, SOCK_WRITABLE);
        finish_write(s, req, (int)n);
        return;
    }
    if (n >= 0 && advance(req, (size_t)n))
        finish_write(s, req, 0);
    if (!list_is_empty(queue_of(s)))
        want(s, SOCK_WRITABLE);
}

int uv_write(uv_write_t *req, uv_stream_t *s, const uv_buf_t bufs[], unsigned count,
             uv_write_cb cb) {
    int status = may_write(s);
    if (status < 0)
        return status;
    bool was_empty = s->write_queue_size == 0;
    req->type = UV_WRITE;
    req->handle = s;
    req->cb = cb;
    req->error = 0;
    req->write_index = 0;
    req->nbufs = count;
    req->bufs = count <= ARRAY_LEN(req->bufsml) ? req->bufsml : mem_alloc(count * sizeof(*bufs));
    memcpy(req->bufs, bufs, count * sizeof(*bufs));
    s->write_queue_size += left_of(req);
    list_insert(queue_of(s), (struct node *)req->queue);
    count_request(s, 1);
    if (s->connect_req != NULL)
        return 0;
    if (was_empty)
        write_some(s);
    else
        want(s, SOCK_WRITABLE);
    return 0;
}

static void call_back_writes(uv_stream_t *s) {
    struct node now;
    list_move(done_of(s), &now);
    while (!list_is_empty(&now)) {
        uv_write_t *req = request_of(now.next);
        list_remove(now.next);
        count_request(s, -1);
        if (req->error != 0)
            s->write_queue_size -= left_of(req);
        if (req->bufs != req->bufsml)
            free(req->bufs);
        if (req->cb != NULL)
            req->cb(req, req->error);
    }
}

static void cancel_writes(uv_stream_t *s) {
    while (!list_is_empty(queue_of(s))) {
        uv_write_t *req = request_of(queue_of(s)->next);
        list_remove((struct node *)req->queue);
        req->error = UV_ECANCELED;
        list_insert(done_of(s), (struct node *)req->queue);
    }
}

size_t uv_stream_get_write_queue_size(const uv_stream_t *s) {
    return s->write_queue_size;
}

/* --- the end of writing --- */

int uv_shutdown(uv_shutdown_t *req, uv_stream_t *s, uv_shutdown_cb cb) {
    if (!handle_has(s, STREAM_FLAG_WRITABLE) ||
        handle_has(s, STREAM_FLAG_SHUT | STREAM_FLAG_SHUTTING | HANDLE_CLOSING))
        return UV_ENOTCONN;
    req->type = UV_SHUTDOWN;
    req->handle = s;
    req->cb = cb;
    s->shutdown_req = req;
    s->flags |= STREAM_FLAG_SHUTTING;
    s->flags &= ~(unsigned)STREAM_FLAG_WRITABLE;
    count_request(s, 1);
    if (list_is_empty(queue_of(s)))
        feed(s);
    return 0;
}

static void drained(uv_stream_t *s) {
    uv_shutdown_t *req = s->shutdown_req;
    want_no_more(s, SOCK_WRITABLE);
    if (!handle_has(s, STREAM_FLAG_SHUTTING) || req == NULL)
        return;
    bool is_closing = handle_has(s, HANDLE_CLOSING);
    s->shutdown_req = NULL;
    s->flags &= ~(unsigned)STREAM_FLAG_SHUTTING;
    count_request(s, -1);
    if (!is_closing) {
        sock_shutdown(wire_of(s)->sock);
        s->flags |= STREAM_FLAG_SHUT;
    }
    if (req->cb != NULL)
        req->cb(req, is_closing ? UV_ECANCELED : 0);
}

/* --- connecting --- */

static void connected(uv_stream_t *s) {
    uv_connect_t *req = s->connect_req;
    int status = s->delayed_error != 0 ? s->delayed_error : sock_connect_status(wire_of(s)->sock);
    s->delayed_error = 0;
    if (status == UV_EALREADY)
        return;
    s->connect_req = NULL;
    count_request(s, -1);
    want_no_more(s, SOCK_CONNECTED);
    if (status == 0 && !list_is_empty(queue_of(s)))
        want(s, SOCK_WRITABLE);
    if (req->cb != NULL)
        req->cb(req, status);
    if (wire_of(s) == NULL || status == 0)
        return;
    cancel_writes(s);
    call_back_writes(s);
}

/* libuv does not look at what else is ready while a connect is under way. */
static void on_io(struct wire *w, unsigned ready) {
    uv_stream_t *s = w->handle;
    if (s->connect_req != NULL) {
        connected(s);
        return;
    }
    if (ready & SOCK_READABLE)
        read_some(s);
    if (wire_of(s) == NULL || (ready & SOCK_WRITABLE) == 0)
        return;
    write_some(s);
    call_back_writes(s);
    if (list_is_empty(queue_of(s)))
        drained(s);
}

void stream_on_pending(uv_stream_t *s) {
    if (s->connect_req != NULL) {
        connected(s);
        return;
    }
    write_some(s);
    call_back_writes(s);
    if (list_is_empty(queue_of(s)))
        drained(s);
}

static void on_ready(void *wire) {
    struct wire *w = wire;
    if ((sock_ready(w->sock) & w->interest) != 0)
        wire_make_ready(w);
}

static void attach(uv_stream_t *s, struct sock *sock) {
    wire_of(s)->sock = sock;
    s->flags |= STREAM_FLAG_READABLE | STREAM_FLAG_WRITABLE;
    sock_watch(sock, on_ready, wire_of(s));
}

static void start_connecting(uv_connect_t *req, uv_stream_t *s, uv_connect_cb cb) {
    req->type = UV_CONNECT;
    req->handle = s;
    req->cb = cb;
    s->connect_req = req;
    count_request(s, 1);
}

static void connect_to(uv_stream_t *s, const char *address) {
    wire_of(s)->interest |= SOCK_CONNECTED;
    attach(s, sock_connect(process_current(), NULL, address, NULL, NULL));
}

static bool show_address(const struct sockaddr *a, char out[ADDRESS_MAX]) {
    const struct sockaddr_in *in = (const struct sockaddr_in *)a;
    char ip[64];
    if (a->sa_family != AF_INET)
        return false;
    inet_ntop(AF_INET, &in->sin_addr, ip, sizeof(ip));
    snprintf(out, ADDRESS_MAX, "%s:%u", ip, ntohs(in->sin_port));
    return true;
}

int uv_tcp_connect(uv_connect_t *req, uv_tcp_t *tcp, const struct sockaddr *address,
                   uv_connect_cb cb) {
    char text[ADDRESS_MAX];
    if (!show_address(address, text))
        return UV_EAFNOSUPPORT;
    start_connecting(req, (uv_stream_t *)tcp, cb);
    connect_to((uv_stream_t *)tcp, text);
    return 0;
}

void uv_pipe_connect(uv_connect_t *req, uv_pipe_t *pipe, const char *path, uv_connect_cb cb) {
    uv_stream_t *s = (uv_stream_t *)pipe;
    start_connecting(req, s, cb);
    if (net_is_listening(process_current(), path)) {
        connect_to(s, path);
    } else {
        s->delayed_error = UV_ENOENT;
        feed(s);
    }
}

/* --- listening --- */

/* As libuv does when there are no descriptors: those that wait are accepted and closed. */
static void shake_off(struct wire *w) {
    struct sock *fresh;
    while (sock_accept(w->sock, &fresh) == 0)
        sock_close(fresh);
}

static void on_acceptable(struct wire *w, unsigned ready) {
    uv_stream_t *s = w->handle;
    (void)ready;
    while (wire_of(s) == w) {
        struct sock *fresh = NULL;
        int status = sock_accept(w->sock, &fresh);
        if (status == UV_EMFILE || status == UV_ENFILE)
            shake_off(w);
        if (status == UV_EAGAIN || status == UV_EMFILE || status == UV_ENFILE)
            return;
        w->accepted = fresh;
        s->connection_cb(s, status);
        if (wire_of(s) == w && w->accepted != NULL) {
            want_no_more(s, SOCK_ACCEPTABLE);
            return;
        }
    }
}

int uv_listen(uv_stream_t *s, int backlog, uv_connection_cb cb) {
    struct wire *w = wire_of(s);
    (void)backlog;
    if (s->delayed_error != 0)
        return s->delayed_error;
    struct sock *sock = sock_listen(process_current(), w->address, NULL, NULL);
    if (sock == NULL)
        return UV_EADDRINUSE;
    w->sock = sock;
    w->on_io = on_acceptable;
    s->connection_cb = cb;
    handle_start(s);
    sock_watch(sock, on_ready, w);
    want(s, SOCK_ACCEPTABLE);
    return 0;
}

int uv_accept(uv_stream_t *server, uv_stream_t *client) {
    struct wire *w = wire_of(server);
    if (w->accepted == NULL)
        return UV_EAGAIN;
    struct sock *fresh = w->accepted;
    w->accepted = NULL;
    attach(client, fresh);
    want(server, SOCK_ACCEPTABLE);
    return 0;
}

/* --- beginning and end --- */

static void stream_begin(uv_loop_t *loop, uv_stream_t *s, uv_handle_type type) {
    handle_init(loop, s, type);
    s->alloc_cb = NULL;
    s->read_cb = NULL;
    s->connection_cb = NULL;
    s->connect_req = NULL;
    s->shutdown_req = NULL;
    s->delayed_error = 0;
    s->write_queue_size = 0;
    list_init(queue_of(s));
    list_init(done_of(s));
    list_init((struct node *)s->io_watcher.pending_queue);
    s->u.reserved[0] = wire_new(loop, s, on_io);
}

int uv_tcp_init(uv_loop_t *loop, uv_tcp_t *tcp) {
    stream_begin(loop, (uv_stream_t *)tcp, UV_TCP);
    return 0;
}

int uv_pipe_init(uv_loop_t *loop, uv_pipe_t *pipe, int ipc) {
    pipe->ipc = ipc;
    stream_begin(loop, (uv_stream_t *)pipe, UV_NAMED_PIPE);
    return 0;
}

void stream_stop_for_close(uv_stream_t *s) {
    struct wire *w = wire_of(s);
    uv_read_stop(s);
    handle_stop(s);
    s->flags &= ~(unsigned)(STREAM_FLAG_READABLE | STREAM_FLAG_WRITABLE);
    if (w->accepted != NULL)
        sock_close(w->accepted);
    if (w->sock != NULL)
        sock_close(w->sock);
    wire_free(w);
    s->u.reserved[0] = NULL;
    list_remove((struct node *)s->io_watcher.pending_queue);
}

void stream_finish_close(uv_stream_t *s) {
    uv_connect_t *req = s->connect_req;
    if (req != NULL) {
        s->connect_req = NULL;
        count_request(s, -1);
        req->cb(req, UV_ECANCELED);
    }
    cancel_writes(s);
    call_back_writes(s);
    drained(s);
}

int uv_tcp_open(uv_tcp_t *tcp, uv_os_sock_t fd) {
    return system_bound_address(fd, wire_of((uv_stream_t *)tcp)->address) ? 0 : UV_EBADF;
}

int uv_tcp_bind(uv_tcp_t *tcp, const struct sockaddr *address, unsigned flags) {
    (void)flags;
    return show_address(address, wire_of((uv_stream_t *)tcp)->address) ? 0 : UV_EAFNOSUPPORT;
}

int uv_pipe_bind(uv_pipe_t *pipe, const char *path) {
    if (net_is_listening(process_current(), path))
        return UV_EADDRINUSE;
    snprintf(wire_of((uv_stream_t *)pipe)->address, ADDRESS_MAX, "%s", path);
    return 0;
}

int uv_tcp_nodelay(uv_tcp_t *tcp, int on) {
    (void)tcp;
    (void)on;
    return 0;
}

int uv_tcp_keepalive(uv_tcp_t *tcp, int on, unsigned delay_s) {
    if (on && wire_of((uv_stream_t *)tcp)->sock != NULL)
        sock_keep_alive(wire_of((uv_stream_t *)tcp)->sock, delay_s);
    return 0;
}

int uv_fileno(const uv_handle_t *h, uv_os_fd_t *fd) {
    const struct wire *w = wire_of((const uv_stream_t *)h);
    if (w == NULL || w->sock == NULL)
        return UV_EBADF;
    *fd = w->fd;
    return 0;
}

static int read_address(const char *text, struct sockaddr *out, int *len) {
    struct sockaddr_in in = {.sin_family = AF_INET};
    char ip[ADDRESS_MAX];
    const char *port = strrchr(text, ':');
    snprintf(ip, sizeof(ip), "%.*s", port != NULL ? (int)(port - text) : 0, text);
    if (port == NULL || inet_pton(AF_INET, ip, &in.sin_addr) != 1)
        return UV_EINVAL;
    in.sin_port = htons((uint16_t)atoi(port + 1));
    memcpy(out, &in, sizeof(in));
    *len = sizeof(in);
    return 0;
}

int uv_tcp_getpeername(const uv_tcp_t *tcp, struct sockaddr *out, int *len) {
    const struct wire *w = wire_of((const uv_stream_t *)tcp);
    return w == NULL || w->sock == NULL ? UV_EBADF
                                        : read_address(sock_peer_address(w->sock), out, len);
}

int uv_tcp_getsockname(const uv_tcp_t *tcp, struct sockaddr *out, int *len) {
    const struct wire *w = wire_of((const uv_stream_t *)tcp);
    return w == NULL || w->sock == NULL ? UV_EBADF : read_address(sock_address(w->sock), out, len);
}
