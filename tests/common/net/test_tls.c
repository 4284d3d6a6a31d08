/* Certificates of all kinds, and the stream through TLS. The files are made by openssl(1). */
#include "common/net/tls.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/net/handshakes.h"
#include "tests/common/net/peers.h"
#include "tests/common/net/made_files.h"

enum { MUCH = 16 * 1024 * 1024 };

/* A CA; "good" for localhost and 127.0.0.1; the same expired, not valid yet, encrypted, in PKCS#12.
 */
static int make_files(void **state) {
    (void)state;
    made_folder_begin("test_tls");
    made_by(
        "new='openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes' && "
        "$new -keyout ca.key -out ca.pem -subj /CN=ca -days 30 && "
        "$new -keyout other.key -out other.pem -subj /CN=other -days 30 && "
        "openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout good.key "
        "  -out good.csr -subj /CN=localhost && "
        "echo 'subjectAltName=DNS:localhost,IP:127.0.0.1' >ext && "
        "sign='openssl x509 -req -in good.csr -CA ca.pem -CAkey ca.key -extfile ext' && "
        "$sign -out good.pem -days 20 && $sign -out expired.pem -days -1 && "
        "cat good.pem ca.pem good.key >all.pem && : >empty.pem && truncate -s 1048576 big.pem && "
        "echo nonsense >bad.pem && "
        "openssl ec -in good.key -aes256 -passout pass:secret -out locked.key && "
        "openssl pkcs12 -export -in good.pem -inkey good.key -passout pass:secret -out good.p12 && "
        "openssl pkcs12 -export -in good.pem -inkey good.key -passout pass: -out open.p12 && "
        "openssl pkcs12 -export -in good.pem -nokeys -passout pass: -out nokey.p12 && "
        "cp ca.pem link0.pem && cp ca.key link0.key && : >above && for i in 1 2 3 4 5 6; do "
        "  printf 'basicConstraints=CA:true\n' >ca.ext && "
        "  openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout link$i.key "
        "    -out link.csr -subj /CN=link$i && "
        "  openssl x509 -req -in link.csr -CA link$((i-1)).pem -CAkey link$((i-1)).key -days 20 "
        "    -extfile ca.ext -out link$i.pem && "
        "  cat link$i.pem above link$i.key >chain$i.pem && cat link$i.pem above >more && "
        "  mv more above; done && "
        "(cat link1.pem; for i in $(seq 100); do cat ca.pem; done; cat link1.key) >long.pem && "
        "mkdir ca.d && "
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca2.key "
        "  -out ca2.pem -subj /CN=ca2 -days 30 && touch index && echo 01 >serial && "
        "printf '[ca]\\ndefault_ca=d\\n[d]\\ndatabase=index\\nserial=serial\\nnew_certs_dir=ca.d\\n"
        "default_md=sha256\\npolicy=p\\n[p]\\ncommonName=supplied\\n' >ca.conf && "
        "openssl ca -batch -config ca.conf -in good.csr -cert ca2.pem -keyfile ca2.key "
        "  -startdate 20900101000000Z -enddate 20910101000000Z -out early.pem");
    return 0;
}

static struct tls_context *server_of(const char *certificate, const char *key, const char *password,
                                     char **error_out) {
    struct tls_files files = {certificate, key, password, NULL, NULL};
    return tls_context_server(&(struct tls_server){&files, 1, NULL, false}, NULL, NULL, error_out);
}

static struct tls_context *load_server(void) {
    char *error = NULL;
    struct tls_context *t = server_of(made_path("good.pem"), made_path("good.key"), NULL, &error);
    assert_null(error);
    assert_non_null(t);
    return t;
}

static struct tls_context *load_client(const char *ca) {
    char *error = NULL;
    struct tls_context *t =
        tls_context_client(ca != NULL ? made_path(ca) : NULL, NULL, NULL, &error);
    assert_null(error);
    assert_non_null(t);
    return t;
}

/* ---- certificates ---- */

static void good_certificates(void **state) {
    (void)state;
    static const struct {
        const char *certificate, *key, *password;
    } cases[] = {{"good.pem", "good.key", NULL},
                 {"all.pem", NULL, NULL},
                 {"all.pem", "good.key", "ignored"},
                 {"good.pem", "locked.key", "secret"},
                 {"good.p12", NULL, "secret"},
                 {"open.p12", NULL, NULL},
                 {"open.p12", NULL, ""}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char *error = NULL;
        struct tls_context *t = server_of(made_path(cases[i].certificate),
                                          cases[i].key != NULL ? made_path(cases[i].key) : NULL,
                                          cases[i].password, &error);
        if (t == NULL)
            print_error("%s\n", error);
        assert_non_null(t);
        assert_null(error);
        tls_context_unref(tls_context_ref(t));
        tls_context_unref(t);
    }
    tls_context_unref(NULL);
}

static void bad_certificates(void **state) {
    (void)state;
    static const struct {
        const char *certificate, *key, *password, *says;
    } cases[] = {{"none.pem", "good.key", NULL, "No such file"},
                 {"good.pem", "none.key", NULL, "No such file"},
                 {"ca.d", NULL, NULL, "Is a directory"},
                 {"empty.pem", NULL, NULL, "the file is empty"},
                 {"bad.pem", NULL, NULL, "neither PEM nor PKCS#12"},
                 {"good.key", "good.key", NULL, "there is no certificate"},
                 {"good.pem", NULL, NULL, "there is no private key"},
                 {"good.pem", "other.key", NULL, "belongs to another"},
                 {"good.pem", "locked.key", NULL, "needs a password"},
                 {"good.pem", "locked.key", "wrong", "the password is wrong"},
                 {"big.pem", NULL, NULL, "the file is too big"},
                 {"good.p12", NULL, NULL, "needs a password"},
                 {"good.p12", NULL, "wrong", "the password is wrong"},
                 {"nokey.p12", NULL, NULL, "private key"},
                 {"expired.pem", "good.key", NULL, "expired on 20"},
                 {"early.pem", "good.key", NULL, "not valid before 2090-01-01"}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char *error = NULL;
        struct tls_context *t = server_of(made_path(cases[i].certificate),
                                          cases[i].key != NULL ? made_path(cases[i].key) : NULL,
                                          cases[i].password, &error);
        assert_null(t);
        assert_non_null(error);
        if (strstr(error, cases[i].says) == NULL)
            fail_msg("%s says: %s", cases[i].certificate, error);
        assert_null(strchr(error, '\n'));
        free(error);
    }
}

static void bad_authorities(void **state) {
    (void)state;
    char *error = NULL;
    assert_null(tls_context_client(made_path("none.pem"), NULL, NULL, &error));
    assert_non_null(strstr(error, "No such file"));
    free(error);
    assert_null(tls_context_client(made_path("bad.pem"), NULL, NULL, &error));
    assert_non_null(strstr(error, "there is no certificate"));
    free(error);
}

/* ---- streams ---- */

static void peers_init_tls(struct peers *p, const char *ca) {
    peers_init(p);
    p->server_tls = load_server();
    p->client_tls = load_client(ca);
}

static void says_both_ways(void **state) {
    (void)state;
    static const char *const names[] = {"localhost", "127.0.0.1"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        struct peers p;
        peers_init_tls(&p, "ca.pem");
        p.client.to_say = "hello"; /* within on_open: comes along with the end of the handshake */
        p.client.to_say_len = 5;
        p.server.to_say = "welcome";
        p.server.to_say_len = 7;
        p.server.closes_at_end = true;
        peers_meet(&p, names[i]);
        peers_until_heard(&p, &p.server, 5, 5000);
        peers_until_heard(&p, &p.client, 7, 5000);
        assert_memory_equal(p.server.heard.ptr, "hello", 5);
        assert_memory_equal(p.client.heard.ptr, "welcome", 7);
        stream_close(&p.client.stream);
        peers_until(&p, &p.server.ends, 1, 1000);
        assert_int_equal(p.server.ended, 0);
        peers_deinit(&p);
    }
}

/* Each end knows the other's certificate, if it has one, and what both agreed on. */
static void each_end_knows_the_other(void **state) {
    (void)state;
    struct peers p;
    struct tls_peer server = {0}, client = {0};
    peers_init_tls(&p, "ca.pem");
    peers_connect(&p, "localhost");
    assert_false(stream_tls_peer(&p.client.stream, &server)); /* not yet */
    assert_null(server.version);
    peers_until(&p, &p.server.opens, 1, 5000);
    peers_until(&p, &p.client.opens, 1, 5000);
    assert_true(stream_tls_peer(&p.client.stream, &server));
    assert_string_equal(server.version, "TLSv1.3");
    assert_non_null(server.cipher);
    assert_string_equal(server.subject.ptr, "CN=localhost");
    assert_int_equal(strlen(server.fingerprint), 64);
    assert_int_equal(strspn(server.fingerprint, "0123456789abcdef"), 64);
    assert_false(server.is_resumed);
    assert_true(stream_tls_peer(&p.server.stream, &client));
    assert_string_equal(client.server_name, "localhost");
    assert_string_equal(client.fingerprint, "");
    assert_int_equal(client.subject.len, 0);
    buf_deinit(&server.subject);
    peers_deinit(&p);
}

static struct handshakes handshakes;
static unsigned turns;

/* Others have had their share of each of the first turns already. */
static void use_up_turn(uv_prepare_t *handle) {
    (void)handle;
    if (turns++ < 20)
        handshakes.worked_ns = HANDSHAKES_SHARE_US * 1000ULL;
}

static void a_handshake_waits_for_its_turn(void **state) {
    (void)state;
    struct peers p;
    uv_prepare_t prepare;
    peers_init_tls(&p, "ca.pem");
    assert_int_equal(uv_prepare_init(&p.loop, &prepare), 0);
    assert_int_equal(uv_prepare_start(&prepare, use_up_turn), 0);
    handshakes_init(&handshakes, &p.loop); /* its own comes before the one above */
    p.handshakes = &handshakes;
    turns = 0;
    peers_meet(&p, "localhost");
    assert_true(turns > 20);
    assert_int_equal(handshakes.count, 0);
    peer_say(&p.client, "hello", 5);
    peers_until_heard(&p, &p.server, 5, 5000);
    handshakes_deinit(&handshakes);
    uv_close((uv_handle_t *)&prepare, NULL);
    peers_deinit(&p);
}

static char *make_pattern(size_t len) {
    char *text = mem_alloc(len);
    for (size_t i = 0; i < len; i++)
        text[i] = (char)(i * 31 + (i >> 13));
    return text;
}

static void much_both_ways_at_once(void **state) {
    (void)state;
    struct peers p;
    char *much = make_pattern(MUCH);
    peers_init_tls(&p, "ca.pem");
    peers_meet(&p, "localhost");
    peer_say(&p.client, much, MUCH);
    peer_say(&p.server, much + 1, MUCH - 1);
    peers_until_heard(&p, &p.server, MUCH, 60000);
    peers_until_heard(&p, &p.client, MUCH - 1, 60000);
    assert_memory_equal(p.server.heard.ptr, much, MUCH);
    assert_memory_equal(p.client.heard.ptr, much + 1, MUCH - 1);
    peers_deinit(&p);
    free(much);
}

static void many_small_buffers_are_gathered(void **state) {
    (void)state;
    struct peers p;
    uv_buf_t bufs[STREAM_BUFS_MAX];
    char *much = make_pattern(STREAM_BUFS_MAX * 1000);
    size_t total = 0;
    peers_init_tls(&p, "ca.pem");
    peers_meet(&p, "localhost");
    for (unsigned i = 0; i < STREAM_BUFS_MAX; i++) { /* 0, 997, 0, 997 ... among larger ones */
        size_t len = i % 2 == 0 ? 0 : 997;
        bufs[i] = uv_buf_init(len > 0 ? much + total : NULL, (unsigned)len);
        total += len;
    }
    assert_int_equal(stream_write(&p.server.stream, bufs, STREAM_BUFS_MAX), total);
    peers_until_heard(&p, &p.client, total, 5000);
    assert_memory_equal(p.client.heard.ptr, much, total);
    peers_deinit(&p);
    free(much);
}

static void slow_reader_blocks_writer(void **state) {
    (void)state;
    struct peers p;
    char *much = make_pattern(MUCH);
    peers_init_tls(&p, "ca.pem");
    peers_meet(&p, "localhost");
    stream_pause(&p.server.stream);
    peer_say(&p.client, much, MUCH);
    peers_turn(&p, 300);
    assert_true(p.client.said < MUCH);
    assert_true(uv_stream_get_write_queue_size(&p.client.stream.uv.stream) < 70000);
    stream_resume(&p.server.stream);
    peers_until_heard(&p, &p.server, MUCH, 60000);
    assert_memory_equal(p.server.heard.ptr, much, MUCH);
    peers_deinit(&p);
    free(much);
}

static void close_waits_for_what_was_taken(void **state) {
    (void)state;
    struct peers p;
    char *much = make_pattern(MUCH);
    peers_init_tls(&p, "ca.pem");
    p.server.closes_at_end = true;
    peers_meet(&p, "localhost");
    stream_pause(&p.server.stream);
    peer_say(&p.client, much, MUCH);
    peers_turn(&p, 200);
    size_t taken = p.client.said;
    stream_close(&p.client.stream);
    peers_turn(&p, 100);
    stream_resume(&p.server.stream);
    peers_until(&p, &p.server.ends, 1, 10000);
    assert_int_equal(p.server.ended, 0);
    assert_int_equal(p.server.heard.len, taken);
    assert_memory_equal(p.server.heard.ptr, much, taken);
    peers_deinit(&p);
    free(much);
}

static void refused(const char *ca, const char *name, const char *says) {
    struct peers p;
    peers_init_tls(&p, ca);
    peers_connect(&p, name);
    peers_until(&p, &p.client.opens, 1, 5000);
    assert_int_equal(p.client.opened, UV_EPROTO);
    if (strstr(p.client.open_text, says) == NULL)
        fail_msg("it says: %s", p.client.open_text);
    /* The server hears the alert, in TLS 1.3 perhaps only after it was done. */
    peers_turn(&p, 50);
    int heard = p.server.opened == 0 ? p.server.ended : p.server.opened;
    assert_int_equal(heard, UV_EPROTO);
    peers_deinit(&p);
}

static void wrong_certificates_are_refused(void **state) {
    (void)state;
    refused("other.pem", "localhost", "the certificate is refused: unable to get");
    refused(NULL, "localhost", "the certificate is refused: unable to get");
    refused("ca.pem", "example.org", "the certificate is refused: hostname mismatch");
    refused("ca.pem", "127.0.0.2", "the certificate is refused: IP address mismatch");
}

/* link1 is by ca, link2 by link1, and so on. The client shows itself and what is between. */
static int meet_with_chain(const char *file) {
    struct peers p;
    char *error = NULL;
    struct tls_files files = {.certificate = made_path("good.pem"), .key = made_path("good.key")};
    struct tls_server server = {&files, 1, made_path("ca.pem"), false};
    peers_init(&p);
    p.server_tls = tls_context_server(&server, NULL, NULL, &error);
    p.client_tls = tls_context_client(made_path("ca.pem"), made_path(file), NULL, &error);
    assert_null(error);
    peers_connect(&p, "localhost");
    peers_until(&p, &p.server.opens, 1, 5000);
    int opened = p.server.opened;
    peers_deinit(&p);
    return opened;
}

static void client_chains_have_a_bound(void **state) {
    (void)state;
    assert_int_equal(meet_with_chain("chain1.pem"), 0);
    assert_int_equal(meet_with_chain("chain5.pem"), 0); /* with four in between */
    assert_int_equal(meet_with_chain("chain6.pem"), UV_EPROTO);
    assert_int_equal(meet_with_chain("long.pem"), UV_EPROTO); /* more than 32 kB of them */
}

/* The one side speaks TLS, the other something else. */
static void plain_text_is_no_tls(void **state) {
    (void)state;
    struct peers p;
    peers_init(&p);
    p.server_tls = load_server();
    p.client.to_say = "GET / HTTP/1.1\r\n\r\n";
    p.client.to_say_len = 18;
    peers_connect(&p, NULL);
    peers_until(&p, &p.server.opens, 1, 5000);
    assert_int_equal(p.server.opened, UV_EPROTO);
    assert_string_equal(stream_error_text(&p.server.stream, UV_EPROTO), "TLS failed: http request");
    stream_close(&p.server.stream);
    peers_until(&p, &p.client.ends, 1, 5000);
    assert_int_equal(p.client.ended, 0); /* no reset */
    peers_deinit(&p);
}

static void peer_leaves_within_the_handshake(void **state) {
    (void)state;
    struct peers p;
    peers_init(&p);
    p.server_tls = load_server();
    peers_connect(&p, NULL);
    peers_until(&p, &p.client.opens, 1, 5000);
    stream_close(&p.client.stream);
    peers_until(&p, &p.server.opens, 1, 5000);
    assert_int_equal(p.server.opened, UV_EOF);
    assert_string_equal(p.server.open_text, "closed by the peer");
    peers_deinit(&p);
}

/* A record that was changed on the way. */
static void broken_record_ends_the_stream(void **state) {
    (void)state;
    struct peers p;
    uv_os_fd_t fd;
    static const char record[] = "\x17\x03\x03\x00\x20 this is not sealed with the key";
    peers_init_tls(&p, "ca.pem");
    peers_meet(&p, "localhost");
    assert_int_equal(uv_fileno(&p.client.stream.uv.handle, &fd), 0);
    assert_int_equal(write(fd, record, 37), 37);
    peers_until(&p, &p.server.ends, 1, 5000);
    assert_int_equal(p.server.ended, UV_EPROTO);
    assert_int_equal(p.server.heard.len, 0);
    uv_buf_t word = uv_buf_init((char[]){'x'}, 1);
    assert_int_equal(stream_write(&p.server.stream, &word, 1), UV_EPROTO);
    peers_deinit(&p);
}

/* The context may go while its streams live. */
static void streams_hold_their_context(void **state) {
    (void)state;
    struct peers p;
    peers_init_tls(&p, "ca.pem");
    peers_meet(&p, "localhost");
    tls_context_unref(p.server_tls);
    tls_context_unref(p.client_tls);
    p.server_tls = p.client_tls = NULL;
    peer_say(&p.client, "still here", 10);
    peers_until_heard(&p, &p.server, 10, 1000);
    peers_deinit(&p);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(good_certificates),
                                       cmocka_unit_test(bad_certificates),
                                       cmocka_unit_test(bad_authorities),
                                       cmocka_unit_test(says_both_ways),
                                       cmocka_unit_test(each_end_knows_the_other),
                                       cmocka_unit_test(a_handshake_waits_for_its_turn),
                                       cmocka_unit_test(much_both_ways_at_once),
                                       cmocka_unit_test(many_small_buffers_are_gathered),
                                       cmocka_unit_test(slow_reader_blocks_writer),
                                       cmocka_unit_test(close_waits_for_what_was_taken),
                                       cmocka_unit_test(wrong_certificates_are_refused),
                                       cmocka_unit_test(client_chains_have_a_bound),
                                       cmocka_unit_test(plain_text_is_no_tls),
                                       cmocka_unit_test(peer_leaves_within_the_handshake),
                                       cmocka_unit_test(broken_record_ends_the_stream),
                                       cmocka_unit_test(streams_hold_their_context)};
    return cmocka_run_group_tests(tests, make_files, made_folder_end);
}
