/* up_listen.c - see up_listen.h. */
#include "tools/up_listen.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "common/app/registrations/registrations.h"
#include "common/base/buf.h"
#include "common/http/http_authority.h"
#include "common/net/port.h"

enum { PORT_MAX = 65535 };

void up_listen_of_endpoint(const struct endpoint *e, int up_by, struct buf *out) {
    endpoint_append_url(out, e, up_by);
    buf_append_char(out, '\0');
}

/* "scheme://" | host | ":port" | the rest */
struct parts {
    struct bytes scheme, host, rest;
    uint64_t port;
};

static int split(const char *url, struct parts *p) {
    const char *slashes = strstr(url, "://");
    if (slashes == NULL)
        return -1;
    p->scheme = bytes_of(url, (size_t)(slashes - url));
    struct bytes authority = bytes_of(slashes + 3, strcspn(slashes + 3, "/?"));
    p->rest = bytes_str(slashes + 3 + authority.len);
    struct http_authority at = http_authority_split(authority);
    bool is_tls = bytes_starts_with(p->scheme, BYTES_LIT("https")) ||
                  bytes_starts_with(p->scheme, BYTES_LIT("wss"));
    p->host = at.host;
    p->port = (uint64_t)http_default_port(is_tls);
    bool is_port = at.port.ptr == NULL || (bytes_to_u64(at.port, &p->port) && p->port <= PORT_MAX);
    return is_port && p->host.len > 0 ? 0 : -1;
}

int up_listen_shift(const char *url, int up_by, struct buf *out) {
    struct parts p;
    if (split(url, &p) != 0 || p.port + (uint64_t)up_by > PORT_MAX)
        return -1;
    buf_printf(out, "%.*s://%.*s:%u%.*s", BYTES_FMT(p.scheme), BYTES_FMT(p.host),
               (unsigned)p.port + (unsigned)up_by, BYTES_FMT(p.rest));
    buf_append_char(out, '\0');
    return 0;
}

static bool is_anywhere(struct bytes host) {
    static const char *const names[] = {"*", "0.0.0.0", "[::]", "127.0.0.1", "[::1]"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (bytes_equal_str(host, names[i]))
            return true;
    return false;
}

void up_listen_show(const char *url, struct buf *out) {
    struct parts p;
    if (split(url, &p) != 0) {
        buf_append_str(out, url);
    } else {
        struct bytes schemes = p.scheme, first = bytes_split(&schemes, '+');
        struct bytes host = is_anywhere(p.host) ? BYTES_LIT("localhost") : p.host;
        buf_printf(out, "%.*s://%.*s:%u/", BYTES_FMT(first), BYTES_FMT(host), (unsigned)p.port);
    }
    buf_append_char(out, '\0');
}

static bool may_share_all(const struct addrinfo *found, bool is_any, const char *fleet,
                          char why_out[PORT_WHY_MAX]) {
    for (; found != NULL; found = found->ai_next) {
        struct port_place place = {.is_any = is_any};
        memcpy(&place.address, found->ai_addr, found->ai_addrlen);
        if (port_check(&place, fleet, why_out) == -EPERM)
            return false;
    }
    return true;
}

bool up_listen_may_share(const char *url, const char *fleet, char why_out[PORT_WHY_MAX]) {
    struct parts p;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE}, *found = NULL;
    char port[16];
    if (split(url, &p) != 0)
        return true;
    if (p.host.len > 2 && p.host.ptr[0] == '[')
        p.host = bytes_of(p.host.ptr + 1, p.host.len - 2);
    bool is_any = bytes_equal_str(p.host, "*");
    char *host = is_any ? NULL : bytes_dup(p.host);
    hints.ai_family = is_any ? AF_INET6 : AF_UNSPEC;
    snprintf(port, sizeof(port), "%u", (unsigned)p.port);
    bool may_share = getaddrinfo(host, port, &hints, &found) != 0 ||
                     may_share_all(found, is_any, fleet, why_out);
    if (found != NULL)
        freeaddrinfo(found);
    free(host);
    return may_share;
}
