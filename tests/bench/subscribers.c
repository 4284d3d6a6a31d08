/*
 * subscribers.c - many clients in one process, for measuring the other side.
 *
 *     subscribers HOST:PORT PATH COUNT FRAME_BYTES [websocket|deflate|sse]
 *
 * Connects COUNT clients over WebSockets (deflate: that offer compression) or event streams, prints "ready", then reads from standard input: each line "N" makes it
 * wait until every client has received N more frames of FRAME_BYTES bytes (head included) and print
 * "done". It ends at the end of input. A client that is closed, or gets other bytes than whole
 * frames, ends the program with a line that says so.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { EVENTS = 256 };

static const struct kind {
    const char *name, *head, *status;
} kinds[] = {
    {"websocket",
     "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
     "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
     "HTTP/1.1 101 "},
    {"deflate",
     "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
     "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
     "Sec-WebSocket-Extensions: permessage-deflate\r\n",
     "HTTP/1.1 101 "},
    {"sse", "Accept: text/event-stream\r\n", "HTTP/1.1 200 "},
};

static char text[65536];

static void die(const char *what) {
    fprintf(stderr, "subscribers: %s: %s\n", what, strerror(errno));
    exit(1);
}

static int connect_one(const char *host, int port, const char *path, const struct kind *kind) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port)};
    int on = 1, fd = socket(AF_INET, SOCK_STREAM, 0);
    inet_pton(AF_INET, host, &address.sin_addr);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0)
        die("connect");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    int n = snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\nHost: %s:%d\r\n%s\r\n", path, host,
                     port, kind->head);
    if (write(fd, text, (size_t)n) != n)
        die("write");
    return fd;
}

static void read_until(int fd, const char *end) {
    size_t len = 0, end_len = strlen(end);
    while (len < end_len || memcmp(text + len - end_len, end, end_len) != 0) {
        if (len == sizeof(text) - 1 || read(fd, text + len, 1) != 1)
            die("no answer to the handshake");
        len++;
    }
    text[len] = 0;
}

/* The answer, and the hello of an event stream, which is a chunk. */
static void read_head(int fd, const struct kind *kind) {
    read_until(fd, "\r\n\r\n");
    if (strncmp(text, kind->status, strlen(kind->status)) != 0) {
        fprintf(stderr, "subscribers: refused: %.40s\n", text);
        exit(1);
    }
    if (strcmp(kind->name, "sse") == 0)
        read_until(fd, "\n\n\r\n");
    fcntl(fd, F_SETFL, O_NONBLOCK);
}

/* Reads until `want` bytes came from every client. */
static void wait_for(int poll, size_t *have, int count, size_t want) {
    int missing = 0;
    for (int i = 0; i < count; i++)
        missing += have[i] < want;
    while (missing > 0) {
        struct epoll_event events[EVENTS];
        int n = epoll_wait(poll, events, EVENTS, 60000);
        if (n <= 0) {
            fprintf(stderr, "subscribers: %d clients miss frames after 60 s\n", missing);
            exit(1);
        }
        for (int i = 0; i < n; i++) {
            size_t index = events[i].data.u64 >> 32;
            ssize_t got = read((int)(events[i].data.u64 & 0xffffffff), text, sizeof(text));
            if (got <= 0)
                die("a client was closed");
            missing -= have[index] < want && have[index] + (size_t)got >= want;
            have[index] += (size_t)got;
        }
    }
}

int main(int argc, char **argv) {
    char host[64], line[32];
    int port;
    const struct kind *kind = kinds;
    if (argc < 5 || argc > 6 || sscanf(argv[1], "%63[^:]:%d", host, &port) != 2)
        return 2;
    while (argc == 6 && strcmp(kind->name, argv[5]) != 0)
        if (++kind == kinds + sizeof(kinds) / sizeof(*kinds))
            return 2;
    int count = atoi(argv[3]), poll = epoll_create1(0);
    size_t frame = (size_t)atoi(argv[4]), want = 0, *have = calloc((size_t)count, sizeof(*have));
    for (int i = 0; i < count; i++) {
        int fd = connect_one(host, port, argv[2], kind);
        read_head(fd, kind);
        struct epoll_event event = {.events = EPOLLIN,
                                    .data.u64 = (unsigned long)i << 32 | (unsigned)fd};
        epoll_ctl(poll, EPOLL_CTL_ADD, fd, &event);
    }
    puts("ready");
    fflush(stdout);
    while (fgets(line, sizeof(line), stdin) != NULL) {
        want += (size_t)atoi(line) * frame;
        wait_for(poll, have, count, want);
        puts("done");
        fflush(stdout);
    }
    return 0;
}
