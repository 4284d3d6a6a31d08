/*
 * proxy_header.h - the line or block before everything else by which a proxy says whom it speaks
 * for: the PROXY protocol, version 1 (text) and 2 (binary), as HAProxy defines it.
 *
 *     v1   PROXY TCP4 192.0.2.7 10.0.0.5 56324 443 CRLF       at most 107 bytes
 *          PROXY UNKNOWN … CRLF                               the proxy speaks for itself
 *     v2   12 bytes of signature, 1 version and command, 1 family, 2 length, then so many bytes:
 *          the addresses, and TLVs that are skipped
 *
 * Nothing past the header is ever taken, so what follows stays in the socket for TLS or HTTP.
 */
#ifndef SIGNALBOX_NET_PROXY_HEADER_H
#define SIGNALBOX_NET_PROXY_HEADER_H

#include <stdint.h>
#include <uv.h>

#include "common/base/ip.h"
#include "common/base/parse.h"

enum { PROXY_V1_MAX = 107, PROXY_V2_MAX = 4096 /* after its 16 bytes */ };

/* Which versions are understood; a sum. */
enum proxy_versions { PROXY_NONE = 0, PROXY_V1 = 1, PROXY_V2 = 2, PROXY_ANY = 3 };

struct proxy_header {
    enum proxy_versions versions;
    unsigned char bytes[PROXY_V1_MAX];
    size_t len;
    size_t skip;      /* bytes of a v2 header that are read and not kept */
    struct ip source; /* once complete: the client; not known when the proxy speaks for itself */
};

/* How many bytes may be read next without reading past the header; at least 1 until it is whole. */
size_t proxy_header_wants(const struct proxy_header *h);
/* Takes bytes, at most as many as are wanted. */
MUST_CHECK enum parse proxy_header_feed(struct proxy_header *h, struct bytes in);

/* ---- from a socket */

struct proxy_reader;
/* status 0: the header is whole, and source as above. UV_EPROTO: there is none; UV_EOF and others:
 * the connection ended before. */
typedef void proxy_reader_fn(void *ctx, int status, struct ip source);

struct proxy_reader {
    struct proxy_header header;
    proxy_reader_fn *fn;
    void *ctx;
};

/* Reads the header and nothing else, then calls fn once, from the loop. Until then the data of the
 * handle is the reader's. Closing the handle ends it without a call. */
void proxy_reader_start(struct proxy_reader *r, uv_stream_t *handle, enum proxy_versions versions,
                        proxy_reader_fn *fn, void *ctx);

#endif
