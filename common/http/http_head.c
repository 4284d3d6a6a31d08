/*
 * http_head.c - see http_head.h. Read http_head_parse first: it takes line after line off the
 * input, and each line is judged when it is whole.
 */
#include "common/http/http_head.h"

#include <string.h>

#include "common/base/buf.h"
#include "common/base/percent.h"

struct scan {
    struct bytes rest;
    struct http_head *head;
    bool has_request_line;
    bool has_host_field;
    int status;
    const char *reason;
};

static enum parse refuse(struct scan *s, int status, const char *reason) {
    s->status = status;
    s->reason = reason;
    return PARSE_BAD;
}

static bool is_alnum(unsigned char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

static bool is_control(unsigned char c) {
    return (c < ' ' && c != '\t') || c == 0x7F;
}

static bool is_one_of(unsigned char c, const char *set) {
    return c != '\0' && strchr(set, c) != NULL;
}

bool http_is_token(struct bytes text) {
    for (size_t i = 0; i < text.len; i++)
        if (!is_alnum((unsigned char)text.ptr[i]) &&
            !is_one_of((unsigned char)text.ptr[i], "-_!#$%&'*+.^`|~"))
            return false;
    return text.len > 0;
}

bool http_is_field_value(struct bytes text) {
    for (size_t i = 0; i < text.len; i++)
        if (is_control((unsigned char)text.ptr[i]))
            return false;
    return true;
}

/* Takes one line and its CRLF off the front. */
static enum parse take_line(struct scan *s, struct bytes *line_out) {
    const char *p = s->rest.ptr;
    for (size_t i = 0; i < s->rest.len; i++) {
        if (!is_control((unsigned char)p[i]))
            continue;
        if (p[i] != '\r')
            return refuse(s, 400,
                          p[i] == '\n' ? "line ends without CR" : "control byte in the head");
        if (i + 1 == s->rest.len)
            return PARSE_MORE;
        if (p[i + 1] != '\n')
            return refuse(s, 400, "CR without LF");
        *line_out = bytes_head(s->rest, i);
        s->rest = bytes_from(s->rest, i + 2);
        return PARSE_OK;
    }
    return PARSE_MORE;
}

static bool is_port(struct bytes text) {
    uint64_t port;
    return text.len == 0 || (text.len <= 5 && bytes_to_u64(text, &port) && port <= UINT16_MAX);
}

/* The length of the IPv6 address in brackets at the front, or 0. */
static size_t ip_literal_length(struct bytes text) {
    size_t i = 1;
    while (i < text.len &&
           (bytes_hex_value(text.ptr[i]) >= 0 || text.ptr[i] == ':' || text.ptr[i] == '.'))
        i++;
    return i > 2 && i < text.len && text.ptr[i] == ']' ? i + 1 : 0;
}

static bool is_host_char(char c) {
    return is_alnum((unsigned char)c) || is_one_of((unsigned char)c, "-._~!$&'()*+,;=");
}

/* uri-host [ ":" port ] (RFC 9110, 7.2): a name, an IPv4 address, or an IPv6 address in brackets.
 * May be empty. */
static bool is_host(struct bytes text) {
    size_t n = 0;
    if (text.len > 0 && text.ptr[0] == '[')
        n = ip_literal_length(text);
    else
        while (n < text.len &&
               (is_host_char(text.ptr[n]) || percent_escape_value(bytes_from(text, n)) >= 0))
            n += text.ptr[n] == '%' ? 3 : 1;
    return n == text.len || (n > 0 && text.ptr[n] == ':' && is_port(bytes_from(text, n + 1)));
}

static enum parse read_version(struct scan *s, struct bytes version) {
    const char *p = version.ptr;
    if (version.len != 8 || !bytes_starts_with(version, BYTES_LIT("HTTP/")) || p[5] < '0' ||
        p[5] > '9' || p[6] != '.' || p[7] < '0' || p[7] > '9')
        return refuse(s, 400, "malformed request line");
    if (p[5] != '1' || p[7] > '1')
        return refuse(s, 505, "not HTTP/1.0 or HTTP/1.1");
    s->head->minor_version = p[7] - '0';
    return PARSE_OK;
}

/* The length of "http://" or "https://" at the front, or 0. */
static size_t scheme_length(struct bytes target) {
    struct bytes http = BYTES_LIT("http://"), https = BYTES_LIT("https://");
    if (bytes_equal_nocase(bytes_head(target, http.len), http))
        return http.len;
    return bytes_equal_nocase(bytes_head(target, https.len), https) ? https.len : 0;
}

/* Absolute-form (RFC 9112, 3.2.2): the authority is the host; returns what follows it. */
static struct bytes take_authority(struct http_head *head, struct bytes rest) {
    size_t n = 0;
    while (n < rest.len && rest.ptr[n] != '/' && rest.ptr[n] != '?')
        n++;
    head->host = bytes_head(rest, n);
    return bytes_from(rest, n);
}

static bool has_too_many_parameters(struct bytes query) {
    size_t count = 0;
    for (; query.ptr != NULL && count <= HTTP_HEAD_PARAMETERS_MAX; count++)
        (void)bytes_split(&query, '&');
    return count > HTTP_HEAD_PARAMETERS_MAX;
}

static enum parse read_target(struct scan *s, struct bytes target) {
    struct http_head *head = s->head;
    struct bytes rest = target;
    size_t scheme = scheme_length(target);
    for (size_t i = 0; i < target.len; i++)
        if (target.ptr[i] <= ' ' || target.ptr[i] > '~' || target.ptr[i] == '#')
            return refuse(s, 400, "byte not allowed in the request target");
    head->target = target;
    head->host = BYTES_NONE;
    if (scheme > 0) {
        rest = take_authority(head, bytes_from(target, scheme));
        if (bytes_is_empty(head->host) || !is_host(head->host))
            return refuse(s, 400, "malformed authority in the request target");
    } else if (target.len == 0 || target.ptr[0] != '/') {
        return refuse(s, 400, "request target is not a path");
    }
    ptrdiff_t mark = bytes_find(rest, '?');
    head->path = mark < 0 ? rest : bytes_head(rest, (size_t)mark);
    head->query = mark < 0 ? BYTES_NONE : bytes_from(rest, (size_t)mark + 1);
    if (bytes_is_empty(head->path))
        head->path = BYTES_LIT("/");
    if (has_too_many_parameters(head->query))
        return refuse(s, 414, "too many query parameters");
    return PARSE_OK;
}

static enum parse read_request_line(struct scan *s, struct bytes line) {
    struct bytes rest = line;
    struct bytes method = bytes_split(&rest, ' ');
    struct bytes target = bytes_split(&rest, ' ');
    s->has_request_line = true;
    if (!http_is_token(method) || rest.ptr == NULL)
        return refuse(s, 400, "malformed request line");
    s->head->method = method;
    enum parse version = read_version(s, rest);
    return version == PARSE_OK ? read_target(s, target) : version;
}

/* What proxies read differently is refused (RFC 9112, 6.1). */
static enum parse note_transfer_encoding(struct scan *s, struct bytes value) {
    if (s->head->has_content_length)
        return refuse(s, 400, "Transfer-Encoding and Content-Length");
    if (s->head->is_chunked)
        return refuse(s, 400, "more than one Transfer-Encoding");
    if (s->head->minor_version == 0)
        return refuse(s, 400, "Transfer-Encoding in HTTP/1.0");
    if (!bytes_equal_nocase(value, BYTES_LIT("chunked")))
        return refuse(s, 501, "no other Transfer-Encoding than chunked is supported");
    s->head->is_chunked = true;
    return PARSE_OK;
}

/* The fields that decide how the message is framed and whom it is for. */
static enum parse note_field(struct scan *s, struct http_header field) {
    struct http_head *head = s->head;
    if (bytes_equal_nocase(field.name, BYTES_LIT("Transfer-Encoding")))
        return note_transfer_encoding(s, field.value);
    if (bytes_equal_nocase(field.name, BYTES_LIT("Content-Length"))) {
        if (head->is_chunked)
            return refuse(s, 400, "Transfer-Encoding and Content-Length");
        if (head->has_content_length)
            return refuse(s, 400, "more than one Content-Length");
        if (!bytes_to_u64(field.value, &head->content_length))
            return refuse(s, 400, "malformed Content-Length");
        head->has_content_length = true;
    }
    if (bytes_equal_nocase(field.name, BYTES_LIT("Host"))) {
        if (s->has_host_field)
            return refuse(s, 400, "more than one Host");
        if (!is_host(field.value))
            return refuse(s, 400, "malformed Host");
        s->has_host_field = true;
        if (head->host.ptr == NULL)
            head->host = field.value;
    }
    return PARSE_OK;
}

static enum parse read_field(struct scan *s, struct bytes line) {
    struct bytes rest = line;
    struct http_header field = {.name = bytes_split(&rest, ':')};
    if (line.ptr[0] == ' ' || line.ptr[0] == '\t')
        return refuse(s, 400, "folded field line");
    if (rest.ptr == NULL)
        return refuse(s, 400, "field line without a colon");
    if (!http_is_token(field.name))
        return refuse(s, 400, "malformed field name");
    if (s->head->header_count == HTTP_HEAD_HEADERS_MAX)
        return refuse(s, 431, "too many fields");
    field.value = bytes_trim(rest);
    s->head->headers[s->head->header_count++] = field;
    return note_field(s, field);
}

static enum parse finish(struct scan *s) {
    struct http_head *head = s->head;
    if (head->minor_version == 1 && !s->has_host_field)
        return refuse(s, 400, "Host is missing");
    head->wants_keep_alive =
        !http_head_has_token(head, "Connection", "close") &&
        (head->minor_version == 1 || http_head_has_token(head, "Connection", "keep-alive"));
    head->expects_continue =
        head->minor_version == 1 && http_head_has_token(head, "Expect", "100-continue");
    return PARSE_OK;
}

static enum parse read_lines(struct scan *s) {
    struct bytes line;
    enum parse result = take_line(s, &line);
    if (result == PARSE_OK && bytes_is_empty(line))
        result = take_line(s, &line);
    if (result == PARSE_OK)
        result = read_request_line(s, line);
    while (result == PARSE_OK) {
        result = take_line(s, &line);
        if (result == PARSE_OK && bytes_is_empty(line))
            return finish(s);
        if (result == PARSE_OK)
            result = read_field(s, line);
    }
    return result;
}

enum parse http_head_parse(struct bytes in, size_t max_bytes, struct http_head *head_out,
                           int *status_out, const char **reason_out) {
    struct scan s = {.rest = bytes_head(in, max_bytes), .head = head_out};
    head_out->header_count = 0;
    head_out->content_length = 0;
    head_out->has_content_length = head_out->is_chunked = false;
    enum parse result = read_lines(&s);
    if (result == PARSE_MORE && in.len >= max_bytes)
        result = s.has_request_line ? refuse(&s, 431, "request head too large")
                                    : refuse(&s, 414, "request line too long");
    if (result == PARSE_OK)
        head_out->length = bytes_head(in, max_bytes).len - s.rest.len;
    if (result == PARSE_BAD) {
        *status_out = s.status;
        *reason_out = s.reason;
    }
    return result;
}

struct bytes http_head_find(const struct http_head *head, const char *name) {
    for (size_t i = 0; i < head->header_count; i++)
        if (bytes_equal_nocase(head->headers[i].name, bytes_str(name)))
            return head->headers[i].value;
    return BYTES_NONE;
}

size_t http_head_count(const struct http_head *head, const char *name) {
    size_t count = 0;
    for (size_t i = 0; i < head->header_count; i++)
        count += bytes_equal_nocase(head->headers[i].name, bytes_str(name));
    return count;
}

bool http_head_has_token(const struct http_head *head, const char *name, const char *token) {
    for (size_t i = 0; i < head->header_count; i++) {
        struct bytes rest = head->headers[i].value;
        if (!bytes_equal_nocase(head->headers[i].name, bytes_str(name)))
            continue;
        while (rest.ptr != NULL)
            if (bytes_equal_nocase(bytes_trim(bytes_split(&rest, ',')), bytes_str(token)))
                return true;
    }
    return false;
}
