/*
 * stream.h - one connected byte stream over libuv: TCP or unix socket, plain or TLS, accepted or
 * made by us.
 *
 * Clients of the gateway and links to Redis are both streams. The struct is embedded in its owner
 * (container_of); its memory may go in on_closed, never before.
 *
 *   accepted:  stream_init, stream_accept                  -> on_open(status): on a later turn, or
 *                                                             once TLS is agreed
 *   made:      stream_init, stream_connect_tcp or _pipe     -> on_open(status)
 *   then:      on_bytes ..., stream_write, on_writable ..., on_end
 *   at last:   the owner calls stream_close (or _abort)     -> on_closed
 *
 * When stream_accept or a stream_connect returns an error there is no on_open; the owner still
 * closes.
 *
 * Callbacks fire from the loop, never inside a call of the owner. After stream_close only on_closed
 * fires.
 */
#ifndef SIGNALBOX_NET_STREAM_H
#define SIGNALBOX_NET_STREAM_H

#include <stdbool.h>
#include <uv.h>

#include "common/base/bytes.h"
#include "common/base/ip.h"
#include "common/base/must.h"
#include "common/net/proxy_header.h"

struct handshakes;
struct sockaddr;
struct stream;
struct tls_context;
struct tls_peer;
struct tls_session;

/* How many buffers one stream_write gathers. */
enum { STREAM_BUFS_MAX = 64 };

struct stream_events {
    /* The PROXY header was read, before on_open: who is behind the proxy; not known when the proxy
     * speaks for itself. The owner may close. */
    void (*on_proxied)(struct stream *s, struct ip source);
    /* status 0, or a negative UV_E… (UV_EPROTO: TLS failed; stream_error_text says why). */
    void (*on_open)(struct stream *s, int status);
    /* The memory is the process's one read buffer: writable, valid until return. */
    void (*on_bytes)(struct stream *s, struct bytes in);
    /* The peer ended (0) or the connection broke (negative). No more on_bytes. The owner closes. */
    void (*on_end)(struct stream *s, int status);
    /* After stream_write took less than it was given: there is room again. */
    void (*on_writable)(struct stream *s);
    void (*on_closed)(struct stream *s);
};

/* Moves only downwards in this list, except that every state may skip to CLOSING. */
enum stream_state {
    STREAM_NEW,
    STREAM_OPENING,   /* connecting, or TLS being agreed */
    STREAM_OPEN,      /* on_open(0) was called */
    STREAM_ENDED,     /* on_end, or on_open with an error, was called; writing may still work */
    STREAM_DRAINING,  /* stream_close was called: what was taken still goes out */
    STREAM_LINGERING, /* our half is shut; what the peer still sends is dropped until it ends */
    STREAM_CLOSING,   /* libuv lets go of the handle */
    STREAM_CLOSED
};

struct stream {
    union {
        uv_handle_t handle;
        uv_stream_t stream;
        uv_tcp_t tcp;
        uv_pipe_t pipe;
    } uv;
    uv_loop_t *loop;
    const struct stream_events *events;
    struct tls_session *tls; /* NULL: plain */
    /* Private to stream.c from here. priv is NULL on an idle stream, which owns no memory at all
     * unless it speaks TLS. */
    struct stream_private *priv;
    uint64_t taken;  /* bytes given to the socket so far, as they go over the wire */
    unsigned writes; /* copies of what the socket did not take yet: 0 or 1; TLS may need more */
    unsigned char state, is_paused, wants_writable, has_handle, has_eof, is_broken;
    unsigned char is_accepted;
};

static inline bool stream_is_open(const struct stream *s) {
    return s->state == STREAM_OPEN;
}

void stream_init(struct stream *s, uv_loop_t *loop, const struct stream_events *events);

/* What an accepted stream begins with; all zero: nothing. */
struct stream_opening {
    struct tls_context *tls;       /* NULL: plain */
    enum proxy_versions proxy;     /* it begins with a PROXY header, even before TLS */
    struct handshakes *handshakes; /* those its own takes turns with; NULL: it does not wait */
};

/* Takes one waiting connection of `server` (uv_tcp_t or uv_pipe_t listener). TCP_NODELAY is set. */
MUST_CHECK int stream_accept(struct stream *s, uv_stream_t *server,
                             const struct stream_opening *opening);

/* Connects. The address is copied. server_name: for SNI and verification, NULL without TLS. */
MUST_CHECK int stream_connect_tcp(struct stream *s, const struct sockaddr *address,
                                  struct tls_context *tls, const char *server_name);
MUST_CHECK int stream_connect_pipe(struct stream *s, const char *path);

/*
 * Writes what the socket takes now, gathered in one system call (count <= STREAM_BUFS_MAX). Returns
 * how many bytes were taken, or a negative UV_E… when the connection is broken (on_end will not
 * fire for it; the owner closes). Fewer than given: the stream is blocked; on_writable tells when
 * to go on from there, and until then stream_write takes 0. Taken bytes need not stay valid: the
 * stream keeps a copy of at most 64 KiB of them.
 */
MUST_CHECK ssize_t stream_write(struct stream *s, const uv_buf_t *bufs, unsigned count);
static inline bool stream_is_blocked(const struct stream *s) {
    return s->writes > 0;
}

/* Bytes taken by stream_write that the peer's side has not acknowledged: ours and the kernel's. */
size_t stream_unsent(const struct stream *s);
/* Bytes that the peer's side has acknowledged so far. It grows while the peer reads; how fast shows
 * only in steps, as a receiver announces room in its buffer by the piece. */
uint64_t stream_acked(const struct stream *s);

/* While paused, nothing is read from the socket: back-pressure to the peer. Idempotent. Paused
 * within on_open, TLS may still deliver once what came along with the handshake. */
void stream_pause(struct stream *s);
void stream_resume(struct stream *s);

/*
 * Idempotent, legal in every state after stream_init. What stream_write took still goes out, TLS
 * says goodbye, then our half is shut and the peer's last bytes are read and dropped, so that
 * unread input cannot destroy what we sent last. This lasts until the peer ends too or has had
 * everything for 1 s; meanwhile it must take something every 10 s, and five minutes are the end.
 * on_closed fires on a later turn.
 */
void stream_close(struct stream *s);
/* The same without any of the waiting. Also ends a stream_close that is under way. */
void stream_abort(struct stream *s);

/* Of the other end. Not known for a unix socket. An IPv4 client of a socket that is open for both
 * families is seen by its IPv4 address, as on any other: limits, logs and strict ids mean the same
 * client by it. */
struct ip stream_remote_ip(const struct stream *s);

/* What was agreed on with the peer; buf_deinit(&out->subject). False: no TLS, or not yet. */
MUST_CHECK bool stream_tls_peer(const struct stream *s, struct tls_peer *out);

/* Why the last on_open / on_end failed, one line, for logs. */
const char *stream_error_text(const struct stream *s, int status);

#endif
