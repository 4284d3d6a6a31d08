/* test_http_authority.c - host and port of a URL. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "common/base/must.h"
#include "common/http/http_authority.h"

static void test_split(void **state) {
    (void)state;
    static const struct {
        const char *text, *host, *port, *address;
    } cases[] = {
        {"a.example:80", "a.example", "80", "a.example"},
        {"a.example", "a.example", NULL, "a.example"},
        {"a.example:", "a.example", "", "a.example"},
        {"[::1]:9090", "[::1]", "9090", "::1"},
        {"[::1]", "[::1]", NULL, "::1"},
        {":80", "", "80", ""},
        {"", "", NULL, ""},
        {"[]:1", "[]", "1", ""},
        {"[:1", "[", "1", "["},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct http_authority a = http_authority_split(bytes_str(cases[i].text));
        assert_true(bytes_equal_str(a.host, cases[i].host));
        assert_int_equal(a.port.ptr == NULL, cases[i].port == NULL);
        assert_true(bytes_equal_str(a.port, cases[i].port));
        assert_true(bytes_equal_str(http_authority_address(a.host), cases[i].address));
    }
}

/* IPv6 with its brackets, IPv4 without; nothing else. */
static void test_is_ip(void **state) {
    (void)state;
    static const struct {
        const char *host;
        bool is_ip;
    } cases[] = {
        {"127.0.0.1", true},    {"[::1]", true},      {"[::ffff:1.2.3.4]", true},
        {"[127.0.0.1]", false}, {"::1", false},       {"[::1", false},
        {"::1]", false},        {"[]", false},        {"", false},
        {"1.2.3", false},       {"1.2.3.256", false}, {"[::g]", false},
        {"localhost", false},   {"[[::1]]", false},   {"1.2.3.4.", false},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        if (http_authority_is_ip(bytes_str(cases[i].host)) != cases[i].is_ip)
            fail_msg("%s", cases[i].host);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_split), cmocka_unit_test(test_is_ip)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
