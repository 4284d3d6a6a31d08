/* proxy_header.c - see proxy_header.h. */
#include "common/net/proxy_header.h"

#include <string.h>

enum {
    V1_LEAST = 15, /* PROXY UNKNOWN CRLF; v2 has more */
    V2_HEAD = 16,
    V2_COMMAND_AT = 12,
    V2_FAMILY_AT = 13,
    V2_LENGTH_AT = 14,
    V2_TCP4 = 0x11,
    V2_TCP6 = 0x21,
    V2_UNIX = 0x31,
    V2_TCP4_LEN = 12,
    V2_TCP6_LEN = 36,
    V2_UNIX_LEN = 216
};

static const unsigned char v2_signature[] = {'\r', '\n', '\r', '\n', '\0', '\r',
                                             '\n', 'Q',  'U',  'I',  'T',  '\n'};
static const char v1_word[] = "PROXY ";

static bool is_beginning(const struct proxy_header *h, const void *word, size_t len) {
    return h->len > 0 && memcmp(h->bytes, word, h->len < len ? h->len : len) == 0;
}

static bool is_v1(const struct proxy_header *h) {
    return (h->versions & PROXY_V1) != 0 && is_beginning(h, v1_word, strlen(v1_word));
}

static bool is_v2(const struct proxy_header *h) {
    return (h->versions & PROXY_V2) != 0 && is_beginning(h, v2_signature, sizeof(v2_signature));
}

/* ---- version 1 */

static bool is_port(struct bytes text) {
    uint64_t port;
    return text.len > 0 && text.len <= 5 && (text.len == 1 || text.ptr[0] != '0') &&
           bytes_to_u64(text, &port) && port <= 65535;
}

static bool is_of_family(struct bytes address, bool is_v6) {
    return (bytes_find(address, ':') >= 0) == is_v6;
}

/* line: without PROXY and CRLF. */
static enum parse parse_v1(struct proxy_header *h, struct bytes line) {
    struct ip source, destination;
    struct bytes family = bytes_split(&line, ' ');
    if (bytes_equal_str(family, "UNKNOWN"))
        return PARSE_OK;
    bool is_v6 = bytes_equal_str(family, "TCP6");
    if (!is_v6 && !bytes_equal_str(family, "TCP4"))
        return PARSE_BAD;
    struct bytes from = bytes_split(&line, ' '), to = bytes_split(&line, ' ');
    struct bytes from_port = bytes_split(&line, ' '), to_port = bytes_split(&line, ' ');
    if (line.ptr != NULL || !is_of_family(from, is_v6) || !is_of_family(to, is_v6) ||
        !ip_parse(from, &source) || !ip_parse(to, &destination) || !is_port(from_port) ||
        !is_port(to_port))
        return PARSE_BAD;
    h->source = source;
    return PARSE_OK;
}

static enum parse judge_v1(struct proxy_header *h) {
    struct bytes all = bytes_of(h->bytes, h->len);
    ptrdiff_t end = bytes_find(all, '\n');
    if (end < 0)
        return h->len == PROXY_V1_MAX ? PARSE_BAD : PARSE_MORE;
    if ((size_t)end + 1 < all.len || bytes_find(all, '\r') != end - 1)
        return PARSE_BAD;
    return parse_v1(h, bytes_from(bytes_head(all, (size_t)end - 1), strlen(v1_word)));
}

/* ---- version 2 */

static size_t v2_length(const struct proxy_header *h) {
    return (size_t)h->bytes[V2_LENGTH_AT] << 8 | h->bytes[V2_LENGTH_AT + 1];
}

/* How many bytes are kept: the head, and the addresses of TCP. */
static size_t v2_kept(const struct proxy_header *h) {
    size_t length = v2_length(h);
    return V2_HEAD + (length < V2_TCP6_LEN ? length : V2_TCP6_LEN);
}

static bool is_v2_head_right(const struct proxy_header *h) {
    unsigned command = h->bytes[V2_COMMAND_AT], family = h->bytes[V2_FAMILY_AT];
    size_t length = v2_length(h);
    if (length > PROXY_V2_MAX || (command != 0x20 && command != 0x21))
        return false;
    if (command == 0x20) /* LOCAL: a check of the proxy's own; whatever follows is skipped */
        return true;
    return family == 0 || (family == V2_TCP4 && length >= V2_TCP4_LEN) ||
           (family == V2_TCP6 && length >= V2_TCP6_LEN) ||
           (family == V2_UNIX && length >= V2_UNIX_LEN);
}

static enum parse judge_v2(struct proxy_header *h) {
    if (h->len < V2_HEAD)
        return PARSE_MORE;
    if (!is_v2_head_right(h))
        return PARSE_BAD;
    if (h->len < v2_kept(h) || h->len + h->skip < V2_HEAD + v2_length(h))
        return PARSE_MORE;
    bool is_proxied = h->bytes[V2_COMMAND_AT] == 0x21;
    if (is_proxied && h->bytes[V2_FAMILY_AT] == V2_TCP4)
        h->source = ip_of_v4(h->bytes + V2_HEAD);
    if (is_proxied && h->bytes[V2_FAMILY_AT] == V2_TCP6)
        memcpy(h->source.bytes, h->bytes + V2_HEAD, sizeof(h->source.bytes));
    return PARSE_OK;
}

/* ---- both */

size_t proxy_header_wants(const struct proxy_header *h) {
    if (h->len < V1_LEAST)
        return V1_LEAST - h->len;
    if (is_v1(h))
        return 1;
    if (h->len < V2_HEAD)
        return V2_HEAD - h->len;
    size_t kept = v2_kept(h);
    return h->len < kept ? kept - h->len : V2_HEAD + v2_length(h) - h->len - h->skip;
}

enum parse proxy_header_feed(struct proxy_header *h, struct bytes in) {
    MUST(in.len <= proxy_header_wants(h));
    bool is_skipped = h->len >= V2_HEAD && !is_v1(h) && h->len == v2_kept(h);
    if (is_skipped) {
        h->skip += in.len;
    } else {
        memcpy(h->bytes + h->len, in.ptr, in.len);
        h->len += in.len;
    }
    if (is_v2(h))
        return judge_v2(h);
    return is_v1(h) ? judge_v1(h) : PARSE_BAD;
}

/* ---- from a socket */

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf_out) {
    static char buffer[PROXY_V2_MAX];
    struct proxy_reader *r = handle->data;
    size_t wanted = proxy_header_wants(&r->header);
    (void)suggested;
    *buf_out = uv_buf_init(buffer, wanted < sizeof(buffer) ? (unsigned)wanted : sizeof(buffer));
}

static void on_read(uv_stream_t *handle, ssize_t n, const uv_buf_t *buf) {
    struct proxy_reader *r = handle->data;
    int status = n < 0 ? (int)n : 0;
    if (n == 0)
        return;
    if (n > 0) {
        enum parse result = proxy_header_feed(&r->header, bytes_of(buf->base, (size_t)n));
        if (result == PARSE_MORE)
            return;
        status = result == PARSE_BAD ? UV_EPROTO : 0;
    }
    uv_read_stop(handle);
    r->fn(r->ctx, status, r->header.source);
}

void proxy_reader_start(struct proxy_reader *r, uv_stream_t *handle, enum proxy_versions versions,
                        proxy_reader_fn *fn, void *ctx) {
    *r = (struct proxy_reader){.header = {.versions = versions}, .fn = fn, .ctx = ctx};
    handle->data = r;
    MUST(uv_read_start(handle, on_alloc, on_read) == 0);
}
