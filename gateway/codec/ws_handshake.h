/*
 * ws_handshake.h - the opening handshake of a WebSocket (RFC 6455, section 4.2): is this one, is it
 * right, the 101.
 *
 * The accept key needs SHA-1, which this room does not have: the caller computes it from *key_out.
 */
#ifndef SIGNALBOX_CODEC_WS_HANDSHAKE_H
#define SIGNALBOX_CODEC_WS_HANDSHAKE_H

#include <time.h>

#include "common/base/bytes.h"

struct buf;
struct http_head;

/* Does the client mean a WebSocket? A Sec-WebSocket-Key, or "Upgrade: websocket". */
bool ws_handshake_is_request(const struct http_head *head);

/*
 * 0 when right, with *key_out the key's 24 characters; else the HTTP status to refuse with, and
 * *reason_out one line: 405 the method is not GET 412 no Sec-WebSocket-Key 400 the key is not the
 * base64 of 16 bytes, or there are two 426 HTTP/1.0, no "Upgrade: websocket", no "Connection:
 * Upgrade" or not version 13; the reply then carries "Sec-WebSocket-Version: 13" tested in this
 * order.
 */
int ws_handshake_check(const struct http_head *head, struct bytes *key_out,
                       const char **reason_out);

/* Did the client offer this subprotocol? Case matters (RFC 6455, 4.1). */
bool ws_handshake_offers(const struct http_head *head, const char *subprotocol);

struct ws_reply_fields {
    struct bytes client_id;
    struct bytes name;
    struct bytes group; /* its line is left out when empty or blank */
    time_t now;
    struct bytes subprotocol; /* these two are left out when empty */
    struct bytes extensions;
    struct bytes
        extra; /* further complete lines, each with its CRLF, as http_reply_header writes them */
};

/*
 * Appends the whole 101 reply. False, with nothing appended, when a value (not `extra`, which is
 * taken as it stands) holds a control byte.
 */
bool ws_handshake_reply(struct buf *out, struct bytes accept, const struct ws_reply_fields *fields);

#endif
