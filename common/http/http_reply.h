/*
 * http_reply.h - writes response heads (and small bodies) into a buffer, so that no caller formats
 * HTTP by hand.
 *
 *     http_reply_begin(out, head.minor_version, 200);
 *     http_reply_header(out, BYTES_LIT("Content-Type"), BYTES_LIT("text/plain"));
 *     http_reply_end(out, (int64_t)body.len, keep_alive, body);
 */
#ifndef SIGNALBOX_HTTP_HTTP_REPLY_H
#define SIGNALBOX_HTTP_HTTP_REPLY_H

#include <time.h>

#include "common/base/buf.h"

enum { HTTP_DATE_SIZE = 30, HTTP_NO_LENGTH = -1 };

/* The status line. `status` has three digits (MUST). */
void http_reply_begin(struct buf *out, int minor_version, int status);

/* One field line. False, with nothing appended, when the name is no token (RFC 9110, 5.6.2) or the
 * value holds a control byte other than HTAB: no value can start a line of its own. */
bool http_reply_header(struct buf *out, struct bytes name, struct bytes value);
/* Removes the lines of that name from such lines. */
void http_reply_drop(struct buf *lines, struct bytes name);

/*
 * Content-Length (none for HTTP_NO_LENGTH: 1xx, 204, and bodies that end with the connection),
 * Connection, the empty line, and `body`, which may be shorter than content_length (HEAD; or the
 * rest follows by other ways).
 */
void http_reply_end(struct buf *out, int64_t content_length, bool keep_alive, struct bytes body);

/* "Not Found" for 404; "Unknown" for a status without a name. */
const char *http_status_text(int status);

/* "Sun, 06 Nov 1994 08:49:37 GMT" (RFC 9110, 5.6.7), whatever the locale. Years 0 to 9999 (MUST).
 */
void http_date(time_t when, char out[HTTP_DATE_SIZE]);

#endif
