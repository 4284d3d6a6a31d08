/*
 * http_origin.h - the origin of a page (RFC 6454), as a browser sends it and as an app lists it.
 *
 * Both are brought into the one form that browsers use, and are then compared byte by byte:
 *
 *     HTTPS://Chat.Example:443/   →  https://chat.example
 *     http://[0::1]:8091          →  http://[::1]:8091
 */
#ifndef SIGNALBOX_HTTP_HTTP_ORIGIN_H
#define SIGNALBOX_HTTP_HTTP_ORIGIN_H

#include <stdbool.h>

#include "common/base/bytes.h"

enum { HTTP_ORIGIN_SCHEME_MAX = 32, HTTP_ORIGIN_HOST_MAX = 255, HTTP_ORIGIN_TEXT_MAX = 304 };

struct http_origin {
    char scheme[HTTP_ORIGIN_SCHEME_MAX + 1]; /* lower case */
    char host[HTTP_ORIGIN_HOST_MAX + 1];     /* lower case; an IPv6 address in brackets */
    unsigned port;                   /* the scheme's default if none is given; 0: it has none */
    char text[HTTP_ORIGIN_TEXT_MAX]; /* all of it, without the scheme's own port */
};

/* NULL, or what is wrong, as in "has a path": an origin is only scheme, host and port. A slash at
 * the end is accepted. "null", which any page can send, is not an origin. */
const char *http_origin_parse(struct bytes text, struct http_origin *out);
/* Whether a Host field names the origin's host; and its port too. A field without a port means the
 * default port of the origin's scheme. */
bool http_origin_is_host(const struct http_origin *o, struct bytes host_field);
bool http_origin_is_host_and_port(const struct http_origin *o, struct bytes host_field);

#endif
