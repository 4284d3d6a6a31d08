/*
 * http_chunked.h - takes the chunked coding (RFC 9112, 7.1) off a request's body, in place, as the
 * bytes arrive.
 *
 *     in:  head │ payload so far │ what has arrived since        before a call
 *                                ▲ at
 *     in:  head │ payload so far, longer                         PARSE_MORE: all is consumed
 *     in:  head │ whole payload │ what follows the request       PARSE_OK
 *                               ▲ at
 *
 * Framing is strict, as differing readings of it are how requests are smuggled: sizes are 1 to 16
 * hex digits, lines end in CRLF, and nothing but the data lies between a size line and the next.
 * Chunk extensions and trailers are checked for their form, bounded and discarded.
 */
#ifndef SIGNALBOX_HTTP_HTTP_CHUNKED_H
#define SIGNALBOX_HTTP_HTTP_CHUNKED_H

#include "common/base/buf.h"
#include "common/base/parse.h"

/* Extensions and trailers of one body together. */
enum { HTTP_CHUNKED_REST_MAX = 8192 };

struct http_chunked {
    int state;     /* own; 0 at the start */
    size_t at;     /* where in `in` the payload so far ends */
    size_t begin;  /* where it begins */
    uint64_t left; /* of the chunk being read; while its size is read, the size so far */
    unsigned digits;
    size_t rest; /* bytes of extensions and trailers so far */
};

void http_chunked_init(struct http_chunked *d, size_t head_length);

/* PARSE_BAD: *status_out is 400, 413 (a payload over max_bytes), or 431 (the rest over its bound),
 * and *reason_out one line of constant text; `in` and `d` mean nothing any more. */
enum parse http_chunked_feed(struct http_chunked *d, struct buf *in, uint64_t max_bytes,
                             int *status_out, const char **reason_out);

#endif
