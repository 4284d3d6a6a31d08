/* test_tls_session.c - what a peer may do to a conversation once it is agreed on. */
#include "common/net/tls_session.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/ssl.h>

#include "common/base/buf.h"
#include "common/net/tls.h"
#include "tests/common/net/made_files.h"

static char opened[1 << 20];

static int make_files(void **state) {
    (void)state;
    made_folder_begin("test_tls_session");
    made_by("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 "
            "-subj /CN=x -keyout key -out cert && cat key >>cert");
    return 0;
}

struct pair {
    struct tls_context *context;
    struct tls_session *server;
    SSL_CTX *client_context;
    SSL *client;
    BIO *to_client, *from_client;
};

static void take_output(struct pair *p) {
    struct bytes out = tls_output();
    if (out.len > 0)
        assert_int_equal(BIO_write(p->to_client, out.ptr, (int)out.len), (int)out.len);
    tls_output_clear();
}

static void feed(struct pair *p) {
    char *data;
    long len = BIO_get_mem_data(p->from_client, &data);
    tls_session_feed(p->server, bytes_of(data, (size_t)len));
}

static void shake_hands(struct pair *p) {
    struct tls_files files = {.certificate = made_path("cert")};
    char *error = NULL;
    p->context = tls_context_server(&(struct tls_server){.certificates = &files, .count = 1}, NULL,
                                    NULL, &error);
    assert_non_null(p->context);
    p->server = tls_session_new(p->context, NULL);
    p->client_context = SSL_CTX_new(TLS_client_method());
    p->client = SSL_new(p->client_context);
    p->to_client = BIO_new(BIO_s_mem());
    p->from_client = BIO_new(BIO_s_mem());
    SSL_set_bio(p->client, p->to_client, p->from_client);
    SSL_set_connect_state(p->client);
    enum tls_step step = TLS_MORE;
    while (SSL_do_handshake(p->client) != 1 || step != TLS_DONE) {
        feed(p);
        step = tls_session_handshake(p->server);
        (void)BIO_reset(p->from_client);
        take_output(p);
    }
}

static void tear_down(struct pair *p) {
    tls_session_free(p->server);
    tls_context_unref(p->context);
    SSL_free(p->client);
    SSL_CTX_free(p->client_context);
}

/* The client asks for new keys so many times, then says a word. */
static enum tls_step ask_for_keys(struct pair *p, int times, size_t *len_out) {
    for (int i = 0; i < times; i++) {
        assert_int_equal(SSL_key_update(p->client, SSL_KEY_UPDATE_REQUESTED), 1);
        assert_int_equal(SSL_do_handshake(p->client), 1);
    }
    assert_int_equal(SSL_write(p->client, "word", 4), 4);
    feed(p);
    enum tls_step step = tls_session_open(p->server, opened, sizeof(opened), len_out);
    (void)BIO_reset(p->from_client);
    take_output(p);
    return step;
}

static void new_keys_have_a_bound(void **state) {
    struct pair p = {0};
    size_t len;
    (void)state;
    shake_hands(&p);
    assert_int_equal(ask_for_keys(&p, 20, &len), TLS_MORE);
    assert_int_equal(len, 4);
    assert_int_equal(ask_for_keys(&p, 20, &len), TLS_MORE);
    assert_int_equal(len, 4);
    assert_int_equal(ask_for_keys(&p, 60, &len), TLS_FAILED);
    assert_int_equal(len, 0);
    assert_string_equal(tls_session_error(p.server),
                        "TLS failed: the peer asks for new keys too often");
    tear_down(&p);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(new_keys_have_a_bound)};
    return cmocka_run_group_tests(tests, make_files, made_folder_end);
}
