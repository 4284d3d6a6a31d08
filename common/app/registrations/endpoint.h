/*
 * endpoint.h - where a gateway listens, and the same as a URL, as --listen takes it:
 *
 *     http+ws://127.0.0.1:9001      https+wss://[::]:9443?certificate=F&key=F&name=Secure
 *
 *     scheme    http, ws or http+ws, or the same with TLS: https, wss, https+wss
 *     address   a host name, an IP address, or "*" for every address
 *     port      80, or 443 with TLS, when there is none
 *     options   name, hostname, auto_upgrade=true, proxy_protocol=v1, v2 or any; %XX is decoded
 *     with TLS  certificate, key, password_file, password, ocsp; client_ca,
 *               client_certificate=required or optional
 *
 * Each further `certificate` begins one more, to which the options behind it belong.
 */
#ifndef SIGNALBOX_APP_REGISTRATIONS_ENDPOINT_H
#define SIGNALBOX_APP_REGISTRATIONS_ENDPOINT_H

#include "common/base/buf.h"
#include "common/net/proxy_header.h"
#include "common/net/tls.h"

struct endpoint {
    char *name;    /* or NULL */
    char *address; /* "*", an IP address or a host name */
    int port;
    bool is_http, is_ws; /* which protocols it speaks: merged for one address:port */
    bool is_tls;
    char *hostname;        /* the Host it answers to, or NULL for any */
    struct tls_server tls; /* empty without TLS; count 0: the certificate is missing */
    bool auto_upgrade;
    enum proxy_versions proxy; /* the PROXY protocol before everything else, or PROXY_NONE */
};

void endpoint_deinit(struct endpoint *e);
void endpoint_copy(struct endpoint *out, const struct endpoint *e);
/* Copies that in place of its own. */
void endpoint_set_tls(struct endpoint *e, const struct tls_server *tls);

/* NULL, or what is wrong with the URL; *out is empty then. */
MUST_CHECK const char *endpoint_parse(struct endpoint *out, const char *url);
/* "v1", "v2" or "any"; false for anything else. */
MUST_CHECK bool endpoint_parse_proxy(struct bytes text, enum proxy_versions *out);
/* The same the other way; NULL for PROXY_NONE. */
const char *endpoint_proxy_name(enum proxy_versions versions);
/* "http", "https+wss" …; "" for one that speaks nothing. */
const char *endpoint_scheme(bool is_http, bool is_ws, bool is_tls);
/* The URL with all its options, its port `up_by` higher. */
void endpoint_append_url(struct buf *out, const struct endpoint *e, int up_by);

#endif
