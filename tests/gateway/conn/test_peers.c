/* test_peers.c - what one address may have and begin, and what is kept of it. */
#include "gateway/conn/peers.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "common/base/settings.h"

enum { NOW_MS = 1000000 };

static const struct ip_networks none;

static struct settings settings(void) {
    static char program[] = "test";
    char *argv[] = {program, NULL};
    struct settings s;
    int rest;
    assert_int_equal(settings_parse(&s, FOR_GATEWAY, 1, argv, &rest), SETTINGS_OK);
    return s;
}

static struct ip ip_of(const char *text) {
    struct ip ip;
    assert_true(ip_parse(bytes_str(text), &ip));
    return ip;
}

static unsigned count_until_refused(struct peers *p, struct peer_hold *holds, unsigned most,
                                    const char *address) {
    for (unsigned i = 0; i < most; i++) {
        holds[i] = (struct peer_hold){0};
        peers_hold(p, &holds[i], ip_of(address), NOW_MS);
        if (peers_count(p, &holds[i], PEER_CONNECTIONS, NOW_MS) != NULL)
            return i;
    }
    return most;
}

static void an_address_has_so_many(void **state) {
    (void)state;
    struct settings s = settings();
    struct peers p;
    struct peer_hold holds[10] = {{0}}, other = {0};
    s.max_connections_per_address = 3;
    peers_init(&p, &s, &none, 1000);
    assert_int_equal(count_until_refused(&p, holds, 10, "192.0.2.7"), 3);
    peers_hold(&p, &other, ip_of("192.0.2.8"), NOW_MS);
    assert_null(peers_count(&p, &other, PEER_CONNECTIONS, NOW_MS));
    peers_release(&p, &holds[0], NOW_MS);
    assert_null(peers_count(&p, &holds[3], PEER_CONNECTIONS, NOW_MS));
    assert_null(peers_count(&p, &holds[3], PEER_CONNECTIONS, NOW_MS)); /* it is counted once */
    peers_uncount(&holds[3], PEER_CONNECTIONS);
    peers_uncount(&holds[3], PEER_CONNECTIONS);
    assert_null(peers_count(&p, &holds[3], PEER_CONNECTIONS, NOW_MS));
    peers_hold(&p, &other, ip_of("192.0.2.7"), NOW_MS);
    assert_string_equal(peers_count(&p, &other, PEER_CONNECTIONS, NOW_MS)->text,
                        "too many connections from this address");
    peers_deinit(&p);
}

static void a_network_of_ipv6_is_one(void **state) {
    (void)state;
    struct settings s = settings();
    struct peers p;
    struct peer_hold holds[200] = {{0}};
    char address[64];
    unsigned passed = 0;
    s.max_connections_per_address = 2;
    peers_init(&p, &s, &none, 1000);
    for (unsigned i = 0; i < 5; i++) {
        snprintf(address, sizeof(address), "2001:db8:1:1::%x", i + 1);
        peers_hold(&p, &holds[i], ip_of(address), NOW_MS);
        passed += peers_count(&p, &holds[i], PEER_CONNECTIONS, NOW_MS) == NULL;
    }
    assert_int_equal(passed, 2);
    for (unsigned i = 5; i < 200; i++) {
        snprintf(address, sizeof(address), "2001:db8:1:%x::1", i);
        peers_hold(&p, &holds[i], ip_of(address), NOW_MS);
        passed += peers_count(&p, &holds[i], PEER_CONNECTIONS, NOW_MS) == NULL;
    }
    assert_int_equal(passed, 2 * PEER_WIDER);
    for (unsigned i = 0; i < 200; i++)
        peers_release(&p, &holds[i], NOW_MS);
    peers_hold(&p, &holds[0], ip_of("2001:db8:1:9::1"), NOW_MS);
    assert_null(peers_count(&p, &holds[0], PEER_CONNECTIONS, NOW_MS));
    peers_deinit(&p);
}

static unsigned spend(struct peers *p, const char *address, uint64_t now_ms) {
    struct peer_hold hold = {0};
    unsigned count = 0;
    peers_hold(p, &hold, ip_of(address), now_ms);
    while (count < 10000 && peers_spend(p, &hold, PEER_REQUESTING, now_ms) == NULL)
        count++;
    peers_release(p, &hold, now_ms);
    return count;
}

static void an_address_begins_so_many(void **state) {
    (void)state;
    struct settings s = settings();
    struct peers p;
    s.max_requests_per_second_per_address = 5;
    peers_init(&p, &s, &none, 1000);
    assert_int_equal(spend(&p, "192.0.2.7", NOW_MS), 50);
    assert_int_equal(spend(&p, "192.0.2.7", NOW_MS), 0); /* also when it came anew */
    assert_int_equal(spend(&p, "192.0.2.8", NOW_MS), 50);
    assert_int_equal(spend(&p, "192.0.2.7", NOW_MS + 2000), 10);
    assert_int_equal(spend(&p, "192.0.2.7", NOW_MS + 100000), 50);
    peers_deinit(&p);
}

/* How long handlers may work for an address, in pieces of 100 ms, until it is refused. */
static unsigned work(struct peers *p, const char *address, uint64_t now_ms) {
    struct peer_hold hold = {0};
    unsigned count = 0;
    peers_hold(p, &hold, ip_of(address), now_ms);
    for (; count < 1000 && peers_may_work(p, &hold, now_ms) == NULL; count++)
        peers_work(p, ip_of(address), 100000, now_ms);
    peers_release(p, &hold, now_ms);
    return count;
}

static void handlers_work_so_long_for_an_address(void **state) {
    (void)state;
    struct settings s = settings();
    struct peers p;
    peers_init(&p, &s, &none, 1000);
    assert_int_equal(work(&p, "192.0.2.7", NOW_MS),
                     4); /* three seconds' worth, and what goes over */
    assert_int_equal(work(&p, "192.0.2.7", NOW_MS + 500), 0);
    assert_int_equal(work(&p, "192.0.2.7", NOW_MS + 1001), 1);
    assert_int_equal(work(&p, "192.0.2.8", NOW_MS), 4);
    assert_int_equal(work(&p, "192.0.2.7", NOW_MS + 100000), 4);
    assert_int_equal(work(&p, "10.0.0.7", NOW_MS), 1000); /* nobody set the limit */
    peers_deinit(&p);
    s.max_handler_ms_per_second_per_address = 200;
    peers_init(&p, &s, &none, 1000);
    assert_int_equal(work(&p, "10.0.0.7", NOW_MS), 7);
    peers_work(&p, ip_of("10.0.0.8"), 86400000000, NOW_MS); /* what is owed has a bound */
    assert_int_equal(work(&p, "10.0.0.8", NOW_MS + 7001), 1);
    for (int i = 0; i < 10000; i++)
        peers_work(&p, ip_of("10.0.0.9"), PEER_WORK_MIN_US - 1, NOW_MS);
    assert_int_equal(work(&p, "10.0.0.9", NOW_MS), 7);
    peers_deinit(&p);
    s.max_handler_ms_per_second_per_address = 0;
    peers_init(&p, &s, &none, 1000);
    assert_int_equal(work(&p, "10.0.0.7", NOW_MS), 1000);
    peers_deinit(&p);
}

static void handlers_work_for_a_wider_network_too(void **state) {
    (void)state;
    struct settings s = settings();
    struct peers p;
    unsigned total = 0;
    char address[64];
    peers_init(&p, &s, &none, 1000);
    for (unsigned i = 0; i < 100; i++) {
        snprintf(address, sizeof(address), "2001:db8:1:%x::1", i);
        total += work(&p, address, NOW_MS);
    }
    assert_int_equal(total, 3 * PEER_WIDER + 1);
    peers_deinit(&p);
}

static void what_is_kept_has_a_bound(void **state) {
    (void)state;
    struct settings s = settings();
    struct peers p;
    struct peer_hold hold = {0};
    char address[64];
    peers_init(&p, &s, &none, 1000);
    for (unsigned i = 0; i < 3 * PEERS_IDLE_MAX; i++) {
        snprintf(address, sizeof(address), "2001:%x:%x::1", i >> 8, i & 255);
        peers_hold(&p, &hold, ip_of(address), NOW_MS);
        peers_release(&p, &hold, NOW_MS);
        assert_true(p.idle_count <= PEERS_IDLE_MAX + 2);
    }
    for (unsigned i = 0; i < PEERS_IDLE_MAX; i++) {
        snprintf(address, sizeof(address), "9.9.%u.%u", i >> 8, i & 255);
        peers_hold(&p, &hold, ip_of(address), NOW_MS + 3600000);
        peers_release(&p, &hold, NOW_MS + 3600000);
    }
    assert_true(p.idle_count <= PEERS_IDLE_MAX + 2);
    peers_deinit(&p);
}

/* Whoever comes again is not forgotten with those who went at the same time. */
static void who_is_here_is_never_forgotten(void **state) {
    (void)state;
    struct settings s = settings();
    struct peers p;
    struct peer_hold hold = {0}, other = {0};
    char address[64];
    s.max_connections_per_address = 1;
    peers_init(&p, &s, &none, 1000);
    peers_hold(&p, &hold, ip_of("192.0.2.7"), NOW_MS);
    peers_release(&p, &hold, NOW_MS);
    assert_int_equal(p.idle_count, 1);
    peers_hold(&p, &hold, ip_of("192.0.2.7"), NOW_MS + 1);
    assert_int_equal(p.idle_count, 0);
    assert_true(TAILQ_EMPTY(&p.idle));
    assert_null(peers_count(&p, &hold, PEER_CONNECTIONS, NOW_MS + 1));
    for (unsigned i = 0; i < 10; i++) { /* each forgets who has been away for long */
        snprintf(address, sizeof(address), "9.9.9.%u", i);
        peers_hold(&p, &other, ip_of(address), NOW_MS + 3600000);
        peers_release(&p, &other, NOW_MS + 3600000);
    }
    peers_hold(&p, &other, ip_of("192.0.2.7"), NOW_MS + 3600000);
    assert_non_null(peers_count(&p, &other, PEER_CONNECTIONS, NOW_MS + 3600000));
    peers_release(&p, &other, NOW_MS + 3600000);
    peers_release(&p, &hold, NOW_MS + 3600000);
    peers_deinit(&p);
}

static void defaults_are_for_public_addresses(void **state) {
    static const char *const local[] = {"127.0.0.1",  "::1",         "10.1.2.3", "172.16.0.1",
                                        "172.31.0.1", "192.168.1.1", "fd00::1",  "fe80::1"};
    static const char *const public[] = {"126.0.0.1", "172.15.0.1",  "172.32.0.1", "192.167.0.1",
                                         "8.8.8.8",   "2001:db8::1", "fec0::1"};
    (void)state;
    struct settings s = settings();
    struct peers p;
    for (size_t i = 0; i < ARRAY_LEN(local); i++)
        assert_true(ip_is_local(ip_of(local[i])));
    for (size_t i = 0; i < ARRAY_LEN(public); i++)
        assert_false(ip_is_local(ip_of(public[i])));
    peers_init(&p, &s, &none, 1000);
    assert_int_equal(p.limits.most[PEER_CONNECTIONS], 501); /* of 1000: half and one */
    assert_int_equal(p.local_limits.most[PEER_CONNECTIONS], 0);
    s.max_connections_per_address = 20;
    peers_init(&p, &s, &none, 10);
    assert_int_equal(p.limits.most[PEER_CONNECTIONS], 20);
    assert_int_equal(p.local_limits.most[PEER_CONNECTIONS], 20);
    peers_deinit(&p);
}

/* Its network, ::/64, is no private one. */
static void defaults_spare_ipv6_loopback(void **state) {
    static const char *const spared[] = {"::1", "fd00::1", "127.0.0.1", "::ffff:10.0.0.1"};
    (void)state;
    struct settings s = settings();
    for (size_t i = 0; i < ARRAY_LEN(spared); i++) {
        struct peer_hold holds[10] = {{0}};
        struct peers p;
        peers_init(&p, &s, &none, 6); /* by default 4 of an address */
        assert_int_equal(count_until_refused(&p, holds, 10, spared[i]), 10);
        peers_deinit(&p);
        peers_init(&p, &s, &none, 6);
        assert_int_equal(count_until_refused(&p, holds, 10, "::2"), 4);
        peers_deinit(&p);
    }
}

static void an_ipv4_address_has_one_form(void **state) {
    (void)state;
    struct settings s = settings();
    struct peers p;
    struct peer_hold holds[10] = {{0}}, mapped = {0};
    s.max_connections_per_address = 3;
    peers_init(&p, &s, &none, 1000);
    assert_int_equal(count_until_refused(&p, holds, 10, "192.0.2.7"), 3);
    peers_hold(&p, &mapped, ip_of("::ffff:192.0.2.7"), NOW_MS);
    assert_non_null(peers_count(&p, &mapped, PEER_CONNECTIONS, NOW_MS));
    peers_hold(&p, &mapped, ip_of("::ffff:192.0.2.8"), NOW_MS);
    assert_null(peers_count(&p, &mapped, PEER_CONNECTIONS, NOW_MS));
    peers_deinit(&p);
}

static void nobody_counts_for_nobody(void **state) {
    (void)state;
    struct settings s = settings();
    struct peers p;
    struct peer_hold hold = {0};
    s.max_connections_per_address = 1;
    peers_init(&p, &s, &none, 10);
    for (int i = 0; i < 3; i++) {
        struct peer_hold unix_socket = {0};
        peers_hold(&p, &unix_socket, (struct ip){{0}}, NOW_MS);
        assert_null(peers_count(&p, &unix_socket, PEER_CONNECTIONS, NOW_MS));
        assert_null(peers_spend(&p, &hold, PEER_CONNECTING, NOW_MS));
    }
    peers_deinit(&p);
}

static void proxies_count_for_nobody(void **state) {
    (void)state;
    struct settings s = settings();
    struct ip_networks proxies = {0};
    struct bytes bad;
    struct peers p;
    s.max_connections_per_address = 1;
    assert_null(ip_networks_parse(&proxies, BYTES_LIT("192.0.2.0/24"), &bad));
    peers_init(&p, &s, &proxies, 10);
    for (int i = 0; i < 3; i++) {
        struct peer_hold hold = {0};
        peers_hold(&p, &hold, ip_of("192.0.2.7"), NOW_MS);
        assert_null(peers_count(&p, &hold, PEER_CONNECTIONS, NOW_MS));
    }
    assert_null(p.table);
    ip_networks_deinit(&proxies);
    peers_deinit(&p);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_address_has_so_many),
        cmocka_unit_test(a_network_of_ipv6_is_one),
        cmocka_unit_test(an_address_begins_so_many),
        cmocka_unit_test(handlers_work_so_long_for_an_address),
        cmocka_unit_test(handlers_work_for_a_wider_network_too),
        cmocka_unit_test(what_is_kept_has_a_bound),
        cmocka_unit_test(who_is_here_is_never_forgotten),
        cmocka_unit_test(defaults_are_for_public_addresses),
        cmocka_unit_test(defaults_spare_ipv6_loopback),
        cmocka_unit_test(an_ipv4_address_has_one_form),
        cmocka_unit_test(nobody_counts_for_nobody),
        cmocka_unit_test(proxies_count_for_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
