/*
 * tls_session.c - see tls_session.h.
 *
 * OpenSSL reads and writes through a BIO of our own: reading takes from what was fed last, writing
 * adds to the one output buffer, which never refuses. So a conversation owns no buffer between two
 * calls but the beginning of a record that has not arrived whole.
 */
#include "common/net/tls_session.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "common/base/buf.h"
#include "common/net/tls.h"

enum { OUTPUT_KEEP_MAX = 128 * 1024 };

struct tls_session {
    SSL *ssl;
    struct tls_context *context;
    unsigned agreed; /* steps of the handshake protocol since it was done */
    bool is_done;
    struct bytes in; /* fed and not yet used; empty between two calls */
    char *error;     /* NULL until something fails for good */
};

/* One for the process: it is sent before the next session gets its turn. */
static struct buf output;

/* ---- the BIO ---- */

static int on_bio_read(BIO *bio, char *out, size_t size, size_t *len_out) {
    struct tls_session *t = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    struct bytes head = bytes_head(t->in, size);
    *len_out = head.len;
    if (head.len == 0) {
        BIO_set_retry_read(bio);
        return 0;
    }
    memcpy(out, head.ptr, head.len);
    t->in = bytes_from(t->in, head.len);
    return 1;
}

static int on_bio_write(BIO *bio, const char *data, size_t len, size_t *len_out) {
    BIO_clear_retry_flags(bio);
    buf_append(&output, bytes_of(data, len));
    *len_out = len;
    return 1;
}

static long on_bio_ctrl(BIO *bio, int command, long number, void *ptr) {
    (void)bio, (void)number, (void)ptr;
    return command == BIO_CTRL_FLUSH;
}

static const BIO_METHOD *bio_method(void) {
    static BIO_METHOD *method;
    if (method == NULL) {
        method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "stream");
        MUST(method != NULL);
        MUST(BIO_meth_set_read_ex(method, on_bio_read) == 1);
        MUST(BIO_meth_set_write_ex(method, on_bio_write) == 1);
        MUST(BIO_meth_set_ctrl(method, on_bio_ctrl) == 1);
    }
    return method;
}

/* ---- after the handshake ---- */

/* A peer may ask for new keys at any time, and each time we derive some, which is a hundred times
 * dearer than the bytes that ask for it. Within one call OpenSSL goes on for as long as there is
 * input, so it is taken away. */
static void on_step(const SSL *ssl, int where, int result) {
    struct tls_session *t = SSL_get_app_data(ssl);
    (void)result;
    if (!t->is_done || (where & SSL_CB_LOOP) == 0 || ++t->agreed <= TLS_KEY_STEPS_MAX)
        return;
    t->in = BYTES_NONE;
    if (t->error == NULL)
        t->error = mem_strdup("TLS failed: the peer asks for new keys too often");
}

/* ---- life ---- */

static void expect_peer(SSL *ssl, const char *name) {
    ASN1_OCTET_STRING *ip = a2i_IPADDRESS(name);
    ASN1_OCTET_STRING_free(ip);
    ERR_clear_error();
    if (ip != NULL) {
        MUST(X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), name) == 1);
        return;
    }
    SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    MUST(SSL_set1_host(ssl, name) == 1);
    MUST(SSL_set_tlsext_host_name(ssl, name) == 1);
}

struct tls_session *tls_session_new(struct tls_context *context, const char *server_name) {
    struct tls_session *t = mem_zalloc(sizeof(*t));
    t->context = tls_context_ref(context);
    t->ssl = SSL_new(context->ssl);
    BIO *bio = BIO_new(bio_method());
    MUST(t->ssl != NULL && bio != NULL);
    SSL_set_app_data(t->ssl, t);
    SSL_set_info_callback(t->ssl, on_step);
    BIO_set_data(bio, t);
    BIO_set_init(bio, 1);
    SSL_set_bio(t->ssl, bio, bio);
    if (context->is_server) {
        SSL_set_accept_state(t->ssl);
        return t;
    }
    SSL_set_connect_state(t->ssl);
    if (server_name != NULL)
        expect_peer(t->ssl, server_name);
    return t;
}

void tls_session_free(struct tls_session *t) {
    if (t == NULL)
        return;
    SSL_free(t->ssl);
    tls_context_unref(t->context);
    free(t->error);
    free(t);
}

/* ---- conversation ---- */

static void note_error(struct tls_session *t) {
    char text[256];
    unsigned long code = ERR_peek_error();
    long verified = SSL_get_verify_result(t->ssl);
    const char *reason = ERR_reason_error_string(code);
    if (verified != X509_V_OK)
        snprintf(text, sizeof(text), "the certificate is refused: %s",
                 X509_verify_cert_error_string(verified));
    else
        snprintf(text, sizeof(text), "TLS failed: %s", reason != NULL ? reason : "no reason given");
    ERR_clear_error();
    if (t->error == NULL)
        t->error = mem_strdup(text);
}

static enum tls_step step_of(struct tls_session *t, int result) {
    int error = SSL_get_error(t->ssl, result);
    if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE)
        return TLS_MORE;
    if (error == SSL_ERROR_ZERO_RETURN)
        return TLS_ENDED;
    note_error(t);
    return TLS_FAILED;
}

void tls_session_feed(struct tls_session *t, struct bytes in) {
    MUST(t->in.len == 0);
    t->in = in;
}

enum tls_step tls_session_handshake(struct tls_session *t) {
    if (t->error != NULL)
        return TLS_FAILED;
    ERR_clear_error();
    int r = SSL_do_handshake(t->ssl);
    t->is_done = r == 1;
    return t->is_done ? TLS_DONE : step_of(t, r);
}

enum tls_step tls_session_open(struct tls_session *t, char *out, size_t cap, size_t *len_out) {
    size_t at = 0;
    enum tls_step step = t->error != NULL ? TLS_FAILED : TLS_DONE;
    while (step == TLS_DONE) {
        size_t n = 0;
        MUST(at < cap);
        ERR_clear_error();
        int r = SSL_read_ex(t->ssl, out + at, cap - at, &n);
        at += n;
        if (r != 1)
            step = step_of(t, r);
    }
    if (t->error != NULL)
        step = TLS_FAILED;
    t->in = BYTES_NONE; /* behind a goodbye or an error nothing counts */
    *len_out = at;
    return step;
}

bool tls_session_seal(struct tls_session *t, struct bytes plain) {
    size_t n = 0;
    MUST(plain.len <= TLS_RECORD_MAX);
    if (t->error != NULL)
        return false;
    ERR_clear_error();
    int r = SSL_write_ex(t->ssl, plain.ptr, plain.len, &n);
    if (r == 1 && n == plain.len)
        return true;
    note_error(t);
    return false;
}

void tls_session_end(struct tls_session *t) {
    if (t->error != NULL || !SSL_is_init_finished(t->ssl))
        return;
    ERR_clear_error();
    SSL_shutdown(t->ssl);
    ERR_clear_error();
}

bool tls_session_is_resumed(const struct tls_session *t) {
    return SSL_session_reused(t->ssl) == 1;
}

static void describe(X509 *certificate, struct tls_peer *out) {
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    char *text;
    BIO *bio = BIO_new(BIO_s_mem());
    MUST(bio != NULL);
    /* Characters beyond ASCII stay as they are, in UTF-8. */
    X509_NAME_print_ex(bio, X509_get_subject_name(certificate), 0,
                       XN_FLAG_RFC2253 & ~(unsigned long)ASN1_STRFLGS_ESC_MSB);
    long text_len = BIO_get_mem_data(bio, &text);
    if (text_len > 0)
        buf_append(&out->subject, bytes_of(text, (size_t)text_len));
    buf_append_char(&out->subject, '\0');
    BIO_free(bio);
    MUST(X509_digest(certificate, EVP_sha256(), digest, &len) == 1);
    for (unsigned i = 0; i < len && 2 * i + 2 < sizeof(out->fingerprint); i++)
        snprintf(out->fingerprint + (size_t)2 * i, 3, "%02x", digest[i]);
}

void tls_session_peer(const struct tls_session *t, struct tls_peer *out) {
    *out = (struct tls_peer){0};
    if (!SSL_is_init_finished(t->ssl))
        return;
    out->version = SSL_get_version(t->ssl);
    out->cipher = SSL_get_cipher_name(t->ssl);
    out->server_name = SSL_get_servername(t->ssl, TLSEXT_NAMETYPE_host_name);
    out->is_resumed = tls_session_is_resumed(t);
    X509 *certificate = SSL_get0_peer_certificate(t->ssl);
    if (certificate != NULL)
        describe(certificate, out);
    ERR_clear_error();
}

const char *tls_session_error(const struct tls_session *t) {
    return t->error != NULL ? t->error : "";
}

struct bytes tls_output(void) {
    return buf_bytes(&output);
}

void tls_output_clear(void) {
    if (output.cap > OUTPUT_KEEP_MAX)
        buf_release(&output);
    else
        buf_clear(&output);
}
