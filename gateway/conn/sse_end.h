/*
 * sse_end.h - how an event stream ends in good order: the event close, and when the client should
 * come back. EventSource connects again by itself, unless it is answered with 204; an end that
 * shall stay one therefore leaves it an id (SSE_END_MARK) that is.
 */
#ifndef SIGNALBOX_GATEWAY_CONN_SSE_END_H
#define SIGNALBOX_GATEWAY_CONN_SSE_END_H

#include "common/base/buf.h"

struct sse_end {
    int code;
    struct bytes reason;
    bool is_v1;           /* the data is the frame of signalbox.v1 */
    struct bytes last_id; /* of an end that shall stay one; empty: the client shall come back */
};

/* Appends the event. */
void sse_end_append(struct buf *out, const struct sse_end *e);

#endif
