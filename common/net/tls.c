/*
 * tls.c - contexts, see tls.h: reading certificates and saying plainly what is wrong with them.
 *
 * A certificate arrives as PEM or PKCS#12; both become `struct identity`, which is then checked and
 * put into the context. Conversations are in tls_session.c.
 */
#include "common/net/tls.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/pkcs12.h>
#include <openssl/ssl.h>

#include "common/net/tls_session.h"

enum { FILE_MAX_BYTES = 1 << 20 };

struct identity {
    X509 *certificate;
    EVP_PKEY *key;
    STACK_OF(X509) * chain;
};

static void identity_deinit(struct identity *id) {
    X509_free(id->certificate);
    EVP_PKEY_free(id->key);
    sk_X509_pop_free(id->chain, X509_free);
}

/* False, with the line "what FILE: why". */
static bool fail(char **error_out, const char *what, const char *file, const char *why) {
    struct buf line = {0};
    buf_printf(&line, "%s %s: %s", what, file, why);
    free(*error_out);
    *error_out = buf_take(&line);
    ERR_clear_error();
    return false;
}

static const char *last_reason(void) {
    const char *reason = ERR_reason_error_string(ERR_peek_last_error());
    return reason != NULL ? reason : "not understood";
}

static bool read_file(const char *what, const char *file, struct buf *out, char **error_out) {
    FILE *f = fopen(file, "rbe");
    if (f == NULL)
        return fail(error_out, what, file, strerror(errno));
    size_t n = fread(buf_reserve(out, FILE_MAX_BYTES), 1, FILE_MAX_BYTES, f);
    const char *why = ferror(f)             ? strerror(errno)
                      : n == 0              ? "the file is empty"
                      : n == FILE_MAX_BYTES ? "the file is too big"
                                            : NULL;
    fclose(f);
    buf_added(out, n);
    return why == NULL || fail(error_out, what, file, why);
}

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
                         struct identity *id, char **error_out) {
    struct password p = {.text = password};
    BIO *bio = BIO_new_mem_buf(pem.ptr, (int)pem.len);
    MUST(bio != NULL);
    id->key = PEM_read_bio_PrivateKey(bio, NULL, on_password, &p);
    BIO_free(bio);
    const char *why = !p.was_asked       ? "there is no private key in it"
                      : password == NULL ? "it needs a password"
                                         : "the password is wrong";
    return id->key != NULL || fail(error_out, "key", file, why);
}

static bool read_pem_chain(const char *file, struct bytes pem, struct identity *id,
                           char **error_out) {
    struct password none = {0};
    BIO *bio = BIO_new_mem_buf(pem.ptr, (int)pem.len);
    MUST(bio != NULL);
    id->certificate = PEM_read_bio_X509_AUX(bio, NULL, on_password, &none);
    id->chain = sk_X509_new_null();
    MUST(id->chain != NULL);
    X509 *next = NULL;
    while (id->certificate != NULL && (next = PEM_read_bio_X509(bio, NULL, on_password, &none)))
        MUST(sk_X509_push(id->chain, next) > 0);
    BIO_free(bio);
    ERR_clear_error();
    return id->certificate != NULL ||
           fail(error_out, "certificate", file, "there is no certificate in it");
}

static bool read_pem(const char *file, struct bytes pem, const char *key_file, const char *password,
                     struct identity *id, char **error_out) {
    if (!read_pem_chain(file, pem, id, error_out))
        return false;
    if (key_file == NULL)
        return read_pem_key(file, pem, password, id, error_out);
    struct buf key = {0};
    bool is_ok = read_file("key", key_file, &key, error_out) &&
                 read_pem_key(key_file, buf_bytes(&key), password, id, error_out);
    if (key.ptr != NULL)
        OPENSSL_cleanse(key.ptr, key.cap);
    buf_deinit(&key);
    return is_ok;
}

static bool read_pkcs12(const char *file, struct bytes der, const char *password,
                        struct identity *id, char **error_out) {
    const unsigned char *at = (const unsigned char *)der.ptr;
    PKCS12 *p12 = d2i_PKCS12(NULL, &at, (long)der.len);
    if (p12 == NULL)
        return fail(error_out, "certificate", file, "neither PEM nor PKCS#12");
    bool is_known = PKCS12_verify_mac(p12, password, -1) == 1 ||
                    (password == NULL && PKCS12_verify_mac(p12, "", 0) == 1);
    bool is_read =
        is_known && PKCS12_parse(p12, password, &id->key, &id->certificate, &id->chain) == 1;
    PKCS12_free(p12);
    if (!is_known)
        return fail(error_out, "certificate", file,
                    password == NULL ? "it needs a password" : "the password is wrong");
    if (!is_read)
        return fail(error_out, "certificate", file, last_reason());
    if (id->certificate == NULL || id->key == NULL)
        return fail(error_out, "certificate", file,
                    "a certificate or its private key is missing in it");
    return true;
}

static bool identity_read(const char *file, const char *key_file, const char *password,
                          struct identity *id, char **error_out) {
    struct buf content = {0};
    bool is_ok = read_file("certificate", file, &content, error_out);
    if (is_ok) {
        struct bytes all = buf_bytes(&content);
        bool is_pem = memmem(all.ptr, all.len, "-----BEGIN ", 11) != NULL;
        is_ok = is_pem ? read_pem(file, all, key_file, password, id, error_out)
                       : read_pkcs12(file, all, password, id, error_out);
    }
    if (content.ptr != NULL)
        OPENSSL_cleanse(content.ptr, content.cap);
    buf_deinit(&content);
    return is_ok;
}

static bool identity_check(const char *file, const struct identity *id, char **error_out) {
    char day[32] = "", why[80];
    struct tm utc = {0};
    const ASN1_TIME *from = X509_get0_notBefore(id->certificate);
    const ASN1_TIME *until = X509_get0_notAfter(id->certificate);
    if (X509_check_private_key(id->certificate, id->key) != 1)
        return fail(error_out, "certificate", file, "the private key belongs to another one");
    bool has_expired = X509_cmp_current_time(until) < 0;
    if (!has_expired && X509_cmp_current_time(from) <= 0)
        return true;
    if (ASN1_TIME_to_tm(has_expired ? until : from, &utc) == 1)
        strftime(day, sizeof(day), "%Y-%m-%d %H:%M UTC", &utc);
    snprintf(why, sizeof(why), "%s %s", has_expired ? "expired on" : "not valid before", day);
    return fail(error_out, "certificate", file, why);
}

static struct tls_context *context_new(const SSL_METHOD *method) {
    struct tls_context *t = mem_zalloc(sizeof(*t));
    t->refs = 1;
    t->ssl = SSL_CTX_new(method);
    MUST(t->ssl != NULL);
    MUST(SSL_CTX_set_min_proto_version(t->ssl, TLS1_2_VERSION) == 1);
    SSL_CTX_set_options(t->ssl, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION);
    SSL_CTX_set_mode(t->ssl, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                 SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    /* Sessions are resumed by tickets, which cost no memory here. */
    SSL_CTX_set_session_cache_mode(t->ssl, SSL_SESS_CACHE_OFF);
    return t;
}

static bool use_identity(struct tls_context *t, const struct identity *id, const char *file,
                         char **error_out) {
    return SSL_CTX_use_cert_and_key(t->ssl, id->certificate, id->key, id->chain, 1) == 1 ||
           fail(error_out, "certificate", file, last_reason());
}

/* The context when all is well; else NULL, and it is gone. */
static struct tls_context *finished(struct tls_context *t, bool is_ok) {
    if (is_ok)
        return t;
    tls_context_unref(t);
    return NULL;
}

struct tls_context *tls_context_server(const char *certificate, const char *key,
                                       const char *password, char **error_out) {
    struct identity id = {0};
    struct tls_context *t = NULL;
    *error_out = NULL;
    if (identity_read(certificate, key, password, &id, error_out) &&
        identity_check(certificate, &id, error_out)) {
        t = context_new(TLS_server_method());
        t->is_server = true;
        t = finished(t, use_identity(t, &id, certificate, error_out));
    }
    identity_deinit(&id);
    return t;
}

static bool trust(struct tls_context *t, const char *ca_file, char **error_out) {
    struct buf content = {0};
    SSL_CTX_set_verify(t->ssl, SSL_VERIFY_PEER, NULL);
    if (ca_file == NULL) {
        MUST(SSL_CTX_set_default_verify_paths(t->ssl) == 1);
        return true;
    }
    bool is_ok = read_file("certificate authorities", ca_file, &content, error_out);
    if (is_ok && SSL_CTX_load_verify_file(t->ssl, ca_file) != 1)
        is_ok =
            fail(error_out, "certificate authorities", ca_file, "there is no certificate in it");
    buf_deinit(&content);
    return is_ok;
}

static bool show(struct tls_context *t, const char *certificate, const char *key,
                 char **error_out) {
    struct identity id = {0};
    bool is_ok = identity_read(certificate, key, NULL, &id, error_out) &&
                 identity_check(certificate, &id, error_out) &&
                 use_identity(t, &id, certificate, error_out);
    identity_deinit(&id);
    return is_ok;
}

struct tls_context *tls_context_client(const char *ca_file, const char *certificate,
                                       const char *key, char **error_out) {
    struct tls_context *t = context_new(TLS_client_method());
    *error_out = NULL;
    return finished(t, trust(t, ca_file, error_out) &&
                           (certificate == NULL || show(t, certificate, key, error_out)));
}

struct tls_context *tls_context_ref(struct tls_context *t) {
    if (t != NULL)
        t->refs++;
    return t;
}

void tls_context_unref(struct tls_context *t) {
    if (t == NULL || --t->refs > 0)
        return;
    SSL_CTX_free(t->ssl);
    free(t);
}

int tls_context_days_left(const struct tls_context *t) {
    int days = 0, seconds = 0;
    const X509 *certificate = SSL_CTX_get0_certificate(t->ssl);
    if (certificate == NULL ||
        ASN1_TIME_diff(&days, &seconds, NULL, X509_get0_notAfter(certificate)) != 1)
        return 0;
    return days;
}
