/* test_endpoint.c - the URLs of --listen, read and written. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/app/registrations/endpoint.h"

static void plain_urls(void **state) {
    struct endpoint e;
    (void)state;
    assert_null(endpoint_parse(&e, "http+ws://127.0.0.1:9001"));
    assert_true(e.is_http && e.is_ws && !e.is_tls && !e.auto_upgrade);
    assert_string_equal(e.address, "127.0.0.1");
    assert_int_equal(e.port, 9001);
    endpoint_deinit(&e);
    assert_null(endpoint_parse(&e, "ws://*"));
    assert_true(!e.is_http && e.is_ws);
    assert_string_equal(e.address, "*");
    assert_int_equal(e.port, 80);
    endpoint_deinit(&e);
}

static void options(void **state) {
    struct endpoint e;
    (void)state;
    assert_null(endpoint_parse(&e, "https+wss://[::]:9443?certificate=/a%20b.pem&key=k&password=p"
                                   "&name=N&hostname=h&auto_upgrade=true"));
    assert_true(e.is_http && e.is_ws && e.is_tls && e.auto_upgrade);
    assert_string_equal(e.address, "::");
    assert_int_equal(e.port, 9443);
    assert_int_equal(e.tls.count, 1);
    assert_string_equal(e.tls.certificates[0].certificate, "/a b.pem");
    assert_string_equal(e.tls.certificates[0].key, "k");
    assert_string_equal(e.tls.certificates[0].password, "p");
    assert_string_equal(e.name, "N");
    assert_string_equal(e.hostname, "h");
    endpoint_deinit(&e);
}

static void several_certificates(void **state) {
    struct endpoint e, copy;
    (void)state;
    assert_null(endpoint_parse(&e, "wss://*:1?key=1k&certificate=1&certificate=2&password_file=2p"
                                   "&certificate=3&name=N&key=3k"));
    endpoint_copy(&copy, &e);
    endpoint_set_tls(&copy, &e.tls);
    endpoint_deinit(&e);
    assert_int_equal(copy.tls.count, 3);
    const struct tls_files *c = copy.tls.certificates;
    assert_string_equal(c[0].certificate, "1");
    assert_string_equal(c[0].key, "1k");
    assert_string_equal(c[1].certificate, "2");
    assert_null(c[1].key);
    assert_string_equal(c[1].password_file, "2p");
    assert_string_equal(c[2].key, "3k");
    assert_null(c[2].password_file);
    endpoint_deinit(&copy);
}

static void so_many_certificates(void **state) {
    (void)state;
    for (int count = TLS_CERTIFICATES_MAX; count <= TLS_CERTIFICATES_MAX + 1; count++) {
        struct endpoint e;
        struct buf url = {0};
        buf_append_str(&url, "https://a:1?name=n");
        for (int i = 0; i < count; i++)
            buf_append_str(&url, "&certificate=c");
        char *text = buf_take(&url);
        const char *error = endpoint_parse(&e, text);
        assert_int_equal(error == NULL, count <= TLS_CERTIFICATES_MAX);
        endpoint_deinit(&e);
        free(text);
    }
}

static void wrong_urls(void **state) {
    static const char *const urls[] = {"",
                                       "127.0.0.1:80",
                                       "ftp://127.0.0.1:80",
                                       "http+wss://127.0.0.1:80",
                                       "http://:80",
                                       "http://a:66000",
                                       "http://a:80?nonsense=1",
                                       "http://a:80?auto_upgrade=perhaps",
                                       "http://a:80?certificate=c",
                                       "https://a:80?key=k",
                                       "http://a:80?client_ca=c",
                                       "https://a:80?certificate=c&client_certificate=optional",
                                       "https://a:80?certificate=c&client_ca=d&"
                                       "client_certificate=perhaps",
                                       "https://a:80?password_file=f"};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(urls); i++) {
        struct endpoint e;
        assert_non_null(endpoint_parse(&e, urls[i]));
        assert_null(e.address);
    }
}

static void written_as_read(void **state) {
    static const char *const urls[] = {"http://*:80", "ws://[::1]:9001", "http+ws://a.example:1",
                                       "https+wss://b:65535?name=N&hostname=h&certificate=/"
                                       "a%20b&key=k%26&password=p%25&auto_upgrade=true",
                                       "https://*:1?certificate=a&certificate=b&key=c"
                                       "&password_file=/d&certificate=e&ocsp=f&client_ca=g"
                                       "&client_certificate=optional&auto_upgrade=true"};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(urls); i++) {
        struct endpoint e;
        struct buf url = {0};
        assert_null(endpoint_parse(&e, urls[i]));
        endpoint_append_url(&url, &e, 0);
        assert_true(bytes_equal_str(buf_bytes(&url), urls[i]));
        buf_deinit(&url);
        endpoint_deinit(&e);
    }
}

static void test_proxy_versions(void **state) {
    static const struct {
        const char *text;
        enum proxy_versions versions; /* PROXY_NONE: it is no name */
    } rows[] = {{"v1", PROXY_V1}, {"v2", PROXY_V2},   {"any", PROXY_ANY},    {"v3", PROXY_NONE},
                {"", PROXY_NONE}, {"V1", PROXY_NONE}, {"anyone", PROXY_NONE}};
    (void)state;
    assert_null(endpoint_proxy_name(PROXY_NONE));
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        enum proxy_versions versions;
        bool is_name = rows[i].versions != PROXY_NONE;
        assert_int_equal(endpoint_parse_proxy(bytes_str(rows[i].text), &versions), is_name);
        assert_true(!is_name || versions == rows[i].versions);
        if (is_name)
            assert_string_equal(endpoint_proxy_name(versions), rows[i].text);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_proxy_versions),
                                       cmocka_unit_test(plain_urls),
                                       cmocka_unit_test(options),
                                       cmocka_unit_test(several_certificates),
                                       cmocka_unit_test(so_many_certificates),
                                       cmocka_unit_test(wrong_urls),
                                       cmocka_unit_test(written_as_read)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
