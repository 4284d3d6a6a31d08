/*
 * admin.c - see admin.h: the listener, its token and its connections. A connection is
 * admin_conn.c, what it may ask for admin_api.c.
 */
#include "common/admin/admin.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/admin/admin_address.h"
#include "common/admin/admin_api.h"
#include "common/admin/admin_conn.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/secret_file.h"
#include "common/base/settings.h"

enum { CHECK_MS = 1000, BODY_EXTRA = 1024 * 1024 };

struct admin {
    struct admin_api api;
    struct stat token_file; /* as it was when the token was read */
    union {
        uv_handle_t handle;
        uv_stream_t stream;
        uv_tcp_t tcp;
        uv_pipe_t pipe;
    } listener;
    uv_timer_t timer;
    struct admin_conns conns;
    unsigned handles; /* open handles of ours */
    bool is_closing;
};

/* --- the token --- */

static int read_token(struct admin *a, const char *path) {
    char text[SECRET_FILE_MAX + 1], why[SECRET_FILE_WHY];
    if (*path == '\0')
        return 0;
    (void)stat(path, &a->token_file);
    int result = secret_file_read(path, text, why);
    if (result < 0)
        fprintf(stderr, "--admin-token-file=%s: %s\n", path, why);
    else
        a->api.token = mem_strdup(text);
    return result;
}

/* A replaced file holds the new token; one that cannot be read leaves the old token in use. */
static void follow_token(struct admin *a) {
    const char *path = a->api.host.settings->admin_token_file;
    char text[SECRET_FILE_MAX + 1], why[SECRET_FILE_WHY];
    struct stat now = {0}, *was = &a->token_file;
    if (*path == '\0')
        return;
    (void)stat(path, &now);
    if (now.st_ino == was->st_ino && now.st_size == was->st_size &&
        now.st_mtim.tv_sec == was->st_mtim.tv_sec && now.st_mtim.tv_nsec == was->st_mtim.tv_nsec)
        return;
    a->token_file = now;
    if (secret_file_read(path, text, why) < 0) {
        log_error("admin", "kept_token file=%s reason=%s", LOG_TEXT(bytes_str(path)),
                  LOG_TEXT(bytes_str(why)));
        return;
    }
    free(a->api.token);
    a->api.token = mem_strdup(text);
    log_info("admin", "took_token file=%s", LOG_TEXT(bytes_str(path)));
}

/* --- connections --- */

static void free_if_over(struct admin *a) {
    if (!a->is_closing || a->conns.count > 0 || a->handles > 0)
        return;
    free(a->api.token);
    free(a);
}

static void on_empty(void *api) {
    free_if_over(container_of((struct admin_api *)api, struct admin, api));
}

static void on_connection(uv_stream_t *listener, int status) {
    struct admin *a = listener->data;
    if (status == 0)
        admin_conn_accept(&a->conns, listener);
}

static void on_check(uv_timer_t *timer) {
    struct admin *a = container_of(timer, struct admin, timer);
    follow_token(a);
    admin_conns_check(&a->conns, clock_ms());
}

/* --- life --- */

static void on_listener_closed(uv_handle_t *handle) {
    struct admin *a = handle->data;
    a->handles--;
    free_if_over(a);
}

static void on_timer_closed(uv_handle_t *handle) {
    struct admin *a = container_of((uv_timer_t *)handle, struct admin, timer);
    a->handles--;
    free_if_over(a);
}

void admin_close(struct admin *a) {
    if (a == NULL || a->is_closing)
        return;
    a->is_closing = true;
    admin_conns_abort(&a->conns);
    uv_close(&a->listener.handle, on_listener_closed);
    uv_close((uv_handle_t *)&a->timer, on_timer_closed);
}

/* A unix socket is for its owner and group; who may connect is a matter of its permissions. */
static int bind_pipe(struct admin *a, const char *path) {
    int result = admin_address_clear(path);
    if (result == 0)
        result = uv_pipe_bind(&a->listener.pipe, path);
    return result == 0 && chmod(path, 0660) != 0 ? -errno : result;
}

static int listen_at(struct admin *a, const struct admin_address *at) {
    a->handles++;
    MUST((at->path != NULL ? uv_pipe_init(a->api.host.loop, &a->listener.pipe, 0)
                           : uv_tcp_init(a->api.host.loop, &a->listener.tcp)) == 0);
    a->listener.handle.data = a;
    int result = at->path != NULL
                     ? bind_pipe(a, at->path)
                     : uv_tcp_bind(&a->listener.tcp, (const struct sockaddr *)&at->tcp, 0);
    return result == 0 ? uv_listen(&a->listener.stream, ADMIN_CONNS_MAX, on_connection) : result;
}

int admin_open(const struct admin_host *host, struct admin **admin_out) {
    struct admin_address at;
    const char *text = host->settings->admin;
    *admin_out = NULL;
    if (*text == '\0')
        return 0;
    int result = admin_address_read(text, &at);
    if (result < 0)
        return result;
    struct admin *a = mem_zalloc(sizeof(*a));
    a->api.host = *host;
    a->api.is_unix = at.path != NULL;
    a->conns = (struct admin_conns){
        .loop = host->loop,
        .max_body_bytes = BODY_EXTRA + (size_t)host->settings->max_message_bytes,
        .handle = admin_api_handle,
        .on_empty = on_empty,
        .ctx = &a->api,
    };
    result = read_token(a, host->settings->admin_token_file);
    if (result < 0) {
        free(a);
        return result;
    }
    a->handles++;
    MUST(uv_timer_init(host->loop, &a->timer) == 0);
    MUST(uv_timer_start(&a->timer, on_check, CHECK_MS, CHECK_MS) == 0);
    result = listen_at(a, &at);
    if (result < 0) {
        fprintf(stderr, "--admin=%s: %s\n", text, uv_strerror(result));
        admin_close(a);
        return result;
    }
    log_info("admin", "listens address=%s token=%s", text, a->api.token != NULL ? "yes" : "no");
    *admin_out = a;
    return 0;
}
