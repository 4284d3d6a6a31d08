/*
 * ws_handshake.h - the opening handshake of a WebSocket (RFC 6455, section 4.2): whether a request
 * is one, whether it is right, and the 101.
 *
 * The accept key needs SHA-1, which this floor does not have: the caller computes it from *key_out.
 */
#ifndef SIGNALBOX_CODEC_WS_HANDSHAKE_H
#define SIGNALBOX_CODEC_WS_HANDSHAKE_H

#include <time.h>

#include "common/base/bytes.h"

struct buf;
struct http_head;

/* Whether the client asks for a WebSocket: a Sec-WebSocket-Key, or "Upgrade: websocket". */
bool ws_handshake_is_request(const struct http_head *head);

/*
 * Returns 0 when the handshake is right, with the key's 24 characters in *key_out; else the HTTP
 * status to refuse it with, and one line in *reason_out. Tested in this order:
 *
 *   405  the method is not GET
 *   412  there is no Sec-WebSocket-Key
 *   400  the key is not the base64 of 16 bytes, or there are two
 *   426  HTTP/1.0, no "Upgrade: websocket", no "Connection: Upgrade", or not version 13; the reply
 *        then carries "Sec-WebSocket-Version: 13"
 */
int ws_handshake_check(const struct http_head *head, struct bytes *key_out,
                       const char **reason_out);

/* Whether the client offers this subprotocol. Case matters (RFC 6455, 4.1). */
bool ws_handshake_offers(const struct http_head *head, const char *subprotocol);

/*
 * What is agreed on about compression (permessage-deflate, RFC 7692, 7.1): the first offer that can
 * be kept. An unknown parameter, one that is given twice, or a value that may not be there declines
 * its offer; what is no list of extensions ends its header line.
 */
struct ws_deflate {
    int window_bits; /* of what the server sends: 9 to 15 (deflate.h); 0: nothing was agreed on */
    /* For Sec-WebSocket-Extensions; empty: no line. Both sides renounce context takeover, whether
     * the client asked for it or not. A limit of the client's own window is echoed, since some
     * clients insist on it; our own limit is what was asked for. */
    char answer[160];
};
struct ws_deflate ws_handshake_deflate(const struct http_head *head);

struct ws_reply_fields {
    struct bytes client_id; /* empty: no line; likewise name */
    struct bytes name;
    struct bytes group; /* empty or blank: no line */
    time_t now;
    struct bytes subprotocol; /* empty: no line; likewise extensions */
    struct bytes extensions;
    struct bytes extra; /* further lines, each with its CRLF, as http_reply_header writes them */
};

/* Appends the whole 101. Returns false, with nothing appended, when a value holds a control byte;
 * `extra` is not checked. */
bool ws_handshake_reply(struct buf *out, struct bytes accept, const struct ws_reply_fields *fields);

#endif
