/*
 * raw_fanout.c - the measure of fan-out: an epoll program that does nothing but write frames to
 * sockets.
 *
 *     raw_fanout PORT SUBSCRIBERS
 *
 * Accepts SUBSCRIBERS connections, answers each one's request head with a 101, prints "ready", then
 * reads from standard input: each byte K (1…64) makes it write K WebSocket text frames of 64 bytes
 * to every subscriber, gathered in one writev per subscriber, exactly as the gateway may do at
 * best. It ends at the end of input.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

enum { PAYLOAD = 64, FRAME = PAYLOAD + 2, BURST_MAX = 64 };

static const char answer[] =
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";

static void die(const char *what) {
    perror(what);
    exit(1);
}

static int listen_on(int port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port)};
    int on = 1, fd = socket(AF_INET, SOCK_STREAM, 0);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (bind(fd, (struct sockaddr *)&address, sizeof(address)) != 0 || listen(fd, 4096) != 0)
        die("listen");
    return fd;
}

static void accept_all(int listener, int *fds, int count) {
    char head[4096];
    for (int i = 0; i < count; i++) {
        int on = 1;
        fds[i] = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
        if (fds[i] < 0)
            die("accept");
        setsockopt(fds[i], IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        while (read(fds[i], head, sizeof(head)) < 0 && errno == EAGAIN)
            usleep(100);
        if (write(fds[i], answer, sizeof(answer) - 1) < 0)
            die("write");
    }
}

static void write_burst(const int *fds, int count, int burst) {
    static char frames[BURST_MAX][FRAME];
    struct iovec iov[BURST_MAX];
    for (int k = 0; k < burst; k++) {
        memset(frames[k], 'x', FRAME);
        frames[k][0] = (char)0x81;
        frames[k][1] = PAYLOAD;
        iov[k] = (struct iovec){frames[k], FRAME};
    }
    for (int i = 0; i < count; i++)
        if (writev(fds[i], iov, burst) != (ssize_t)burst * FRAME)
            die("writev");
}

int main(int argc, char **argv) {
    if (argc != 3)
        return 2;
    int count = atoi(argv[2]), listener = listen_on(atoi(argv[1])), poll = epoll_create1(0);
    int *fds = calloc((size_t)count, sizeof(*fds));
    struct epoll_event event = {.events = EPOLLIN};
    accept_all(listener, fds, count);
    for (int i = 0; i < count; i++)
        epoll_ctl(poll, EPOLL_CTL_ADD, fds[i], &event);
    event.data.fd = STDIN_FILENO;
    epoll_ctl(poll, EPOLL_CTL_ADD, STDIN_FILENO, &event);
    puts("ready");
    fflush(stdout);
    unsigned char burst;
    while (epoll_wait(poll, &event, 1, -1) >= 0)
        if (read(STDIN_FILENO, &burst, 1) != 1)
            break;
        else
            write_burst(fds, count, burst);
    return 0;
}
