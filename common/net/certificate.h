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

#include "common/base/buf.h"

struct evp_pkey_st;
struct ocsp_staple;
struct stack_st_X509;
struct tls_files;
struct x509_st;

/* Bytes of a file with certificates or a key. */
enum { CERTIFICATE_FILE_MAX = 1 << 20 };

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

/* Reads the whole file; what: "key", "certificate authorities" … for the error. */
MUST_CHECK bool certificate_read_file(const char *what, const char *file, struct buf *out,
                                      char **error_out);
/* False, with the line "what FILE: why" in place of *error_out. OpenSSL's errors are forgotten. */
bool certificate_fail(char **error_out, const char *what, const char *file, const char *why);
/* OpenSSL's last error. */
const char *certificate_last_reason(void);

#endif
