/* test_http_origin.c - what browsers send and what people write, in one form. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/must.h"
#include "common/base/buf.h"
#include "common/http/http_origin.h"

#define IP4   "has an IPv4 address in another form than browsers send: four numbers"
#define LABEL "a23456789a123456789a123456789a123456789a123456789a12345678901234"

static void test_one_form(void **state) {
    static const struct {
        const char *text, *form;
        unsigned port;
    } rows[] = {
        {"https://chat.example", "https://chat.example", 443},
        {"https://chat.example/", "https://chat.example", 443},
        {"HTTPS://Chat.EXAMPLE:443", "https://chat.example", 443},
        {"https://chat.example:8443/", "https://chat.example:8443", 8443},
        {"http://chat.example:80", "http://chat.example", 80},
        {"http://chat.example:443", "http://chat.example:443", 443},
        {"http://127.0.0.1:8091", "http://127.0.0.1:8091", 8091},
        {"http://[::1]:8091", "http://[::1]:8091", 8091},
        {"http://[0:0::1]", "http://[::1]", 80},
        {"http://[2001:DB8::A]", "http://[2001:db8::a]", 80},
        {"https://xn--bcher-kva.example", "https://xn--bcher-kva.example", 443},
        {"http://a_b-c.example.", "http://a_b-c.example.", 80},
        {"chrome-extension://abcdef", "chrome-extension://abcdef", 0},
        {"capacitor://localhost", "capacitor://localhost", 0},
        {"app://x:7", "app://x:7", 7},
        {"app://127.1", "app://127.1", 0},
        {"http://7.chat.example", "http://7.chat.example", 80},
        {"http://chat.0xg", "http://chat.0xg", 80},
        {"http://[::ffff:127.0.0.1]", "http://[::ffff:127.0.0.1]", 80},
        {"http://[::FFFF:7f00:1]", "http://[::ffff:127.0.0.1]", 80},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct http_origin o;
        const char *error = http_origin_parse(bytes_str(rows[i].text), &o);
        if (error != NULL)
            fail_msg("%s %s", rows[i].text, error);
        assert_string_equal(o.text, rows[i].form);
        assert_int_equal(o.port, rows[i].port);
    }
}

static void test_what_is_none(void **state) {
    static const struct {
        const char *text, *error;
    } rows[] = {
        {"", "has no scheme"},
        {"null", "has no scheme"},
        {"chat.example", "has no scheme"},
        {"chat.example:443", "has no scheme"},
        {"//chat.example", "has no scheme"},
        {"://chat.example", "has no scheme"},
        {"9p://chat.example", "has no scheme"},
        {"ht tp://chat.example", "has no scheme"},
        {"https:/chat.example", "has no scheme"},
        {"ws://chat.example", "has the scheme of a WebSocket: a page's is http or https"},
        {"WSS://chat.example", "has the scheme of a WebSocket: a page's is http or https"},
        {"https://", "has no host"},
        {"https:///", "has no host"},
        {"https://:443", "has no host"},
        {"https://chat.example/rooms", "has a path"},
        {"https://chat.example//", "has a path"},
        {"https://chat.example?x", "has a query"},
        {"https://chat.example/?x", "has a query"},
        {"https://chat.example#x", "has a fragment"},
        {"https://ann@chat.example", "has a user"},
        {"https://ann:pw@chat.example", "has a user"},
        {"https://*.chat.example", "has a wildcard: it names one host"},
        {"https://bücher.example", "has a host that is not ASCII: browsers send its form xn--…"},
        {"https://chat example", "has a character that no host has"},
        {"https://chat.example, https://b", "has a path"},
        {"https://chat%2eexample", "has a character that no host has"},
        {"https://chat.example:", "has a port that is none from 1 to 65535"},
        {"https://chat.example:0", "has a port that is none from 1 to 65535"},
        {"https://chat.example:65536", "has a port that is none from 1 to 65535"},
        {"https://chat.example:https", "has a port that is none from 1 to 65535"},
        {"https://[::1", "has a bracket that is not closed"},
        {"https://[chat]", "has no IPv6 address in its brackets"},
        {"https://[127.0.0.1]", "has no IPv6 address in its brackets"},
        {"https://[::1]8", "has something behind its host that is no port"},
        {"https://::1", "has no host"},
        {"http://127.1", IP4},
        {"http://2130706433:8091", IP4},
        {"http://0x7F000001", IP4},
        {"http://127.0.0.1.", IP4},
        {"http://127.0.0.01", IP4},
        {"http://256.0.0.1", IP4},
        {"http://chat.7", IP4},
        {"https://" LABEL LABEL LABEL LABEL, "has a host of more than 255 bytes"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct http_origin o;
        const char *error = http_origin_parse(bytes_str(rows[i].text), &o);
        if (error == NULL || strcmp(error, rows[i].error) != 0)
            fail_msg("%s: %s", rows[i].text, error == NULL ? "taken" : error);
    }
    struct http_origin o;
    assert_non_null(http_origin_parse(BYTES_LIT("ht\0tp://a"), &o));
    assert_non_null(http_origin_parse(BYTES_LIT("https://a\0b"), &o));
    assert_non_null(http_origin_parse(BYTES_LIT("https://[::1\0]"), &o));
}

static void test_bounds(void **state) {
    (void)state;
    for (size_t more = 0; more < 2; more++) {
        struct http_origin o;
        struct buf host = {0}, scheme = {0};
        buf_append_str(&host, "https://");
        for (size_t i = 0; i < HTTP_ORIGIN_HOST_MAX + more; i++)
            buf_append_char(&host, i % 50 == 49 ? '.' : 'a');
        for (size_t i = 0; i < HTTP_ORIGIN_SCHEME_MAX + more; i++)
            buf_append_char(&scheme, 'a');
        buf_append_str(&scheme, "://b");
        assert_int_equal(http_origin_parse(buf_bytes(&host), &o) == NULL, more == 0);
        assert_int_equal(http_origin_parse(buf_bytes(&scheme), &o) == NULL, more == 0);
        buf_deinit(&host);
        buf_deinit(&scheme);
    }
}

static void test_hosts(void **state) {
    static const struct {
        const char *origin, *host;
        bool is_host, is_port;
    } rows[] = {
        {"http://a.example", "a.example", true, true},
        {"http://a.example", "A.Example:80", true, true},
        {"https://a.example", "a.example:443", true, true},
        {"https://a.example", "a.example:80", true, false},
        {"http://a.example:8091", "a.example:8091", true, true},
        {"http://a.example:8091", "a.example:8081", true, false},
        {"http://a.example:8091", "a.example", true, false},
        {"http://[::1]:8091", "[0::1]:8091", true, true},
        {"http://a.example", "b.example", false, false},
        {"http://a.example", "a.example.evil", false, false},
        {"http://a.example", "", false, false},
        {"http://a.example", "a.example:x", false, false},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct http_origin o;
        assert_null(http_origin_parse(bytes_str(rows[i].origin), &o));
        assert_int_equal(http_origin_is_host(&o, bytes_str(rows[i].host)), rows[i].is_host);
        assert_int_equal(http_origin_is_host_and_port(&o, bytes_str(rows[i].host)),
                         rows[i].is_port);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_form),
        cmocka_unit_test(test_what_is_none),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_hosts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
