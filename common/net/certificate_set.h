/*
 * certificate_set.h - the certificates of one endpoint, and which of them a client is shown.
 * Internal to common/net.
 *
 * A client names a host (SNI). It is shown the certificates whose subject's alternative names hold
 * that host, one for each kind of key (RSA, ECDSA, Ed25519), so that the client's algorithms decide
 * between them; of two with keys of one kind the first. A wildcard stands for one whole label, the
 * leftmost, above a name of two labels or more (RFC 6125), and counts only where no certificate has
 * the host itself. A client that names no host, or one that nobody has, is shown the first
 * certificate, or one with the same first name and another kind of key.
 */
#ifndef SIGNALBOX_NET_CERTIFICATE_SET_H
#define SIGNALBOX_NET_CERTIFICATE_SET_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/must.h"

struct certificate;
struct certificate_set;
struct tls_files;
struct x509_st;

enum { CERTIFICATE_KINDS = 5 };

/* NULL, with one line in *error_out (free()), when a certificate cannot be used. old: a set that
 * this one replaces, or NULL; of a certificate that cannot be used and has its file in the old set,
 * that one is taken, and *error_out says so while a set is returned. */
MUST_CHECK struct certificate_set *certificate_set_new(const struct tls_files *files, size_t count,
                                                       const struct certificate_set *old,
                                                       char **error_out);
void certificate_set_free(struct certificate_set *s);

size_t certificate_set_count(const struct certificate_set *s);
const struct certificate *certificate_set_at(const struct certificate_set *s, size_t place);
/* The one with that X.509 certificate, or NULL. */
const struct certificate *certificate_set_find(const struct certificate_set *s,
                                               const struct x509_st *x509);
/* The file a certificate was read from. */
const char *certificate_set_file(const struct certificate_set *s, size_t place);
/* Those for a client that names this host (NULL: none), how many: 1 or more. */
size_t certificate_set_choose(const struct certificate_set *s, const char *host,
                              const struct certificate *out[CERTIFICATE_KINDS]);

/* Whether any of them is for this host. */
bool certificate_set_has(const struct certificate_set *s, const char *host);

#endif
