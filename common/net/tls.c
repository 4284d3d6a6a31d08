/*
 * tls.c - contexts, see tls.h: what is spoken, who is shown what, whom we trust. Certificates are
 * read in certificate.c, conversations are in tls_session.c.
 */
#include "common/net/tls.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

#include "common/net/certificate.h"
#include "common/net/certificate_set.h"
#include "common/net/tls_session.h"

/* With TLS 1.2; those of TLS 1.3 are all like this. */
#define CIPHERS "ECDHE+AESGCM:ECDHE+CHACHA20"
/* The second list is for an OpenSSL that does not know the first name (before 3.5). Larger groups,
 * and those of finite fields, cost a server many times more than its client. */
#define GROUPS         "X25519MLKEM768:" CLASSIC_GROUPS
#define CLASSIC_GROUPS "X25519:P-256:P-384"

static void set_groups(SSL_CTX *ssl) {
    MUST(SSL_CTX_set1_groups_list(ssl, GROUPS) == 1 ||
         SSL_CTX_set1_groups_list(ssl, CLASSIC_GROUPS) == 1);
    ERR_clear_error();
}

static struct tls_context *context_new(const SSL_METHOD *method) {
    struct tls_context *t = mem_zalloc(sizeof(*t));
    t->refs = 1;
    t->ssl = SSL_CTX_new(method);
    MUST(t->ssl != NULL);
    MUST(SSL_CTX_set_min_proto_version(t->ssl, TLS1_2_VERSION) == 1);
    MUST(SSL_CTX_set_max_proto_version(t->ssl, 0) == 1); /* whatever openssl.cnf says */
    MUST(SSL_CTX_set_cipher_list(t->ssl, CIPHERS) == 1);
    set_groups(t->ssl);
    SSL_CTX_set_options(t->ssl, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION);
    SSL_CTX_set_mode(t->ssl, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                 SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    /* Sessions are resumed by tickets, which cost no memory here. */
    SSL_CTX_set_session_cache_mode(t->ssl, SSL_SESS_CACHE_OFF);
    return t;
}

/* The context when all is well; else NULL, and it is gone. */
static struct tls_context *finished(struct tls_context *t, bool is_ok) {
    if (is_ok)
        return t;
    tls_context_unref(t);
    return NULL;
}

/* ---- the server's side */

static int on_certificate_wanted(SSL *ssl, void *ctx) {
    const struct tls_context *t = ctx;
    const struct certificate *chosen[CERTIFICATE_KINDS];
    const char *host = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    size_t count = certificate_set_choose(t->certificates, host, chosen);
    SSL_certs_clear(ssl);
    for (size_t i = 0; i < count; i++)
        if (SSL_use_cert_and_key(ssl, chosen[i]->x509, chosen[i]->key, chosen[i]->chain, 1) != 1)
            return 0;
    return 1;
}

/* Tells the client that its name was looked at, and remembers it with the session. */
static int on_server_name(SSL *ssl, int *alert, void *ctx) {
    (void)ssl, (void)alert, (void)ctx;
    return SSL_TLSEXT_ERR_OK;
}

/* Whether OpenSSL would show it: a key may be too small. */
static bool is_accepted(struct tls_context *t, const struct certificate *c, const char *file,
                        char **error_out) {
    return SSL_CTX_use_cert_and_key(t->ssl, c->x509, c->key, c->chain, 1) == 1 ||
           certificate_fail(error_out, "certificate", file, certificate_last_reason());
}

static bool are_accepted(struct tls_context *t, char **error_out) {
    for (size_t i = 0; i < certificate_set_count(t->certificates); i++)
        if (!is_accepted(t, certificate_set_at(t->certificates, i),
                         certificate_set_file(t->certificates, i), error_out))
            return false;
    return true;
}

struct tls_context *tls_context_server(const struct tls_server *server,
                                       const struct tls_context *old, char **error_out) {
    struct certificate_set *set = certificate_set_new(
        server->certificates, server->count, old != NULL ? old->certificates : NULL, error_out);
    if (set == NULL)
        return NULL;
    struct tls_context *t = context_new(TLS_server_method());
    t->is_server = true;
    t->certificates = set;
    SSL_CTX_set_cert_cb(t->ssl, on_certificate_wanted, t);
    SSL_CTX_set_tlsext_servername_callback(t->ssl, on_server_name);
    return finished(t, are_accepted(t, error_out));
}

/* ---- the client's side */

static bool trust(struct tls_context *t, const char *ca_file, char **error_out) {
    struct buf content = {0};
    SSL_CTX_set_verify(t->ssl, SSL_VERIFY_PEER, NULL);
    if (ca_file == NULL) {
        MUST(SSL_CTX_set_default_verify_paths(t->ssl) == 1);
        return true;
    }
    bool is_ok = certificate_read_file("certificate authorities", ca_file, &content, error_out);
    if (is_ok && SSL_CTX_load_verify_file(t->ssl, ca_file) != 1)
        is_ok = certificate_fail(error_out, "certificate authorities", ca_file,
                                 "there is no certificate in it");
    buf_deinit(&content);
    return is_ok;
}

static bool show(struct tls_context *t, const struct tls_files *files, char **error_out) {
    struct certificate c;
    bool is_ok =
        certificate_read(files, &c, error_out) && is_accepted(t, &c, files->certificate, error_out);
    certificate_deinit(&c);
    return is_ok;
}

struct tls_context *tls_context_client(const char *ca_file, const char *certificate,
                                       const char *key, char **error_out) {
    struct tls_context *t = context_new(TLS_client_method());
    struct tls_files files = {.certificate = certificate, .key = key};
    *error_out = NULL;
    return finished(t, trust(t, ca_file, error_out) &&
                           (certificate == NULL || show(t, &files, error_out)));
}

/* ---- life */

struct tls_context *tls_context_ref(struct tls_context *t) {
    if (t != NULL)
        t->refs++;
    return t;
}

void tls_context_unref(struct tls_context *t) {
    if (t == NULL || --t->refs > 0)
        return;
    SSL_CTX_free(t->ssl);
    certificate_set_free(t->certificates);
    free(t);
}

/* ---- facts */

static void append_name(void *ctx, const char *name) {
    struct buf *all = ctx;
    if (all->len > 0)
        buf_append_char(all, ' ');
    buf_append_str(all, name);
}

bool tls_examine(const struct tls_files *files, struct tls_facts *out, char **error_out) {
    struct certificate c;
    *out = (struct tls_facts){0};
    if (!certificate_read(files, &c, error_out))
        return false;
    out->days_left = certificate_days_left(&c);
    certificate_each_name(&c, append_name, &out->names);
    buf_append_char(&out->names, '\0');
    certificate_deinit(&c);
    return true;
}
