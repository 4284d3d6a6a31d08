/* up_redis.c - see up_redis.h. The socket is named relative to the server's own folder: a unix
 * socket's path has 107 bytes at most, a folder's may have more. */
#include "tools/up_redis.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/cluster_secret.h"
#include "tools/child.h"
#include "tools/tool.h"
#include "tools/where.h"

#define LOCK_FILE   WHERE_FOLDER "/lock"
#define SECRET_FILE WHERE_FOLDER "/" CLUSTER_SECRET_NAME

static bool take_lock(const struct tool *t) {
    char pid[24] = "";
    int fd = open(LOCK_FILE, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return tool_complain(t, LOCK_FILE ": %s", strerror(errno));
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        ssize_t n = read(fd, pid, sizeof(pid) - 1);
        pid[n > 0 ? n : 0] = '\0';
        pid[strcspn(pid, "\n")] = '\0';
        tool_complain(t, "`signalbox up` runs in this folder already (process %s)", pid);
        close(fd);
        return false;
    }
    int len = snprintf(pid, sizeof(pid), "%d\n", (int)getpid());
    if (ftruncate(fd, 0) != 0 || write(fd, pid, (size_t)len) != len)
        tool_complain(t, LOCK_FILE ": %s", strerror(errno));
    return true; /* the lock is released when the process ends */
}

bool up_make_folder(const struct tool *t) {
    return mkdir(WHERE_FOLDER, 0700) == 0 || errno == EEXIST ||
           tool_complain(t, WHERE_FOLDER ": %s", strerror(errno));
}

bool up_redis_claim(const struct tool *t) {
    if (!up_make_folder(t) || !take_lock(t))
        return false;
    if (where_private_answers())
        return tool_complain(t, "a Redis answers at " WHERE_SOCKET
                                " though no `signalbox up` runs here: "
                                "stop it with `redis-cli -s " WHERE_SOCKET " shutdown`");
    unlink(WHERE_SOCKET);
    return tool_make_secret(t, "", SECRET_FILE) >= 0;
}

void up_redis_describe(struct child *c) {
    static const char *const options[][2] = {
        {"port", "0"},
        {"unixsocket", "redis.sock"},
        {"unixsocketperm", "700"},
        {"dir", "."},
        {"daemonize", "no"},
        {"loglevel", "warning"},
        {"appendonly", "yes"},
        {"appendfsync", "everysec"},
        {"save", ""},
        {"maxmemory", "1gb"},
        {"maxmemory-policy", "noeviction"},
        {"client-output-buffer-limit", "pubsub 256mb 64mb 30"},
        {"tcp-keepalive", "30"},
    };
    snprintf(c->name, sizeof(c->name), "redis");
    c->folder = WHERE_FOLDER;
    child_add_argument(c, "redis-server");
    for (size_t i = 0; i < ARRAY_LEN(options); i++)
        child_add_option(c, options[i][0], options[i][1]);
}
