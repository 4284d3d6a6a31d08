/* ocsp_staple.c - see ocsp_staple.h. */
#include "common/net/ocsp_staple.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <openssl/err.h>
#include <openssl/ocsp.h>

#include "common/base/log.h"
#include "common/net/tls_file.h"

enum { CLOCK_SKEW_S = 300 };

struct ocsp_staple {
    char *file;
    X509 *certificate, *issuer; /* issuer NULL: not in the chain */
    struct buf response;
    time_t until;
    struct stat seen; /* the file that was read last */
};

static X509 *find_issuer(X509 *certificate, STACK_OF(X509) * chain) {
    for (int i = 0; i < sk_X509_num(chain); i++)
        if (X509_check_issued(sk_X509_value(chain, i), certificate) == X509_V_OK)
            return sk_X509_value(chain, i);
    return X509_check_issued(certificate, certificate) == X509_V_OK ? certificate : NULL;
}

/* ---- reading */

static bool find_status(const struct ocsp_staple *s, OCSP_BASICRESP *basic, int *status_out,
                        ASN1_GENERALIZEDTIME **from_out, ASN1_GENERALIZEDTIME **until_out) {
    const EVP_MD *digests[] = {EVP_sha1(), EVP_sha256()}; /* how responders name certificates */
    for (size_t i = 0; i < ARRAY_LEN(digests); i++) {
        OCSP_CERTID *id = OCSP_cert_to_id(digests[i], s->certificate, s->issuer);
        int found = OCSP_resp_find_status(basic, id, status_out, NULL, NULL, from_out, until_out);
        OCSP_CERTID_free(id);
        if (found == 1)
            return true;
    }
    return false;
}

/* NULL, or why it cannot be handed out. */
static const char *judge(const struct ocsp_staple *s, OCSP_BASICRESP *basic, time_t *until_out) {
    int status;
    struct tm utc = {0};
    ASN1_GENERALIZEDTIME *from = NULL, *until = NULL;
    if (s->issuer == NULL)
        return "the issuer of the certificate is not in its chain";
    if (!find_status(s, basic, &status, &from, &until))
        return "it is about another certificate";
    if (until == NULL || ASN1_TIME_to_tm(until, &utc) != 1)
        return "it does not say until when it holds";
    if (OCSP_check_validity(from, until, CLOCK_SKEW_S, -1) != 1)
        return "it has expired, or does not hold yet";
    if (status == V_OCSP_CERTSTATUS_REVOKED)
        log_error("tls", "found_revoked file=%s: the certificate is revoked, says its authority",
                  s->file);
    *until_out = timegm(&utc);
    return NULL;
}

static const char *parse(const struct ocsp_staple *s, struct bytes der, time_t *until_out) {
    const unsigned char *at = (const unsigned char *)der.ptr;
    OCSP_RESPONSE *response = d2i_OCSP_RESPONSE(NULL, &at, (long)der.len);
    bool is_answer =
        response != NULL && OCSP_response_status(response) == OCSP_RESPONSE_STATUS_SUCCESSFUL;
    OCSP_BASICRESP *basic = is_answer ? OCSP_response_get1_basic(response) : NULL;
    const char *why =
        basic != NULL ? judge(s, basic, until_out) : "there is no OCSP response (DER) in it";
    OCSP_BASICRESP_free(basic);
    OCSP_RESPONSE_free(response);
    ERR_clear_error();
    return why;
}

static void read_response(struct ocsp_staple *s) {
    struct buf fresh = {0};
    char *error = NULL;
    time_t until = 0;
    const char *why = NULL;
    if (tls_file_read("OCSP response", s->file, &fresh, &error))
        why = fresh.len > OCSP_RESPONSE_MAX ? "it is larger than 16 kB"
                                            : parse(s, buf_bytes(&fresh), &until);
    if (error == NULL && why == NULL) {
        buf_deinit(&s->response);
        s->response = fresh;
        s->until = until;
        return;
    }
    if (error == NULL)
        (void)tls_file_fail(&error, "OCSP response", s->file, why);
    log_warn("tls", "refused_staple: %s", error);
    buf_deinit(&fresh);
    free(error);
}

/* ---- life */

struct ocsp_staple *ocsp_staple_new(const char *file, struct x509_st *certificate,
                                    struct stack_st_X509 *chain) {
    struct ocsp_staple *s = mem_zalloc(sizeof(*s));
    s->file = mem_strdup(file);
    s->certificate = certificate;
    s->issuer = find_issuer(certificate, chain);
    MUST(X509_up_ref(certificate) == 1 && (s->issuer == NULL || X509_up_ref(s->issuer) == 1));
    (void)stat(file, &s->seen);
    read_response(s);
    return s;
}

void ocsp_staple_free(struct ocsp_staple *s) {
    if (s == NULL)
        return;
    X509_free(s->certificate);
    X509_free(s->issuer);
    buf_deinit(&s->response);
    free(s->file);
    free(s);
}

const char *ocsp_staple_file(const struct ocsp_staple *s) {
    return s->file;
}

void ocsp_staple_refresh(struct ocsp_staple *s) {
    struct stat now;
    if (stat(s->file, &now) != 0)
        return;
    bool is_same = now.st_ino == s->seen.st_ino && now.st_size == s->seen.st_size &&
                   now.st_mtim.tv_sec == s->seen.st_mtim.tv_sec &&
                   now.st_mtim.tv_nsec == s->seen.st_mtim.tv_nsec;
    s->seen = now;
    if (!is_same)
        read_response(s);
}

struct bytes ocsp_staple_at(const struct ocsp_staple *s, time_t now) {
    return now < s->until ? buf_bytes(&s->response) : BYTES_NONE;
}
