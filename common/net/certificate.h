/*
 * certificate.h - a certificate with its key and chain, as files hold it. Internal to common/net:
 * contexts (tls.c) and sets of certificates (certificate_set.c) are made of these.
 *
 * A certificate arrives as PEM or PKCS#12; both become a struct certificate, which is checked
 * before anybody gets it.
 */
#ifndef SIGNALBOX_NET_CERTIFICATE_H
#define SIGNALBOX_NET_CERTIFICATE_H

#include <stdbool.h>

#include "common/base/must.h"

struct evp_pkey_st;
struct ocsp_staple;
struct stack_st_X509;
struct tls_files;
struct x509_st;

struct certificate {
    struct x509_st *x509;
    struct evp_pkey_st *key;
    struct stack_st_X509 *chain; /* or NULL */
    struct ocsp_staple *staple;  /* or NULL */
};

/* False, with one clear line in *error_out (free()), when a file is missing or wrong, the password
 * is wrong, key and certificate do not match, or the certificate has expired or is not valid yet.
 * Then *out is empty. */
MUST_CHECK bool certificate_read(const struct tls_files *files, struct certificate *out,
                                 char **error_out);
void certificate_copy(struct certificate *out, const struct certificate *c);
void certificate_deinit(struct certificate *c);

/* Calls fn with each host name among the subject's alternative names, in lower case. */
void certificate_each_name(const struct certificate *c, void (*fn)(void *ctx, const char *name),
                           void *ctx);
int certificate_days_left(const struct certificate *c);

#endif
