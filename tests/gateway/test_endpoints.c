/* test_endpoints.c - the URLs of --listen. */
#include "gateway/endpoints.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

/* Owned by nobody else: endpoints_deinit frees what endpoint_parse made. */
static void drop(struct endpoint_run *e) {
    struct endpoints all = {.items = malloc(sizeof(*e)), .count = 1};
    all.items[0] = *e;
    endpoints_deinit(&all);
}

static void plain_urls(void **state) {
    struct endpoint_run e;
    char *error = NULL;
    (void)state;
    assert_int_equal(endpoint_parse(&e, "http+ws://127.0.0.1:9001", &error), 0);
    assert_true(e.is_http && e.is_ws && !e.is_tls && !e.auto_upgrade);
    assert_string_equal(e.address, "127.0.0.1");
    assert_int_equal(e.port, 9001);
    drop(&e);
    assert_int_equal(endpoint_parse(&e, "ws://*", &error), 0);
    assert_true(!e.is_http && e.is_ws);
    assert_string_equal(e.address, "*");
    assert_int_equal(e.port, 80);
    drop(&e);
}

static void options(void **state) {
    struct endpoint_run e;
    char *error = NULL;
    (void)state;
    assert_int_equal(endpoint_parse(&e,
                                    "https+wss://[::]:9443?certificate=/a%20b.pem&key=k&password=p"
                                    "&name=N&hostname=h&auto_upgrade=true",
                                    &error),
                     0);
    assert_true(e.is_http && e.is_ws && e.is_tls && e.auto_upgrade);
    assert_string_equal(e.address, "::");
    assert_int_equal(e.port, 9443);
    assert_string_equal(e.certificate, "/a b.pem");
    assert_string_equal(e.key, "k");
    assert_string_equal(e.password, "p");
    assert_string_equal(e.name, "N");
    assert_string_equal(e.hostname, "h");
    drop(&e);
}

static void wrong_urls_are_one_line(void **state) {
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
        struct endpoint_run e;
        char *error = NULL;
        assert_int_equal(endpoint_parse(&e, urls[i], &error), -1);
        assert_non_null(error);
        free(error);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_urls),
        cmocka_unit_test(options),
        cmocka_unit_test(wrong_urls_are_one_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
