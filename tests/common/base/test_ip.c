/* test_ip.c - addresses and networks in tables. */
#include "common/base/ip.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "common/base/buf.h"

static void has_one_text(void **state) {
    static const struct {
        const char *address, *text;
    } rows[] = {
        {"127.0.0.1", "127.0.0.1"},
        {"::1", "::1"},
        {"2001:DB8:0::A", "2001:db8::a"},
        {"::ffff:192.0.2.7", "192.0.2.7"},
        {"::ffff:0:0", "0.0.0.0"},
        {"::192.0.2.7", "::192.0.2.7"}, /* not the mapped form */
        {"64:ff9b::c000:207", "64:ff9b::c000:207"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct ip ip;
        char text[IP_TEXT_SIZE];
        assert_true(ip_parse(bytes_str(rows[i].address), &ip));
        ip_show(ip, text);
        assert_string_equal(text, rows[i].text);
    }
}

static void other_texts_are_none(void **state) {
    static const char *const rows[] = {"",
                                       "::",
                                       "1.2.3",
                                       "1.2.3.4.5",
                                       "1.2.3.256",
                                       "01.2.3.4",
                                       " 1.2.3.4",
                                       "1.2.3.4 ",
                                       "1.2.3.4:80",
                                       "[::1]",
                                       "fe80::1%eth0",
                                       "unknown",
                                       "_hidden",
                                       "1.2.3.4/8",
                                       "::1::",
                                       "12345::",
                                       "0x7f.0.0.1",
                                       "2130706433",
                                       "localhost",
                                       "::ffff:1.2.3.4.5",
                                       "1111:2222:3333:4444:5555:6666:7777:8888:9999"};
    (void)state;
    struct ip ip;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_false(ip_parse(bytes_str(rows[i]), &ip));
    assert_false(ip_parse(BYTES_LIT("1.2.3.4\0"), &ip));
    assert_false(ip_parse(BYTES_NONE, &ip));
}

static void sockets_have_addresses(void **state) {
    (void)state;
    char text[IP_TEXT_SIZE];
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0xC0000207)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
    struct sockaddr unix_address = {.sa_family = AF_UNIX};
    struct ip ip;
    assert_int_equal(inet_pton(AF_INET6, "::ffff:192.0.2.7", &v6.sin6_addr), 1);
    ip = ip_of_sockaddr((struct sockaddr *)&v6);
    assert_true(ip_is_equal(ip_of_sockaddr((struct sockaddr *)&v4), ip));
    ip_show(ip, text);
    assert_string_equal(text, "192.0.2.7");
    assert_false(ip_is_known(ip_of_sockaddr(&unix_address)));
    ip_show(ip_of_sockaddr(&unix_address), text);
    assert_string_equal(text, "");
}

static struct ip ip_of(const char *text) {
    struct ip ip;
    assert_true(ip_parse(bytes_str(text), &ip));
    return ip;
}

static void knows_the_loopback(void **state) {
    (void)state;
    assert_true(ip_is_loopback(ip_of("127.9.9.9")));
    assert_true(ip_is_loopback(ip_of("::1")));
    assert_true(ip_is_loopback(ip_of("::ffff:127.0.0.1")));
    assert_false(ip_is_loopback(ip_of("128.0.0.1")));
    assert_false(ip_is_loopback(ip_of("::2")));
}

static void networks_have_their_addresses(void **state) {
    static const struct {
        const char *list, *address;
        bool is_in;
    } rows[] = {
        {"10.0.0.0/8", "10.255.255.255", true},
        {"10.0.0.0/8", "11.0.0.0", false},
        {"10.0.0.0/8", "::ffff:10.1.2.3", true},
        {"::ffff:10.0.0.0/104", "10.1.2.3", true},
        {"192.0.2.128/25", "192.0.2.127", false},
        {"192.0.2.128/25", "192.0.2.128", true},
        {"192.0.2.7", "192.0.2.7", true},
        {"192.0.2.7", "192.0.2.6", false},
        {"192.0.2.7/32", "192.0.2.7", true},
        {"2001:db8::/32", "2001:db8:ffff::1", true},
        {"2001:db8::/32", "2001:db9::1", false},
        {"2001:db8::/127", "2001:db8::1", true},
        {"2001:db8::/127", "2001:db8::2", false},
        {"fe80::1", "fe80::1", true},
        {"8000::/1", "7fff::1", false},
        {"8000::/1", "ffff::1", true},
        {"8000::/1", "255.0.0.1", false},
        {"10.0.0.0/8 , 192.0.2.1,\t::1", "::1", true},
        {"loopback", "127.3.2.1", true},
        {"loopback", "::1", true},
        {"private", "172.31.0.1", true},
        {"private", "172.32.0.1", false},
        {"private", "fd00::1", true},
        {"loopback,private", "8.8.8.8", false},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct ip_networks list = {0};
        struct bytes bad;
        assert_null(ip_networks_parse(&list, bytes_str(rows[i].list), &bad));
        assert_int_equal(ip_networks_have(&list, ip_of(rows[i].address)), rows[i].is_in);
        assert_false(ip_networks_have(&list, (struct ip){{0}}));
        ip_networks_deinit(&list);
    }
}

static void wrong_networks_are_named(void **state) {
    static const struct {
        const char *list, *bad, *error;
    } rows[] = {
        {"", "", "is no address or network"},
        {"10.0.0.0/8,", "", "is no address or network"},
        {"10.0.0.0/8,haproxy", "haproxy", "is no address or network"},
        {"10.0.0.0/", "10.0.0.0/", "has a wrong prefix length"},
        {"10.0.0.0/33", "10.0.0.0/33", "has a wrong prefix length"},
        {"10.0.0.0/-1", "10.0.0.0/-1", "has a wrong prefix length"},
        {"10.0.0.0/8/8", "10.0.0.0/8/8", "has a wrong prefix length"},
        {"2001:db8::/129", "2001:db8::/129", "has a wrong prefix length"},
        {"10.0.0.1/8", "10.0.0.1/8", "has bits behind its prefix length"},
        {"0.0.0.0/0", "0.0.0.0/0", "is everybody"},
        {"fe80::%eth0/64", "fe80::%eth0/64", "is no address or network"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct ip_networks list = {0};
        struct bytes bad = BYTES_NONE;
        const char *error = ip_networks_parse(&list, bytes_str(rows[i].list), &bad);
        assert_non_null(error);
        assert_string_equal(error, rows[i].error);
        assert_true(bytes_equal_str(bad, rows[i].bad));
        ip_networks_deinit(&list);
    }
}

static void networks_have_a_bound(void **state) {
    (void)state;
    struct ip_networks list = {0};
    struct bytes bad;
    for (size_t i = 0; i < IP_NETWORKS_MAX; i++)
        assert_null(ip_networks_parse(&list, BYTES_LIT("192.0.2.0/24"), &bad));
    assert_string_equal(ip_networks_parse(&list, BYTES_LIT("::1"), &bad),
                        "is one network more than 256");
    ip_networks_deinit(&list);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(has_one_text),
        cmocka_unit_test(other_texts_are_none),
        cmocka_unit_test(sockets_have_addresses),
        cmocka_unit_test(knows_the_loopback),
        cmocka_unit_test(networks_have_their_addresses),
        cmocka_unit_test(wrong_networks_are_named),
        cmocka_unit_test(networks_have_a_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
