/*
 * http_string.h - a header whose value is a structured string (RFC 8941, 3.3.3), such as
 * Idempotency-Key: "a \"b\"". Since many clients write it without quotes, a value that has none
 * means itself: abc and "abc" are one.
 */
#ifndef SIGNALBOX_HTTP_HTTP_STRING_H
#define SIGNALBOX_HTTP_HTTP_STRING_H

#include "common/base/buf.h"

/* Appends what the value means, of a length and with characters that are for the caller to check.
 * False when it is malformed: a quote in it that is not escaped, an escape of anything but a quote
 * or a backslash, bytes that are not ASCII between quotes, parameters, a list. */
#define HTTP_STRING_FAULT "is no string of RFC 8941"
bool http_string_read(struct bytes value, struct buf *out);

#endif
