/*
 * tls.h - TLS 1.3 and 1.2 on a stream (OpenSSL 3), for clients of the gateway and for rediss://
 * alike: ephemeral keys and authenticated ciphers only, no renegotiation, no compression.
 *
 * A context holds certificates and trust and is shared; a session belongs to one stream and is
 * driven only by stream.c: bytes in from the socket, bytes out to the socket, no sockets here (own
 * BIO over the stream's buffers).
 */
#ifndef SIGNALBOX_NET_TLS_H
#define SIGNALBOX_NET_TLS_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/buf.h"
#include "common/base/must.h"

struct tls_context;
struct tls_tickets;

enum {
    TLS_CERTIFICATES_MAX = 64,  /* of one endpoint */
    TLS_SERVER_NAME_MAX = 255,  /* bytes of a host name in a certificate or in SNI */
    TLS_CHAIN_MAX = 4,          /* certificates between a client's and its authority */
    TLS_CHAIN_MAX_BYTES = 32768 /* of all that a client shows */
};

/* Where a certificate comes from. NULL: absent. */
struct tls_files {
    const char *certificate;   /* a PEM chain or a PKCS#12 file */
    const char *key;           /* PEM; absent when the first file holds it */
    const char *password;      /* of the key or the PKCS#12 file */
    const char *password_file; /* has it in its first line */
    const char *ocsp;          /* an OCSP response about it (DER), which may be replaced any time */
};

/* What a server shows, and wants of its clients. The texts are its owner's. */
struct tls_server {
    struct tls_files *certificates; /* which of them a client is shown: certificate_set.h */
    size_t count;                   /* 1 or more */
    const char *client_ca;          /* the authorities (PEM) of its clients; NULL: it asks for no
                                     * certificates */
    bool takes_any_client;          /* also one without a certificate, but none with a wrong one */
};

/*
 * NULL is returned, and *error_out set to one clear line (free()), when a file is missing or wrong,
 * a password is wrong, key and certificate do not match, or a certificate has expired (or is not
 * valid yet). old: the context that this one replaces, or NULL: of a certificate that is wrong now,
 * the one of the same file in the old context stays, and *error_out says so while a context is
 * returned. A session is resumed only where clients are to be of the same authorities, and while
 * the certificate that its client had shown is valid.
 */
MUST_CHECK struct tls_context *tls_context_server(const struct tls_server *server,
                                                  struct tls_tickets *tickets,
                                                  const struct tls_context *old, char **error_out);
/* Takes up OCSP responses that were replaced. To be called every now and then. */
void tls_context_refresh(struct tls_context *t);
/* A client that verifies against ca_file, or the system's store when NULL, and shows a certificate
 * of its own to a server that asks for one; NULL: none. Files and errors are those of a server's
 * certificate. */
MUST_CHECK struct tls_context *tls_context_client(const char *ca_file, const char *certificate,
                                                  const char *key, char **error_out);

/* Contexts are reference counted: streams hold theirs, so a reload may drop the old one at once.
 * NULL is legal. */
struct tls_context *tls_context_ref(struct tls_context *t);
void tls_context_unref(struct tls_context *t);

/* What a stream agreed on with its peer: stream_tls_peer. */
struct tls_peer {
    const char *version, *cipher; /* "TLSv1.3", "TLS_AES_128_GCM_SHA256": live for ever */
    const char *server_name;      /* that the peer asked for, or NULL; the stream's */
    bool is_resumed;
    struct buf subject;   /* of its certificate, "CN=alice,O=Example" and a NUL; empty: none */
    char fingerprint[65]; /* SHA-256 of its certificate, in hexadecimal digits; "": none */
};

/* What a certificate says of itself. */
struct tls_facts {
    int days_left;
    struct buf names; /* its host names, a space between two, and a NUL; buf_deinit() */
    bool is_stapled;  /* there is an OCSP response to go with it */
};
/* False, with one line in *error_out, when a server could not use it. */
MUST_CHECK bool tls_examine(const struct tls_files *files, struct tls_facts *out, char **error_out);
/* Whether a client that asks for this host is shown a certificate that is for it. */
bool tls_context_is_for(const struct tls_context *t, const char *host);

#endif
