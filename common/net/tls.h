/*
 * tls.h - TLS 1.2 and later on a stream (OpenSSL 3), for clients of the gateway and for rediss://
 * alike.
 *
 * A context holds certificate and trust and is shared; a session belongs to one stream and is
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

/*
 * A server's certificate. certificate: a PEM chain or a PKCS#12 file; key: PEM, NULL when the first
 * file holds it; password: for the key or the PKCS#12 file, or NULL. NULL is returned, and
 * *error_out set to one clear line (free()), when a file is missing or wrong, the password is
 * wrong, key and certificate do not match, or the certificate has expired (or is not valid yet).
 */
MUST_CHECK struct tls_context *tls_context_server(const char *certificate, const char *key,
                                                  const char *password, char **error_out);
/* A client that verifies against ca_file, or the system's store when NULL, and shows a certificate
 * of its own to a server that asks for one; NULL: none. Files and errors are those of a server's
 * certificate. */
MUST_CHECK struct tls_context *tls_context_client(const char *ca_file, const char *certificate,
                                                  const char *key, char **error_out);

/* Contexts are reference counted: streams hold theirs, so a reload may drop the old one at once.
 * NULL is legal. */
struct tls_context *tls_context_ref(struct tls_context *t);
void tls_context_unref(struct tls_context *t);
/* Days until the certificate of a server context ends. */
int tls_context_days_left(const struct tls_context *t);

#endif
