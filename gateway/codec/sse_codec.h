/*
 * sse_codec.h - Server-Sent Events (WHATWG HTML, 9.2): events as bytes, and Last-Event-ID.
 *
 *     event: binary LF  id: 5-7 LF  data: AP8= LF  LF
 *
 * On HTTP/1.1 every event is one chunk, so that a part of the stream that holds whole events also
 * holds whole chunks. On HTTP/1.0 the events follow one another, until the connection ends.
 */
#ifndef SIGNALBOX_CODEC_SSE_CODEC_H
#define SIGNALBOX_CODEC_SSE_CODEC_H

#include "common/base/buf.h"

struct http_head;

#define SSE_MEDIA_TYPE "text/event-stream"
/* Neither stored nor transformed: a proxy that compresses would hold events back. */
#define SSE_CACHE_CONTROL "no-store, no-transform"

struct sse_event {
    const char *type;  /* NULL: a message */
    struct bytes id;   /* empty: no line */
    unsigned retry_ms; /* 0: no line */
    struct bytes data; /* its line ends, CR, LF or CRLF, arrive as LF */
};

/* The id holds no line end and no NUL. */
void sse_append(struct buf *out, const struct sse_event *e);

/* ---- chunks */

enum { SSE_CHUNK_HEADER_MAX = 18 };
#define SSE_LAST_CHUNK "0\r\n\r\n"

/* Writes what precedes `len` bytes, which a CRLF has to follow, and returns its length. */
size_t sse_chunk_header(char out[SSE_CHUNK_HEADER_MAX], size_t len);
/* The length of the event at the front of what sse_append made, in chunks or not. */
size_t sse_chunk_len(struct bytes rest);
size_t sse_event_len(struct bytes rest);

/* ---- Last-Event-ID */

#define SSE_END_MARK "!end"

enum sse_resume {
    SSE_RESUME_NONE, /* there is no such field, or it is empty */
    SSE_RESUME_FROM, /* *id_out: from there, whether it is an id or not */
    SSE_RESUME_END,  /* the connection was ended for good (SSE_END_MARK): 204 */
    SSE_RESUME_BAD   /* the field came twice: 400 */
};
enum sse_resume sse_resume(const struct http_head *head, struct bytes *id_out);

#endif
