/* free_port.h - for tests: a port that nobody uses, below those that the kernel gives to whoever
 * does not choose, so that no other test gets it meanwhile. */
#ifndef SIGNALBOX_TESTS_GATEWAY_FREE_PORT_H
#define SIGNALBOX_TESTS_GATEWAY_FREE_PORT_H

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

static inline int free_port(void) {
    enum { FIRST = 10000, COUNT = 5000 };
    static unsigned last;
    if (last == 0)
        last = (unsigned)getpid() * 37;
    for (int tries = 0; tries < COUNT; tries++) {
        int port = FIRST + (int)(last++ % COUNT);
        struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        int status = bind(fd, (struct sockaddr *)&at, sizeof(at));
        close(fd);
        if (status == 0)
            return port;
    }
    return 0;
}

#endif
