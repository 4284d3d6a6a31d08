/* certificate.c - see certificate.h: reading certificates and saying plainly what is wrong with
 * them. */
#include "common/net/certificate.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/pkcs12.h>
#include <openssl/x509v3.h>

#include "common/base/secret_file.h"
#include "common/net/ocsp_staple.h"
#include "common/net/tls.h"
#include "common/net/tls_file.h"

/* Without a callback OpenSSL asks for the password on the terminal, which a daemon has not. */
struct password {
    const char *text;
    bool was_asked;
};

static int on_password(char *text_out, int size, int is_writing, void *ctx) {
    struct password *p = ctx;
    (void)is_writing;
    p->was_asked = true;
    size_t len = p->text != NULL ? strlen(p->text) : 0;
    if (len == 0 || len > (size_t)size)
        return -1;
    memcpy(text_out, p->text, len);
    return (int)len;
}

static bool read_pem_key(const char *file, struct bytes pem, const char *password,
                         struct certificate *c, char **error_out) {
    struct password p = {.text = password};
    BIO *bio = BIO_new_mem_buf(pem.ptr, (int)pem.len);
    MUST(bio != NULL);
    c->key = PEM_read_bio_PrivateKey(bio, NULL, on_password, &p);
    BIO_free(bio);
    const char *why = !p.was_asked       ? "there is no private key in it"
                      : password == NULL ? "it needs a password"
                                         : "the password is wrong";
    return c->key != NULL || tls_file_fail(error_out, "key", file, why);
}

static bool read_pem_chain(const char *file, struct bytes pem, struct certificate *c,
                           char **error_out) {
    struct password none = {0};
    BIO *bio = BIO_new_mem_buf(pem.ptr, (int)pem.len);
    MUST(bio != NULL);
    c->x509 = PEM_read_bio_X509_AUX(bio, NULL, on_password, &none);
    c->chain = sk_X509_new_null();
    MUST(c->chain != NULL);
    X509 *next = NULL;
    while (c->x509 != NULL && (next = PEM_read_bio_X509(bio, NULL, on_password, &none)))
        MUST(sk_X509_push(c->chain, next) > 0);
    BIO_free(bio);
    ERR_clear_error();
    return c->x509 != NULL ||
           tls_file_fail(error_out, "certificate", file, "there is no certificate in it");
}

static bool read_pem(const char *file, struct bytes pem, const char *key_file, const char *password,
                     struct certificate *c, char **error_out) {
    if (!read_pem_chain(file, pem, c, error_out))
        return false;
    if (key_file == NULL)
        return read_pem_key(file, pem, password, c, error_out);
    struct buf key = {0};
    bool is_ok = tls_file_read("key", key_file, &key, error_out) &&
                 read_pem_key(key_file, buf_bytes(&key), password, c, error_out);
    if (key.ptr != NULL)
        OPENSSL_cleanse(key.ptr, key.cap);
    buf_deinit(&key);
    return is_ok;
}

static bool read_pkcs12(const char *file, struct bytes der, const char *password,
                        struct certificate *c, char **error_out) {
    const unsigned char *at = (const unsigned char *)der.ptr;
    PKCS12 *p12 = d2i_PKCS12(NULL, &at, (long)der.len);
    if (p12 == NULL)
        return tls_file_fail(error_out, "certificate", file, "neither PEM nor PKCS#12");
    bool is_known = PKCS12_verify_mac(p12, password, -1) == 1 ||
                    (password == NULL && PKCS12_verify_mac(p12, "", 0) == 1);
    bool is_read = is_known && PKCS12_parse(p12, password, &c->key, &c->x509, &c->chain) == 1;
    PKCS12_free(p12);
    if (!is_known)
        return tls_file_fail(error_out, "certificate", file,
                             password == NULL ? "it needs a password" : "the password is wrong");
    if (!is_read)
        return tls_file_fail(error_out, "certificate", file, tls_file_reason());
    if (c->x509 == NULL || c->key == NULL)
        return tls_file_fail(error_out, "certificate", file,
                             "a certificate or its private key is missing in it");
    return true;
}

static bool read_certificate(const struct tls_files *f, const char *password, struct certificate *c,
                             char **error_out) {
    struct buf content = {0};
    bool is_ok = tls_file_read("certificate", f->certificate, &content, error_out);
    if (is_ok) {
        struct bytes all = buf_bytes(&content);
        bool is_pem = memmem(all.ptr, all.len, "-----BEGIN ", 11) != NULL;
        is_ok = is_pem ? read_pem(f->certificate, all, f->key, password, c, error_out)
                       : read_pkcs12(f->certificate, all, password, c, error_out);
    }
    if (content.ptr != NULL)
        OPENSSL_cleanse(content.ptr, content.cap);
    buf_deinit(&content);
    return is_ok;
}

static bool read_with_password(const struct tls_files *f, struct certificate *c, char **error_out) {
    char password[SECRET_FILE_MAX + 1], why[SECRET_FILE_WHY];
    if (f->password_file == NULL)
        return read_certificate(f, f->password, c, error_out);
    if (secret_file_read(f->password_file, password, why) < 0)
        return tls_file_fail(error_out, "password of the key", f->password_file, why);
    bool is_ok = read_certificate(f, password, c, error_out);
    OPENSSL_cleanse(password, sizeof(password));
    return is_ok;
}

static bool check(const char *file, const struct certificate *c, char **error_out) {
    char day[32] = "", why[80];
    struct tm utc = {0};
    const ASN1_TIME *from = X509_get0_notBefore(c->x509);
    const ASN1_TIME *until = X509_get0_notAfter(c->x509);
    if (X509_check_private_key(c->x509, c->key) != 1)
        return tls_file_fail(error_out, "certificate", file,
                             "the private key belongs to another one");
    bool has_expired = X509_cmp_current_time(until) < 0;
    if (!has_expired && X509_cmp_current_time(from) <= 0)
        return true;
    if (ASN1_TIME_to_tm(has_expired ? until : from, &utc) == 1)
        strftime(day, sizeof(day), "%Y-%m-%d %H:%M UTC", &utc);
    snprintf(why, sizeof(why), "%s %s", has_expired ? "expired on" : "not valid before", day);
    return tls_file_fail(error_out, "certificate", file, why);
}

bool certificate_read(const struct tls_files *files, struct certificate *out, char **error_out) {
    *out = (struct certificate){0};
    *error_out = NULL;
    if (!read_with_password(files, out, error_out) || !check(files->certificate, out, error_out)) {
        certificate_deinit(out);
        return false;
    }
    if (files->ocsp != NULL)
        out->staple = ocsp_staple_new(files->ocsp, out->x509, out->chain);
    return true;
}

void certificate_copy(struct certificate *out, const struct certificate *c) {
    *out = *c;
    MUST(X509_up_ref(c->x509) == 1 && EVP_PKEY_up_ref(c->key) == 1);
    if (c->chain != NULL)
        MUST((out->chain = X509_chain_up_ref(c->chain)) != NULL);
    if (c->staple != NULL)
        out->staple = ocsp_staple_new(ocsp_staple_file(c->staple), c->x509, c->chain);
}

void certificate_deinit(struct certificate *c) {
    X509_free(c->x509);
    EVP_PKEY_free(c->key);
    sk_X509_pop_free(c->chain, X509_free);
    ocsp_staple_free(c->staple);
    *c = (struct certificate){0};
}

/* ---- what it says */

void certificate_each_name(const struct certificate *c, void (*fn)(void *ctx, const char *name),
                           void *ctx) {
    GENERAL_NAMES *names = X509_get_ext_d2i(c->x509, NID_subject_alt_name, NULL, NULL);
    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        int kind;
        char name[TLS_SERVER_NAME_MAX + 1];
        const ASN1_STRING *value = GENERAL_NAME_get0_value(sk_GENERAL_NAME_value(names, i), &kind);
        if (kind != GEN_DNS)
            continue;
        struct bytes text =
            bytes_of((const char *)ASN1_STRING_get0_data(value), (size_t)ASN1_STRING_length(value));
        if (text.len == 0 || text.len > TLS_SERVER_NAME_MAX || bytes_find(text, '\0') >= 0)
            continue;
        for (size_t k = 0; k < text.len; k++)
            name[k] = bytes_lower(text.ptr[k]);
        name[text.len] = '\0';
        fn(ctx, name);
    }
    GENERAL_NAMES_free(names);
    ERR_clear_error();
}

int certificate_days_left(const struct certificate *c) {
    int days = 0, seconds = 0;
    return ASN1_TIME_diff(&days, &seconds, NULL, X509_get0_notAfter(c->x509)) == 1 ? days : 0;
}
