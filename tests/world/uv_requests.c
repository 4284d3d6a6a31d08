/*
 * uv_requests.c - see uv_world.h: what libuv gives to its threads, looking up names and reading
 * files. Here it is done at once, and reported after a while.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/world/uv_world.h"

enum { LOOK_UP_MOST_US = 20000, FILE_MOST_US = 2000 };

static void begin(uv_loop_t *loop, void *req, void (*on_done)(struct wire *w, unsigned ready),
                  uint64_t most_us) {
    loop->active_reqs.count++;
    wire_work(wire_new(loop, req, on_done), 20, most_us);
}

static void *take(struct wire *w) {
    void *req = w->handle;
    w->loop->uv->active_reqs.count--;
    wire_free(w);
    return req;
}

/* --- names --- */

static void on_looked_up(struct wire *w, unsigned ready) {
    (void)ready;
    uv_getaddrinfo_t *req = take(w);
    req->cb(req, req->retcode, req->addrinfo);
}

static struct addrinfo *address_info(const char *ip, const char *port) {
    struct {
        struct addrinfo info;
        struct sockaddr_in in;
    } *both = mem_zalloc(sizeof(*both));
    both->in = (struct sockaddr_in){.sin_family = AF_INET,
                                    .sin_port = htons((uint16_t)(port ? atoi(port) : 0))};
    MUST(inet_pton(AF_INET, ip, &both->in.sin_addr) == 1);
    both->info = (struct addrinfo){.ai_family = AF_INET,
                                   .ai_socktype = SOCK_STREAM,
                                   .ai_addrlen = sizeof(both->in),
                                   .ai_addr = (struct sockaddr *)&both->in};
    return &both->info;
}

int uv_getaddrinfo(uv_loop_t *loop, uv_getaddrinfo_t *req, uv_getaddrinfo_cb cb, const char *node,
                   const char *service, const struct addrinfo *hints) {
    char ip[64];
    (void)hints;
    req->type = UV_GETADDRINFO;
    req->loop = loop;
    req->cb = cb;
    req->retcode = net_look_up(node, ip);
    req->addrinfo = req->retcode == 0 ? address_info(ip, service) : NULL;
    begin(loop, req, on_looked_up, LOOK_UP_MOST_US);
    return 0;
}

void uv_freeaddrinfo(struct addrinfo *info) {
    free(info);
}

/* A thread has it already. */
int uv_cancel(uv_req_t *req) {
    (void)req;
    return UV_EBUSY;
}

/* --- files --- */

static void on_file(struct wire *w, unsigned ready) {
    (void)ready;
    uv_fs_t *req = take(w);
    req->cb(req);
}

static int finish(uv_loop_t *loop, uv_fs_t *req, uv_fs_type type, ssize_t result, uv_fs_cb cb) {
    req->type = UV_FS;
    req->fs_type = type;
    req->loop = loop;
    req->cb = cb;
    req->result = result < 0 ? -errno : result;
    if (cb == NULL)
        return (int)req->result;
    begin(loop, req, on_file, FILE_MOST_US);
    return 0;
}

int uv_fs_open(uv_loop_t *loop, uv_fs_t *req, const char *path, int flags, int mode, uv_fs_cb cb) {
    req->ptr = NULL;
    return finish(loop, req, UV_FS_OPEN, open(path, flags, mode), cb);
}

int uv_fs_close(uv_loop_t *loop, uv_fs_t *req, uv_file file, uv_fs_cb cb) {
    req->ptr = NULL;
    return finish(loop, req, UV_FS_CLOSE, close(file), cb);
}

int uv_fs_read(uv_loop_t *loop, uv_fs_t *req, uv_file file, const uv_buf_t bufs[], unsigned count,
               int64_t offset, uv_fs_cb cb) {
    MUST(count == 1);
    req->ptr = NULL;
    return finish(loop, req, UV_FS_READ, pread(file, bufs[0].base, bufs[0].len, offset), cb);
}

int uv_fs_fstat(uv_loop_t *loop, uv_fs_t *req, uv_file file, uv_fs_cb cb) {
    struct stat st;
    int result = fstat(file, &st);
    memset(&req->statbuf, 0, sizeof(req->statbuf));
    if (result == 0) {
        req->statbuf.st_mode = st.st_mode;
        req->statbuf.st_size = (uint64_t)st.st_size;
        req->statbuf.st_ino = st.st_ino;
        req->statbuf.st_dev = st.st_dev;
        req->statbuf.st_mtim.tv_sec = st.st_mtim.tv_sec;
        req->statbuf.st_mtim.tv_nsec = st.st_mtim.tv_nsec;
    }
    req->ptr = &req->statbuf;
    return finish(loop, req, UV_FS_FSTAT, result, cb);
}

int uv_fs_realpath(uv_loop_t *loop, uv_fs_t *req, const char *path, uv_fs_cb cb) {
    req->ptr = realpath(path, NULL);
    return finish(loop, req, UV_FS_REALPATH, req->ptr == NULL ? -1 : 0, cb);
}

void uv_fs_req_cleanup(uv_fs_t *req) {
    if (req->ptr != &req->statbuf)
        free(req->ptr);
    req->ptr = NULL;
}
