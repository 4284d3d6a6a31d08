/* admin_address.c - see admin_address.h. */
#include "common/admin/admin_address.h"

#include <errno.h>
#include <netdb.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/base/bytes.h"
#include "common/http/http_authority.h"

static int wrong_address(const char *text, const char *why) {
    fprintf(stderr, "--admin=%s: %s\n", text, why);
    return -EINVAL;
}

/* "9090", "9090+10". */
static bool read_port(struct bytes text, uint64_t *port_out) {
    struct bytes first = bytes_split(&text, '+');
    uint64_t more = 0;
    if (!bytes_to_u64(first, port_out) || (text.ptr != NULL && !bytes_to_u64(text, &more)))
        return false;
    if (*port_out < 1 || *port_out > 65535 || more > 65535 - *port_out)
        return false;
    *port_out += more;
    return true;
}

static int read_tcp(const char *text, struct sockaddr_storage *out) {
    struct http_authority at = http_authority_split(bytes_str(text));
    struct bytes host = http_authority_address(at.host);
    uint64_t port;
    if (!read_port(at.port, &port))
        return wrong_address(text, "must be ADDRESS:PORT, as in 127.0.0.1:9090, or ADDRESS:PORT+N, "
                                   "or unix:/PATH; ports are 1 to 65535");
    if (host.len == 0 || bytes_equal_str(host, "*"))
        host = BYTES_LIT("0.0.0.0");
    char *name = bytes_dup(host), service[8];
    snprintf(service, sizeof(service), "%u", (unsigned)port);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found = NULL;
    int result = getaddrinfo(name, service, &hints, &found);
    free(name);
    if (result != 0)
        return wrong_address(text, gai_strerror(result));
    memcpy(out, found->ai_addr, found->ai_addrlen);
    freeaddrinfo(found);
    return 0;
}

int admin_address_read(const char *text, struct admin_address *out) {
    static const char scheme[] = "unix:";
    *out = (struct admin_address){0};
    if (strncmp(text, scheme, strlen(scheme)) != 0)
        return read_tcp(text, &out->tcp);
    out->path = text + strlen(scheme);
    if (*out->path == '\0' || strlen(out->path) >= sizeof(((struct sockaddr_un *)NULL)->sun_path))
        return wrong_address(text, "the path of a unix socket has 1 to 107 bytes");
    return 0;
}

static bool is_listening(const char *path) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    memcpy(address.sun_path, path, strlen(path));
    bool is_taken = connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0;
    close(fd);
    return is_taken;
}

/* A folder that is missing is told now: uv_pipe_bind would speak of a lack of permission. */
static int check_folder(const char *path) {
    const char *slash = strrchr(path, '/');
    char *folder =
        slash == NULL ? mem_strdup(".") : bytes_dup(bytes_of(path, (size_t)(slash - path) + 1));
    int result = access(folder, F_OK) == 0 ? 0 : -errno;
    free(folder);
    return result;
}

int admin_address_clear(const char *path) {
    struct stat found;
    if (lstat(path, &found) != 0)
        return errno == ENOENT ? check_folder(path) : -errno;
    if (!S_ISSOCK(found.st_mode) || is_listening(path))
        return -EADDRINUSE;
    return unlink(path) == 0 ? 0 : -errno;
}
