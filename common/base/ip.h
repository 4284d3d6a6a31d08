/*
 * ip.h - IP addresses and networks of them.
 *
 * An IPv4 address is kept as its IPv6 form, ::ffff:192.0.2.7, so that one client has one form
 * whatever socket it comes by; its text is always 192.0.2.7. The length of a network counts from
 * the front of the 16 bytes: 10.0.0.0/8 has 104 bits here.
 */
#ifndef SIGNALBOX_BASE_IP_H
#define SIGNALBOX_BASE_IP_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/bytes.h"
#include "common/base/must.h"

struct sockaddr;

enum { IP_BITS = 128, IP_V4_BITS = 32, IP_NETWORKS_MAX = 256, IP_TEXT_SIZE = 64 };

/* All bytes 0: no address, as of a unix socket. */
struct ip {
    unsigned char bytes[16];
};

struct ip_network {
    struct ip base; /* 0 behind the network's bits */
    unsigned bits;
};

struct ip_networks {
    struct ip_network *items;
    size_t count;
};

static inline bool ip_is_known(struct ip ip) {
    static const struct ip none;
    return __builtin_memcmp(&ip, &none, sizeof(ip)) != 0;
}
static inline bool ip_is_equal(struct ip a, struct ip b) {
    return __builtin_memcmp(&a, &b, sizeof(a)) == 0;
}
bool ip_is_v4(struct ip ip);
/* 127.0.0.0/8 and ::1. */
bool ip_is_loopback(struct ip ip);
/* Those, the private networks, and what one link has (169.254.0.0/16, fe80::/10). */
bool ip_is_local(struct ip ip);

/* Not known for any other family than the two of IP. */
struct ip ip_of_sockaddr(const struct sockaddr *address);
/* From the bytes of the network: 4 or 16 of them. */
struct ip ip_of_v4(const void *four_bytes);
/* Exactly an address: no blanks, brackets, port, zone or leading zeros. False for "::", too, which
 * is nobody's; *out stays then. */
MUST_CHECK bool ip_parse(struct bytes text, struct ip *out);
/* "192.0.2.7", "2001:db8::1", or "" when it is not known. */
void ip_show(struct ip ip, char text_out[IP_TEXT_SIZE]);

/* The network of that many bits that the address is in. */
struct ip_network ip_network_of(struct ip ip, unsigned bits);

/*
 * Appends networks, with commas between: 10.0.0.0/8, 2001:db8::/32, an address alone, "loopback"
 * (127.0.0.0/8, ::1) or "private" (10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, fc00::/7). NULL, or
 * what is wrong with the part *bad_out. Bits behind the network and /0 are wrong: the first is a
 * slip, the second trusts everybody.
 */
MUST_CHECK const char *ip_networks_parse(struct ip_networks *list, struct bytes text,
                                         struct bytes *bad_out);
void ip_networks_deinit(struct ip_networks *list);
bool ip_networks_have(const struct ip_networks *list, struct ip ip);

#endif
