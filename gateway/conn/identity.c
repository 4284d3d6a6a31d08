/* identity.c - see identity.h. */
#include "gateway/conn/identity.h"

#include <string.h>

#include "common/bus/log/envelope.h"
#include "gateway/endpoints.h"
#include "gateway/conn/request.h"

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

/* All of them: the bound is that of the request's head. */
static size_t list_headers(struct session_header *out, const struct http_head *head) {
    for (size_t i = 0; i < head->header_count; i++)
        out[i] = (struct session_header){head->headers[i].name, head->headers[i].value};
    return head->header_count;
}

void identity_session(struct buf *out, const struct request *r) {
    struct session_header headers[HTTP_HEAD_HEADERS_MAX];
    struct buf url = {0};
    const char *protocol = r->endpoint->is_tls ? "wss" : "ws";
    buf_printf(&url, "%s://%.*s%.*s", protocol, BYTES_FMT(r->head.host), BYTES_FMT(r->head.path));
    if (r->head.query.ptr != NULL)
        buf_printf(&url, "?%.*s", BYTES_FMT(r->head.query));
    struct session session = {
        .path = bytes_str(r->path),
        .url = buf_bytes(&url),
        .protocol = bytes_str(protocol),
        .address = r->head.host,
        .endpoint = bytes_str(r->endpoint->name),
        .remote_address = bytes_str(r->remote_address),
        .headers = headers,
        .header_count = list_headers(headers, &r->head),
    };
    session_encode(out, &session);
    buf_deinit(&url);
}
