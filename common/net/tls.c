/*
 * tls.c - contexts, see tls.h: what is spoken, who is shown what, whom we trust. Certificates are
 * read in certificate.c, conversations are in tls_session.c.
 */
#include "common/net/tls.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/params.h>
#include <openssl/ssl.h>

#include "common/base/random.h"
#include "common/net/certificate.h"
#include "common/net/certificate_set.h"
#include "common/net/ocsp_staple.h"
#include "common/net/tls_file.h"
#include "common/net/tls_session.h"
#include "common/net/tls_tickets.h"

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

static int on_staple_wanted(SSL *ssl, void *ctx) {
    const struct tls_context *t = ctx;
    const struct certificate *c = certificate_set_find(t->certificates, SSL_get_certificate(ssl));
    struct bytes staple =
        c != NULL && c->staple != NULL ? ocsp_staple_at(c->staple, time(NULL)) : BYTES_NONE;
    unsigned char *copy = staple.len > 0 ? OPENSSL_memdup(staple.ptr, staple.len) : NULL;
    if (copy == NULL)
        return SSL_TLSEXT_ERR_NOACK;
    SSL_set_tlsext_status_ocsp_resp(ssl, copy, (int)staple.len); /* takes the copy */
    return SSL_TLSEXT_ERR_OK;
}

/* Whether OpenSSL would show it: a key may be too small. */
static bool is_accepted(struct tls_context *t, const struct certificate *c, const char *file,
                        char **error_out) {
    return SSL_CTX_use_cert_and_key(t->ssl, c->x509, c->key, c->chain, 1) == 1 ||
           tls_file_fail(error_out, "certificate", file, tls_file_reason());
}

static bool are_accepted(struct tls_context *t, char **error_out) {
    for (size_t i = 0; i < certificate_set_count(t->certificates); i++)
        if (!is_accepted(t, certificate_set_at(t->certificates, i),
                         certificate_set_file(t->certificates, i), error_out))
            return false;
    return true;
}

/* ---- who its clients are */

/* Sessions that were agreed on under other authorities, or other rules, are not resumed. */
static void tell_sessions_apart(struct tls_context *t, const struct tls_server *server,
                                struct bytes authorities) {
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned len;
    struct buf all = {0};
    buf_append_char(&all, server->takes_any_client ? 'a' : 'r');
    buf_append(&all, authorities);
    MUST(EVP_Digest(all.ptr, all.len, digest, &len, EVP_sha256(), NULL) == 1);
    MUST(SSL_CTX_set_session_id_context(t->ssl, digest, len) == 1);
    buf_deinit(&all);
}

static bool ask_clients(struct tls_context *t, const struct tls_server *server, char **error_out) {
    struct buf content = {0};
    STACK_OF(X509_NAME) *names = NULL;
    if (server->client_ca == NULL) {
        tell_sessions_apart(t, server, BYTES_NONE);
        return true;
    }
    bool is_ok = tls_file_read("client authorities", server->client_ca, &content, error_out);
    if (is_ok && (SSL_CTX_load_verify_file(t->ssl, server->client_ca) != 1 ||
                  (names = SSL_load_client_CA_file(server->client_ca)) == NULL))
        is_ok = tls_file_fail(error_out, "client authorities", server->client_ca,
                              "there is no certificate in it");
    if (is_ok) {
        SSL_CTX_set_client_CA_list(t->ssl, names); /* takes the names */
        SSL_CTX_set_verify(t->ssl,
                           SSL_VERIFY_PEER |
                               (server->takes_any_client ? 0 : SSL_VERIFY_FAIL_IF_NO_PEER_CERT),
                           NULL);
        SSL_CTX_set_verify_depth(t->ssl, TLS_CHAIN_MAX);
        SSL_CTX_set_max_cert_list(t->ssl, TLS_CHAIN_MAX_BYTES);
        tell_sessions_apart(t, server, buf_bytes(&content));
    }
    buf_deinit(&content);
    return is_ok;
}

/* ---- tickets */

static int on_ticket_key(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
                         EVP_MAC_CTX *mac, int is_new) {
    const struct tls_context *t = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
    const unsigned char *current = tls_tickets_current(t->tickets);
    const unsigned char *key = is_new ? current : tls_tickets_find(t->tickets, name);
    char digest[] = "SHA256";
    if (key == NULL)
        return 0; /* no ticket, or a full handshake */
    if (is_new) {
        memcpy(name, key, 16);
        random_bytes(iv, 16);
    }
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, (void *)(uintptr_t)(key + 48), 32),
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_end()};
    MUST(EVP_MAC_CTX_set_params(mac, params) == 1);
    MUST(EVP_CipherInit_ex(cipher, EVP_aes_256_cbc(), NULL, key + 16, iv, is_new) == 1);
    return key == current ? 1 : 2; /* 2: and a new ticket */
}

/* A client is who it was as long as its certificate is valid. */
static SSL_TICKET_RETURN on_ticket(SSL *ssl, SSL_SESSION *session, const unsigned char *name,
                                   size_t name_len, SSL_TICKET_STATUS status, void *ctx) {
    (void)ssl, (void)name, (void)name_len, (void)ctx;
    if (status != SSL_TICKET_SUCCESS && status != SSL_TICKET_SUCCESS_RENEW)
        return SSL_TICKET_RETURN_IGNORE_RENEW;
    const X509 *peer = SSL_SESSION_get0_peer(session);
    if (peer != NULL && X509_cmp_current_time(X509_get0_notAfter(peer)) < 0)
        return SSL_TICKET_RETURN_IGNORE_RENEW;
    return status == SSL_TICKET_SUCCESS ? SSL_TICKET_RETURN_USE : SSL_TICKET_RETURN_USE_RENEW;
}

static void use_tickets(struct tls_context *t, struct tls_tickets *tickets) {
    MUST(SSL_CTX_set_session_ticket_cb(t->ssl, NULL, on_ticket, NULL) == 1);
    if (tickets == NULL)
        return;
    t->tickets = tls_tickets_ref(tickets);
    SSL_CTX_set_app_data(t->ssl, t);
    SSL_CTX_set_timeout(t->ssl, (long)(2 * tls_tickets_period_ms(tickets) / 1000));
    MUST(SSL_CTX_set_tlsext_ticket_key_evp_cb(t->ssl, on_ticket_key) == 1);
}

struct tls_context *tls_context_server(const struct tls_server *server, struct tls_tickets *tickets,
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
    SSL_CTX_set_tlsext_status_cb(t->ssl, on_staple_wanted);
    SSL_CTX_set_tlsext_status_arg(t->ssl, t);
    use_tickets(t, tickets);
    return finished(t, are_accepted(t, error_out) && ask_clients(t, server, error_out));
}

void tls_context_refresh(struct tls_context *t) {
    for (size_t i = 0; t->certificates != NULL && i < certificate_set_count(t->certificates); i++)
        if (certificate_set_at(t->certificates, i)->staple != NULL)
            ocsp_staple_refresh(certificate_set_at(t->certificates, i)->staple);
}

/* ---- the client's side */

static bool trust(struct tls_context *t, const char *ca_file, char **error_out) {
    struct buf content = {0};
    SSL_CTX_set_verify(t->ssl, SSL_VERIFY_PEER, NULL);
    if (ca_file == NULL) {
        MUST(SSL_CTX_set_default_verify_paths(t->ssl) == 1);
        return true;
    }
    bool is_ok = tls_file_read("certificate authorities", ca_file, &content, error_out);
    if (is_ok && SSL_CTX_load_verify_file(t->ssl, ca_file) != 1)
        is_ok = tls_file_fail(error_out, "certificate authorities", ca_file,
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
    tls_tickets_unref(t->tickets);
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
    out->is_stapled = c.staple != NULL && ocsp_staple_at(c.staple, time(NULL)).len > 0;
    certificate_each_name(&c, append_name, &out->names);
    buf_append_char(&out->names, '\0');
    certificate_deinit(&c);
    return true;
}

bool tls_context_is_for(const struct tls_context *t, const char *host) {
    return certificate_set_has(t->certificates, host);
}
