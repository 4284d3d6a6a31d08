/*
 * ocsp_staple.h - what an authority says of a certificate (an OCSP response, RFC 6960), as some
 * other program keeps it in a file. A server hands it to its clients along with the certificate.
 * Internal to common/net.
 */
#ifndef SIGNALBOX_NET_OCSP_STAPLE_H
#define SIGNALBOX_NET_OCSP_STAPLE_H

#include <time.h>

#include "common/base/bytes.h"
#include "common/base/must.h"

struct ocsp_staple;
struct stack_st_X509;
struct x509_st;

enum { OCSP_RESPONSE_MAX = 16384 /* bytes */ };

/* For that certificate, whose issuer is in the chain. The file (DER) is read; what is wrong with it
 * is logged, and there is nothing to hand out until it is replaced. */
struct ocsp_staple *ocsp_staple_new(const char *file, struct x509_st *certificate,
                                    struct stack_st_X509 *chain);
void ocsp_staple_free(struct ocsp_staple *s);
const char *ocsp_staple_file(const struct ocsp_staple *s);
/* Reads the file again if it was replaced. A response that is wrong leaves the one before. */
void ocsp_staple_refresh(struct ocsp_staple *s);
/* The response, or BYTES_NONE: there is none, or it has expired. Borrowed until a refresh. */
struct bytes ocsp_staple_at(const struct ocsp_staple *s, time_t now);

#endif
