/* http_authority.h - where a URL points: host[:port], an IPv6 address in brackets. */
#ifndef SIGNALBOX_HTTP_HTTP_AUTHORITY_H
#define SIGNALBOX_HTTP_HTTP_AUTHORITY_H

#include "common/base/bytes.h"

struct http_authority {
    struct bytes host; /* as it is written, with its brackets */
    struct bytes port; /* what follows the colon, unchecked; absent without a colon */
};

struct http_authority http_authority_split(struct bytes text);
/* The host without the brackets of an IPv6 address. */
struct bytes http_authority_address(struct bytes host);
/* 127.0.0.1 or [::1], and no name that looks like one. */
bool http_authority_is_ip(struct bytes host);

/* The port of http and ws, or of https and wss. */
static inline int http_default_port(bool is_tls) {
    return is_tls ? 443 : 80;
}

#endif
