/* port.c - see port.h. Read port_check. A claim is named
 *
 *     signalbox/<port>/<address, or *>/<fleet>/<random>        with a NUL before it: abstract
 */
#include "common/net/port.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/base/bytes.h"
#include "common/base/log.h"
#include "common/base/random.h"

#define CLAIMS "signalbox/"
enum { LOCK_TRIES = 600, LOCK_PAUSE_US = 5000, BACKLOG = 64, NAME_MAX_BYTES = 107 };

struct port_claim {
    int fd;
    uv_poll_t poll;
};

/* --- abstract sockets --- */

static socklen_t abstract_address(const char *name, struct sockaddr_un *out) {
    size_t len = strlen(name);
    MUST(len <= NAME_MAX_BYTES);
    *out = (struct sockaddr_un){.sun_family = AF_UNIX};
    memcpy(out->sun_path + 1, name, len);
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + len);
}

static int open_abstract(const char *name) {
    struct sockaddr_un address;
    socklen_t len = abstract_address(name, &address);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0 && bind(fd, (struct sockaddr *)&address, len) == 0 && listen(fd, BACKLOG) == 0)
        return fd;
    int error = -errno;
    if (fd >= 0)
        close(fd);
    return error;
}

/* --- places --- */

static int port_of(const struct port_place *p) {
    if (p->address.ss_family == AF_INET)
        return ntohs(((const struct sockaddr_in *)&p->address)->sin_port);
    return ntohs(((const struct sockaddr_in6 *)&p->address)->sin6_port);
}

static void show_address(const struct port_place *p, char out[64]) {
    snprintf(out, 64, "*");
    if (!p->is_any)
        MUST(uv_ip_name((const struct sockaddr *)&p->address, out, 64) == 0);
}

static bool is_wildcard(const char *address) {
    return strcmp(address, "0.0.0.0") == 0 || strcmp(address, "::") == 0;
}

/* Whether a connection could belong to both. */
static bool overlap(const char *a, const char *b) {
    if (strcmp(a, "*") == 0 || strcmp(b, "*") == 0)
        return true;
    if ((strchr(a, ':') != NULL) != (strchr(b, ':') != NULL))
        return false;
    return is_wildcard(a) || is_wildcard(b) || strcmp(a, b) == 0;
}

/* --- the lock --- */

int port_lock(int port) {
    char name[64];
    int fd = -1;
    snprintf(name, sizeof(name), "signalbox-lock/%d", port);
    for (int i = 0; i < LOCK_TRIES && (fd = open_abstract(name)) == -EADDRINUSE; i++)
        usleep(LOCK_PAUSE_US);
    return fd;
}

void port_unlock(int lock) {
    if (lock >= 0)
        close(lock);
}

/* --- who has it --- */

/* Without SO_REUSEPORT the kernel refuses when anybody listens there. */
static int probe(const struct port_place *place) {
    int one = 1, is_v6_only = !place->is_any, family = place->address.ss_family;
    socklen_t len = family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    if (family == AF_INET6)
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &is_v6_only, sizeof(is_v6_only));
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    int result = bind(fd, (const struct sockaddr *)&place->address, len) == 0 ? 0 : -errno;
    close(fd);
    return result;
}

struct holders {
    const char *fleet;
    char address[64];
    bool is_ours, is_ours_elsewhere; /* elsewhere: under another user, who cannot share */
    bool is_foreign;
    int foreign_pid; /* 0: not known */
};

/* The process behind a claim. False: it is gone, or does not answer. */
static bool find_owner(const char *name, struct ucred *out) {
    struct sockaddr_un address;
    socklen_t len = abstract_address(name, &address), size = sizeof(*out);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return false;
    bool is_known = connect(fd, (struct sockaddr *)&address, len) == 0 &&
                    getsockopt(fd, SOL_SOCKET, SO_PEERCRED, out, &size) == 0;
    close(fd);
    return is_known;
}

/* Only a process of our own user can listen beside us: what others claim proves nothing. */
static void count_claim(struct holders *h, const char *name, struct bytes fleet) {
    struct ucred owner;
    bool is_ours = bytes_equal_str(fleet, h->fleet);
    if (!find_owner(name, &owner))
        return;
    if (owner.uid != geteuid()) {
        h->is_ours_elsewhere |= is_ours;
    } else if (is_ours) {
        h->is_ours = true;
    } else {
        h->is_foreign = true;
        h->foreign_pid = (int)owner.pid;
    }
}

static void read_claim(struct holders *h, int port, const char *name) {
    char address[64];
    struct bytes rest = bytes_from(bytes_str(name), strlen(CLAIMS));
    uint64_t number;
    if (strlen(name) > NAME_MAX_BYTES || !bytes_to_u64(bytes_split(&rest, '/'), &number) ||
        number != (uint64_t)port)
        return;
    struct bytes where = bytes_split(&rest, '/');
    snprintf(address, sizeof(address), "%.*s", BYTES_FMT(where));
    if (overlap(address, h->address))
        count_claim(h, name, bytes_split(&rest, '/'));
}

/* Lines of /proc/net/unix end with the name, its NUL shown as '@'. */
static void read_claims(struct holders *h, int port) {
    char line[512];
    FILE *file = fopen("/proc/net/unix", "re");
    if (file == NULL)
        log_warn("port", "failed to read /proc/net/unix reason=%s", strerror(errno));
    while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        const char *name = strstr(line, " @" CLAIMS);
        if (name != NULL)
            read_claim(h, port, name + 2);
    }
    if (file != NULL)
        fclose(file);
}

static int refuse(const struct holders *h, char why_out[PORT_WHY_MAX]) {
    char who[40] = "";
    if (h->foreign_pid > 0)
        snprintf(who, sizeof(who), " (process %d)", h->foreign_pid);
    if (h->is_foreign) {
        snprintf(why_out, PORT_WHY_MAX,
                 "a gateway of another fleet%s listens there, with another --redis or "
                 "--redis-prefix: stop it, or choose another port",
                 who);
        return -EPERM;
    }
    if (h->is_ours_elsewhere) {
        snprintf(why_out, PORT_WHY_MAX,
                 "a gateway of this fleet listens there as another user: gateways that share a "
                 "port run as one user");
        return -EPERM;
    }
    snprintf(why_out, PORT_WHY_MAX,
             "another program listens there: stop it, or choose another port");
    return -EADDRINUSE;
}

int port_check(const struct port_place *place, const char *fleet, char why_out[PORT_WHY_MAX]) {
    struct holders h = {.fleet = fleet};
    why_out[0] = '\0';
    int result = probe(place);
    if (result != -EADDRINUSE)
        return result;
    show_address(place, h.address);
    read_claims(&h, port_of(place));
    return h.is_ours && !h.is_foreign ? 0 : refuse(&h, why_out);
}

/* --- claims --- */

/* A process that connects only wants to know our user, and the kernel tells it that. */
static void on_asked(uv_poll_t *poll, int status, int events) {
    struct port_claim *c = container_of(poll, struct port_claim, poll);
    int fd;
    (void)status;
    (void)events;
    while ((fd = accept4(c->fd, NULL, NULL, SOCK_CLOEXEC)) >= 0)
        close(fd);
}

struct port_claim *port_claim_new(uv_loop_t *loop, const struct port_place *place,
                                  const char *fleet) {
    char name[160], address[64], id[17];
    random_id(id);
    show_address(place, address);
    snprintf(name, sizeof(name), CLAIMS "%d/%s/%s/%s", port_of(place), address, fleet, id);
    int fd = open_abstract(name);
    if (fd < 0) {
        log_warn("port", "failed to claim name=%s reason=%s", name, strerror(-fd));
        return NULL;
    }
    struct port_claim *c = mem_zalloc(sizeof(*c));
    c->fd = fd;
    MUST(uv_poll_init(loop, &c->poll, fd) == 0);
    MUST(uv_poll_start(&c->poll, UV_READABLE, on_asked) == 0);
    uv_unref((uv_handle_t *)&c->poll);
    return c;
}

static void on_closed(uv_handle_t *handle) {
    free(container_of((uv_poll_t *)handle, struct port_claim, poll));
}

void port_claim_free(struct port_claim *c) {
    if (c == NULL)
        return;
    uv_poll_stop(&c->poll);
    close(c->fd);
    uv_close((uv_handle_t *)&c->poll, on_closed);
}
