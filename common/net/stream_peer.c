/* stream_peer.c - see stream.h: what the kernel knows of the other end. */
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "common/net/stream.h"

size_t stream_unsent(const struct stream *s) {
    uv_os_fd_t fd;
    int kernel = 0;
    if (!s->has_handle || s->state >= STREAM_CLOSING || uv_fileno(&s->uv.handle, &fd) < 0)
        return 0;
    if (ioctl(fd, TIOCOUTQ, &kernel) < 0 || kernel < 0)
        kernel = 0;
    return uv_stream_get_write_queue_size(&s->uv.stream) + (size_t)kernel;
}

uint64_t stream_acked(const struct stream *s) {
    uint64_t unsent = stream_unsent(s);
    return s->taken > unsent ? s->taken - unsent : 0;
}

struct ip stream_remote_ip(const struct stream *s) {
    struct sockaddr_storage address;
    int len = sizeof(address);
    if (!s->has_handle || s->uv.handle.type != UV_TCP ||
        uv_tcp_getpeername(&s->uv.tcp, (struct sockaddr *)&address, &len) < 0)
        return (struct ip){{0}};
    return ip_of_sockaddr((const struct sockaddr *)&address);
}
