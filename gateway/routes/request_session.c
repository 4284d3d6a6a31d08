/* request_session.c - see request_session.h. */
#include "gateway/routes/request_session.h"

#include "common/bus/log/envelope.h"
#include "gateway/codec/ws_handshake.h"
#include "gateway/conn/endpoints.h"
#include "gateway/conn/request.h"

void request_session_encode(struct buf *out, const struct request *r, struct bytes data) {
    struct session_header headers[HTTP_HEAD_HEADERS_MAX];
    struct buf url = {0};
    bool is_ws = ws_handshake_is_request(&r->head);
    const char *protocol = is_ws ? (r->is_secure ? "wss" : "ws") : r->is_secure ? "https" : "http";
    for (size_t i = 0; i < r->head.header_count; i++)
        headers[i] = (struct session_header){r->head.headers[i].name, r->head.headers[i].value};
    buf_printf(&url, "%s://%.*s%.*s", protocol, BYTES_FMT(r->host), BYTES_FMT(r->head.path));
    if (r->head.query.ptr != NULL)
        buf_printf(&url, "?%.*s", BYTES_FMT(r->head.query));
    struct session session = {
        .path = bytes_str(r->path),
        .url = buf_bytes(&url),
        .protocol = bytes_str(protocol),
        .address = r->host,
        .endpoint = bytes_str(r->endpoint->name),
        .remote_address = bytes_str(r->remote_address),
        .headers = headers,
        .header_count = r->head.header_count,
        .data = data,
    };
    session_encode(out, &session);
    buf_deinit(&url);
}
