/* peers.c - see peers.h. */
#include "tests/common/net/peers.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct peer *owner_of(struct stream *s) {
    return container_of(s, struct peer, stream);
}

static void say_on(struct peer *peer) {
    while (peer->said < peer->to_say_len) {
        size_t len = peer->to_say_len - peer->said;
        uv_buf_t halves[2] = {
            {.base = (char *)(uintptr_t)peer->to_say + peer->said, .len = len / 2},
            {.base = (char *)(uintptr_t)peer->to_say + peer->said + len / 2, .len = len - len / 2}};
        ssize_t n = stream_write(&peer->stream, halves, 2);
        if (n < 0)
            return;
        peer->said += (size_t)n;
        if ((size_t)n < len) {
            assert_true(stream_is_blocked(&peer->stream));
            return;
        }
    }
    if (peer->closes_when_said && peer->to_say_len > 0)
        stream_close(&peer->stream);
}

void peer_say(struct peer *peer, const char *text, size_t len) {
    peer->to_say = text;
    peer->to_say_len = len;
    peer->said = 0;
    say_on(peer);
}

static void on_open(struct stream *s, int status) {
    struct peer *peer = owner_of(s);
    assert_int_equal(peer->opened, UNSET);
    peer->opened = status;
    peer->opens++;
    if (status < 0)
        snprintf(peer->open_text, sizeof(peer->open_text), "%s", stream_error_text(s, status));
    else
        say_on(peer);
}

static void on_bytes(struct stream *s, struct bytes in) {
    struct peer *peer = owner_of(s);
    assert_int_equal(peer->ends + peer->closes, 0);
    assert_int_equal(peer->opens, 1);
    assert_true(in.len > 0);
    buf_append(&peer->heard, in);
    memset((char *)(uintptr_t)in.ptr, 0, in.len); /* the owner may: the memory is writable */
}

static void on_end(struct stream *s, int status) {
    struct peer *peer = owner_of(s);
    assert_int_equal(peer->ended, UNSET);
    peer->ended = status;
    peer->ends++;
    if (peer->closes_at_end)
        stream_close(s);
}

static void on_writable(struct stream *s) {
    struct peer *peer = owner_of(s);
    assert_false(stream_is_blocked(s));
    peer->writables++;
    say_on(peer);
}

static void on_closed(struct stream *s) {
    owner_of(s)->closes++;
}

static void on_proxied(struct stream *s, struct ip source) {
    struct peers *p = owner_of(s)->room;
    p->proxied++;
    p->source = source;
    if (p->closes_when_proxied)
        stream_close(s);
}

static const struct stream_events events = {.on_open = on_open,
                                            .on_proxied = on_proxied,
                                            .on_bytes = on_bytes,
                                            .on_end = on_end,
                                            .on_writable = on_writable,
                                            .on_closed = on_closed};

static void on_connection(uv_stream_t *listener, int status) {
    struct peers *p = container_of((uv_tcp_t *)listener, struct peers, listener);
    assert_int_equal(status, 0);
    if (p->server.stream.state != STREAM_NEW)
        return; /* the test closed it before anybody came */
    assert_int_equal(stream_accept(&p->server.stream, listener,
                                   &(struct stream_opening){.tls = p->server_tls,
                                                            .handshakes = p->handshakes,
                                                            .proxy = p->proxy}),
                     0);
    assert_int_equal(p->server.opens, 0);
    if (p->closes_at_accept)
        stream_close(&p->server.stream);
}

static void peer_init(struct peers *p, struct peer *peer) {
    peer->room = p;
    peer->opened = peer->ended = UNSET;
    stream_init(&peer->stream, &p->loop, &events);
}

void peers_init(struct peers *p) {
    struct sockaddr_in any;
    struct sockaddr_storage bound;
    int len = sizeof(bound);
    memset(p, 0, sizeof(*p));
    assert_int_equal(uv_loop_init(&p->loop), 0);
    uv_timer_init(&p->loop, &p->timer);
    uv_tcp_init(&p->loop, &p->listener);
    uv_ip4_addr("127.0.0.1", 0, &any);
    assert_int_equal(uv_tcp_bind(&p->listener, (struct sockaddr *)&any, 0), 0);
    assert_int_equal(uv_listen((uv_stream_t *)&p->listener, 8, on_connection), 0);
    assert_int_equal(uv_tcp_getsockname(&p->listener, (struct sockaddr *)&bound, &len), 0);
    p->port = ntohs(((struct sockaddr_in *)&bound)->sin_port);
    peer_init(p, &p->server);
    peer_init(p, &p->client);
}

void peers_connect(struct peers *p, const char *server_name) {
    struct sockaddr_in to;
    uv_ip4_addr("127.0.0.1", p->port, &to);
    assert_int_equal(
        stream_connect_tcp(&p->client.stream, (struct sockaddr *)&to, p->client_tls, server_name),
        0);
    assert_int_equal(p->client.opens, 0);
}

static void on_time_up(uv_timer_t *timer) {
    container_of(timer, struct peers, timer)->is_over = true;
}

static void start_timer(struct peers *p, unsigned ms) {
    p->is_over = false;
    uv_update_time(&p->loop);
    uv_timer_start(&p->timer, on_time_up, ms, 0);
}

void peers_turn(struct peers *p, unsigned ms) {
    start_timer(p, ms);
    while (!p->is_over)
        uv_run(&p->loop, UV_RUN_ONCE);
}

void peers_until(struct peers *p, const unsigned *count, unsigned at_least, unsigned ms) {
    start_timer(p, ms);
    while (!p->is_over && *count < at_least)
        uv_run(&p->loop, UV_RUN_ONCE);
    assert_true(*count >= at_least);
}

void peers_until_heard(struct peers *p, const struct peer *who, size_t len, unsigned ms) {
    start_timer(p, ms);
    while (!p->is_over && who->heard.len < len)
        uv_run(&p->loop, UV_RUN_ONCE);
    assert_true(who->heard.len >= len);
}

void peers_meet(struct peers *p, const char *server_name) {
    peers_connect(p, server_name);
    peers_until(p, &p->client.opens, 1, 10000);
    peers_until(p, &p->server.opens, 1, 10000);
    assert_int_equal(p->client.opened, 0);
    assert_int_equal(p->server.opened, 0);
}

void peers_deinit(struct peers *p) {
    stream_close(&p->client.stream);
    stream_close(&p->server.stream);
    peers_until(p, &p->client.closes, 1, 10000);
    peers_until(p, &p->server.closes, 1, 10000);
    uv_close((uv_handle_t *)&p->timer, NULL);
    uv_close((uv_handle_t *)&p->listener, NULL);
    uv_run(&p->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&p->loop), 0);
    assert_int_equal(p->client.closes, 1);
    assert_int_equal(p->server.closes, 1);
    buf_deinit(&p->client.heard);
    buf_deinit(&p->server.heard);
    tls_context_unref(p->server_tls);
    tls_context_unref(p->client_tls);
}
