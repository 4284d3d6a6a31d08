/* test_http_forwarded.c - who asks, in tables. */
#include "common/http/http_forwarded.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/buf.h"
#include "common/base/settings.h"
#include "common/http/http_head.h"

#define TRUSTED "10.0.0.0/8,2001:db8:1::/48"
#define X       "X-Forwarded-For: "
#define F       "Forwarded: "
#define CLIENT  "192.0.2.7"
#define LIE     "6.6.6.6"

static struct ip ip_of(const char *text) {
    struct ip ip;
    assert_true(ip_parse(bytes_str(text), &ip));
    return ip;
}

struct asked {
    char client[IP_TEXT_SIZE], host[300];
    bool is_proxied, is_secure;
    unsigned port;
};

static struct asked ask(enum http_forwarded_header header, const char *peer, const char *fields) {
    struct http_proxies proxies = {.header = header};
    struct http_head head;
    struct buf text = {0};
    struct bytes bad;
    struct asked a = {0};
    int status;
    const char *reason;
    assert_null(ip_networks_parse(&proxies.trusted, BYTES_LIT(TRUSTED), &bad));
    buf_printf(&text, "GET / HTTP/1.1\r\nHost: here\r\n%s%s\r\n", fields,
               *fields == '\0' ? "" : "\r\n");
    assert_int_equal(http_head_parse(buf_bytes(&text), 100000, &head, &status, &reason), PARSE_OK);
    struct http_forwarded f = http_forwarded_read(&proxies, &head, ip_of(peer), false);
    ip_show(f.client, a.client);
    memcpy(a.host, f.host.ptr, f.host.len);
    a.is_proxied = f.is_proxied;
    a.is_secure = f.is_secure;
    a.port = f.port;
    buf_deinit(&text);
    ip_networks_deinit(&proxies.trusted);
    return a;
}

static void the_client_is_the_first_from_the_right_that_is_no_proxy(void **state) {
    static const struct {
        const char *peer, *fields, *client;
    } rows[] = {
        {"10.0.0.1", "", "10.0.0.1"},
        {"10.0.0.1", X CLIENT, CLIENT},
        {"10.0.0.1", X LIE ", " CLIENT, CLIENT},
        {"10.0.0.1", X LIE "," CLIENT ",10.0.0.2", CLIENT},
        {"10.0.0.1", X LIE "\r\n" X CLIENT "\r\n" X "10.0.0.2", CLIENT},
        {"10.0.0.1", X "10.0.0.3, " LIE "\r\nx-forwarded-FOR:\t" CLIENT " ", CLIENT},
        {"10.0.0.1", X "10.0.0.3,10.0.0.2", "10.0.0.3"},
        {"10.0.0.1", X CLIENT ", ,,", CLIENT},
        {"10.0.0.1", X ",,,", "10.0.0.1"},
        {"10.0.0.1", X, "10.0.0.1"},
        {"10.0.0.1", X CLIENT ":4711", CLIENT},
        {"10.0.0.1", X "2001:db8::7", "2001:db8::7"},
        {"10.0.0.1", X "[2001:db8::7]", "2001:db8::7"},
        {"10.0.0.1", X "[2001:db8::7]:4711", "2001:db8::7"},
        {"10.0.0.1", X "::ffff:192.0.2.7", CLIENT},
        {"2001:db8:1::9", X CLIENT ", 2001:db8:1::8", CLIENT},
        /* what is no address ends it */
        {"10.0.0.1", X LIE ", unknown", "10.0.0.1"},
        {"10.0.0.1", X LIE ", unknown, 10.0.0.2", "10.0.0.2"},
        {"10.0.0.1", X LIE ", _hidden", "10.0.0.1"},
        {"10.0.0.1", X LIE ", fe80::1%eth0", "10.0.0.1"},
        {"10.0.0.1", X LIE ", " CLIENT ":99999", "10.0.0.1"},
        {"10.0.0.1", X LIE ", [192.0.2.7]", "10.0.0.1"},
        {"10.0.0.1", X LIE ", ::", "10.0.0.1"},
        {"10.0.0.1", X LIE " 192.0.2.7", "10.0.0.1"},
        {"10.0.0.1", X "\"" LIE ", " CLIENT, CLIENT},
        /* nobody else is believed, nor the other header */
        {CLIENT, X LIE, CLIENT},
        {CLIENT, X "10.0.0.1", CLIENT},
        {"::1", X LIE, "::1"},
        {"10.0.0.1", F "for=" LIE "\r\n" X CLIENT, CLIENT},
        {"10.0.0.1", F "for=" LIE, "10.0.0.1"},
        {"10.0.0.1", "X-Real-IP: " LIE, "10.0.0.1"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_string_equal(ask(HTTP_X_FORWARDED, rows[i].peer, rows[i].fields).client,
                            rows[i].client);
}

static void forwarded_is_read_alike(void **state) {
    static const struct {
        const char *fields, *client;
    } rows[] = {
        {F "for=" CLIENT, CLIENT},
        {F "For=\"" CLIENT "\" ; proto=http", CLIENT},
        {F "for=" LIE ", for=" CLIENT ", for=10.0.0.2;by=10.0.0.1", CLIENT},
        {F "for=" LIE "\r\n" F "for=\"[2001:db8::7]:4711\"", "2001:db8::7"},
        {F "for=\"" LIE ", for=" CLIENT, CLIENT}, /* the client's quote stays open */
        {F "for=" LIE "\\\", for=" CLIENT, CLIENT},
        {F "for=" CLIENT ";host=\"x,for=" LIE "\"", CLIENT},
        {F "for=" CLIENT ";host=\"x;for=" LIE ";y\"", CLIENT},
        {F "for=" CLIENT ";host=\"x\\\",for=" LIE ",\\\"y\"", CLIENT},
        {F "for=" CLIENT ";for=" LIE, CLIENT},
        {F "host=\"x;for=" LIE ";y\";for=" CLIENT, CLIENT},
        {F "for=" LIE ", proto=https", "10.0.0.1"},
        {F "for=" LIE ", for=unknown", "10.0.0.1"},
        {F "for=" LIE ", for=\"_gazonk\"", "10.0.0.1"},
        {F "for=" LIE ", for=", "10.0.0.1"},
        {F "for=" LIE ", for", "10.0.0.1"},
        {F "for=" LIE ", \"", "10.0.0.1"},
        {F ";;;", "10.0.0.1"},
        {F "for=" CLIENT "\r\n" X LIE, CLIENT},
        {X LIE, "10.0.0.1"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_string_equal(ask(HTTP_RFC_FORWARDED, "10.0.0.1", rows[i].fields).client,
                            rows[i].client);
    assert_string_equal(ask(HTTP_RFC_FORWARDED, CLIENT, F "for=" LIE).client, CLIENT);
}

static void the_way_has_a_bound(void **state) {
    (void)state;
    struct buf fields = {0};
    buf_append_str(&fields, X LIE);
    for (int i = 0; i < 1000; i++)
        buf_append_str(&fields, ",10.0.0.2");
    buf_append_char(&fields, '\0');
    assert_string_equal(ask(HTTP_X_FORWARDED, "10.0.0.1", fields.ptr).client, "10.0.0.2");
    buf_clear(&fields);
    buf_append_str(&fields, X LIE);
    for (int i = 1; i < HTTP_FORWARDED_HOPS_MAX; i++)
        buf_append_str(&fields, ",10.0.0.2");
    buf_append_char(&fields, '\0');
    assert_string_equal(ask(HTTP_X_FORWARDED, "10.0.0.1", fields.ptr).client, LIE);
    buf_deinit(&fields);
}

static void scheme_and_host_come_from_proxies_alone(void **state) {
    static const struct {
        enum http_forwarded_header header;
        const char *peer, *fields, *host;
        bool is_secure;
        unsigned port;
    } rows[] = {
        {HTTP_X_FORWARDED, "10.0.0.1", "", "here", false, 0},
        {HTTP_X_FORWARDED, "10.0.0.1", "X-Forwarded-Proto: https", "here", true, 0},
        {HTTP_X_FORWARDED, "10.0.0.1", "X-Forwarded-Proto: WSS", "here", true, 0},
        {HTTP_X_FORWARDED, "10.0.0.1", "X-Forwarded-Proto: gopher", "here", false, 0},
        {HTTP_X_FORWARDED, CLIENT, "X-Forwarded-Proto: https", "here", false, 0},
        {HTTP_X_FORWARDED, "10.0.0.1", "X-Forwarded-Host: chat.example:8443", "chat.example:8443",
         false, 0},
        {HTTP_X_FORWARDED, "10.0.0.1", "X-Forwarded-Host: a/b", "here", false, 0},
        {HTTP_X_FORWARDED, CLIENT, "X-Forwarded-Host: chat.example", "here", false, 0},
        {HTTP_X_FORWARDED, "10.0.0.1", "X-Forwarded-Port: 8443", "here", false, 8443},
        {HTTP_X_FORWARDED, "10.0.0.1", "X-Forwarded-Port: 0", "here", false, 0},
        {HTTP_X_FORWARDED, "10.0.0.1", "X-Forwarded-Port: 65536", "here", false, 0},
        /* a list is read as far to the left as the client stands */
        {HTTP_X_FORWARDED, "10.0.0.1", X CLIENT "\r\nX-Forwarded-Proto: https, http", "here", false,
         0},
        {HTTP_X_FORWARDED, "10.0.0.1", X CLIENT ",10.0.0.2\r\nX-Forwarded-Proto: http,https, http",
         "here", true, 0},
        {HTTP_RFC_FORWARDED, "10.0.0.1", F "for=" CLIENT ";proto=https;host=\"chat.example:8443\"",
         "chat.example:8443", true, 0},
        {HTTP_RFC_FORWARDED, "10.0.0.1",
         F "for=" LIE ";host=lie, for=" CLIENT ";proto=https, for=10.0.0.2;proto=http", "here",
         true, 0},
        {HTTP_RFC_FORWARDED, CLIENT, F "proto=https;host=lie", "here", false, 0},
        {HTTP_NOT_FORWARDED, "10.0.0.1", F "for=1.1.1.1;proto=https\r\nX-Forwarded-Proto: https",
         "here", false, 0},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct asked a = ask(rows[i].header, rows[i].peer, rows[i].fields);
        assert_string_equal(a.host, rows[i].host);
        assert_int_equal(a.is_secure, rows[i].is_secure);
        assert_int_equal(a.port, rows[i].port);
        assert_int_equal(a.is_proxied, strcmp(rows[i].peer, CLIENT) != 0);
    }
}

static void settings_are_read(void **state) {
    static const struct {
        const char *header, *networks, *error;
    } rows[] = {
        {"x-forwarded-for", "10.0.0.0/8", NULL},
        {"Forwarded", "", NULL},
        {"none", "loopback,private", NULL},
        {"x-real-ip", "",
         "--forwarded-header x-real-ip: must be x-forwarded-for, forwarded or none"},
        {"none", "10.0.0.0/8, proxy",
         "--trusted-proxies 10.0.0.0/8, proxy: proxy is no address or "
         "network"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct settings s = {.forwarded_header = rows[i].header,
                             .trusted_proxies = {{rows[i].networks}, 1}};
        struct http_proxies proxies;
        char *error = NULL;
        assert_int_equal(http_proxies_init(&proxies, &s, &error), rows[i].error == NULL ? 0 : -1);
        if (rows[i].error != NULL)
            assert_string_equal(error, rows[i].error);
        free(error);
        http_proxies_deinit(&proxies);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_client_is_the_first_from_the_right_that_is_no_proxy),
        cmocka_unit_test(forwarded_is_read_alike),
        cmocka_unit_test(the_way_has_a_bound),
        cmocka_unit_test(scheme_and_host_come_from_proxies_alone),
        cmocka_unit_test(settings_are_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
