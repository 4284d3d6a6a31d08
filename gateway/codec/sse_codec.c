/* sse_codec.c - see sse_codec.h. */
#include "gateway/codec/sse_codec.h"

#include <stdio.h>
#include <string.h>

#include "common/http/http_head.h"

/* ---- events */

static void append_field(struct buf *out, const char *name, struct bytes value) {
    buf_append_str(out, name);
    buf_append(out, value);
    buf_append_char(out, '\n');
}

/* How long the line at the front is, without its end. */
static size_t line_len(struct bytes text) {
    const char *lf = text.len > 0 ? memchr(text.ptr, '\n', text.len) : NULL;
    size_t len = lf != NULL ? (size_t)(lf - text.ptr) : text.len;
    const char *cr = len > 0 ? memchr(text.ptr, '\r', len) : NULL;
    return cr != NULL ? (size_t)(cr - text.ptr) : len;
}

static void append_data(struct buf *out, struct bytes data) {
    for (;;) {
        size_t len = line_len(data);
        append_field(out, "data: ", bytes_head(data, len));
        if (len == data.len)
            return;
        bool is_crlf = data.ptr[len] == '\r' && len + 1 < data.len && data.ptr[len + 1] == '\n';
        data = bytes_from(data, len + (is_crlf ? 2 : 1));
    }
}

void sse_append(struct buf *out, const struct sse_event *e) {
    if (e->type != NULL)
        append_field(out, "event: ", bytes_str(e->type));
    if (e->id.len > 0)
        append_field(out, "id: ", e->id);
    if (e->retry_ms > 0)
        buf_printf(out, "retry: %u\n", e->retry_ms);
    append_data(out, e->data);
    buf_append_char(out, '\n');
}

/* ---- chunks */

size_t sse_chunk_header(char out[SSE_CHUNK_HEADER_MAX], size_t len) {
    char text[SSE_CHUNK_HEADER_MAX + 1];
    int written = snprintf(text, sizeof(text), "%zx\r\n", len);
    MUST(written > 0 && written <= SSE_CHUNK_HEADER_MAX);
    memcpy(out, text, (size_t)written);
    return (size_t)written;
}

size_t sse_chunk_len(struct bytes rest) {
    size_t len = 0, at = 0;
    for (; at < rest.len && bytes_hex_value(rest.ptr[at]) >= 0; at++)
        len = len << 4 | (size_t)bytes_hex_value(rest.ptr[at]);
    return at + 2 + len + 2;
}

size_t sse_event_len(struct bytes rest) {
    for (size_t at = 0; at + 1 < rest.len; at++)
        if (rest.ptr[at] == '\n' && rest.ptr[at + 1] == '\n')
            return at + 2;
    return rest.len;
}

/* ---- Last-Event-ID */

enum sse_resume sse_resume(const struct http_head *head, struct bytes *id_out) {
    struct bytes id = http_head_find(head, "Last-Event-ID");
    size_t count = http_head_count(head, "Last-Event-ID");
    *id_out = id;
    if (count > 1)
        return SSE_RESUME_BAD;
    if (id.len == 0)
        return SSE_RESUME_NONE;
    return bytes_ends_with(id, BYTES_LIT(SSE_END_MARK)) ? SSE_RESUME_END : SSE_RESUME_FROM;
}
