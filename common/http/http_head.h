/*
 * http_head.h - a strict parser of request heads (RFC 9112), and the questions asked of a parsed
 * head.
 *
 * It keeps no state and allocates nothing: call it with all bytes received so far, again when more
 * arrived. The result is slices into those bytes, so a head lives no longer than its input. What
 * differing parsers could read differently is refused, not repaired. A body has a Content-Length or
 * is chunked (http_chunked.h), never both; any other Transfer-Encoding is refused.
 *
 *     GET /chat?room=1 HTTP/1.1 CRLF        method, target = path ? query
 *     Host: example.org         CRLF        headers[0]
 *     CRLF                                  length counts up to and with this line
 */
#ifndef SIGNALBOX_HTTP_HTTP_HEAD_H
#define SIGNALBOX_HTTP_HTTP_HEAD_H

#include "common/base/bytes.h"
#include "common/base/parse.h"

struct buf;

enum { HTTP_HEAD_HEADERS_MAX = 100, HTTP_HEAD_PARAMETERS_MAX = 1000 };

struct http_header {
    struct bytes name;
    struct bytes value; /* without the blanks around it */
};

struct http_head {
    struct bytes method;
    struct bytes target; /* as received: origin-form, or absolute-form of http and https */
    /* Starts with '/', still percent-encoded; points to a constant for "http://host". */
    struct bytes path;
    struct bytes query; /* after the '?'; BYTES_NONE when there is none */
    /* The target's authority, or else the Host field; BYTES_NONE on HTTP/1.0 without either. */
    struct bytes host;
    int minor_version; /* 0 or 1 */
    struct http_header headers[HTTP_HEAD_HEADERS_MAX];
    size_t header_count;
    size_t length; /* of the whole head; the body starts here */
    uint64_t content_length;
    bool has_content_length;
    bool is_chunked; /* Transfer-Encoding: chunked */
    bool wants_keep_alive;
    bool expects_continue; /* Expect: 100-continue, on HTTP/1.1 only (RFC 9110, 10.1.1) */
};

/*
 * Reads the head at the front of `in`, which may hold more after it. One empty line before it is
 * skipped (RFC 9112, 2.2).
 *
 *     PARSE_OK    *head_out is set
 *     PARSE_MORE  no wrong byte so far, and fewer than max_bytes of them
 *     PARSE_BAD   *status_out is the HTTP status to answer with, *reason_out one line of constant
 *                 text: 400 malformed, 414 a request line over max_bytes or a query with more
 *                 parameters than HTTP_HEAD_PARAMETERS_MAX, 431 fields over max_bytes or
 *                 HTTP_HEAD_HEADERS_MAX, 501 a Transfer-Encoding other than chunked, 505 neither
 *                 HTTP/1.0 nor 1.1
 *
 * Complete lines are judged when they arrive, and control bytes even within an incomplete line.
 * After PARSE_MORE and PARSE_BAD the content of *head_out means nothing. A method is any token;
 * which methods are allowed is for the caller to decide.
 */
enum parse http_head_parse(struct bytes in, size_t max_bytes, struct http_head *head_out,
                           int *status_out, const char **reason_out);

/* The first value of that field name (without regard to case), BYTES_NONE when absent. */
struct bytes http_head_find(const struct http_head *head, const char *name);
size_t http_head_count(const struct http_head *head, const char *name);
/* Is `token` a member of the comma-separated lists of all fields of that name? Without regard to
 * case. */
bool http_head_has_token(const struct http_head *head, const char *name, const char *token);

/* A token (RFC 9110, 5.6.2): what methods and field names are made of. Not empty. */
bool http_is_token(struct bytes text);
/* Free of control bytes other than HTAB, so that the value cannot end its line. Bytes over 0x7F
 * pass. */
bool http_is_field_value(struct bytes text);

#endif
