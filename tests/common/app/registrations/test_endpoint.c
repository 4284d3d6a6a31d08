/* test_endpoint.c - the URLs of --listen, read and written. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

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
    assert_string_equal(e.certificate, "/a b.pem");
    assert_string_equal(e.key, "k");
    assert_string_equal(e.password, "p");
    assert_string_equal(e.name, "N");
    assert_string_equal(e.hostname, "h");
    endpoint_deinit(&e);
}

static void wrong_urls(void **state) {
    static const char *const urls[] = {"",
                                       "127.0.0.1:80",
                                       "ftp://127.0.0.1:80",
                                       "http+wss://127.0.0.1:80",
                                       "http://:80",
                                       "http://a:66000",
                                       "http://a:80?nonsense=1",
                                       "http://a:80?auto_upgrade=perhaps"};
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
                                       "a%20b&key=k%26&password=p%25&auto_upgrade=true"};
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

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(plain_urls), cmocka_unit_test(options),
                                       cmocka_unit_test(wrong_urls),
                                       cmocka_unit_test(written_as_read)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
