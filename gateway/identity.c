/* identity.c - see identity.h. */
#include "gateway/identity.h"

#include <string.h>

#include "common/bus/envelope.h"
#include "gateway/endpoints.h"
#include "gateway/request.h"

enum { SESSION_HEADERS_MAX = 64, SESSION_BYTES_MAX = 8192 };

static struct bytes copy_to(char **at, struct bytes from) {
    struct bytes copy = bytes_of(*at, from.len);
    if (from.len > 0)
        memcpy(*at, from.ptr, from.len);
    *at += from.len;
    return copy;
}

struct identity *identity_new(const struct identity *from) {
    size_t len = from->name.len + from->group.len + from->client_id.len + from->value.len +
                 from->session.len;
    struct identity *who = mem_alloc(sizeof(*who) + len);
    char *at = (char *)(who + 1);
    *who = *from;
    who->name = copy_to(&at, from->name);
    who->group = copy_to(&at, from->group);
    who->client_id = copy_to(&at, from->client_id);
    who->value = copy_to(&at, from->value);
    who->session = copy_to(&at, from->session);
    return who;
}

static bool is_of_the_handshake(struct bytes name) {
    return bytes_equal_nocase(bytes_head(name, 14), BYTES_LIT("Sec-WebSocket-")) ||
           bytes_equal_nocase(name, BYTES_LIT("Upgrade")) ||
           bytes_equal_nocase(name, BYTES_LIT("Connection"));
}

/* It travels with every message of the connection, so it has a bound. */
static size_t copy_headers(struct session_header *out, const struct http_head *head) {
    size_t count = 0, bytes = 0;
    for (size_t i = 0; i < head->header_count && count < SESSION_HEADERS_MAX; i++) {
        const struct http_header *h = &head->headers[i];
        if (is_of_the_handshake(h->name))
            continue;
        bytes += h->name.len + h->value.len;
        if (bytes > SESSION_BYTES_MAX)
            break;
        out[count++] = (struct session_header){.name = h->name, .value = h->value};
    }
    return count;
}

void identity_session(struct buf *out, const struct request *r) {
    struct session_header headers[SESSION_HEADERS_MAX];
    struct buf url = {0};
    const char *protocol = r->endpoint->is_tls ? "wss" : "ws";
    struct bytes target = r->head.target;
    if (target.len > 0 && target.ptr[0] != '/')
        target = r->head.path;
    buf_printf(&url, "%s://%.*s%.*s", protocol, BYTES_FMT(r->head.host),
               BYTES_FMT(bytes_head(target, SESSION_BYTES_MAX)));
    struct session session = {
        .path = bytes_str(r->path),
        .url = buf_bytes(&url),
        .protocol = bytes_str(protocol),
        .address = r->head.host,
        .endpoint = bytes_str(r->endpoint->name),
        .remote_address = bytes_str(r->remote_address),
        .headers = headers,
        .header_count = copy_headers(headers, &r->head),
    };
    session_encode(out, &session);
    buf_deinit(&url);
}
