/*
 * http_accept.h - what a client accepts (RFC 9110, 12.5.1), as far as a server asks that has only
 * one form to offer.
 */
#ifndef SIGNALBOX_HTTP_HTTP_ACCEPT_H
#define SIGNALBOX_HTTP_HTTP_ACCEPT_H

#include <stdbool.h>

struct http_head;

/* Whether the Accept fields name this media type itself, with a quality over 0; a wildcard does not
 * count, since every browser sends one with everything. Parameters other than q make no difference.
 * A member that is malformed counts for nothing. */
bool http_accepts(const struct http_head *head, const char *type);

#endif
