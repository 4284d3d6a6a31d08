/*
 * peers.h - two streams that talk to each other over loopback, in one loop, for the tests of
 * stream.c. Each peer counts what it hears; the test decides what it says.
 */
#ifndef SIGNALBOX_TESTS_NET_PEERS_H
#define SIGNALBOX_TESTS_NET_PEERS_H

#include "common/base/buf.h"
#include "common/net/stream.h"
#include "common/net/tls.h"

enum { UNSET = 12345 };

struct peer {
    struct stream stream;
    struct peers *room;
    struct buf heard;
    int opened, ended; /* status, UNSET before */
    unsigned opens, ends, closes, writables;
    char open_text[256]; /* stream_error_text at on_open */
    const char *to_say;  /* sent from on_open and on_writable on */
    size_t to_say_len, said;
    bool closes_at_end, closes_when_said;
};

struct peers {
    uv_loop_t loop;
    uv_tcp_t listener;
    uv_timer_t timer;
    struct tls_context *server_tls, *client_tls;
    struct handshakes *handshakes; /* the server's, or NULL */
    int port;
    struct peer server, client;
    bool is_over, closes_at_accept;
    enum proxy_versions proxy; /* that the server expects */
    unsigned proxied;          /* how often it came, */
    struct ip source;          /* and whom it names */
    bool closes_when_proxied;
};

void peers_init(struct peers *p);
/* The client connects, the server accepts; returns when both have had on_open. */
void peers_meet(struct peers *p, const char *server_name);
/* Without waiting: the test turns the loop. */
void peers_connect(struct peers *p, const char *server_name);
/* Turns the loop for so long, or until *flag. */
void peers_turn(struct peers *p, unsigned ms);
void peers_until(struct peers *p, const unsigned *count, unsigned at_least, unsigned ms);
void peers_until_heard(struct peers *p, const struct peer *who, size_t len, unsigned ms);
/* As much of to_say as goes. */
void peer_say(struct peer *peer, const char *text, size_t len);
/* Closes what is open; fails the test when anything of libuv is left over. */
void peers_deinit(struct peers *p);

#endif
