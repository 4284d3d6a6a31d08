/* ws_handshake.c - see ws_handshake.h. */
#include "gateway/codec/ws_handshake.h"

#include <stdio.h>

#include "common/base/buf.h"
#include "common/http/http_head.h"
#include "common/http/http_reply.h"
#include "gateway/codec/deflate.h"

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

/* ---- permessage-deflate */

enum { WINDOW_BITS_MIN = 8, WINDOW_BITS_MAX = 15 };

/* An offer of it; bits: 0 when they were not given. */
struct offer {
    bool is_declined;
    bool server_resets, client_resets; /* …_no_context_takeover */
    bool limits_client;                /* client_max_window_bits, with or without a value */
    int server_bits, client_bits;
};

/* Takes c, when that is what comes next, and the blanks around it. */
static bool take_char(struct bytes *rest, char c) {
    struct bytes trimmed = bytes_trim(*rest);
    if (trimmed.len == 0 || trimmed.ptr[0] != c)
        return false;
    *rest = bytes_trim(bytes_from(trimmed, 1));
    return true;
}

/* Likewise; empty when none comes next. */
static struct bytes take_token(struct bytes *rest) {
    size_t len = 0;
    *rest = bytes_trim(*rest);
    while (len < rest->len && http_is_token(bytes_of(rest->ptr + len, 1)))
        len++;
    struct bytes token = bytes_head(*rest, len);
    *rest = bytes_trim(bytes_from(*rest, len));
    return token;
}

/* What is in quotes is a token, too (RFC 6455, 9.1). False when it is none, or does not end. */
static bool take_quoted(struct bytes *rest, struct buf *out) {
    while (rest->len > 0 && rest->ptr[0] != '"') {
        if (rest->ptr[0] == '\\')
            *rest = bytes_from(*rest, 1);
        if (rest->len == 0)
            return false;
        buf_append_char(out, rest->ptr[0]);
        *rest = bytes_from(*rest, 1);
    }
    return take_char(rest, '"') && http_is_token(buf_bytes(out));
}

static bool take_value(struct bytes *rest, struct buf *out) {
    if (rest->len > 0 && rest->ptr[0] == '"') {
        *rest = bytes_from(*rest, 1);
        return take_quoted(rest, out);
    }
    struct bytes token = take_token(rest);
    buf_append(out, token);
    return token.len > 0;
}

/* Without leading zeros; 0 when it is none from 8 to 15. */
static int window_bits(struct bytes value) {
    uint64_t bits;
    bool is_number = value.len > 0 && value.ptr[0] != '0' && bytes_to_u64(value, &bits);
    return is_number && bits >= WINDOW_BITS_MIN && bits <= WINDOW_BITS_MAX ? (int)bits : 0;
}

/* value: NULL when there is none. False when the parameter declines the offer. */
static bool read_flag(bool *flag, const struct bytes *value) {
    bool is_new = !*flag;
    *flag = true;
    return is_new && value == NULL;
}

static bool read_parameter(struct offer *o, struct bytes name, const struct bytes *value) {
    if (bytes_equal_str(name, "server_no_context_takeover"))
        return read_flag(&o->server_resets, value);
    if (bytes_equal_str(name, "client_no_context_takeover"))
        return read_flag(&o->client_resets, value);
    int bits = value != NULL ? window_bits(*value) : 0;
    if (bytes_equal_str(name, "server_max_window_bits")) {
        bool is_new = o->server_bits == 0;
        o->server_bits = bits;
        return is_new && bits > 0;
    }
    if (!bytes_equal_str(name, "client_max_window_bits"))
        return false;
    bool is_new = !o->limits_client;
    o->limits_client = true;
    o->client_bits = bits;
    return is_new && (value == NULL || bits > 0);
}

/* An extension with its parameters. False when it is none. */
static bool take_extension(struct bytes *rest, struct offer *offer_out) {
    struct bytes name = take_token(rest);
    *offer_out = (struct offer){.is_declined = !bytes_equal_str(name, "permessage-deflate")};
    bool is_right = name.len > 0;
    while (is_right && take_char(rest, ';')) {
        struct buf text = {0};
        struct bytes parameter = take_token(rest), value;
        bool has_value = take_char(rest, '=');
        is_right = parameter.len > 0 && (!has_value || take_value(rest, &text));
        value = buf_bytes(&text);
        if (is_right && !read_parameter(offer_out, parameter, has_value ? &value : NULL))
            offer_out->is_declined = true;
        buf_deinit(&text);
    }
    return is_right && (rest->len == 0 || rest->ptr[0] == ',');
}

/* Whether the list has an offer that can be kept. */
static bool find_offer(struct bytes list, struct offer *offer_out) {
    struct bytes rest = bytes_trim(list);
    while (rest.len > 0) {
        if (take_char(&rest, ','))
            continue; /* an element may be empty (RFC 9110, 5.6.1.2) */
        if (!take_extension(&rest, offer_out))
            return false;
        if (!offer_out->is_declined)
            return true;
    }
    return false;
}

static struct ws_deflate accept_offer(const struct offer *o) {
    struct ws_deflate agreed = {.window_bits = DEFLATE_WINDOW_MAX};
    char server[40] = "", client[40] = "";
    if (o->server_bits > 0) {
        /* zlib has no window of 8, but what it makes with 9 never looks back further than 8 can. */
        agreed.window_bits =
            o->server_bits < DEFLATE_WINDOW_MIN ? DEFLATE_WINDOW_MIN : o->server_bits;
        snprintf(server, sizeof(server), "; server_max_window_bits=%d", o->server_bits);
    }
    if (o->client_bits > 0)
        snprintf(client, sizeof(client), "; client_max_window_bits=%d", o->client_bits);
    snprintf(agreed.answer, sizeof(agreed.answer),
             "permessage-deflate; server_no_context_takeover; client_no_context_takeover%s%s",
             server, client);
    return agreed;
}

struct ws_deflate ws_handshake_deflate(const struct http_head *head) {
    struct bytes field = BYTES_LIT("Sec-WebSocket-Extensions");
    struct offer offer;
    for (size_t i = 0; i < head->header_count; i++)
        if (bytes_equal_nocase(head->headers[i].name, field) &&
            find_offer(head->headers[i].value, &offer))
            return accept_offer(&offer);
    return (struct ws_deflate){0};
}

/* ---- the 101 */

static bool append_unless_blank(struct buf *out, const char *name, struct bytes value) {
    return bytes_trim(value).len == 0 || http_reply_header(out, bytes_str(name), value);
}

static bool append_unless_empty(struct buf *out, const char *name, struct bytes value) {
    return value.len == 0 || http_reply_header(out, bytes_str(name), value);
}

static bool append_fields(struct buf *out, struct bytes accept,
                          const struct ws_reply_fields *fields) {
    char date[HTTP_DATE_SIZE];
    http_date(fields->now, date);
    return http_reply_header(out, BYTES_LIT("Sec-WebSocket-Accept"), accept) &&
           append_unless_empty(out, "X-PODE-SIGNAL-CLIENT-ID", fields->client_id) &&
           append_unless_empty(out, "X-PODE-SIGNAL-NAME", fields->name) &&
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
