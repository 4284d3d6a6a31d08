/* ws_handshake.c - see ws_handshake.h. */
#include "gateway/codec/ws_handshake.h"

#include "common/base/buf.h"
#include "common/http/http_head.h"
#include "common/http/http_reply.h"

enum { KEY_LEN = 24 };

bool ws_handshake_is_request(const struct http_head *head) {
    return http_head_count(head, "Sec-WebSocket-Key") > 0 ||
           http_head_has_token(head, "Upgrade", "websocket");
}

static bool is_base64_char(char c) {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+' ||
           c == '/';
}

/* 16 bytes are 22 characters and "==". The four spare bits of the last character may be anything.
 */
static bool is_key(struct bytes key) {
    if (key.len != KEY_LEN || key.ptr[22] != '=' || key.ptr[23] != '=')
        return false;
    for (size_t i = 0; i < 22; i++)
        if (!is_base64_char(key.ptr[i]))
            return false;
    return true;
}

static int refuse(int status, const char *reason, const char **reason_out) {
    *reason_out = reason;
    return status;
}

int ws_handshake_check(const struct http_head *head, struct bytes *key_out,
                       const char **reason_out) {
    struct bytes key = http_head_find(head, "Sec-WebSocket-Key");
    size_t versions = http_head_count(head, "Sec-WebSocket-Version");
    *key_out = BYTES_NONE;
    if (!bytes_equal_str(head->method, "GET"))
        return refuse(405, "a WebSocket opens with GET", reason_out);
    if (http_head_count(head, "Sec-WebSocket-Key") == 0)
        return refuse(412, "Sec-WebSocket-Key is missing", reason_out);
    if (http_head_count(head, "Sec-WebSocket-Key") > 1 || !is_key(key))
        return refuse(400, "Sec-WebSocket-Key is not the base64 of 16 bytes", reason_out);
    if (head->minor_version < 1)
        return refuse(426, "a WebSocket needs HTTP/1.1", reason_out);
    if (!http_head_has_token(head, "Upgrade", "websocket"))
        return refuse(426, "Upgrade is not websocket", reason_out);
    if (!http_head_has_token(head, "Connection", "upgrade"))
        return refuse(426, "Connection does not say Upgrade", reason_out);
    if (versions != 1 || !bytes_equal_str(http_head_find(head, "Sec-WebSocket-Version"), "13"))
        return refuse(426, "Sec-WebSocket-Version is not 13", reason_out);
    *key_out = key;
    *reason_out = NULL;
    return 0;
}

bool ws_handshake_offers(const struct http_head *head, const char *subprotocol) {
    struct bytes field = BYTES_LIT("Sec-WebSocket-Protocol");
    for (size_t i = 0; i < head->header_count; i++) {
        if (!bytes_equal_nocase(head->headers[i].name, field))
            continue;
        struct bytes rest = head->headers[i].value;
        while (rest.ptr != NULL) {
            struct bytes offer = bytes_trim(bytes_split(&rest, ','));
            if (offer.len > 0 && bytes_equal_str(offer, subprotocol))
                return true;
        }
    }
    return false;
}

static bool append_unless_blank(struct buf *out, const char *name, struct bytes value) {
    return bytes_trim(value).len == 0 || http_reply_header(out, bytes_str(name), value);
}

static bool append_fields(struct buf *out, struct bytes accept,
                          const struct ws_reply_fields *fields) {
    char date[HTTP_DATE_SIZE];
    http_date(fields->now, date);
    return http_reply_header(out, BYTES_LIT("Sec-WebSocket-Accept"), accept) &&
           http_reply_header(out, BYTES_LIT("X-PODE-SIGNAL-CLIENT-ID"), fields->client_id) &&
           http_reply_header(out, BYTES_LIT("X-PODE-SIGNAL-NAME"), fields->name) &&
           append_unless_blank(out, "X-PODE-SIGNAL-GROUP", fields->group) &&
           http_reply_header(out, BYTES_LIT("Date"), bytes_str(date)) &&
           http_reply_header(out, BYTES_LIT("Server"), BYTES_LIT("Signalbox")) &&
           append_unless_blank(out, "Sec-WebSocket-Protocol", fields->subprotocol) &&
           append_unless_blank(out, "Sec-WebSocket-Extensions", fields->extensions);
}

bool ws_handshake_reply(struct buf *out, struct bytes accept,
                        const struct ws_reply_fields *fields) {
    size_t before = out->len;
    http_reply_begin(out, 1, 101);
    buf_append_str(out, "Upgrade: websocket\r\nConnection: Upgrade\r\n");
    if (!append_fields(out, accept, fields)) {
        out->len = before;
        return false;
    }
    buf_append(out, fields->extra);
    buf_append_str(out, "\r\n");
    return true;
}
