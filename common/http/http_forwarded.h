/*
 * http_forwarded.h - who asks, when a request comes through proxies: X-Forwarded-For, -Proto, -Host
 * and -Port, or Forwarded (RFC 7239).
 *
 * Only a proxy whose address is listed is believed, and of two such headers only the configured
 * one: a proxy that sets one of them passes the other on as its client wrote it. Addresses are read
 * from the right, where the nearest proxy wrote: the first that is no listed proxy is the client.
 * What stands to the left of it is the client's own text and is never looked at.
 *
 *     X-Forwarded-For: 6.6.6.6, 192.0.2.7, 10.0.0.3        from 10.0.0.2; 10.0.0.0/8 is listed
 *                      (a lie)  the client  a proxy
 *
 * Where a proxy wrote something that is no address ("unknown", "_hidden", a zone), reading ends,
 * and the last address that was read is all that is known: the proxy's own.
 */
#ifndef SIGNALBOX_HTTP_HTTP_FORWARDED_H
#define SIGNALBOX_HTTP_HTTP_FORWARDED_H

#include "common/base/ip.h"

struct http_head;
struct settings;

/* So many addresses of proxies are read; a longer way ends there. */
enum { HTTP_FORWARDED_HOPS_MAX = 32, HTTP_FORWARDED_HOST_MAX = 255 };

enum http_forwarded_header { HTTP_X_FORWARDED, HTTP_RFC_FORWARDED, HTTP_NOT_FORWARDED };

struct http_proxies {
    struct ip_networks trusted; /* empty: no header is looked at */
    enum http_forwarded_header header;
};

struct http_forwarded {
    struct ip client; /* of the one who asks; the other end's when no proxy says more */
    bool is_proxied;  /* the other end is a listed proxy, whose connection serves many */
    bool is_secure;   /* the client speaks TLS, be it to a proxy */
    struct bytes host;
    unsigned port; /* of X-Forwarded-Port, for a host without one; 0: none */
};

/* peer: the other end of the connection; is_tls: whether it speaks TLS with us. The host is a slice
 * of the head. */
struct http_forwarded http_forwarded_read(const struct http_proxies *proxies,
                                          const struct http_head *head, struct ip peer,
                                          bool is_tls);

/* From --trusted-proxies and --forwarded-header. -1 with one line in *error_out (free()) when they
 * are wrong. */
MUST_CHECK int http_proxies_init(struct http_proxies *p, const struct settings *s,
                                 char **error_out);
void http_proxies_deinit(struct http_proxies *p);

#endif
