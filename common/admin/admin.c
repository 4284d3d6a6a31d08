/*
 * admin.c - see admin.h: the listener, its token and its connections. A connection is
 * admin_conn.c, what it may ask for admin_api.c.
 */
#include "common/admin/admin.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/admin/admin_api.h"
#include "common/admin/admin_conn.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/secret_file.h"
#include "common/http/http_authority.h"
#include "common/base/settings.h"

enum { CHECK_MS = 1000, BODY_EXTRA = 1024 * 1024 };

struct admin {
    struct admin_api api;
    struct stat token_file; /* as it was when the token was read */
    uv_tcp_t listener;
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

/* --- the address --- */

static int wrong_address(const char *text, const char *why) {
    fprintf(stderr, "--admin=%s: %s\n", text, why);
    return -EINVAL;
}

/* "9090", or "9090+10" for 9100: a unit file knows the number of its instance but cannot add. */
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

/* "127.0.0.1:9090", "[::1]:9090", "localhost:9090", "*:9090", "127.0.0.1:9090+10". */
static int read_address(const char *text, struct sockaddr_storage *out) {
    struct http_authority at = http_authority_split(bytes_str(text));
    struct bytes host = http_authority_address(at.host);
    uint64_t port;
    if (!read_port(at.port, &port))
        return wrong_address(text, "must be ADDRESS:PORT, as in 127.0.0.1:9090, or ADDRESS:PORT+N; "
                                   "ports are 1 to 65535");
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
    struct admin *a = container_of((uv_tcp_t *)listener, struct admin, listener);
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
    struct admin *a = container_of((uv_tcp_t *)handle, struct admin, listener);
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
    uv_close((uv_handle_t *)&a->listener, on_listener_closed);
    uv_close((uv_handle_t *)&a->timer, on_timer_closed);
}

int admin_open(const struct admin_host *host, struct admin **admin_out) {
    struct sockaddr_storage address;
    const char *text = host->settings->admin;
    *admin_out = NULL;
    if (*text == '\0')
        return 0;
    int result = read_address(text, &address);
    if (result < 0)
        return result;
    struct admin *a = mem_zalloc(sizeof(*a));
    a->api.host = *host;
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
    a->handles = 2;
    MUST(uv_tcp_init(host->loop, &a->listener) == 0);
    MUST(uv_timer_init(host->loop, &a->timer) == 0);
    MUST(uv_timer_start(&a->timer, on_check, CHECK_MS, CHECK_MS) == 0);
    result = uv_tcp_bind(&a->listener, (const struct sockaddr *)&address, 0);
    if (result == 0)
        result = uv_listen((uv_stream_t *)&a->listener, ADMIN_CONNS_MAX, on_connection);
    if (result < 0) {
        fprintf(stderr, "--admin=%s: %s\n", text, uv_strerror(result));
        admin_close(a);
        return result;
    }
    log_info("admin", "listens address=%s token=%s", text, a->api.token != NULL ? "yes" : "no");
    *admin_out = a;
    return 0;
}
