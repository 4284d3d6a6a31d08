/*
 * network.h - the network of the world, and the kernel's part in it: listeners, connections and
 * what goes wrong with them. The product reaches it through the simulated libuv (uv_stream.c);
 * Redis, clients and publishers use the functions below.
 *
 * An address is "10.0.0.1:6379", or a path that begins with '/' for a unix socket. A connection has
 * two ends, each a `struct sock`; bytes of one direction arrive in order, in pieces of any size,
 * after a delay. A sock belongs to a process (process.h), or, owner NULL, to the outside world,
 * which is never stopped.
 *
 *   sock_listen(…)                  -> on_accept(listener, fresh) ...
 *   sock_connect(…)                 -> on_open(s, status)
 *   then on both                    -> on_data ..., sock_write, on_drain ..., on_end
 *   at last the owner calls sock_close or sock_reset; s is freed, and nothing is called any more
 *
 * Callbacks run from the scheduler, never inside a call. While the owner is stopped (SIGSTOP) they
 * wait; when it dies, the kernel closes all that it had, without a call.
 */
#ifndef SIGNALBOX_WORLD_NETWORK_H
#define SIGNALBOX_WORLD_NETWORK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/world/sim.h"

struct process;
struct sock;

enum { ADDRESS_MAX = 108 };

struct sock_events {
    /* status: 0, UV_ECONNREFUSED, UV_ETIMEDOUT, … */
    void (*on_open)(struct sock *s, int status);
    void (*on_accept)(struct sock *listener, struct sock *fresh);
    /* The bytes are gone after it returns. May be NULL for a listener. */
    void (*on_data)(struct sock *s, const char *bytes, size_t len);
    /* After sock_write took less than it was given: there is room again. May be NULL. */
    void (*on_drain)(struct sock *s);
    /* The peer ended (0; it may still read) or the connection broke (UV_ECONNRESET, …). Nothing
     * more is called; the owner closes. */
    void (*on_end)(struct sock *s, int status);
};

/* NULL when the address is taken. A fresh sock inherits events and ctx from its listener. */
struct sock *sock_listen(struct process *owner, const char *address,
                         const struct sock_events *events, void *ctx);
/* from: the IPv4 address it comes from, without a port; NULL: the owner's. to may name a host that
 * is in the table of names (net_name). */
struct sock *sock_connect(struct process *owner, const char *from, const char *to,
                          const struct sock_events *events, void *ctx);
/* How many bytes were taken: fewer than given when the buffer is full (on_drain follows), or a
 * negative UV_E… when the connection is broken. */
long sock_write(struct sock *s, const void *bytes, size_t len);
/* What was taken still arrives, then the end of the stream. */
void sock_shutdown(struct sock *s);
/* Like close(2): a reset if something was not read, else like shutdown. s is gone. */
void sock_close(struct sock *s);
/* A reset: what is under way is lost. s is gone. */
void sock_reset(struct sock *s);
/* While paused nothing is read: the peer's writes fill the buffers and then take nothing. */
void sock_pause(struct sock *s, bool is_paused);
/* Bytes that were taken and have not arrived at the other end's kernel. */
size_t sock_unacked(const struct sock *s);
void *sock_ctx(const struct sock *s);
void sock_set_ctx(struct sock *s, void *ctx);
void sock_set_events(struct sock *s, const struct sock_events *events, void *ctx);
const char *sock_address(const struct sock *s);      /* its own */
const char *sock_peer_address(const struct sock *s); /* of the other end */

/* --- how the network behaves --- */

struct net_manner {
    uint64_t least_us, most_us; /* one way; skewed: mostly short */
    unsigned split_ppm;         /* a piece arrives in two parts, at two times */
    unsigned late_ppm;          /* a piece is held up, and all behind it, … */
    uint64_t late_us;           /* … for up to this long */
    unsigned partial_ppm;       /* a write is accepted in part, a read gives a part */
    size_t buffer_bytes;        /* of either end, each way */
};

/* The manner of all connections that are made from now on. */
extern struct net_manner net_manner;

/* --- faults --- */

enum net_cut {
    NET_OPEN,  /* all is well */
    NET_STALL, /* nothing arrives until it is opened again; new connections time out */
    NET_REFUSE /* new connections are refused; those that are there stay */
};

/* Between two hosts ("10.0.0.1"; "*": any), from a to b only. A stall of one direction alone makes
 * half-open connections: one end never hears that the other is gone. */
void net_cut(const char *from, const char *to, enum net_cut cut);
/* Connections between the two hosts break with a reset; either may be "*". How many. */
unsigned net_reset_all(const char *a, const char *b);
/* Each of them breaks after so many more bytes have arrived at b. */
void net_reset_all_after(const char *a, const char *b, size_t bytes);
/* The connection breaks in the middle: after that many more bytes have arrived at s. */
void sock_reset_after(struct sock *s, size_t bytes);
/* The listener's next accepts fail with this error (UV_EMFILE); connections wait in its backlog. */
void net_fail_accepts(const char *address, int status, unsigned count);

/* --- names --- */

/* The host is found at ip. NULL: it is not known (UV_EAI_NONAME). */
void net_name(const char *host, const char *ip);
/* Every look-up fails with this status (UV_EAI_AGAIN) from now on; 0: no more. */
void net_fail_names(int status);

/* --- for the simulated libuv and for processes --- */

/* A sock without events is polled: on_ready tells its owner's loop that something has changed. */
enum sock_ready { SOCK_CONNECTED = 1, SOCK_READABLE = 2, SOCK_WRITABLE = 4, SOCK_ACCEPTABLE = 8 };
void sock_watch(struct sock *s, void (*on_ready)(void *watcher), void *watcher);
unsigned sock_ready(const struct sock *s);
int sock_connect_status(const struct sock *s); /* UV_EALREADY while it is under way */
/* Like read(2): bytes, 0 at the end of the stream, UV_EAGAIN, UV_ECONNRESET, … */
long sock_read(struct sock *s, void *out, size_t room);
/* *fresh_out has no events yet. UV_EAGAIN: nobody waits. */
int sock_accept(struct sock *listener, struct sock **fresh_out);
/* A peer that has gone without a word is noticed after this long without a sign of life. */
void sock_keep_alive(struct sock *s, uint64_t seconds);
/* Any address of its own host is that of the process. */
bool net_is_listening(const struct process *p, const char *address);
/* 0 or UV_EAI_…; a numeric address is its own. */
int net_look_up(const char *host, char ip_out[64]);

/* All sockets and cuts are forgotten; the manner is the usual one. */
void net_begin(void);
/* The kernel closes what the process had. with_host: the host died, and nobody hears of it. */
void net_process_died(struct process *p, bool with_host);
/* Its host is up, whatever was before. */
void net_process_started(struct process *p);
void net_process_continued(struct process *p);

#endif
