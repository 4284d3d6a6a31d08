/* where.c - see where.h. */
#include "tools/where.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/base/buf.h"

enum { SOCKET_PATH_MAX = 107 };

/* Connects by the relative name, since the path of a unix socket must be short. */
bool where_private_answers(void) {
    struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = WHERE_SOCKET};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return false;
    bool answers = connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0;
    close(fd);
    return answers;
}

static bool is_plain(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           strchr("/._-", c) != NULL;
}

static void append_escaped(struct buf *out, const char *path) {
    for (; *path != '\0'; path++) {
        if (is_plain(*path))
            buf_append_char(out, *path);
        else
            buf_printf(out, "%%%02X", (unsigned char)*path);
    }
}

void where_private_url(char *url_out, size_t size) {
    char folder[PATH_MAX];
    struct buf url = {0};
    buf_append_str(&url, "unix://");
    bool fits = getcwd(folder, sizeof(folder)) != NULL &&
                strlen(folder) + 1 + strlen(WHERE_SOCKET) <= SOCKET_PATH_MAX;
    append_escaped(&url, fits ? folder : "/proc/self/cwd");
    buf_append_str(&url, "/" WHERE_SOCKET);
    buf_append_char(&url, '\0');
    snprintf(url_out, size, "%s", url.ptr);
    buf_deinit(&url);
}

void where_is_redis(const char *given, char *url_out, size_t size) {
    if (*given != '\0')
        snprintf(url_out, size, "%s", given);
    else if (where_private_answers())
        where_private_url(url_out, size);
    else
        snprintf(url_out, size, "%s", WHERE_DEFAULT);
}
