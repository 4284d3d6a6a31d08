/* loopback.h - a listening socket on the loopback and a plain socket that is connected to it;
 * the loop turned by hand. */
#ifndef SIGNALBOX_TESTS_GATEWAY_CONN_LOOPBACK_H
#define SIGNALBOX_TESTS_GATEWAY_CONN_LOOPBACK_H

#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

/* The connected socket; on_connection comes when the loop turns. */
static inline int loopback_connect(uv_loop_t *loop, uv_tcp_t *server,
                                   uv_connection_cb on_connection) {
    struct sockaddr_in address;
    int len = sizeof(address), peer = socket(AF_INET, SOCK_STREAM, 0);
    uv_tcp_init(loop, server);
    uv_ip4_addr("127.0.0.1", 0, &address);
    uv_tcp_bind(server, (struct sockaddr *)&address, 0);
    uv_listen((uv_stream_t *)server, 8, on_connection);
    uv_tcp_getsockname(server, (struct sockaddr *)&address, &len);
    assert_int_equal(connect(peer, (struct sockaddr *)&address, sizeof(address)), 0);
    return peer;
}

/* Turns the loop, and leaves the kernel time to carry what was written. */
static inline void loopback_turn(uv_loop_t *loop, int times) {
    for (int i = 0; i < times; i++) {
        uv_run(loop, UV_RUN_NOWAIT);
        usleep(500);
    }
}

#endif
