/*
 * http_chunked.c - see http_chunked.h. A state machine that takes one byte at a time, except for
 * the data of a chunk, which is moved in one piece.
 *
 *     size line:  SIZE ──▶ [BLANK ──▶] EXTENSION ──▶ SIZE_LF ──▶ DATA or TRAILER
 *     chunk:      DATA ──▶ DATA_CR ──▶ DATA_LF ──▶ SIZE
 *     trailer:    TRAILER ──▶ NAME ──▶ VALUE ──▶ VALUE_LF ──▶ TRAILER …
 *                 TRAILER ──▶ END_LF ──▶ DONE
 */
#include "common/http/http_chunked.h"

#include <string.h>

#include "common/http/http_head.h"

enum state {
    SIZE,
    BLANK,
    EXTENSION,
    SIZE_LF,
    DATA,
    DATA_CR,
    DATA_LF,
    TRAILER,
    NAME,
    VALUE,
    VALUE_LF,
    END_LF,
    DONE,
    BAD
};

enum { DIGITS_MAX = 16 };

void http_chunked_init(struct http_chunked *d, size_t head_length) {
    *d = (struct http_chunked){.state = SIZE, .at = head_length, .begin = head_length};
}

static enum state on_size(struct http_chunked *d, char c) {
    int value = bytes_hex_value(c);
    if (value >= 0 && d->digits < DIGITS_MAX) {
        d->left = d->left << 4 | (unsigned)value;
        d->digits++;
        return SIZE;
    }
    if (d->digits == 0 || value >= 0)
        return BAD;
    if (c == '\r')
        return SIZE_LF;
    return c == ';' ? EXTENSION : c == ' ' || c == '\t' ? BLANK : BAD;
}

static bool is_text(char c) {
    return http_is_field_value(bytes_of(&c, 1));
}

static bool is_token(char c) {
    return http_is_token(bytes_of(&c, 1));
}

static enum state on_size_end(struct http_chunked *d, char c) {
    if (c != '\n')
        return BAD;
    d->digits = 0;
    return d->left == 0 ? TRAILER : DATA;
}

static enum state step(struct http_chunked *d, char c) {
    switch ((enum state)d->state) {
    case SIZE: return on_size(d, c);
    case BLANK: return c == ';' ? EXTENSION : c == ' ' || c == '\t' ? BLANK : BAD;
    case EXTENSION: return c == '\r' ? SIZE_LF : is_text(c) ? EXTENSION : BAD;
    case SIZE_LF: return on_size_end(d, c);
    case DATA_CR: return c == '\r' ? DATA_LF : BAD;
    case DATA_LF: return c == '\n' ? SIZE : BAD;
    case TRAILER: return c == '\r' ? END_LF : is_token(c) ? NAME : BAD;
    case NAME: return c == ':' ? VALUE : is_token(c) ? NAME : BAD;
    case VALUE: return c == '\r' ? VALUE_LF : is_text(c) ? VALUE : BAD;
    case VALUE_LF: return c == '\n' ? TRAILER : BAD;
    case END_LF: return c == '\n' ? DONE : BAD;
    case DATA:
    case DONE:
    case BAD: break;
    }
    return BAD;
}

/* Moves as much of the chunk as there is to the payload, and returns how much that was. */
static size_t take_data(struct http_chunked *d, struct buf *in, size_t from) {
    size_t len = in->len - from;
    if (len > d->left)
        len = (size_t)d->left;
    memmove(in->ptr + d->at, in->ptr + from, len);
    d->at += len;
    d->left -= len;
    if (d->left == 0)
        d->state = DATA_CR;
    return len;
}

static enum parse refuse(int status, const char *reason, int *status_out, const char **reason_out) {
    *status_out = status;
    *reason_out = reason;
    return PARSE_BAD;
}

enum parse http_chunked_feed(struct http_chunked *d, struct buf *in, uint64_t max_bytes,
                             int *status_out, const char **reason_out) {
    size_t from = d->at;
    while (from < in->len && d->state != DONE) {
        if (d->state == DATA) {
            from += take_data(d, in, from);
            continue;
        }
        d->state = step(d, in->ptr[from++]);
        d->rest +=
            d->state == BLANK || d->state == EXTENSION || d->state == NAME || d->state == VALUE;
        if (d->state == BAD)
            return refuse(400, "malformed chunked body", status_out, reason_out);
        if (d->rest > HTTP_CHUNKED_REST_MAX)
            return refuse(431, "chunk extensions and trailers too large", status_out, reason_out);
        if (d->left > max_bytes - (d->at - d->begin))
            return refuse(413, "the body is too large", status_out, reason_out);
    }
    memmove(in->ptr + d->at, in->ptr + from, in->len - from);
    in->len -= from - d->at;
    return d->state == DONE ? PARSE_OK : PARSE_MORE;
}
