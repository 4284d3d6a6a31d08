/* http_range.h - which part of a file a request wants (RFC 9110, 14). */
#ifndef SIGNALBOX_HTTP_HTTP_RANGE_H
#define SIGNALBOX_HTTP_HTTP_RANGE_H

#include "common/base/bytes.h"

enum http_range {
    HTTP_RANGE_ALL,  /* no range, or one to be passed over: 200 */
    HTTP_RANGE_PART, /* 206 */
    HTTP_RANGE_NONE  /* nothing of the file lies in it: 416 */
};

/*
 * The value of a Range field for a file of `size` bytes. HTTP_RANGE_PART: the bytes from *begin_out
 * up to, and without, *end_out; at least one, all within the file. What is malformed, not in bytes,
 * or several ranges is HTTP_RANGE_ALL.
 */
enum http_range http_range_parse(struct bytes value, uint64_t size, uint64_t *begin_out,
                                 uint64_t *end_out);

#endif
